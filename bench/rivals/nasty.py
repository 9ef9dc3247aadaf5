"""Strings that tokenizers get wrong: every class of character next to every other. Seeded, so each run sees the same."""

import random

PIECES = [
    " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\v", "\f", "\x1c", "\x1f", "\x00", "\x7f", "\x85",
    "\u00a0", "\u1680", "\u2000", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff",
    "\u180e", "\u2060", "\u00ad", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'LL", "'D", "'M",
    "''", "'", "\u2019s", "\u02bcs", "'l", "'r", "'v", "'sd", "'\u017f", "n't", "don't", "I'll", "we've", "DON'T",
    "hello", "Hello", "world", "a", "Z", "\u00e9", "e\u0301", "\u00df", "\u0130", "\u01c5", "\u03a9", "\u0416\u0443\u043a",
    "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u0646\u0650", "\u202e", "\u200f", "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e44\u0e17\u0e22", "\u4f60\u597d", "\u6f22\u5b57", "\u3053\u3093", "\u30ab\u30bf", "\uff76\uff9e", "\ud55c\uad6d\uc5b4",
    "\u1112\u1161\u11ab", "\U00020000", "\U0002f800", "\u02b0", "\u2c7c", "\uff21", "\U0001d49c", "\u2102", "\u212b",
    "0", "7", "42", "2024", "123456789", "\u0663", "\u096a", "\uff15", "\u00b2", "\u00bd", "\u2167", "\u3007", "\u2460", "\u4e09",
    "\u0bf0", "\U0001d7d8", "\U00010107", "\u0f33", "\U0001f100", ".", ",", "!", "?", "...", "--", "\u2014", "$", "%", "&", "<", ">",
    "|", "<|", "|>", "<|endoftext|>", "<|endoftext", "endoftext|>", "_", "__init__", "/*", "*/", "()", "{}", ";", "\\n", "\"", "\u201c",
    "\u201d", "\u00ab", "\u20ac", "\u00a9", "\u2122", "\u2192", "\u221e", "\u0300", "\u0327\u0301", "\u20dd", "\ufe0f", "\u200d",
    "\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f1e8\U0001f1ed", "\u2764\ufe0f", "1\ufe0f\u20e3", "\U000e0041", "\ue000", "\U000f0000", "\U0010ffff", "\ufffd", "\uffff",
    "\u0378", "\U0001e5d0", "\U00016130", "\u1c89", "\U0002ebf0", "\u0e3f", "\u0903", "\u093e", "\u0488", "\u16ee", "\u3021",
]


def nasty_strings(count, seed):
    """`count` strings, of three kinds: pieces above in a row, any code points, and runs of a few pieces repeated."""
    random_source = random.Random(seed)
    strings = list(PIECES)
    while len(strings) < count:
        kind = random_source.randrange(4)
        if kind <= 1:
            strings.append("".join(random_source.choice(PIECES) for _ in range(random_source.randint(2, 14))))
        elif kind == 2:
            highest = random_source.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000])
            points = [random_source.randrange(highest) for _ in range(random_source.randint(1, 30))]
            strings.append("".join(chr(point) for point in points if not 0xD800 <= point < 0xE000))
        else:
            few = [random_source.choice(PIECES) for _ in range(random_source.randint(1, 3))]
            strings.append("".join(random_source.choice(few) * random_source.randint(1, 20) for _ in range(4)))
    return strings[:count]

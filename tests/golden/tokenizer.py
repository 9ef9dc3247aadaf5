"""Makes tests/golden/tokenizer.json: what tiktoken's gpt2 and Hugging Face's BPE trainer say, for tests/data.

Needs Python with tiktoken, tokenizers and transformers. From the root of the project:
  python tests/golden/tokenizer.py ../shared
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, "bench/rivals")

from nasty import PIECES, nasty_strings
from tokenizer import END, gpt2_of_tiktoken, train_hugging_face, transformers

LINE_END = 0xFFFFFFFF


def fnv(numbers):
    """FNV-1a of a list of numbers: bytes, or ids with LINE_END after each line."""
    value = 0xCBF29CE484222325
    for number in numbers:
        value = (value ^ number) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main():
    shared = Path(sys.argv[1])
    tik = gpt2_of_tiktoken(shared / "gpt2")
    hugging_face = transformers.GPT2TokenizerFast.from_pretrained(shared / "gpt2").backend_tokenizer

    strings = nasty_strings(len(PIECES) + 400, seed=2)
    strings += ["Hello, world", "abc" * 40, "\u4f60\u597d\u4e16\u754c" * 20, " " * 100 + "x", "=" * 70, "a" * 33]
    cases = [[string, tik.encode(string, allowed_special="all")] for string in strings]
    assert all(hugging_face.encode(string).ids == ids for string, ids in cases)

    lines = {}
    for name in ("train.txt", "valid.txt"):
        text = (shared / "tinystories" / name).read_bytes().decode("utf8")
        numbers, hugging_face_numbers = [], []
        for line in text.split("\n"):
            numbers += tik.encode(line, allowed_special="all") + [LINE_END]
        for encoding in hugging_face.encode_batch(text.split("\n")):
            hugging_face_numbers += encoding.ids + [LINE_END]
        assert numbers == hugging_face_numbers
        whole = tik.encode(text, allowed_special="all")
        lines[name] = {"lines": text.count("\n") + 1, "ids_of_lines": fnv(numbers), "ids_of_file": fnv(whole),
                       "tokens_of_file": len(whole)}

    stories = (shared / "tinystories" / "valid.txt").read_bytes().decode("utf8").split(END)
    trained = json.loads(train_hugging_face(stories, 2048)[0].to_str())["model"]
    by_id = sorted(trained["vocab"], key=trained["vocab"].get)
    training = {"vocabulary": 2048, "first_merges": [" ".join(merge) for merge in trained["merges"][:10]],
                "merges": fnv("".join(f"{a} {b}\n" for a, b in trained["merges"]).encode("utf8")),
                "tokens": fnv("".join(f"{token}\n" for token in by_id).encode("utf8"))}

    with open("tests/golden/tokenizer.json", "w", encoding="ascii") as file:
        file.write('{"stories": ' + json.dumps(lines) + ',\n"training": ' + json.dumps(training) + ',\n"cases": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]}\n")


if __name__ == "__main__":
    main()

"""Chapbook's tokenizer beside tiktoken and Hugging Face tokenizers: the same ids? the same merges? how fast?

Needs Python with tiktoken, tokenizers and transformers, and the program built with
  cmake --build BUILD --target bench_tokenizer        (configured with -DCHAPBOOK_BENCH=ON)
Run from the root of the project:
  python bench/rivals/tokenizer.py --program BUILD/bench_tokenizer --shared ../shared --out bench/results/tokenizer.json
All times are of one thread, the best of several runs.
"""

import argparse
import datetime
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # one thread for Hugging Face tokenizers; before it is imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken
import tokenizers
import transformers
from tiktoken_ext.openai_public import r50k_pat_str

from machine import processor
from nasty import nasty_strings

END = "<|endoftext|>"


def gpt2_of_tiktoken(folder):
    """tiktoken's gpt2, made of the local files instead of a download."""
    order = [b for b in range(256) if chr(b).isprintable() and b not in (0x20, 0xA0, 0xAD)]
    spelled = {chr(b): b for b in order}
    spelled |= {chr(256 + n): b for n, b in enumerate(b for b in range(256) if b not in order)}
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf8"))
    end = vocabulary.pop(END)
    ranks = {bytes(spelled[c] for c in token): rank for token, rank in vocabulary.items()}
    return tiktoken.Encoding("gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={END: end})


def our_ids(program, tokenizer, strings):
    with tempfile.NamedTemporaryFile() as file:
        for string in strings:
            data = string.encode("utf8")
            file.write(struct.pack("<I", len(data)) + data)
        file.flush()
        output = subprocess.run([program, "ids", tokenizer, file.name], check=True, capture_output=True, text=True).stdout
    return [[int(i) for i in line.split()] for line in output.split("\n")[:-1]]


def best_time(work, repeats):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def our_times(program, *arguments):
    output = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return [float(line.split()[0]) for line in output.splitlines()]


def train_hugging_face(stories, vocabulary_size):
    """Their trainer without special tokens: ids are then ours; ours has <|endoftext|> one above."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary_size - 1, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    begin = time.perf_counter()
    tokenizer.train_from_iterator(stories, trainer)
    return tokenizer, time.perf_counter() - begin


def same_training(theirs, directory):
    merges = [" ".join(merge) for merge in json.loads(theirs.to_str())["model"]["merges"]]
    ours = (directory / "merges.txt").read_text(encoding="utf8").split("\n")[1:-1]
    vocabulary = json.loads((directory / "vocab.json").read_text(encoding="utf8"))
    del vocabulary[END]
    return merges == ours and vocabulary == theirs.get_vocab()


def machine():
    return f"{processor()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gpt2, files = options.shared / "gpt2", [options.shared / "tinystories" / name for name in ("train.txt", "valid.txt")]
    texts = [file.read_bytes().decode("utf8") for file in files]
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "command": "python bench/rivals/tokenizer.py " + " ".join(
            ["--program", "build/release/bench_tokenizer", "--strings", str(options.strings)]),
        "versions": {module.__name__: module.__version__ for module in (tiktoken, tokenizers, transformers)},
    }

    # The same ids: nasty strings and every line of the stories, against both; our own files opened by transformers.
    tik = gpt2_of_tiktoken(gpt2)
    hugging_face = transformers.GPT2TokenizerFast.from_pretrained(gpt2).backend_tokenizer
    strings = nasty_strings(options.strings, seed=1)
    lines = list(dict.fromkeys(itertools.chain.from_iterable(text.split("\n") for text in texts)))
    result["mismatches"] = {}
    for name, cases in (("nasty strings", strings), ("different lines of the stories", lines)):
        ours = our_ids(options.program, gpt2, cases)
        expected = tik.encode_batch(cases, num_threads=1, allowed_special="all")
        theirs = [encoding.ids for encoding in hugging_face.encode_batch(cases)]
        result["mismatches"][name] = {
            "count": len(cases),
            "tiktoken": sum(a != b for a, b in zip(ours, expected, strict=True)),
            "hugging_face": sum(a != b for a, b in zip(ours, theirs, strict=True)),
        }

    # Encoding the whole training text.
    text, stories = texts[0], [story for story in texts[0].split(END)]
    bytes_ = len(text.encode("utf8"))
    ours = min(our_times(options.program, "encode", gpt2, files[0], 7))
    tik_time = min(best_time(lambda: tik.encode(text, allowed_special="all"), 3),
                   best_time(lambda: [tik.encode_ordinary(story) for story in stories], 3))
    hugging_face_time = best_time(lambda: hugging_face.encode_batch_fast(stories), 2)
    result["encode_train_txt_MB_per_s"] = {
        "chapbook": round(bytes_ / ours / 1e6, 1), "tiktoken": round(bytes_ / tik_time / 1e6, 1),
        "hugging_face": round(bytes_ / hugging_face_time / 1e6, 1),
        "ratio_to_tiktoken": round(tik_time / ours, 1), "ratio_to_hugging_face": round(hugging_face_time / ours, 1)}

    # Training, counting included.
    result["train_on_train_txt"] = []
    for vocabulary_size in (2048, 4096, 16384):
        with tempfile.TemporaryDirectory() as directory:
            ours = min(our_times(options.program, "train", files[0], vocabulary_size, 1, directory)[0] for _ in range(5))
            runs = [train_hugging_face(stories, vocabulary_size) for _ in range(2)]
            theirs = min(seconds for _, seconds in runs)
            opened = transformers.AutoTokenizer.from_pretrained(directory)
            fast = transformers.PreTrainedTokenizerFast(tokenizer_file=f"{directory}/tokenizer.json")
            ids = our_ids(options.program, directory, strings)
            result["train_on_train_txt"].append({
                "vocabulary": vocabulary_size, "chapbook_seconds": round(ours, 3), "hugging_face_seconds": round(theirs, 3),
                "ratio": round(theirs / ours, 1), "same_merges_and_ids": same_training(runs[0][0], Path(directory)),
                "mismatches_of_our_files_in_transformers": sum(
                    not (a == b == c) for a, b, c in zip(ids, opened(strings)["input_ids"], fast(strings)["input_ids"],
                                                         strict=True))})

    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

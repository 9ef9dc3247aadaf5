"""From a text of stories to token files: Chapbook's `prepare` beside Hugging Face's datasets and tokenizers, in turns.

Both learn a tokenizer of the same size from the stories and write their tokens as 16-bit numbers, on all cores.
Needs Python with datasets and tokenizers, and the programs chapbook and bench_prepare (-DCHAPBOOK_BENCH=ON). A text is
made with `bench_prepare make`. Run from the root of the project:
  python bench/rivals/prepare.py --programs BUILD --text 200.txt --rounds 3 --out FILE.json
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

END = "<|endoftext|>"


def rival(text, vocabulary, directory):
    """The way their documentation goes: a data set of stories, a byte-level BPE trained on it, map() in batches."""
    import datasets
    import numpy
    import tokenizers

    cores = len(os.sched_getaffinity(0))
    datasets.disable_progress_bars()

    def stories():
        with open(text, encoding="utf8") as file:
            story = []
            for line in file:
                if line.startswith(END):
                    yield {"text": "".join(story).strip()}
                    story = []
                else:
                    story.append(line)

    data = datasets.Dataset.from_generator(stories, cache_dir=directory)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=[END], show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((batch["text"] for batch in data.iter(1000)), trainer, length=len(data))
    end = tokenizer.token_to_id(END)

    def encode(batch):  # encode_batch has a thread for each core
        return {"ids": [encoding.ids + [end] for encoding in tokenizer.encode_batch(batch["text"])]}

    tokens = data.map(encode, batched=True, remove_columns=["text"])
    with open(f"{directory}/train.bin", "wb") as file:
        for batch in tokens.with_format("numpy").iter(1000):
            numpy.concatenate(batch["ids"]).astype(numpy.uint16).tofile(file)
    print(json.dumps({"stories": len(data), "tokens": os.path.getsize(f"{directory}/train.bin") // 2, "cores": cores}))


def measured(command):
    begin = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - begin, json.loads(output[output.index("{") :])  # behind what the program says


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", default="build/release")
    parser.add_argument("--text", required=True)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out")
    parser.add_argument("--rival", help=argparse.SUPPRESS)  # a process of its own
    options = parser.parse_args()
    if options.rival:
        rival(options.text, options.vocabulary, options.rival)
        return

    import datasets
    import tokenizers

    megabytes = os.path.getsize(options.text) / 1e6
    ours, theirs = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as directory:
            _, one = measured([f"{options.programs}/bench_prepare", "measure", f"{options.programs}/chapbook", options.text,
                               str(options.vocabulary), f"{directory}/ours"])
            ours.append(one)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds, two = measured([sys.executable, __file__, "--text", options.text, "--vocabulary", str(options.vocabulary),
                                     "--rival", directory])
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            two["seconds"] = round(seconds, 2)
            two["megabytes_per_second"] = round(megabytes / seconds, 2)
            two["processor_seconds"] = round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2)
            two["peak_megabytes"] = round(used.ru_maxrss * 1024 / 1e6, 2)  # of the larger of both programs: theirs
            theirs.append(two)
            print(one["seconds"], two["seconds"], flush=True)
    median = lambda rows, key: statistics.median(row[key] for row in rows)
    result = {
        "command": "python bench/rivals/prepare.py " + " ".join(sys.argv[1:]),
        "machine": ours[0]["machine"],
        "versions": {"datasets": datasets.__version__, "tokenizers": tokenizers.__version__},
        "megabytes": round(megabytes, 2),
        "vocabulary": options.vocabulary,
        "ours": {key: median(ours, key) for key in ("seconds", "megabytes_per_second", "processor_seconds", "peak_megabytes")},
        "theirs": {key: median(theirs, key) for key in ("seconds", "megabytes_per_second", "processor_seconds", "peak_megabytes")},
        "times_as_fast": round(median(theirs, "seconds") / median(ours, "seconds"), 2),
        "rounds": [{"ours": a["seconds"], "theirs": b["seconds"]} for a, b in zip(ours, theirs)],
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.out:
        open(options.out, "w", encoding="utf8").write(text)


if __name__ == "__main__":
    main()

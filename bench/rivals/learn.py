"""The same minutes for Chapbook and for PyTorch: the same model, data, settings and threads, one after the other. What counts is the
loss at the end, in bits for each byte of the validation text.

    ./chapbook prepare train.txt --valid valid.txt --vocabulary 2048 --out data/stories
    python bench/rivals/learn.py data/stories           # needs torch; writes bench/results/learn.json

Each side finds out how many steps fit into the minutes by timing some, and runs a schedule of that length, so that the faster one sees
more text. PyTorch's compilation and timing are not counted. Weights start from the same distributions, but not from the same numbers.
"""
import argparse, datetime, json, math, os, subprocess, sys, time

import numpy
import torch

from machine import processor
from train import GPT

RATE, LAST, WARMUP, BETAS, DECAY, CLIP = 2e-3, 0.01, 200, (0.9, 0.99), 0.1, 1.0  # those of --preset story
LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 6, 192, 256, 8


def initialise(model):
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(p)
        elif p.dim() == 2:
            scale = 1 / math.sqrt(2 * LAYERS) if "proj" in name else 1
            torch.nn.init.normal_(p, std=0.01 if name == "wpe.weight" else 0.02 * scale)


def rate_at(step, steps):
    if step < WARMUP:
        return RATE * (step + 1) / (WARMUP + 1)
    done = (step - WARMUP) / max(1, steps - WARMUP)
    return RATE * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * done)))


def windows(tokens, generator):
    """Every window once in random order, then again from another offset; what Chapbook's loader does."""
    while True:
        offset = int(torch.randint(CONTEXT, (1,), generator=generator))
        count = (len(tokens) - 1 - offset) // CONTEXT
        for i in torch.randperm(count, generator=generator).tolist():
            yield tokens[offset + i * CONTEXT : offset + (i + 1) * CONTEXT + 1]


@torch.no_grad()
def evaluate(model, tokens):
    total, count = 0.0, 0
    for start in range(0, len(tokens) - 1, CONTEXT):
        window = tokens[start : start + CONTEXT + 1].unsqueeze(0)
        n = window.shape[1] - 1
        total += model(window[:, :-1], window[:, 1:]).item() * n
        count += n
    return total / count


def train_torch(directory, vocabulary, minutes, compiled):
    train, valid = (torch.from_numpy(numpy.fromfile(f"{directory}/{part}.bin", dtype="<u2").astype("int64"))
                    for part in ("train", "valid"))
    torch.manual_seed(1)
    model = GPT(LAYERS, HEADS, WIDTH, CONTEXT, vocabulary)
    initialise(model)
    run = torch.compile(model) if compiled else model
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                                  lr=0.0, betas=BETAS, fused=True)
    source = windows(train, torch.Generator().manual_seed(1))

    def step(rate):
        batch = torch.stack([next(source) for _ in range(BATCH)])
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = run(batch[:, :-1], batch[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(3):
        step(0.0)  # compiles; a rate of 0 moves nothing but the optimizer's means, which are reset below
    start, timed = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        step(0.0)
        timed += 1
    steps = int(minutes * 60 * timed / (time.perf_counter() - start))
    optimizer.state.clear()
    start = time.perf_counter()
    for i in range(steps):
        loss = step(rate_at(i, steps))
        if i % 200 == 0:
            print(f"step {i} of {steps}: {loss:.3f}, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    return {"steps": steps, "seconds": round(seconds, 1), "tokens": steps * BATCH * CONTEXT, "valid_loss": evaluate(model, valid)}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("data", help="directory made by ./chapbook prepare")
    arguments.add_argument("--program", default="build/release/chapbook")
    arguments.add_argument("--minutes", type=float, default=20)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--eager", action="store_true", help="PyTorch without torch.compile")
    arguments.add_argument("--run", default="runs/learn", help="where Chapbook's run goes; must be new")
    arguments.add_argument("--out", default="bench/results/learn.json")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    with open(f"{options.data}/valid.json") as file:
        valid = json.load(file)

    def bits(loss):
        return loss / math.log(2) * valid["tokens"] / valid["text_bytes"]

    subprocess.run([options.program, "train", "--preset", "story", "--precision", "f32", "--data", options.data, "--run", options.run,
                    "--set", f"minutes={options.minutes}", "--set", "eval_every=0", "--set", "save_every=0", "--set", "sample_every=0"],
                   check=True, env={**os.environ, "CHAPBOOK_THREADS": str(options.threads)})
    with open(f"{options.run}/results.json") as file:
        ours = json.load(file)
    rows = {"chapbook": {key: ours[key] for key in ("steps", "seconds", "tokens", "valid_loss")}}
    rows["torch eager" if options.eager else "torch.compile"] = train_torch(
        options.data, valid["vocabulary_size"], options.minutes, not options.eager)
    for row in rows.values():
        row["bits_per_byte"] = round(bits(row["valid_loss"]), 4)
    processor_name, _ = processor()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {"what": f"{options.minutes:g} minutes of training on TinyStories; bits per byte on all of the validation text",
              "command": "python bench/rivals/learn.py " + os.path.basename(options.data), "threads": options.threads, "processor": processor_name,
              "torch": torch.__version__, "commit": commit, "date": datetime.date.today().isoformat(), "rows": rows}
    with open(options.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

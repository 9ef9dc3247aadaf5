"""Training steps of Chapbook and of PyTorch, side by side: the same model, batch, optimiser and threads, taken in turns.

    cmake --preset release -DCHAPBOOK_BENCH=ON && ninja -C build/release bench_train_step
    python bench/rivals/train.py                  # needs torch; f32 and bf16; writes bench/results/train.zen4.json on a Zen 4, and so on
    python bench/rivals/train.py --device cuda    # on a GPU: other models, f32, TF32 and bf16; writes train_cuda.json

Each round runs ours, then PyTorch eager, then torch.compile, in each precision, for a few steps each after a warm-up; the medians over
the rounds are compared, with the better of PyTorch's in the same precision and in any, and the spread is written beside them. PyTorch gets fused attention, a fused AdamW and its own best allocator settings.
On a GPU the share of the peak counts all operations of a step (nn/gpt.h: training_flops_per_token), against a large product in the
same precision that is measured in the same run.
"""
import argparse, datetime, json, os, statistics, subprocess, sys, time

import torch
import torch.nn as nn
import torch.nn.functional as F

from machine import processor

# name: layers, heads, width, context, vocabulary, batch
MODELS = {
    "tiny": (4, 4, 128, 128, 4096, 16),
    "small, V = 4,096": (6, 6, 384, 256, 4096, 8),
    "small, V = 50,257": (6, 6, 384, 256, 50257, 8),
    "124M": (12, 12, 768, 256, 50257, 4),
}
MODELS_CUDA = {
    "small, 2k tokens": (6, 6, 384, 256, 4096, 8),
    "small, 16k tokens": (6, 6, 384, 256, 4096, 64),
    "124M": (12, 12, 768, 1024, 50257, 16),
}


class Block(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.mlp_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, layers, heads, width, context, vocabulary):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(heads, width) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def set_precision(precision):
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


def torch_stepper(shape, compiled, device="cpu", precision="f32"):
    layers, heads, width, context, vocabulary, batch = shape
    torch.manual_seed(1)
    set_precision(precision)
    model = GPT(layers, heads, width, context, vocabulary).to(device)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.99), fused=True)
    # For this shape alone: after a model of another batch, PyTorch would compile for any batch, and slower.
    torch.compiler.reset()
    run = torch.compile(model, dynamic=False) if compiled else model

    def step():
        tokens = torch.randint(vocabulary, (batch, context + 1))
        set_precision(precision)
        start = time.perf_counter()
        tokens = tokens.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = run(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - start

    return step


def flops_per_token(shape):
    """As in nn/gpt.cpp."""
    layers, heads, width, context, vocabulary, batch = shape
    return 6 * (12 * layers * width**2 + vocabulary * width) + 14 * layers * width * (context + 1) / 2


def device_limits():
    """What this GPU does at most: large products of random numbers, operations a second, and a large copy, bytes a second."""
    def seconds(work):
        times = []
        for _ in range(8):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(5):
                work()
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / 5)
        return statistics.median(times[2:])

    n, limits = 8192, {}
    for precision in ("f32", "tf32", "bf16"):
        set_precision(precision)
        a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16 if precision == "bf16" else torch.float32) for _ in range(2))
        limits[precision] = 2 * n**3 / seconds(lambda: a @ b)
    x = torch.randn(1 << 30, device="cuda")
    y = torch.empty_like(x)
    limits["copy"] = 2 * 4 * x.numel() / seconds(lambda: y.copy_(x))
    return limits


def peak_megabytes(command):
    """The most memory a process ever held, everything counted. From /proc while it runs: what the system says of a process that has
    ended begins with the memory of the one that started it."""
    process, peak = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        except OSError:
            pass
        time.sleep(0.01)
    if process.returncode != 0:
        raise RuntimeError(f"{command} failed")
    return round(peak / 1024)


def measure_memory(options, name):
    ours = [options.program, *map(str, MODELS[name]), "2"]
    theirs = {contender: [sys.executable, __file__, "--only", name, contender] for contender in ("torch eager", "torch.compile")}
    return {contender: peak_megabytes(command) for contender, command in {"chapbook": ours, **theirs}.items()}


def compare(shape, precisions, options, limits):
    """The contenders in turns, on one model and in these precisions: for each, what a row of the results holds of it."""
    tokens = shape[3] * shape[5]
    steppers = {(contender, precision): torch_stepper(shape, contender == "torch.compile", options.device, precision)
                for precision in precisions for contender in ["torch eager"] + ["torch.compile"] * (not options.no_compile)}
    for step in steppers.values():
        for _ in range(3):
            step()
    steps = {precision: max(2, round(options.seconds / steppers["torch eager", precision]())) for precision in precisions}
    speeds = {key: [] for precision in precisions for key in [("chapbook", precision)] + [key for key in steppers if key[1] == precision]}
    for _ in range(options.rounds):
        for (contender, precision), values in speeds.items():
            if contender == "chapbook":
                output = subprocess.run([options.program, *map(str, shape), str(steps[precision]), "bf16" if precision == "bf16" else "f32"],
                                        check=True, capture_output=True, text=True,
                                        env={**os.environ, "CHAPBOOK_THREADS": str(options.threads), "CHAPBOOK_BACKEND": options.device,
                                             "CHAPBOOK_TF32": str(int(precision == "tf32"))})
                values.append(tokens / statistics.median(map(float, output.stdout.split())))
            else:
                step = steppers[contender, precision]
                step()
                values.append(tokens / statistics.median(step() for _ in range(steps[precision])))
    median = {key: statistics.median(values) for key, values in speeds.items()}
    best = {precision: max(value for key, value in median.items() if key[0] != "chapbook" and key[1] == precision) for precision in precisions}
    rows = {}
    for precision in precisions:
        here = {contender: (median[contender, at], speeds[contender, at]) for contender, at in speeds if at == precision}
        rows[precision] = {
            "tokens_per_second": {contender: {"median": round(middle, 1), "min": round(min(values), 1), "max": round(max(values), 1)}
                                  for contender, (middle, values) in here.items()},
            "ratio_to_best_rival": round(median["chapbook", precision] / best[precision], 3)}
        if len(precisions) > 1:  # whatever it computes in
            rows[precision]["ratio_to_best_rival_of_all"] = round(median["chapbook", precision] / max(best.values()), 3)
        if limits:
            rows[precision]["share_of_peak"] = {contender: round(middle * flops_per_token(shape) / limits[precision], 3)
                                                for contender, (middle, _) in here.items()}
    return rows


def main():
    if sys.argv[1:2] == ["--only"]:  # a process of its own, for its memory
        torch.set_num_threads(os.cpu_count())
        step = torch_stepper(MODELS[sys.argv[2]], sys.argv[3] == "torch.compile")
        for _ in range(3):
            step()
        return
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", default="build/release/bench_train_step")
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=4, help="about, for each contender and round")
    arguments.add_argument("--no-compile", action="store_true")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments.add_argument("--models", nargs="*")
    arguments.add_argument("--precisions", nargs="*", choices=("f32", "tf32", "bf16"))
    arguments.add_argument("--out")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    cuda = options.device == "cuda"
    models = MODELS_CUDA if cuda else MODELS
    processor_name, generation = processor()
    out = options.out or f"bench/results/train{'_cuda' if cuda else '.' + generation}.json"
    limits = device_limits() if cuda else None

    commit = os.environ.get("CHAPBOOK_COMMIT")  # where there is no git
    commit = commit or subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {"what": "training step: forward, backward, clipping, AdamW; tokens per second",
              "command": " ".join(["python bench/rivals/train.py", *sys.argv[1:]]), "device": torch.cuda.get_device_name() if cuda else "cpu",
              "limits": {what: float(f"{value:.4g}") for what, value in limits.items()} if cuda else None,
              "rounds": options.rounds, "threads": options.threads, "processor": processor_name, "torch": torch.__version__, "commit": commit,
              "date": datetime.date.today().isoformat(), "rows": []}
    failed = False
    # On a GPU a precision at a time, since the time with it may end; what matters most comes first.
    together = [[precision] for precision in options.precisions or ["bf16", "tf32", "f32"]] if cuda else [options.precisions or ["f32", "bf16"]]
    for name, precisions in ((name, precisions) for name in options.models or models for precisions in together):
        shape = models[name]
        about = {"model": name, "shape": dict(zip(("layers", "heads", "width", "context", "vocabulary", "batch"), shape))}
        try:
            compared = compare(shape, precisions, options, limits)
            rows = [{"precision": precision, **about, **compared[precision]} for precision in precisions]
            if not cuda and not options.no_compile:
                rows[0]["peak_megabytes"] = measure_memory(options, name)
        except subprocess.CalledProcessError as error:  # the next row may work
            rows = [{"precision": precision, **about, "failed": error.stderr.strip()} for precision in precisions]
            failed = True
        for row in rows:
            print(json.dumps(row), file=sys.stderr, flush=True)
        result["rows"] += rows
        with open(out, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

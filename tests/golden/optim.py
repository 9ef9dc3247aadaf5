"""Makes tests/golden/optim: what PyTorch's optimizers and schedules do, step by step.

    python tests/golden/optim.py

Needs torch, transformers and safetensors; the tests need only the files.
- training.safetensors: ten batches (tokens, targets) for the model in gpt2/with_bias, and for AdamW and for
  SGD with momentum the ten losses, the norms of the gradients before clipping, and the losses of a run in
  float64. Clipping at norm 1; decay of matrices only; the rate is warm-up and cosine, written out below.
- schedules.json: rates of PyTorch's schedulers, and of nanoGPT's formula.
"""

import json
import math
import pathlib

import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import (ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, LinearLR,
                                      SequentialLR)
from transformers import GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent / "optim"
MODEL = pathlib.Path(__file__).parent / "gpt2" / "with_bias"
STEPS, WARMUP = 10, 3


def warmup_cosine(step, rate, last, warmup, steps):
    """As in nanoGPT's train.py."""
    if step < warmup:
        return rate * (step + 1) / (warmup + 1)
    if step > steps:
        return last
    return last + 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) * (rate - last)


def train(make_optimizer, rate, dtype, tokens, targets):
    model = GPT2LMHeadModel.from_pretrained(MODEL).to(dtype).train()
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = make_optimizer([{"params": matrices, "weight_decay": 0.1},
                                {"params": others, "weight_decay": 0}])
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, rate, rate / 10, WARMUP, STEPS)
        logits = model(tokens[step]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[step].flatten())
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        losses.append(loss.detach())
        optimizer.step()
    return torch.stack(losses), torch.stack(norms)


def write_training():
    torch.manual_seed(3)
    tokens = torch.randint(0, 101, (STEPS, 4, 17))
    tokens[:, :, 1::2] = (7 * tokens[:, :, 0:16:2] + 3) % 101  # every second token can be learned
    tokens, targets = tokens[:, :, :-1].contiguous(), tokens[:, :, 1:].contiguous()
    golden = {"tokens": tokens.int(), "targets": targets.int()}
    optimizers = {
        "adamw": (lambda groups: torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.95), eps=1e-8), 1e-2),
        "sgd": (lambda groups: torch.optim.SGD(groups, lr=0, momentum=0.9), 1e-1),
    }
    for name, (make, rate) in optimizers.items():
        losses, norms = train(make, rate, torch.float32, tokens, targets)
        exact, exact_norms = train(make, rate, torch.float64, tokens, targets)
        golden |= {f"{name}.losses": losses, f"{name}.norms": norms, f"{name}.losses_f64": exact}
        print(f"{name}: losses {losses.tolist()}\n  norms {norms.tolist()}\n"
              f"  float32 is off by {float(((losses - exact) / exact).abs().max()):.1e}, "
              f"norms {float(((norms - exact_norms) / exact_norms).abs().max()):.1e}")
    save_file(golden, FOLDER / "training.safetensors")


def rates(steps, *schedulers, milestones=()):
    """The rates at steps 0, 1, ... of PyTorch's schedulers, one after another."""
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], lr=0.1)
    made = [make(optimizer) for make in schedulers]
    scheduler = made[0] if len(made) == 1 else SequentialLR(optimizer, made, milestones=list(milestones))
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def write_schedules():
    """All with a rate of 0.1, last 0.01 where there is a last."""
    linear = lambda o: LinearLR(o, start_factor=1, end_factor=0.1, total_iters=8)
    cosine = lambda o: CosineAnnealingLR(o, T_max=8, eta_min=0.01)
    constant = lambda o: ConstantLR(o, factor=1, total_iters=0)
    restarts = lambda period, growth: lambda o: CosineAnnealingWarmRestarts(o, period, growth, eta_min=0.01)
    warmup = lambda o: LinearLR(o, start_factor=1 / 5, end_factor=1, total_iters=4)
    golden = {
        "constant": rates(12, constant),
        "linear(8)": rates(12, linear),
        "cosine(8)": rates(9, cosine),
        "cosine_restarts(5)": rates(17, restarts(5, 1)),
        "cosine_restarts(3, growth 2)": rates(24, restarts(3, 2)),
        "warmup_cosine(4, 20)": [warmup_cosine(step, 0.1, 0.01, 4, 20) for step in range(24)],
        "warmup_cosine(0, 6)": [warmup_cosine(step, 0.1, 0.01, 0, 6) for step in range(9)],
        "warmup_stable_decay(4, 8, 20)": rates(24, warmup, constant, linear, milestones=(4, 12)),
        "chain(cosine(8) for 8, linear(8))": rates(20, cosine, linear, milestones=(8,)),
    }
    rows = [f'"{name}": {[round(value, 15) for value in values]}' for name, values in golden.items()]
    (FOLDER / "schedules.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    for name, values in golden.items():
        print(name, [round(v, 4) for v in values])


FOLDER.mkdir(exist_ok=True)
write_training()
write_schedules()

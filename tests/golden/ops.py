"""Golden numbers of the ops: the rows of cases/op_cases.cpp as PyTorch computes them, in f64.

Makes tests/golden/ops.json:  python3 tests/golden/ops.py > tests/golden/ops.json
Every backend shares the arithmetic of tensor/elementwise.h and the rules of autograd/ops.cpp, and so would share a
mistake in them; these numbers were made elsewhere.
"""
import json
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(2026)
entries = {}


def row(name, shapes, f, low=-2.0, high=2.0, gradient=True, step=0):
    inputs = [low + (high - low) * torch.rand(shape) for shape in shapes]
    # Few digits, so that the file is small and says exactly what was computed.
    inputs = [torch.round(x / (step or 1e-3)) * (step or 1e-3) for x in inputs]
    inputs = [x.requires_grad_(gradient) for x in inputs]
    y = f(*inputs)
    entry = {"shapes": [list(s) for s in shapes], "inputs": [x.detach().flatten().tolist() for x in inputs],
             "y": y.detach().to(torch.float64).flatten().tolist()}
    if gradient:
        dy = torch.round(torch.rand(y.shape) * 200 - 100) / 100
        y.backward(dy)
        entry["dy"] = dy.flatten().tolist()
        entry["gradients"] = [x.grad.flatten().tolist() for x in inputs]
    entries[name] = entry


def ids(shape, limit, hole=0):
    count = torch.Size(shape).numel()
    numbers = [-100 if hole and i % hole == 1 else (i * i + 3) % limit for i in range(count)]
    return torch.tensor(numbers).reshape(shape)


def squares(shape):
    ones = torch.zeros(torch.Size(shape).numel(), dtype=torch.bool)
    i = 0
    while i * i < ones.numel():
        ones[i * i] = True
        i += 1
    return ones.reshape(shape)


small, pair, stretched = [(2, 4)], [(2, 4), (2, 4)], [(2, 1), (3,)]
for name, f in {"abs": torch.abs, "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": F.relu,
                "silu": F.silu, "gelu": lambda x: F.gelu(x, approximate="tanh"), "gelu_erf": F.gelu,
                "neg": torch.neg, "add a number": lambda x: x + 0.75, "sub a number": lambda x: x - 0.75,
                "mul a number": lambda x: x * 0.75, "div a number": lambda x: x / 0.75,
                "x used twice": lambda x: x * x + x}.items():
    row(name, small, f, -4, 4)
for name, f in {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt}.items():
    row(name, small, f, 0.2, 3)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow,
                "maximum": torch.maximum, "minimum": torch.minimum}.items():
    row(name, stretched, f, 0.3, 2)
row("where", pair, lambda a, b: torch.where(squares((2, 4)), a, b))


def slope_times(f):
    def slope(x, dy):
        x = x.detach().requires_grad_()
        f(x).backward(dy)
        return x.grad
    return slope


row("silu_backward", pair, slope_times(F.silu), -4, 4, gradient=False)
row("gelu_backward", pair, slope_times(lambda x: F.gelu(x, approximate="tanh")), -4, 4, gradient=False)
row("gelu_erf_backward", pair, slope_times(F.gelu), -4, 4, gradient=False)
for name, f in {"equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le,
                "greater": torch.gt, "greater_equal": torch.ge}.items():
    row(name, pair, f, -2, 2, gradient=False, step=1)

row("transpose", [(2, 3)], lambda x: x.transpose(0, -1))
row("slice", [(2, 4)], lambda x: x[:, 1:3])
row("concatenate rows", [(1, 3), (2, 3)], lambda a, b: torch.cat([a, b], 0))
row("concatenate columns", [(2, 3), (2, 1)], lambda a, b: torch.cat([a, b], -1))
row("triangle", [(3, 4)], lambda x: torch.tril(torch.ones(3, 4), 1), gradient=False)
row("triangle below", [(3, 4)], lambda x: torch.tril(torch.ones(3, 4), -1), gradient=False)

for name, f in {"sum": torch.sum, "mean": torch.mean, "var": lambda x, **k: torch.var(x, correction=0, **k),
                "max": torch.amax, "min": torch.amin}.items():
    row(name, [(2, 3)], lambda x: f(x, dim=(0, 1)))
    row(name + " of rows", [(2, 3)], lambda x: f(x, dim=-1))
    row(name + " of columns", [(2, 3)], lambda x: f(x, dim=0))
    row(name + " over 0 and 2, kept", [(2, 2, 2)], lambda x: f(x, dim=(0, 2), keepdim=True))
    row(name + " over the middle", [(2, 3, 2)], lambda x: f(x, dim=1))
row("argmax", [(3, 5)], lambda x: torch.argmax(x, -1), gradient=False)
row("argmax over the middle", [(2, 3, 2)], lambda x: torch.argmax(x, 1), gradient=False)
row("global_norm", [(2, 3), (2,)], lambda a, b: torch.sqrt((a * a).sum() + (b * b).sum()), gradient=False)

row("matmul", [(2, 3), (3, 2)], torch.matmul)
row("matmul of batches", [(2, 1, 2, 3), (2, 3, 2)], torch.matmul)
row("matmul of a batch and a matrix", [(2, 2, 3), (3, 2)], torch.matmul)
row("matmul of a matrix and a batch", [(2, 3), (2, 3, 2)], torch.matmul)

row("softmax", [(2, 4)], lambda x: F.softmax(x, -1), -4, 4)
row("softmax of columns", [(3, 2)], lambda x: F.softmax(x, 0))
row("log_softmax", [(2, 4)], lambda x: F.log_softmax(x, -1), -4, 4)
row("log_softmax of columns", [(3, 2)], lambda x: F.log_softmax(x, 0))
row("layer_norm", [(2, 4), (4,), (4,)], lambda x, w, b: F.layer_norm(x, (4,), w, b, 1e-2))
row("layer_norm without bias", [(2, 4), (4,)], lambda x, w: F.layer_norm(x, (4,), w, None, 1e-2))
row("gather_rows", [(4, 2)], lambda t: F.embedding(ids((2, 3), 4), t))
row("scatter_add_rows", [(2, 2, 2)],
    lambda x: torch.zeros(6, 2).index_add(0, ids((4,), 6), x.reshape(4, 2)), gradient=False)
row("cross_entropy", [(3, 5)], lambda x: F.cross_entropy(x, ids((3,), 5)))
row("cross_entropy with holes, smoothed", [(4, 5)],
    lambda x: F.cross_entropy(x, ids((4,), 5, 3), label_smoothing=0.2, ignore_index=-100))


def self_attention(qkv):
    B, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = (x.reshape(B, T, 2, C // 2).transpose(1, 2) for x in qkv.split(C, dim=2))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C)


def last_places(q, k, v):
    T, S = q.shape[2], k.shape[2]
    seen = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.7)


def log_sum(q, k, v):
    T, S = q.shape[2], k.shape[2]
    seen = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return torch.logsumexp((0.7 * q @ k.transpose(-1, -2)).masked_fill(~seen, -torch.inf), -1)


row("attention", [(1, 3, 12)], self_attention)
row("attention of the last places", [(1, 2, 2, 2), (1, 2, 3, 2), (1, 2, 3, 2)], last_places)
row("attention's log_sum", [(1, 2, 2, 2), (1, 2, 3, 2), (1, 2, 3, 2)], log_sum, gradient=False)


def adamw(weight, gradient, m, v):
    def step(weight, m, v, decay):
        p = torch.nn.Parameter(weight.detach().clone())
        optimizer = torch.optim.AdamW([p], lr=0.3, betas=(0.8, 0.95), eps=0.01, weight_decay=decay)
        optimizer.state[p] = {"step": torch.tensor(2.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
        p.grad = 0.5 * gradient
        optimizer.step()
        state = optimizer.state[p]
        return [p.detach().flatten(), state["exp_avg"].flatten(), state["exp_avg_sq"].flatten()]
    return torch.cat(step(weight, m, v.abs(), 0.1) + step(2 * weight, m, 3 * v.abs(), 0.0))


row("adamw", [(2, 2)] * 4, adamw, gradient=False)
row("argmax over the first of four", [(2, 3, 4, 2)], lambda x: torch.argmax(x, 0), gradient=False)

print("{")
print(",\n".join(f' {json.dumps(name)}: {json.dumps(entry)}' for name, entry in entries.items()))
print("}")

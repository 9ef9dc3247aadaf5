"""Makes tests/golden/fused.safetensors: linear, mlp and attention at sizes that fill no vector and no tile.

    python tests/golden/fused.py

Needs torch and safetensors; the tests need only the file. All backends share formulas and rules, so these were made by
another program. Inputs are numbers that bf16 holds, so that one truth, PyTorch's in f64, stands for f32 and bf16. Beside
it the metadata say how far PyTorch itself is off in each (relative norm, and at most in one number, as a share of the
root of the mean square): tests/autograd/test_fused.cpp asks to be no worse than a multiple of that.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(2026)


def affine(x, w, b):
    return x @ w + b


def attention(qkv):
    (B, T, C), H = qkv.shape, 2
    q, k, v = (x.reshape(B, T, H, C // 3 // H).transpose(1, 2) for x in qkv.split(C // 3, dim=2))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C // 3)


CASES = {
    "linear": ([(5, 7, 31), (31, 33), (33,), (5, 7, 33)], lambda x, w, b, r: affine(x, w, b) + r),
    "mlp": ([(19, 31), (31, 65), (65,), (65, 31), (31,), (19, 31)],
            lambda x, w1, b1, w2, b2, r: affine(F.gelu(affine(x, w1, b1), approximate="tanh"), w2, b2) + r),
    "attention": ([(1, 37, 3 * 2 * 21)], attention),
}


def run(f, inputs, dy, dtype):
    x = [each.to(dtype).requires_grad_() for each in inputs]
    y = f(*x)
    y.backward(dy.to(dtype))
    return [y.detach().double()] + [each.grad.double() for each in x]


tensors, errors = {}, {}
for name, (shapes, f) in CASES.items():
    inputs = [(2 * torch.rand(shape) - 1).bfloat16() for shape in shapes]
    dy = (2 * torch.rand(f(*inputs).shape) - 1).bfloat16()
    truth = run(f, inputs, dy, torch.float64)
    tensors |= {f"{name}.input.{i}": x for i, x in enumerate(inputs)} | {f"{name}.dy": dy}
    tensors |= {f"{name}.{'y' if i == 0 else f'gradient.{i - 1}'}": x.float() for i, x in enumerate(truth)}
    for dtype, called in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        got = run(f, inputs, dy, dtype)
        errors[f"{name} in {called}"] = [
            [float((g - t).norm() / t.norm()), float((g - t).abs().max() / t.square().mean().sqrt())]
            for g, t in zip(got, truth)]

path = pathlib.Path(__file__).parent / "fused.safetensors"
save_file({name: x.contiguous() for name, x in tensors.items()}, path,
          {"errors": json.dumps(errors), "made by": f"torch {torch.__version__}"})
print(json.dumps(errors, indent=1))

"""Makes tests/golden/nanogpt: checkpoints as nanoGPT's train.py saves them, and what PyTorch computes with them.

    python tests/golden/nanogpt.py        # needs torch

The tests need only the files. The model is nanoGPT's model.py written again: the same names of parts, matrices as
torch.nn.Linear has them, a head that is the table of tokens, biases or none. Each folder holds ckpt.pt (model,
optimizer, model_args, iter_num, best_val_loss, config; as from torch.compile in one of them), and
golden.safetensors: tokens, and logits in float64 with GELU's tanh form ("logits"), which nanoGPT had first and
GPT-2 has, and with its exact form ("logits_exact"), which nanoGPT has since 2023. A checkpoint does not say which.
"""

import math
import pathlib
from collections import OrderedDict

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

FOLDER = pathlib.Path(__file__).parent / "nanogpt"


class LayerNorm(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.2 * torch.randn(width))
        self.bias = nn.Parameter(0.2 * torch.randn(width)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self, width, heads, context, bias):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width, bias=bias)
        self.c_proj = nn.Linear(width, width, bias=bias)
        self.heads = heads
        self.register_buffer("bias", torch.tril(torch.ones(context, context)).view(1, 1, context, context))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in self.c_attn(x).split(C, dim=2))
        scores = q @ k.transpose(-2, -1) / math.sqrt(k.shape[-1])
        scores = scores.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        return self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=bias)
        self.c_proj = nn.Linear(4 * width, width, bias=bias)
        self.approximate = "tanh"

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate))


class Block(nn.Module):
    def __init__(self, width, heads, context, bias):
        super().__init__()
        self.ln_1 = LayerNorm(width, bias)
        self.attn = Attention(width, heads, context, bias)
        self.ln_2 = LayerNorm(width, bias)
        self.mlp = MLP(width, bias)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, n_layer, n_head, n_embd, block_size, bias, vocab_size, dropout):
        super().__init__()
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(vocab_size, n_embd), wpe=nn.Embedding(block_size, n_embd),
            h=nn.ModuleList([Block(n_embd, n_head, block_size, bias) for _ in range(n_layer)]),
            ln_f=LayerNorm(n_embd, bias)))
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight

    def forward(self, tokens):
        x = self.transformer.wte(tokens) + self.transformer.wpe(torch.arange(tokens.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


def write(name, compiled, **args):
    torch.manual_seed(11)
    model = GPT(**args)
    tokens = torch.randint(0, args["vocab_size"], (2, args["block_size"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(2):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
    state = model.state_dict()
    if compiled:
        state = OrderedDict(("_orig_mod." + key, value) for key, value in state.items())
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state, "optimizer": optimizer.state_dict(), "model_args": args, "iter_num": 2000,
                "best_val_loss": loss.detach(), "config": {"out_dir": "out", "learning_rate": 6e-4, "compile": compiled}},
               folder / "ckpt.pt")
    model = model.double()
    logits = {}
    for key, approximate in (("logits", "tanh"), ("logits_exact", "none")):
        for block in model.transformer.h:
            block.mlp.approximate = approximate
        with torch.no_grad():
            logits[key] = model(tokens).float()
    save_file({"tokens": tokens.int(), **logits}, folder / "golden.safetensors")
    apart = (logits["logits"] - logits["logits_exact"]).norm() / logits["logits"].norm()
    print(name, (folder / "ckpt.pt").stat().st_size, "bytes; the two GELUs are apart by", float(apart))


write("with_bias", False, n_layer=2, n_head=2, n_embd=8, block_size=12, bias=True, vocab_size=260, dropout=0.0)
write("no_bias", True, n_layer=1, n_head=4, n_embd=16, block_size=8, bias=False, vocab_size=61, dropout=0.2)

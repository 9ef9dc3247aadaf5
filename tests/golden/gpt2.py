"""Makes tests/golden/gpt2: two tiny GPT-2s written by transformers, and what PyTorch computes with them.

    python tests/golden/gpt2.py

Needs torch, transformers and safetensors; the tests need only the files. Each folder (with_bias, no_bias)
holds config.json and model.safetensors as save_pretrained() writes them, and golden.safetensors: tokens,
targets (-100: not counted), logits, loss, and "gradient.NAME" of every parameter. The weights are float32;
logits, loss and gradients are computed from them in float64 and rounded once, so they are right to float32's
last bit and a test measures only its own error. The script prints how far PyTorch in float32 is from them.

transformers' GPT-2 always has biases. One whose biases are all 0 computes what one without them computes:
the no_bias folder is such a model, saved without them.
"""

import copy
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent / "gpt2"


def make_model(config, with_bias):
    """Random everywhere: no bias is 0 and no scale is 1, so a part that is ignored or swapped shows."""
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_((0.2 if with_bias else 0) * torch.randn_like(parameter))
            elif ".ln_" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.copy_(0.15 * torch.randn_like(parameter))
    return model.eval()


def run(model, tokens, targets):
    model.zero_grad()
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    loss.backward()
    return logits.detach(), loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def error(x, y):
    return float((x.double() - y.double()).norm() / y.double().norm())


def write(name, seed, with_bias, batch, **shape):
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=101, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0,
                        eos_token_id=0, **shape)
    model = make_model(config, with_bias)
    tokens = torch.randint(0, config.vocab_size, (batch, config.n_positions))
    targets = torch.randint(0, config.vocab_size, tokens.shape)
    targets[0, -3:] = -100

    exact = copy.deepcopy(model).double()
    logits, loss, gradients = run(exact, tokens, targets)
    logits32, loss32, gradients32 = run(model, tokens, targets)
    if not with_bias:
        gradients = {n: g for n, g in gradients.items() if not n.endswith("bias")}
    worst = max((error(gradients32[n], g), n) for n, g in gradients.items())
    print(f"{name}: loss {float(loss):.6f}; float32 is off by: logits {error(logits32, logits):.1e}, "
          f"loss {abs(float(loss32 - loss) / float(loss)):.1e}, worst gradient {worst[0]:.1e} ({worst[1]})")

    folder = FOLDER / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    weights = folder / "model.safetensors"
    if not with_bias:
        kept = {n: t for n, t in load_file(weights).items() if not n.endswith("bias")}
        save_file(kept, weights, metadata={"format": "pt"})
    golden = {"tokens": tokens.int(), "targets": targets.int(), "logits": logits.float(),
              "loss": loss.float()}
    golden |= {f"gradient.{n}": g.float().contiguous() for n, g in gradients.items()}
    save_file(golden, folder / "golden.safetensors")


write("with_bias", 1, True, batch=3, n_layer=2, n_head=4, n_embd=32, n_positions=16)
write("no_bias", 2, False, batch=2, n_layer=2, n_head=2, n_embd=16, n_positions=8)

"""Makes tests/golden/xray: what transformers says of the inside of two small models.

    python tests/golden/xray.py

Needs torch, transformers and safetensors; the tests need only the files. The models are gpt2, made here, and
../llama/sharded. For each, NAME.safetensors has, computed in float64 and rounded once, for one text of 16 tokens:

  tokens, other       the text, and one to patch from
  logits              of the text
  stream.I            hidden states before block I; behind the last block it is output_hidden_states' before the norm
  attention.I         output_attentions
  lens.I              norm and head on stream.I
  loss                of token 11; gradient.stream.I: its gradient there; norm.NAME: its gradient's norm at a parameter
  off.PART            logits with that part switched off; patched.PART: with it from the other text
"""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent / "xray"
PLACE = 11


def make_gpt2(folder):
    torch.manual_seed(3)
    tokenizer = (FOLDER.parent / "llama/sharded/tokenizer.json").read_text()
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_layer=2, n_head=4, n_embd=32, n_positions=24, resid_pdrop=0,
                                       embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            deviation = 0.2 if "bias" in name or ".ln_" in name else 0.3
            parameter.copy_((1 if ".ln_" in name and "weight" in name else 0) + deviation * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer)


def first(output):
    return output[0] if isinstance(output, tuple) else output


def with_hooks(model, tokens, *hooks):
    """Logits while (module, before, what its input or output becomes) holds."""
    handles = []
    for module, before, change in hooks:
        if before:
            handles.append(module.register_forward_pre_hook(lambda m, x, change=change: (change(x[0]), *x[1:])))
        else:
            handles.append(module.register_forward_hook(
                lambda m, x, y, change=change: (change(y[0]), *y[1:]) if isinstance(y, tuple) else change(y)))
    with torch.no_grad():
        logits = model(tokens).logits
    for handle in handles:
        handle.remove()
    return logits


def zero(start, end):
    def change(x):
        x = x.clone()
        x[..., start:end] = 0
        return x
    return change


def write(name, path):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").double().eval()
    gpt2 = model.config.model_type == "gpt2"
    inner = model.transformer if gpt2 else model.model
    blocks, norm = (inner.h, inner.ln_f) if gpt2 else (inner.layers, inner.norm)
    attention = [block.attn if gpt2 else block.self_attn for block in blocks]
    last = [a.c_proj if gpt2 else a.o_proj for a in attention]
    neurons = [block.mlp.c_proj if gpt2 else block.mlp.down_proj for block in blocks]
    head_width = model.config.hidden_size // model.config.num_attention_heads
    torch.manual_seed(4)
    tokens, other = torch.randint(0, model.config.vocab_size, (2, 1, 16))

    behind = {}
    handle = blocks[-1].register_forward_hook(lambda m, x, y: behind.update(last=first(y)))
    out = model(tokens, output_attentions=True, output_hidden_states=True)
    handle.remove()
    streams = [*out.hidden_states[:-1], behind["last"]]
    assert len(streams) == len(blocks) + 1
    for stream in streams:
        stream.retain_grad()
    loss = torch.nn.functional.cross_entropy(out.logits[0, PLACE - 1:PLACE], tokens[0, PLACE:PLACE + 1])
    loss.backward()
    numbers = {"tokens": tokens.int(), "other": other.int(), "logits": out.logits, "loss": loss}
    for i, stream in enumerate(streams):
        numbers |= {f"stream.{i}": stream, f"gradient.stream.{i}": stream.grad, f"lens.{i}": model.lm_head(norm(stream))}
    numbers |= {f"attention.{i}": a for i, a in enumerate(out.attentions)}
    numbers |= {f"norm.{n}": p.grad.norm() for n, p in model.named_parameters()}

    patch = {}
    handle = blocks[0].register_forward_hook(lambda m, x, y: patch.update(block=first(y)))
    with torch.no_grad():
        model(other)
    handle.remove()
    numbers["off.1.2"] = with_hooks(model, tokens, (last[1], True, zero(2 * head_width, 3 * head_width)))
    numbers["off.0.attention"] = with_hooks(model, tokens, (attention[0], False, torch.zeros_like))
    numbers["off.0.mlp"] = with_hooks(model, tokens, (blocks[0].mlp, False, torch.zeros_like))
    numbers["off.1"] = with_hooks(model, tokens, (attention[1], False, torch.zeros_like),
                                  (blocks[1].mlp, False, torch.zeros_like))
    numbers["off.1.mlp.5"] = with_hooks(model, tokens, (neurons[1], True, zero(5, 6)))

    def from_other(x, place=7):
        x = x.clone()
        x[:, place] = patch["block"][:, place]
        return x
    numbers["patched.0@7"] = with_hooks(model, tokens, (blocks[0], False, from_other))
    assert all(float((numbers[n] - out.logits).norm() / out.logits.norm()) > 1e-3 for n in numbers if n[:3] in ("off", "pat"))
    save_file({n: x.detach().contiguous().to(torch.int32 if x.dtype == torch.int32 else torch.float32)
               for n, x in numbers.items()}, FOLDER / f"{name}.safetensors")
    print(name, f"loss {float(loss):.6f}", {n: tuple(x.shape) for n, x in numbers.items() if not n.startswith("norm.")})


FOLDER.mkdir(exist_ok=True)
make_gpt2(FOLDER / "gpt2")
write("gpt2", FOLDER / "gpt2")
write("llama", FOLDER.parent / "llama/sharded")

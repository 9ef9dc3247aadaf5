"""Makes tests/golden/llama: two tiny Llamas written by transformers, and what PyTorch computes with them.

    python tests/golden/llama.py

Needs torch, transformers, tokenizers and safetensors; the tests need only the files. Each folder holds
config.json and weights as save_pretrained() writes them, and golden.safetensors: tokens, targets (-100: not
counted), logits, loss, and "gradient.NAME" of every parameter. They are computed from the weights in float64 and
rounded once, so they are right to float32's last bit.

grouped: float32, a head of its own, four heads of queries to two of keys, heads wider than width / heads, biases
everywhere. Without a tokenizer.
sharded: bfloat16 in several files with an index, the head tied, one head of keys for all, and a byte-level BPE
tokenizer. golden.safetensors also holds `prompt` and the 100 tokens that greedy generation goes on with, in float32.
"""

import copy
import json
import pathlib

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = pathlib.Path(__file__).parent / "llama"
STORIES = ["Once upon a time there was a little fox who lived in a green wood.",
           "One day the fox found a red ball. \"Whose ball is this?\" said the fox.",
           "A small bird sat in a tree. \"It is my ball,\" said the bird, and they played all day."]


def make_model(config, deviation=0.15):
    """Random everywhere: no bias is 0 and no scale is 1, so a part that is ignored or swapped shows."""
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.2 * torch.randn_like(parameter))
            elif "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.copy_((0.15 if "embed" in name else deviation) * torch.randn_like(parameter))
    return model.eval()


def run(model, tokens, targets):
    model.zero_grad()
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    loss.backward()
    return logits.detach(), loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def error(x, y):
    return float((x.double() - y.double()).norm() / y.double().norm())


def golden(model, batch, places):
    """Of the model's own weights, whatever their dtype."""
    tokens = torch.randint(0, model.config.vocab_size, (batch, places))
    targets = torch.randint(0, model.config.vocab_size, tokens.shape)
    targets[0, -3:] = -100
    logits, loss, gradients = run(copy.deepcopy(model).double(), tokens, targets)
    logits32, _, gradients32 = run(copy.deepcopy(model).float(), tokens, targets)
    worst = max((error(gradients32[n], g), n) for n, g in gradients.items())
    print(f"loss {float(loss):.6f}; float32 is off by: logits {error(logits32, logits):.1e}, "
          f"worst gradient {worst[0]:.1e} ({worst[1]})")
    numbers = {"tokens": tokens.int(), "targets": targets.int(), "logits": logits.float(), "loss": loss.float()}
    return numbers | {f"gradient.{n}": g.float().contiguous() for n, g in gradients.items()}


def grouped():
    torch.manual_seed(1)
    model = make_model(LlamaConfig(
        vocab_size=101, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=10, max_position_embeddings=16, rms_norm_eps=1e-5, attention_bias=True,
        mlp_bias=True, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}))
    folder = FOLDER / "grouped"
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file(golden(model, 3, 16), folder / "golden.safetensors")


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(STORIES, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def sharded():
    torch.manual_seed(2)
    folder = FOLDER / "sharded"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder)
    end = tokenizer.token_to_id("<|endoftext|>")
    model = make_model(LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=1, max_position_embeddings=160, rms_norm_eps=1e-6,
        tie_word_embeddings=True, bos_token_id=end, eos_token_id=end), deviation=0.6).bfloat16()
    model.save_pretrained(folder, max_shard_size="20KB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    # As anybody opens it: .bfloat16() also rounded the angles' frequencies, which are no weights.
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    numbers = golden(model, 2, 24)
    prompt = [end] + tokenizer.encode("One day").ids
    text = list(prompt)
    smallest = 1e9
    with torch.no_grad():
        for _ in range(100):
            logits = model(torch.tensor([text])).logits[0, -1]
            best = logits.topk(2).values
            smallest = min(smallest, float(best[0] - best[1]))
            text.append(int(logits.argmax()))
    print(f"greedy: the two likeliest tokens are never nearer than {smallest:.1e}; {len(set(text))} different ones")
    numbers |= {"prompt": torch.tensor(prompt).int(), "greedy": torch.tensor(text[len(prompt):]).int()}
    save_file(numbers, folder / "golden.safetensors")


grouped()
sharded()
for folder in sorted(FOLDER.iterdir()):
    print(folder.name, sorted((p.name, p.stat().st_size) for p in folder.iterdir()))
    print(json.loads((folder / "config.json").read_text()))

"""Makes tests/golden/peft: adapters of low rank that PEFT wrote, and the logits PyTorch computes with them.

    python tests/golden/peft_adapters.py                 # needs torch, transformers and peft
    python tests/golden/peft_adapters.py BASE ADAPTER    # opens an adapter of ours in PEFT; writes its golden.safetensors

The tests need only the files. Each folder belongs to a model of tests/golden (gpt2/with_bias, llama/grouped) and holds
adapter_config.json and adapter_model.safetensors as save_pretrained() writes them, and golden.safetensors: tokens,
and logits computed in float64 from the same weights. Those of peft/ours are written by us:

    CHAPBOOK_ADAPTERS=tests/golden/peft/ours build/release/test_apps -tc="PEFT gives our logits*"    # the adapters
    python tests/golden/peft_adapters.py tests/golden/gpt2/with_bias tests/golden/peft/ours/gpt2     # PEFT's logits
    python tests/golden/peft_adapters.py tests/golden/llama/grouped tests/golden/peft/ours/llama
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

FOLDER = pathlib.Path(__file__).parent


def make(name, base, targets):
    torch.manual_seed(7)
    folder = FOLDER / "peft" / name
    model = AutoModelForCausalLM.from_pretrained(FOLDER / base, dtype=torch.float32)
    config = LoraConfig(r=3, lora_alpha=7, target_modules=targets, task_type="CAUSAL_LM",
                        fan_in_fan_out=name == "gpt2")
    model = get_peft_model(model, config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = f"../../{base}"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokens = torch.randint(0, model.config.vocab_size, (2, 8))
    with torch.no_grad():
        logits = model.double().eval()(tokens).logits
    save_file({"tokens": tokens.int(), "logits": logits.float()}, folder / "golden.safetensors")
    print(name, logits.abs().mean())


if len(sys.argv) == 3:
    base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).double().eval()
    tokens = torch.arange(16).reshape(2, 8) * 11 % base.config.vocab_size
    with torch.no_grad():
        before = base(tokens).logits
        logits = PeftModel.from_pretrained(base, sys.argv[2]).double().eval()(tokens).logits
    save_file({"tokens": tokens.int(), "logits": logits.float()}, pathlib.Path(sys.argv[2]) / "golden.safetensors")
    print("moved by", float((logits - before).norm() / before.norm()))
else:
    make("gpt2", "gpt2/with_bias", ["c_attn", "attn.c_proj", "mlp.c_proj"])
    make("llama", "llama/grouped", ["q_proj", "v_proj", "down_proj"])

"""Opens a run's model in Hugging Face transformers and gives its loss on a text, window by window as `./chapbook evaluate` does.

    ./chapbook evaluate RUN --data TEXT
    python tests/golden/transformers_reads.py RUN/best TEXT      # needs torch and transformers; prints the same loss
"""
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

directory, path = sys.argv[1:3]
limit = int(sys.argv[3]) if len(sys.argv) > 3 else None  # tokens, to be quicker
model = AutoModelForCausalLM.from_pretrained(directory).eval()
tokenizer = AutoTokenizer.from_pretrained(directory)
end = model.config.eos_token_id

ids = []
for story in open(path, encoding="utf-8").read().split("<|endoftext|>"):
    if story.strip():
        ids += tokenizer(story.strip(), add_special_tokens=False)["input_ids"] + [end]
ids = ids[:limit]

context, total, targets = model.config.max_position_embeddings, 0.0, 0
with torch.no_grad():
    for start in range(0, len(ids) - 1, context):
        window = torch.tensor([ids[start : start + context + 1]])
        logits = model(window[:, :-1]).logits[0]
        total += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
        targets += window.shape[1] - 1
print(f"tokens          {targets}\nloss            {total / targets:.4f} nats a token")

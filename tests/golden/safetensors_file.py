"""Prints the safetensors file that tests/tensor/test_safetensors.cpp holds as text.

    python tests/golden/safetensors_file.py

Needs torch and safetensors; the tests need only what they hold.
"""

import torch
from safetensors.torch import save

tensors = {
    "wte.weight": torch.tensor([[0.5, -1.5], [3.0, 1e-3]]),
    "half": torch.tensor([1.0, 65504.0, -0.0], dtype=torch.float16),
    "brain": torch.tensor([1.0, -3.25], dtype=torch.bfloat16),
    "ids": torch.tensor([[-1], [2**31 - 1]], dtype=torch.int32),
    "bytes": torch.tensor([0, 255, 7], dtype=torch.uint8),
    "tokens": torch.tensor([50256, 1], dtype=torch.uint16),
    "exact": torch.tensor(0.1, dtype=torch.float64),
    "nothing": torch.zeros(0, 3),
}
data = save(tensors, {"format": "pt"})
end = 8 + int.from_bytes(data[:8], "little")
print(data[8:end].decode())
print(data[end:].hex(" "))

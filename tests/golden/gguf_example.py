"""Writes tests/golden/example.gguf, which tests/apps/test_gguf.cpp writes again byte by byte.

    python tests/golden/gguf_example.py                          # needs gguf (of llama.cpp) and numpy
    python tests/golden/gguf_example.py MODEL.gguf TOKENS PROMPT  # what llama.cpp says greedily; needs llama-cpp-python

For the second, compare with `./chapbook generate RUN --prompt PROMPT --temperature 0 --tokens TOKENS --past-end`.
"""

import pathlib
import sys

if len(sys.argv) > 1:
    from llama_cpp import Llama

    model = Llama(sys.argv[1], n_ctx=0, verbose=False, n_threads=2)
    ids = model.tokenize(sys.argv[3].encode(), add_bos=True)
    said = []
    for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
        said.append(token)
        if len(said) == int(sys.argv[2]):
            break
    sys.stdout.buffer.write(model.detokenize(ids + said, special=True))
    print()
else:
    import gguf
    import numpy as np

    path = pathlib.Path(__file__).parent / "example.gguf"
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_uint32("gpt2.block_count", 3)
    writer.add_float32("gpt2.attention.layer_norm_epsilon", 1e-5)
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_array("tokenizer.ggml.tokens", ["a", "\u0120b", "<|endoftext|>"])
    writer.add_array("tokenizer.ggml.token_type", [1, 1, 3])
    numbers = (((np.arange(192) * 37) % 101 - 50) / np.float32(7)).astype(np.float32).reshape(3, 64)
    numbers[2, 32:] = 0
    writer.add_tensor("exact", numbers[0, :5].copy())
    writer.add_tensor("half", numbers[:2, :33].astype(np.float16))
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("packed", gguf.quants.quantize(numbers, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path.stat().st_size, "bytes")

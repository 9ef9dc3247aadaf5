"""Decoding one token after another, and reading a prompt, Chapbook and llama.cpp side by side: the same shape, random weights,
batch 1, the same threads, taken in turns.

    cmake --preset release -DCHAPBOOK_BENCH=ON && ninja -C build/release bench_decode
    python -m venv venv && CMAKE_ARGS="-DGGML_NATIVE=ON" venv/bin/pip install llama-cpp-python gguf
    venv/bin/python bench/rivals/decode.py          # writes bench/results/decode.zen4.json on a Zen 4, and so on

Each round runs ours and llama.cpp on f32, on 16 and on 8 bits a weight (Q8_0 there, int8 here: a quarter of the bytes that decoding
is bound by), in a process each. A contender reads one token and then makes TOKENS more, always the likeliest; what counts is the
median time of a token, and the median of that over the rounds. Then it reads a prompt of 512 tokens (128 where the context ends
there) five times, and gives the scores after its last. llama.cpp gets flash attention or not, whichever is faster at first, and the
token it needs next is taken from its logits with numpy, outside the time measured.
"""
import argparse, datetime, json, os, statistics, subprocess, sys, tempfile, time

import numpy as np

from machine import processor

# name: layers, heads, width, context, vocabulary
MODELS = {
    "small": (6, 6, 384, 128, 50257),
    "124M": (12, 12, 768, 1024, 50257),
}
WEIGHTS = {"F32": "f32", "BF16": "bf16", "Q8_0": "int8"}  # llama.cpp's, and ours beside them


def write_model(path, shape, weights):
    """A GPT-2 of random weights in llama.cpp's format. Matrices are (out, in) there; vectors stay f32, as its own tools leave them."""
    import gguf

    layers, heads, width, context, vocabulary = shape
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(vocabulary)

    def add(name, *size):
        kind = gguf.GGMLQuantizationType[weights if len(size) == 2 and name != "position_embd.weight" else "F32"]
        values = random.standard_normal(size, dtype=np.float32) * np.float32(0.02)
        if name.endswith("norm.weight"):
            values += 1
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", vocabulary, width)  # which is the head, too
    add("position_embd.weight", context, width)
    for i in range(layers):
        for name, size in {"attn_norm": (width,), "attn_qkv": (3 * width, width), "attn_output": (width, width),
                           "ffn_norm": (width,), "ffn_up": (4 * width, width), "ffn_down": (width, 4 * width)}.items():
            add(f"blk.{i}.{name}.weight", *size)
            add(f"blk.{i}.{name}.bias", size[0])
    add("output_norm.weight", width)
    add("output_norm.bias", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama(path, context, vocabulary, tokens, seen, threads, flash):
    """As bench/decode.cpp: seconds for each of `tokens` after `seen`, or without any for reading `seen`; one number a line."""
    import llama_cpp

    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, None)
    model_options = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(path.encode(), model_options)
    if not model:
        sys.exit(f"llama.cpp cannot load {path}")
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_threads, options.n_threads_batch = context, threads, threads
    options.n_batch = options.n_ubatch = 512
    options.flash_attn_type = int(flash)
    session = llama_cpp.llama_init_from_model(model, options)

    def step(ids):
        """Seconds, and the likeliest token after these."""
        array = (llama_cpp.llama_token * len(ids))(*ids)
        start = time.perf_counter()
        if llama_cpp.llama_decode(session, llama_cpp.llama_batch_get_one(array, len(ids))) != 0:
            sys.exit("llama.cpp cannot decode")
        logits = llama_cpp.llama_get_logits(session)  # waits for them
        seconds = time.perf_counter() - start
        return seconds, int(np.ctypeslib.as_array(logits, shape=(vocabulary,)).argmax())

    ids = [int(id) for id in np.random.default_rng(1).integers(0, vocabulary, seen)]
    for i in range(6 if tokens == 0 else tokens + 1):
        if tokens == 0:
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(session), True)
        seconds, likeliest = step(ids)
        if tokens > 0:
            ids = [likeliest]
        if i > 0:
            print(seconds)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", default="build/release/bench_decode")
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--tokens", type=int, default=100)
    arguments.add_argument("--models", nargs="*", default=list(MODELS))
    arguments.add_argument("--out", help="bench/results/decode.zen4.json on a Zen 4, and so on, unless told")
    arguments.add_argument("--add", action="store_true", help="add these rounds to those in --out, where others want the machine between")
    arguments.add_argument("--files", help="where llama.cpp's models are written and kept; a temporary directory unless told")
    arguments.add_argument("--llama", nargs=7, help=argparse.SUPPRESS)  # this script as one of its own contenders
    options = arguments.parse_args()
    if options.llama:
        path, *numbers = options.llama
        return llama(path, *map(int, numbers))

    import llama_cpp

    processor_name, kind = processor()
    options.out = options.out or f"bench/results/decode.{kind}.json"

    def median_seconds(command):
        environment = {**os.environ, "CHAPBOOK_THREADS": str(options.threads)}
        output = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, env=environment).stdout
        return statistics.median(map(float, output.split()))

    result = {"rows": {}, "flash": {}}
    if options.add:
        with open(options.out) as file:
            result = json.load(file)
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.models:
            shape = MODELS[name]
            context, vocabulary = shape[3:]
            tokens, prompt = min(options.tokens, context - 2), min(512, context)
            jobs = {"decode": (tokens, 1), "prompt": (0, prompt)}  # tokens to make after so many
            row = result["rows"].setdefault(name, {
                "shape": dict(zip(("layers", "heads", "width", "context", "vocabulary"), shape)), "tokens": tokens, "prompt_tokens": prompt})
            for job, (made, seen) in jobs.items():
                commands = {}
                for theirs, ours in WEIGHTS.items():
                    commands["chapbook, " + ours] = [options.program, *shape, made, 1, seen, ours]
                    path = os.path.join(options.files or temporary, f"{name}.{theirs}.gguf")
                    if not os.path.exists(path):
                        write_model(path, shape, theirs)
                    both = [[sys.executable, __file__, "--llama", path, context, vocabulary, made, seen, options.threads, flash]
                            for flash in (0, 1)]
                    key = f"{name}, {job}, {theirs}"
                    if key not in result["flash"]:
                        result["flash"][key] = both.index(min(both, key=median_seconds))
                    commands["llama.cpp, " + theirs] = both[result["flash"][key]]
                speeds = row.setdefault(job, {}).setdefault("tokens_per_second", {contender: [] for contender in commands})
                for _ in range(options.rounds):
                    for contender, command in commands.items():
                        speeds[contender].append(round((1 if made else seen) / median_seconds(command), 1))
                median = {contender: statistics.median(values) for contender, values in speeds.items()}
                best = max(value for contender, value in median.items() if "llama" in contender)
                row[job]["median"] = median
                row[job]["ratio"] = {ours: round(median["chapbook, " + ours] / median["llama.cpp, " + theirs], 3)
                                     for theirs, ours in WEIGHTS.items()}
                row[job]["ratio_to_its_best"] = {ours: round(median["chapbook, " + ours] / best, 3) for ours in WEIGHTS.values()}
            print(json.dumps(row), file=sys.stderr, flush=True)

    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    result |= {"what": "decoding at batch 1, and reading a prompt: tokens per second, a number a round",
               "command": "python bench/rivals/decode.py " + " ".join(sys.argv[1:]),
               "threads": options.threads, "processor": processor_name,
               "llama_cpp": llama_cpp.__version__ + " (llama-cpp-python), " + llama_cpp.llama_print_system_info().decode(),
               "commit": commit, "date": datetime.date.today().isoformat()}
    with open(options.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


main()

"""Single matrix products of Chapbook and of PyTorch (MKL in f32, oneDNN in bf16), in turns: those of a training step.

    cmake --preset release -DCHAPBOOK_BENCH=ON && ninja -C build/release bench_products
    python bench/rivals/products.py               # needs torch; writes bench/results/products.zen4.json on a Zen 4, and so on

Forward is (T, C) (C, 4C); dX multiplies with the weights turned, dW with the input turned; the head's table lies as the embedding's.
Each round runs ours, then PyTorch's, with the other side asleep; of each round the middle try counts, and of the rounds the median,
with the best beside it, since other tenants of a machine disturb matrix units most.
"""
import argparse, datetime, json, os, statistics, subprocess, time

import torch

from machine import processor


def products(T, head_rows):
    for C in (128, 384, 768):
        yield f"C = {C}, forward", "nn", T, 4 * C, C
        yield f"C = {C}, dX", "nt", T, C, 4 * C
        yield f"C = {C}, dW", "tn", C, 4 * C, T
    for V, rows in ((4096, T), (50257, head_rows)):
        yield f"head, V = {V:,}, forward", "nt", rows, V, 384
        yield f"head, V = {V:,}, dX", "nn", rows, 384, V
        yield f"head, V = {V:,}, dW", "tn", V, 384, rows


class Ours:
    def __init__(self, program, threads):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "CHAPBOOK_THREADS": str(threads)})
        self.vectors = self.process.stdout.readline().strip()

    def __call__(self, *product):
        print(*product, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline().split()[1])


def torch_product(layout, precision, m, n, k, tries):
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(rows, columns).to(dtype) if side == "n" else torch.randn(columns, rows).to(dtype).t()
            for side, rows, columns in ((layout[0], m, k), (layout[1], k, n)))
    y, times = torch.empty(m, n, dtype=dtype), []
    for i in range(tries + 3):
        start = time.perf_counter()
        torch.mm(a, b, out=y)
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", default="build/release/bench_products")
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--milliseconds", type=float, default=60, help="about, for each side and round")
    arguments.add_argument("--precisions", nargs="*", default=["f32", "bf16"])
    arguments.add_argument("--filter", default="", help="only products whose name has this")
    arguments.add_argument("--out", help="bench/results/products.zen4.json on a Zen 4, and so on, unless told")
    options = arguments.parse_args()
    processor_name, kind = processor()
    options.out = options.out or f"bench/results/products.{kind}.json"
    torch.set_num_threads(options.threads)
    ours = Ours(options.program, options.threads)

    cases = [(name, layout, precision, m, n, k) for precision in options.precisions
             for name, layout, m, n, k in products(2048, 512) if options.filter in name]
    sides = {"chapbook": ours, "torch": torch_product}
    speeds = {case: {side: [] for side in sides} for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            _, layout, precision, m, n, k = case
            operations = 2 * m * n * k
            tries = max(3, round(options.milliseconds / 1e3 * (1e12 if precision == "bf16" else 2e11) / operations))
            for side, time_product in sides.items():
                speeds[case][side].append(operations / time_product(layout, precision, m, n, k, tries) / 1e9)
                time.sleep(0.02)  # until the other side's threads sleep
    rows = []
    for case, measured in speeds.items():
        name, layout, precision, m, n, k = case
        middle = {side: statistics.median(values) for side, values in measured.items()}
        rows.append({"product": name, "layout": layout, "precision": precision, "m": m, "n": n, "k": k,
                     "gflops": {side: {"median": round(middle[side], 1), "min": round(min(values), 1), "max": round(max(values), 1)}
                                for side, values in measured.items()},
                     "ratio": round(middle["chapbook"] / middle["torch"], 3),
                     "ratio_of_best": round(max(measured["chapbook"]) / max(measured["torch"]), 3)})
        print(f"{precision:5}{name:26}{middle['chapbook']:8.0f} (best {max(measured['chapbook']):5.0f})"
              f"{middle['torch']:8.0f} (best {max(measured['torch']):5.0f})   {rows[-1]['ratio']:.2f}")
    commit = os.environ.get("CHAPBOOK_COMMIT")
    commit = commit or subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    with open(options.out, "w") as file:
        json.dump({"what": "matrix products y = a b, GFLOP/s; ratio: ours to PyTorch's", "command": "python bench/rivals/products.py",
                   "rounds": options.rounds, "threads": options.threads, "processor": processor_name, "vectors": ours.vectors,
                   "torch": torch.__version__, "commit": commit, "date": datetime.date.today().isoformat(), "rows": rows}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()

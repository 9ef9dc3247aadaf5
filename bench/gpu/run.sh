#!/usr/bin/env bash
# All that needs a GPU, in one call: builds, runs the tests on it, has NVIDIA's compute-sanitizer watch the ops, and measures beside
# PyTorch.
#
#   bench/gpu/run.sh [build] [test] [sanitize] [small] [large] [story]    # all but story, when nothing is named
#
#   small, large  training steps of both `small` batches, or of GPT-2 124M, beside PyTorch: train_cuda_small.json, train_cuda_large.json
#   story         trains preset `small` on the text in $TEXT/train.txt and $TEXT/valid.txt; its run goes to build/gpu/story
#
# Results go to $OUT, or to bench/results. Needs nvcc, cmake, ninja, for the measurements Python with PyTorch, and the headers of fmt,
# CLI11, nlohmann-json, doctest and utf8proc. Where these cannot be installed, $DEPENDENCIES names a folder with Debian's packages of
# them (bench/gpu/README.md), which are unpacked under build/.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
out=${OUT:-bench/results}
build=build/gpu
mkdir -p "$out" "$build"
stages=("$@")
(($#)) || stages=(build test sanitize small large)

use_dependencies() {
  [[ ${DEPENDENCIES:-} ]] || return 0
  local root=$PWD/build/dependencies package libraries
  mkdir -p "$root"
  for package in "$DEPENDENCIES"/*.deb; do dpkg -x "$package" "$root"; done
  libraries=$root/usr/lib/$(uname -m)-linux-gnu
  export CMAKE_PREFIX_PATH=$root/usr PATH=$root/usr/bin:$PATH LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export PKG_CONFIG_LIBDIR=$libraries/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
}

build() {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCHAPBOOK_CUDA=ON -DCHAPBOOK_BENCH=ON -DCHAPBOOK_OPENBLAS=OFF
  ninja -C "$build" chapbook test_tensor test_autograd test_nn test_optim bench_train_step
  "$build/chapbook" doctor
}

# Every op in every dtype and layout, gradients, the tiny GPT's numbers and its training steps, on the GPU alone.
run_tests() {
  local folder
  for folder in tensor autograd nn optim; do
    echo "== test_$folder on cuda"
    REQUIRE_BACKENDS=cuda ONLY_BACKENDS=cuda "$build/test_$folder"
  done
}

# The same ops watched: bounds, uninitialised reads, barriers, races on shared memory.
sanitize() {
  local tool
  for tool in memcheck initcheck synccheck racecheck; do
    echo "== compute-sanitizer $tool"
    REQUIRE_BACKENDS=cuda ONLY_BACKENDS=cuda compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$build/test_tensor" --test-case="every op*,every kernel*" 2>&1 | tee "$out/sanitize_$tool.log" | tail -n 5
  done
}

measure() {
  local name=$1
  shift
  python3 bench/rivals/train.py --device cuda --program "$build/bench_train_step" --rounds 3 --seconds 1.5 --models "$@" \
    --out "$out/train_cuda_$name.json"
}

# To the lowest validation loss there is.
story() {
  "$build/chapbook" train --backend cuda --precision bf16 --preset small --data "$TEXT/train.txt" --valid "$TEXT/valid.txt" \
    --run "$build/story" --set vocabulary=4096 --set context=256 --set batch=64 --set dropout=0.1 --set steps=8000 --set early_stop=5
  cp "$build/story/results.json" "$out/story_cuda.json"
}

use_dependencies
for stage in "${stages[@]}"; do
  SECONDS=0
  case $stage in
    build) build ;;
    test) run_tests ;;
    sanitize) sanitize ;;
    small) measure small "small, 2k tokens" "small, 16k tokens" ;;
    large) measure large "124M" ;;
    story) story ;;
    *) echo "run.sh: no stage '$stage'" >&2 && exit 2 ;;
  esac
  echo "== $stage took $SECONDS s"
done

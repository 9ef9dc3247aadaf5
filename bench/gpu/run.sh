#!/usr/bin/env bash
# All that needs a GPU, in one call: builds, runs the tests on it, measures beside PyTorch and kernel by kernel, and has NVIDIA's
# compute-sanitizer watch the ops. A stage that fails does not keep the others from running; results are written as they come.
#
#   bench/gpu/run.sh [build] [test] [large] [small] [profile] [ladder] [sanitize] [story]    # all but story, when nothing is named
#
#   large, small  training steps of GPT-2 124M, or of both `small` batches, beside PyTorch: train_cuda_large.json, train_cuda_small.json
#   profile       a step of GPT-2 124M in bf16, op by op: profile_cuda.txt
#   ladder        the rungs of bench/ladder/cuda and what Chapbook uses: ladder_cuda.json
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
(($#)) || stages=(build test large small profile ladder sanitize)
command -v nvcc >/dev/null || PATH=/usr/local/cuda/bin:$PATH

use_dependencies() {
  [[ ${DEPENDENCIES:-} ]] || return 0
  local root=$PWD/build/dependencies package libraries
  mkdir -p "$root"
  for package in "$DEPENDENCIES"/*.deb; do dpkg -x "$package" "$root"; done
  libraries=$root/usr/lib/$(uname -m)-linux-gnu
  export CMAKE_PREFIX_PATH=$root/usr PATH=$root/usr/bin:$PATH LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export PKG_CONFIG_LIBDIR=$libraries/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
}

# cuBLASLt where the CUDA Toolkit was installed without it: PyTorch brings it along.
options_for_cublas() {
  local header
  [[ ! -e $(dirname "$(readlink -f "$(command -v nvcc)")")/../include/cublasLt.h ]] || return 0
  header=$(python3 -c 'import glob, nvidia; print(*(h for p in nvidia.__path__ for h in glob.glob(p + "/*/include/cublasLt.h")))')
  [[ $header ]] || return 0
  echo "-DCUDA_cublasLt_LIBRARY=$(ls "${header%include/*}"lib/libcublasLt.so.*)" "-DCMAKE_CXX_FLAGS=-idirafter\ ${header%/*}"
}

build() {
  local options
  eval "options=($(options_for_cublas))"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCHAPBOOK_CUDA=ON -DCHAPBOOK_BENCH=ON -DCHAPBOOK_OPENBLAS=OFF -DCMAKE_CUDA_FLAGS=-lineinfo \
    "${options[@]}"
  ninja -k 0 -C "$build" chapbook test_cuda test_tensor test_autograd test_nn test_optim test_apps bench_train_step ladder_cuda
  "$build/chapbook" doctor || true
}

# Memory, copies and recordings, every op in every dtype and layout, gradients, the tiny GPT's numbers, its training steps, and steps
# from a recording (a CUDA graph): on the GPU alone.
run_tests() {
  local folder cases failed=
  for folder in cuda tensor autograd nn optim apps; do
    echo "== test_$folder on cuda"
    cases='*'
    [[ $folder != apps ]] || cases='steps from a recording*,in bf16 and f16*'
    export REQUIRE_BACKENDS=cuda ONLY_BACKENDS=cuda
    timeout 240 "$build/test_$folder" --test-case="$cases" && continue
    failed+=" $folder"
    echo "== once more, each kernel waited for, so that an error names its kernel"
    CUDA_LAUNCH_BLOCKING=1 timeout 120 "$build/test_$folder" --test-case="$cases" 2>&1 | tail -n 30 || true
  done
  [[ ! $failed ]] || { echo "failed:$failed"; return 1; }
}

# Our kernels watched while the ops are tested: bounds and alignment first, then races on shared memory where it is used. What simt
# finds without a GPU too (barriers, reads of what nobody wrote) takes TOOLS="synccheck initcheck". Each tool has $SECONDS_EACH.
sanitize() {
  local tool status failed=
  for tool in ${TOOLS:-memcheck racecheck}; do
    echo "== compute-sanitizer $tool"
    local kernels=(--kernel-name kns=chapbook)
    [[ $tool != racecheck ]] || kernels+=(--kernel-name-exclude regex='(unary|binary|where|copy|fill|triangle|random)_numbers|adamw|gather')
    status=0
    REQUIRE_BACKENDS=cuda ONLY_BACKENDS=cuda timeout "${SECONDS_EACH:-240}" compute-sanitizer --tool "$tool" "${kernels[@]}" \
      --error-exitcode 1 "$build/test_tensor" --test-case="every op gives*,every kernel*" >"$out/sanitize_$tool.log" 2>&1 || status=$?
    tail -n 5 "$out/sanitize_$tool.log"
    if ((status == 124)); then
      echo "the time was over; errors until then: $(grep -c '^========= \(Invalid\|Error\|Uninitialized\|Misaligned\|Barrier\)' "$out/sanitize_$tool.log")"
    elif ((status)); then
      failed+=" $tool"
    fi
  done
  [[ ! $failed ]] || { echo "failed:$failed"; return 1; }
}

measure() {
  local name=$1
  shift
  python3 bench/rivals/train.py --device cuda --program "$build/bench_train_step" --rounds 3 --seconds 1.5 --models "$@" \
    --out "$out/train_cuda_$name.json"
}

profile() {
  "$build/chapbook" profile --backend cuda --precision bf16 --preset large --set context=1024 --set batch=16 --steps 5 \
    --out "$build/profile" | tee "$out/profile_cuda.txt"
}

# To the lowest validation loss there is.
story() {
  "$build/chapbook" train --backend cuda --precision bf16 --preset small --data "$TEXT/train.txt" --valid "$TEXT/valid.txt" \
    --run "$build/story" --set vocabulary=4096 --set context=256 --set batch=64 --set dropout=0.1 --set steps=8000 --set early_stop=5
  cp "$build/story/results.json" "$out/story_cuda.json"
}

known=" build test large small profile ladder sanitize story "
for stage in "${stages[@]}"; do
  [[ $known == *" $stage "* ]] || { echo "run.sh: no stage '$stage'; there are$known" >&2; exit 2; }
done

run_stage() {
  case $1 in
    test) run_tests ;;
    large) measure large "124M" ;;
    small) measure small "small, 2k tokens" "small, 16k tokens" ;;
    ladder) "$build/ladder_cuda" --out "$out/ladder_cuda.json" ;;
    *) "$1" ;;
  esac
}

use_dependencies
failed=()
for stage in "${stages[@]}"; do
  SECONDS=0
  set +e  # a stage ends at its first error, and the next one begins
  (set -e; run_stage "$stage")
  status=$?
  set -e
  echo "== $stage took $SECONDS s$( ((status == 0)) || echo ", and failed")"
  ((status == 0)) || failed+=("$stage")
  if [[ $stage == build && $status != 0 ]]; then break; fi
done
((${#failed[@]} == 0)) || { echo "run.sh: failed: ${failed[*]}" >&2; exit 1; }

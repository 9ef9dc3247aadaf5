#include "tensor/profile/profile_backend.h"

#include <algorithm>
#include <utility>

namespace chapbook {

double ProfileBackend::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

ProfileBackend::Calls ProfileBackend::take_calls() {
  Calls calls = std::exchange(taken_, {});
  taken_.calls.reserve(calls.calls.size());  // steps are alike: the next one need not ask for memory
  return calls;
}

void ProfileBackend::record(std::string op, std::string shapes, const Cost& cost,
                            const std::function<void()>& call) {
  wrapped_.synchronize();
  const double start = now();
  call();
  wrapped_.synchronize();
  const double end = now();
  taken_.calls.push_back(
      {std::move(op), std::move(shapes), current_phase, start, end, cost, blocks().live_bytes()});
  taken_.recording += now() - end;
}

void ProfileBackend::without_kernel(KernelCall& call) {
  record(call.name(), call.shapes(), call.cost(), [&] { call.on(wrapped_); });
  const auto missing = wrapped_.fallbacks();
  if (std::find(missing.begin(), missing.end(), call.kernel) != missing.end())
    taken_.calls.back().op += " (reference)";
}

void ProfileBackend::upload(const void* host, void* here, size_t bytes) {
  const double count = static_cast<double>(bytes);
  record("upload", Shape{static_cast<int64_t>(bytes)}.to_string(), {0, count, count},
         [&] { wrapped_.upload(host, here, bytes); });
}

void ProfileBackend::download(const void* here, void* host, size_t bytes) {
  const double count = static_cast<double>(bytes);
  record("download", Shape{static_cast<int64_t>(bytes)}.to_string(), {0, count, count},
         [&] { wrapped_.download(here, host, bytes); });
}

}  // namespace chapbook

// Which part of a training step this thread is in. Whoever walks through a step says so
// (apps/run/trainer.cpp); a ProfileBackend asks. A loss that makes its gradient at once does so in `forward`;
// what is computed again for the backward pass counts as `backward`.
#pragma once
#include <cstdint>
#include <string_view>

namespace chapbook {

enum class Phase : uint8_t { forward, backward, optimizer };

inline thread_local Phase current_phase = Phase::forward;

constexpr std::string_view name_of(Phase phase) {
  constexpr std::string_view names[] = {"forward", "backward", "optimizer"};
  return names[static_cast<int>(phase)];
}

}  // namespace chapbook

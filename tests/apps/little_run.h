// What tests of training share: tokens with something to learn, and settings of a model that learns it in a
// second.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/run/settings.h"
#include "tensor/random.h"

namespace chapbook {

// Each is the one before plus 1, 2 or 3.
inline std::vector<uint16_t> little_tokens(int64_t count) {
  Random random{3};
  std::vector<uint16_t> ids(count);
  for (int64_t i = 1; i < count; ++i) ids[i] = static_cast<uint16_t>((ids[i - 1] + 1 + random.below(3)) % 40);
  return ids;
}

inline Settings little_settings() {
  Settings settings;
  settings.layers = 2, settings.heads = 2, settings.width = 16, settings.context = 12,
  settings.vocabulary = 40;
  settings.batch = 8, settings.steps = 30, settings.warmup = 5, settings.rate = 1e-2;
  return settings;
}

}  // namespace chapbook

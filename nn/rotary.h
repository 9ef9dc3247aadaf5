// Rotary positions (Su et al. 2021): a place turns queries and keys, so that a score depends on how far two
// places are apart. Numbers i and i + D / 2 of a head are a point in the plane, which place p turns by p
// theta^(-2i / D).
#pragma once
#include <cmath>
#include <vector>

#include "autograd/ops.h"

namespace chapbook {

class Rotary {
 public:
  Rotary(int64_t context, int64_t head_width, double theta, Backend& backend = default_backend()) {
    check(context >= 0 && head_width > 0 && head_width % 2 == 0 && theta > 0,
          "rotary: a context of {}, heads of {} numbers and theta {}; a head is even, none is negative",
          context, head_width, theta);
    const int64_t half = head_width / 2;
    std::vector<float> cos(context * half), sin(cos.size());
    for (int64_t p = 0; p < context; ++p)
      for (int64_t i = 0; i < half; ++i) {
        // Rounded as in all the training of published models: exact angles would be another model's, 0.006
        // off at place 100,000.
        const auto frequency = static_cast<float>(
            1 / std::pow(theta, static_cast<double>(2 * i) / static_cast<double>(head_width)));
        const float angle = static_cast<float>(p) * frequency;
        cos[p * half + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        sin[p * half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    cos_ = Tensor::from(cos, {context, half}, backend);
    sin_ = Tensor::from(sin, {context, half}, backend);
  }

  // x (B, H, T, D), of the places (B, T) i32; nothing: of 0 to T - 1.
  Variable operator()(const Variable& x, const Tensor& places) const {
    const int64_t B = x.size(0), T = x.size(2);
    const auto of_places = [&](const Tensor& table) {
      return places ? gather_rows(table, places).reshape({B, 1, T, -1}) : table.slice(0, 0, T);
    };
    return rotate(x, of_places(cos_), of_places(sin_));
  }

 private:
  Tensor cos_, sin_;  // (context, D / 2)
};

}  // namespace chapbook

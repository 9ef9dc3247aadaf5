#include "nn/attention.h"

#include <cmath>
#include <limits>

namespace chapbook {

Variable attention_in_steps(const Variable& qkv, int64_t heads) {
  const int64_t B = qkv.size(0), T = qkv.size(1), C = qkv.size(2) / 3, D = C / heads;
  const auto part = [&](int64_t i) {
    return transpose(reshape(slice(qkv, 2, i * C, (i + 1) * C), {B, T, heads, D}), 1, 2);  // (B, H, T, D)
  };
  const Variable q = part(0), k = part(1), v = part(2);
  const Variable scores =
      matmul(q, transpose(k, -1, -2)) / std::sqrt(static_cast<double>(D));  // (B, H, T, T)
  const Tensor visible = triangle(T, T, 0, qkv.value().backend());
  const Variable masked =
      where(visible, scores, scalar(-std::numeric_limits<double>::infinity(), scores.value()));
  const Variable y = matmul(softmax(masked), v);  // (B, H, T, D)
  return reshape(transpose(y, 1, 2), {B, T, C});
}

Variable Attention::operator()(const Variable& x, const Variable& residual) const {
  const Variable seen = attention(c_attn(x), heads);
  return dropout.active() ? residual + dropout(c_proj(seen)) : c_proj(seen, residual);
}

Tensor Attention::operator()(const Tensor& x, std::span<KeyValueCache* const> caches) const {
  const int64_t B = x.size(0), T = x.size(1), C = x.size(2), D = C / heads;
  const Tensor qkv = c_attn(x).value();  // (B, T, 3C)
  RecycledVector<Tensor> seen;
  for (int64_t b = 0; b < B; ++b) {
    KeyValueCache& cache = *caches[b];
    const int64_t S = cache.length + T;
    check(S <= cache.keys.size(2), "attention: {} places do not fit the cache of {}", S, cache.keys.size(2));
    const auto part = [&](int64_t i) {
      return qkv.slice(0, b, b + 1).slice(2, i * C, (i + 1) * C).reshape({1, T, heads, D}).transpose(1, 2);
    };
    x.backend().copy(part(1).view(), cache.keys.view().slice(2, cache.length, S));
    x.backend().copy(part(2).view(), cache.values.view().slice(2, cache.length, S));
    cache.length = S;
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    const Tensor y = attention(part(0), cache.keys.slice(2, 0, S), cache.values.slice(2, 0, S), scale).y;
    seen.push_back(y.transpose(1, 2).reshape({1, T, C}));
  }
  return c_proj(B == 1 ? seen[0] : concatenate(seen, 0)).value();
}

}  // namespace chapbook

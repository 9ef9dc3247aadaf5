#include "nn/attention.h"

#include <cmath>
#include <iterator>
#include <limits>

namespace chapbook {

Variable split_heads(const Variable& x, int64_t heads) {
  check(x.shape().rank == 3 && heads > 0 && x.size(2) % heads == 0,
        "attention: {} does not divide into {} heads", x.shape(), heads);
  return transpose(reshape(x, {x.size(0), x.size(1), heads, x.size(2) / heads}), 1, 2);
}

// The queries (part 0), keys (1) or values (2) in qkv (B, T, 3C).
static Variable part_of(const Variable& qkv, int part, int64_t heads) {
  check(qkv.shape().rank == 3 && qkv.size(2) % 3 == 0, "attention: qkv {} is not (B, T, 3 C)", qkv.shape());
  const int64_t C = qkv.size(2) / 3;
  return split_heads(slice(qkv, 2, part * C, (part + 1) * C), heads);
}

// Keys or values (B, K, S, D), once for each of the heads that share them: (B, heads, S, D).
static Variable for_each_query(const Variable& x, int64_t heads) {
  check(x.shape().rank == 4 && x.size(1) > 0 && heads % x.size(1) == 0,
        "attention: {} heads do not share keys and values {}", heads, x.shape());
  const int64_t B = x.size(0), K = x.size(1), S = x.size(2), D = x.size(3);
  return reshape(broadcast_to(reshape(x, {B, K, 1, S, D}), {B, K, heads / K, S, D}), {B, heads, S, D});
}

Variable attention_weights(const Variable& q, const Variable& k) {
  const int64_t H = q.size(1), T = q.size(2), D = q.size(3), S = k.size(2);
  const Variable scores =
      matmul(q, transpose(for_each_query(k, H), -1, -2)) / std::sqrt(static_cast<double>(D));  // (B, H, T, S)
  const Tensor visible = triangle(T, S, S - T, q.value().backend());
  const Variable masked =
      where(visible, scores, scalar(-std::numeric_limits<double>::infinity(), scores.value()));
  return softmax(masked);
}

Variable attention_in_steps(const Variable& q, const Variable& k, const Variable& v) {
  const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3);
  const Variable y = matmul(attention_weights(q, k), for_each_query(v, H));  // (B, H, T, D)
  return reshape(transpose(y, 1, 2), {B, T, H * D});
}

Variable attention_in_steps(const Variable& qkv, int64_t heads) {
  return attention_in_steps(part_of(qkv, 0, heads), part_of(qkv, 1, heads), part_of(qkv, 2, heads));
}

Variable attend(const Variable& queries, const Variable& keys, const Variable& values, CachesOfBlock caches) {
  const Variable q = named("queries", queries), k = named("keys", keys), v = named("values", values);
  if (caches.empty()) return named("heads", attention(q, k, v));
  check(q.size(0) == std::ssize(caches), "attention: {} sequences, but caches of {}", q.size(0),
        caches.size());
  RecycledVector<Tensor> seen;
  for (int64_t b = 0; b < q.size(0); ++b) {
    KeyValueCache& cache = *caches[b];
    const int64_t from = cache.length, S = from + q.size(2);
    check(S <= cache.keys.size(2), "attention: {} places do not fit the cache of {}", S, cache.keys.size(2));
    const auto of_sequence = [&](const Variable& x) { return x.value().slice(0, b, b + 1); };
    Backend& backend = q.value().backend();
    backend.copy(of_sequence(k).view(), cache.keys.view().slice(2, from, S));
    backend.copy(of_sequence(v).view(), cache.values.view().slice(2, from, S));
    cache.length = S;
    seen.push_back(attention(of_sequence(q), cache.keys.slice(2, 0, S), cache.values.slice(2, 0, S)).value());
  }
  return named("heads", seen.size() == 1 ? seen[0] : concatenate(seen, 0));
}

Variable Attention::operator()(const Variable& x, const Variable& residual, CachesOfBlock caches) const {
  const Within within("attention");
  const Variable qkv = c_attn(x);  // (B, T, 3C)
  const Variable seen = caches.empty() && !watched() ? attention(qkv, heads)
                                                     : attend(part_of(qkv, 0, heads), part_of(qkv, 1, heads),
                                                              part_of(qkv, 2, heads), caches);
  return dropout.add(residual, c_proj, seen);
}

}  // namespace chapbook

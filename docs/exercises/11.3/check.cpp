// Attention of the cpu backend, with heads of queries that share heads of keys and values: each of them must
// be what it is alone with its head of keys.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

// B sequences, H heads of queries, K of keys and values; T queries over S places.
static void check_heads(int64_t B, int64_t H, int64_t K, int64_t T, int64_t S) {
  Random random{5};
  const auto drawn = [&](int64_t heads, int64_t places) {
    return normal({B, heads, places, 8}, random, DType::f32, backend("cpu"));
  };
  const Tensor q = drawn(H, T), k = drawn(K, S), v = drawn(K, S), y = attention(q, k, v, 0.3).y;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t head = 0; head < H; ++head) {
      const auto one = [&](const Tensor& x, int64_t which) {
        return x.slice(0, b, b + 1).slice(1, which, which + 1).contiguous_copy();
      };
      const int64_t shared = head / (H / K);
      const Tensor wanted = attention(one(q, head), one(k, shared), one(v, shared), 0.3).y,
                   apart = abs(one(y, head) - wanted);
      if (const double most = max(apart).item(); !(most <= 1e-6))
        FAIL(fmt::format(
            "{} heads of queries, {} of keys: head {} of sequence {}, counted from 0, is not what it "
            "is alone with keys of head {}; a number is {:.2g} off",
            H, K, head, b, shared, most));
    }
}

TEST_CASE("as many heads of keys as of queries") { check_heads(2, 3, 3, 10, 10); }
TEST_CASE("one head of keys") { check_heads(1, 4, 1, 10, 10); }
TEST_CASE("two heads of keys for four of queries") { check_heads(1, 4, 2, 10, 10); }
TEST_CASE("and several sequences") { check_heads(3, 6, 2, 10, 10); }
TEST_CASE("a few queries over many places, as in generation") { check_heads(2, 4, 2, 1, 20); }

// Attention in bf16 where the processor multiplies pairs or tiles of it: every product, forward and backward,
// is one of a block of 32 queries with panels that are packed once a head, by the innermost loop of the
// matrix product. Scores and sums are f32; shares of attention and gradients of scores are rounded to bf16
// before they are multiplied again, as other operands of products are.
#include <cmath>

#include "tensor/cpu/attention.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/gemm_pack.h"
#include "tensor/math.h"

namespace chapbook::cpu {

namespace {

constexpr int64_t block =
    32;  // queries at a time, keys of a panel, and the largest step of a kernel in numbers

int64_t whole(int64_t count) { return (count + block - 1) / block * block; }

const bf16* numbers(const Head& x, int64_t row) { return x.x.as<bf16>() + x.offset + row * x.step; }

// Rows (block, width) of bf16, made where a product reads them; what they do not hold is 0.
struct HalfRows {
  bf16* data;
  int64_t width;
  bf16* row(int64_t i) const { return data + i * width; }
};

HalfRows rows_of(const Head& x, int64_t first, bf16* room) {
  const HalfRows rows{room, whole(x.size)};
  std::fill(room, room + block * rows.width, bf16{});
  for (int64_t i = 0; i < std::min(block, x.count - first); ++i)
    std::copy_n(numbers(x, first + i), x.size, rows.row(i));
  return rows;
}

// Panels of `block` columns whose pairs follow each other along the first axis, of `length` numbers.
struct Panels {
  Pair* data;
  int64_t length;
  const Pair* operator[](int64_t panel) const { return data + panel * block * (length / 2); }
  static int64_t pairs(int64_t length, int64_t columns) { return whole(length) / 2 * whole(columns); }
};

Panels pack(Matrix<const bf16> x, int64_t length, int64_t columns, Pair* room) {
  pack_b<block>(x, 0, length, 0, columns, room, whole(length) / 2, nullptr);
  return {room, whole(length)};
}

// Rows `first` to `first` + count of a head, transposed: pairs along its numbers, a column for each row.
Panels columns_of(const Head& x, Pair* room) {
  return pack({numbers(x, 0), 1, x.step}, x.size, x.count, room);
}
Panels pairs_of_rows(const Head& x, int64_t first, int64_t count, Pair* room) {
  return pack({numbers(x, first), x.step, 1}, count, x.size, room);
}

// y (m, n) = a b, or += with `add`: n is filled up to whole panels, and so is what y has room for. k numbers
// are multiplied, a multiple of the block.
void multiply(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t a_step, const Panels& b, float* y,
              int64_t y_step, bool add) {
  const MicroKernel<Pair>& kernel = *kernel_of_pairs();
  for (int64_t j = 0; j < n; j += block)
    for (int64_t i = 0; i < m; i += kernel.rows)
      kernel.by_row[std::min<int64_t>(kernel.rows, m - i) - 1](
          k / 2, reinterpret_cast<const Pair*>(a + i * a_step), a_step / 2, b[j / block], y + i * y_step + j,
          y_step, add);
}

// What a thread needs for a block of queries: T queries over S keys of D numbers.
struct QueryBlock {
  int64_t t0, here, first,
      keys;  // its queries; its first query sees keys up to `first`, its last one all of them
  QueryBlock(int64_t t0, int64_t T, int64_t S)
      : t0(t0), here(std::min(block, T - t0)), first(S - T + t0), keys(first + here) {}
  int64_t seen(int64_t query) const { return first + query + 1; }
};

void forward_head(const Head& q, const Head& k, const Head& v, float scale, const Head& y, float* log_sum,
                  int64_t log_sum_step) {
  const int64_t T = q.count, S = k.count, D = q.size, width = whole(D);
  const Panels keys = columns_of(k, scratch<struct PairsOfKeys, Pair>(Panels::pairs(D, S)));
  const Panels values = pairs_of_rows(v, 0, S, scratch<struct PairsOfValues, Pair>(Panels::pairs(S, D)));
  bf16* const room = scratch<struct RowsOfQueries, bf16>(block * width);
  float* const scores = scratch<struct ScoresOfPairs>(block * whole(S));
  const HalfRows p{scratch<struct SharesOfPairs, bf16>(block * whole(S)), whole(S)};
  float* const result = scratch<struct ResultOfPairs>(block * width);
  for (int64_t t0 = 0; t0 < T; t0 += block) {
    const QueryBlock at(t0, T, S);
    const int64_t all = whole(at.keys);
    multiply(at.here, all, width, rows_of(q, t0, room).data, width, keys, scores, p.width, false);
    float sums[block];
    for (int64_t j = 0; j < at.here; ++j) {
      float* const row = scores + j * p.width;
      const int64_t seen = at.seen(j);
      for (int64_t s = 0; s < seen; ++s) row[s] *= scale;
      const float largest = largest_of(row, seen);
      for (int64_t s = 0; s < seen; ++s) row[s] = math::exp(row[s] - largest);
      sums[j] = sum_of(seen, [&](int64_t s) { return row[s]; });
      round_row(row, seen, p.row(j));
      std::fill(p.row(j) + seen, p.row(j) + all, bf16{});
      log_sum[(t0 + j) * log_sum_step] = largest + std::log(sums[j]);
    }
    multiply(at.here, width, all, p.data, p.width, values, result, width, false);
    for (int64_t j = 0; j < at.here; ++j)
      y.write(t0 + j, [&](float* row) {
        for (int64_t d = 0; d < D; ++d) row[d] = result[j * width + d] / sums[j];
      });
  }
}

// The gradients of a head's queries; those of its keys and values are added to dk, without the scale, and dv
// (S, D), rows `width` apart.
struct SharedHead {
  Panels keys, values, rows_of_keys;
  float *dk, *dv;
  int64_t width;
};

void backward_head(const Head& q, const SharedHead& shared, int64_t S, float scale, const Head& y,
                   const float* log_sum, int64_t log_sum_step, const Head& dy, const Head& dq) {
  const int64_t T = q.count, D = q.size, width = shared.width, step = whole(S);
  bf16* const room = scratch<struct RowsOfQueries, bf16>(block * width);
  float* const scores = scratch<struct ScoresOfPairs>(2 * block * step);
  float* const dscores = scores + block * step;
  const HalfRows p{scratch<struct SharesOfPairs, bf16>(2 * block * step), step}, ds{p.row(block), step};
  float* const result = scratch<struct ResultOfPairs>(block * width);
  Pair* const pairs = scratch<struct PairsOfQueries, Pair>(2 * Panels::pairs(block, D));
  bf16* const turned = scratch<struct TurnedRows, bf16>(block * block);
  for (int64_t t0 = 0; t0 < T; t0 += block) {
    const QueryBlock at(t0, T, S);
    const int64_t all = whole(at.keys);
    multiply(at.here, all, width, rows_of(q, t0, room).data, width, shared.keys, scores, step, false);
    multiply(at.here, all, width, rows_of(dy, t0, room).data, width, shared.values, dscores, step, false);
    for (int64_t j = 0; j < at.here; ++j) {
      float *const row = scores + j * step, *const drow = dscores + j * step;
      const int64_t seen = at.seen(j);
      const float row_log_sum = log_sum[(t0 + j) * log_sum_step],
                  dy_y = dot(D, dy.read(t0 + j, result), y.read(t0 + j, result + D));
#pragma GCC ivdep
      for (int64_t s = 0; s < seen; ++s) {
        row[s] = math::exp(scale * row[s] - row_log_sum);
        drow[s] = row[s] * (drow[s] - dy_y);
      }
      for (const auto& [from, to] : {std::pair(row, p.row(j)), std::pair(drow, ds.row(j))}) {
        round_row(from, seen, to);
        std::fill(to + seen, to + all, bf16{});
      }
    }
    multiply(at.here, width, all, ds.data, step, shared.rows_of_keys, result, width, false);
    for (int64_t j = 0; j < at.here; ++j)
      dq.write(t0 + j, [&](float* row) {
        for (int64_t d = 0; d < D; ++d) row[d] = scale * result[j * width + d];
      });
    const Panels queries = pairs_of_rows(q, t0, at.here, pairs),
                 gradients = pairs_of_rows(dy, t0, at.here, pairs + Panels::pairs(block, D));
    for (int64_t key = 0; key < at.keys; key += block) {
      const int64_t some = std::min(block, at.keys - key);
      const auto add = [&](const HalfRows& rows, const Panels& b, float* sums) {
        pack_a<bf16>({rows.data, 1, step}, key, some, 0, at.here, reinterpret_cast<Pair*>(turned), block / 2,
                     false, block / 2);
        multiply(some, width, block, turned, block, b, sums + key * width, width, true);
      };
      add(ds, queries, shared.dk);
      add(p, gradients, shared.dv);
    }
  }
}

}  // namespace

void attention_in_pairs(const View& q_view, const View& k_view, const View& v_view, float scale,
                        const View& y_view, const View& log_sum) {
  const Shape heads(q_view.shape.size, 2);
  const int64_t sharing = heads[1] / k_view.shape[1];  // heads of queries that share one of keys and values
  parallel_for(heads.count(), 1, [&](int64_t head, int64_t) {
    forward_head(Head(q_view, head), Head(k_view, head / sharing), Head(v_view, head / sharing), scale,
                 Head(y_view, head), log_sum.as<float>() + offset_of(head, heads, log_sum.strides),
                 log_sum.strides[2]);
  });
}

void attention_backward_in_pairs(const View& q_view, const View& k_view, const View& v_view, float scale,
                                 const View& y_view, const View& log_sum, const View& dy_view,
                                 const View& dq_view, const View& dk_view, const View& dv_view) {
  const Shape heads(q_view.shape.size, 2), shared_heads(k_view.shape.size, 2);
  const int64_t S = k_view.shape[2], D = q_view.shape[3], width = whole(D),
                sharing = heads[1] / shared_heads[1];
  parallel_for(shared_heads.count(), 1, [&](int64_t index, int64_t) {
    const Head k(k_view, index), v(v_view, index), dk(dk_view, index), dv(dv_view, index);
    float* const sums = scratch<struct GradientsOfKeys>(2 * S * width);
    std::fill(sums, sums + 2 * S * width, 0.0f);
    const SharedHead shared{columns_of(k, scratch<struct PairsOfKeys, Pair>(Panels::pairs(D, S))),
                            columns_of(v, scratch<struct PairsOfValues, Pair>(Panels::pairs(D, S))),
                            pairs_of_rows(k, 0, S, scratch<struct PairsOfRows, Pair>(Panels::pairs(S, D))),
                            sums,
                            sums + S * width,
                            width};
    for (int64_t head = index * sharing; head < (index + 1) * sharing; ++head)
      backward_head(Head(q_view, head), shared, S, scale, Head(y_view, head),
                    log_sum.as<float>() + offset_of(head, heads, log_sum.strides), log_sum.strides[2],
                    Head(dy_view, head), Head(dq_view, head));
    for (int64_t s = 0; s < S; ++s) {
      dk.write(s, [&](float* row) {
        for (int64_t d = 0; d < D; ++d) row[d] = scale * shared.dk[s * width + d];
      });
      dv.write(s, [&](float* row) { std::copy_n(shared.dv + s * width, D, row); });
    }
  });
}

}  // namespace chapbook::cpu

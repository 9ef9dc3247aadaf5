// Causal attention in tiles of 64 queries, straight on the strided q, k and v: no (T, S) storage beyond a
// tile, and only the keys a tile sees. The backward pass makes the probabilities again from log_sum. A head's
// gradients are made by one thread.
#include <cmath>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
#include "tensor/cpu/product.h"

namespace chapbook {

namespace {

using cpu::Matrix;
using cpu::offset_of;
using cpu::scratch;
using cpu::sum_of;

constexpr int64_t tile = 64;

// One head of a (B, H, T, D) view, rows of D dense numbers.
template <class T>
Matrix<T> head_of(const View& x, int64_t index) {
  const Shape heads(x.shape.size, 2);
  return {x.as<T>() + offset_of(index, heads, x.strides), x.strides[2], 1};
}

float* row_numbers(const View& x, int64_t index) {  // of a (B, H, T) view
  return x.as<float>() + offset_of(index, Shape(x.shape.size, 2), x.strides);
}

template <class T>
Matrix<T> from_row(Matrix<T> x, int64_t row) {
  return {x.at(row, 0), x.row_stride, x.column_stride};
}

// p becomes exp(p - its largest) / sum for the first `visible` numbers and 0 up to `width`. Gives
// log(sum(exp(p))).
float softmax_row(float* p, int64_t visible, int64_t width) {
  const float largest = cpu::largest_of(p, visible);
  for (int64_t s = 0; s < visible; ++s) p[s] = math::exp(p[s] - largest);
  const float sum = sum_of(visible, [&](int64_t s) { return p[s]; });
  const float scale = 1 / sum;
  for (int64_t s = 0; s < visible; ++s) p[s] *= scale;
  std::fill(p + visible, p + width, 0.0f);
  return largest + std::log(sum);
}

bool covered(std::initializer_list<View> views) {
  // Rows must be dense and must not overlap.
  return cpu::all_f32(views) && cpu::dense_rows(views) &&
         std::all_of(views.begin(), views.end(), [](const View& x) {
           return x.shape.rank < 4 || x.shape[2] == 1 || x.strides[2] >= x.shape[3];
         });
}

}  // namespace

void CpuBackend::attention(View q_view, View k_view, View v_view, double scale, View y_view,
                           View log_sum_view) {
  if (!covered({q_view, k_view, v_view, y_view}) || !cpu::all_f32({log_sum_view}))
    return ReferenceBackend::attention(q_view, k_view, v_view, scale, y_view, log_sum_view);
  const int64_t heads = q_view.shape[0] * q_view.shape[1], T = q_view.shape[2], D = q_view.shape[3],
                S = k_view.shape[2];
  const int64_t tiles = (T + tile - 1) / tile;
  parallel_for(heads * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / tiles, t0 = task % tiles * tile, rows = std::min(tile, T - t0);
      const int64_t width = S - T + t0 + rows;  // keys the last query of the tile sees
      const auto k = head_of<const float>(k_view, head), v = head_of<const float>(v_view, head);
      const auto q = from_row(head_of<const float>(q_view, head), t0);
      const auto y = from_row(head_of<float>(y_view, head), t0);
      const Matrix<float> p{scratch<3>(tile * width), width, 1};
      cpu::product<float>(rows, width, D, static_cast<float>(scale), q, k.transposed(), 0, p);
      float* log_sum = row_numbers(log_sum_view, head);
      for (int64_t r = 0; r < rows; ++r)
        log_sum[(t0 + r) * log_sum_view.strides[2]] = softmax_row(p.at(r, 0), S - T + t0 + r + 1, width);
      cpu::product<float>(rows, D, width, 1, {p.data, width, 1}, v, 0, y);
    }
  });
}

// See the reference for the derivation: dv = p^T dy, dp = dy v^T, ds = p (dp - dy . y), dq = scale ds k, dk =
// scale ds^T q.
void CpuBackend::attention_backward(View q_view, View k_view, View v_view, double scale_number, View y_view,
                                    View log_sum_view, View dy_view, View dq_view, View dk_view,
                                    View dv_view) {
  if (!covered({q_view, k_view, v_view, y_view, dy_view, dq_view, dk_view, dv_view}) ||
      !cpu::all_f32({log_sum_view}))
    return ReferenceBackend::attention_backward(q_view, k_view, v_view, scale_number, y_view, log_sum_view,
                                                dy_view, dq_view, dk_view, dv_view);
  const int64_t heads = q_view.shape[0] * q_view.shape[1], T = q_view.shape[2], D = q_view.shape[3],
                S = k_view.shape[2];
  const float scale = static_cast<float>(scale_number);
  if (T == 0) {
    fill(dk_view, 0);
    return fill(dv_view, 0);
  }
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      const auto k = head_of<const float>(k_view, head), v = head_of<const float>(v_view, head);
      const auto dk = head_of<float>(dk_view, head), dv = head_of<float>(dv_view, head);
      const float* log_sum = row_numbers(log_sum_view, head);
      // The last tile sees every key: beginning with it, dk and dv are written once before they are added to.
      for (int64_t t0 = (T - 1) / tile * tile; t0 >= 0; t0 -= tile) {
        const int64_t rows = std::min(tile, T - t0), width = S - T + t0 + rows;
        const float keep = t0 + rows == T ? 0 : 1;
        const auto q = from_row(head_of<const float>(q_view, head), t0),
                   y = from_row(head_of<const float>(y_view, head), t0);
        const auto dy = from_row(head_of<const float>(dy_view, head), t0);
        const auto dq = from_row(head_of<float>(dq_view, head), t0);
        const Matrix<float> p{scratch<3>(tile * width), width, 1}, ds{scratch<4>(tile * width), width, 1};
        const Matrix<const float> p_read{p.data, width, 1}, ds_read{ds.data, width, 1};
        cpu::product<float>(rows, width, D, scale, q, k.transposed(), 0, p);
        cpu::product<float>(rows, width, D, 1, dy, v.transposed(), 0, ds);
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t visible = S - T + t0 + r + 1;
          const float *y_row = y.at(r, 0), *dy_row = dy.at(r, 0);
          const float dy_y = sum_of(D, [&](int64_t d) { return y_row[d] * dy_row[d]; });
          const float row_log_sum = log_sum[(t0 + r) * log_sum_view.strides[2]];
          float *p_row = p.at(r, 0), *ds_row = ds.at(r, 0);
#pragma GCC ivdep
          for (int64_t s = 0; s < visible; ++s) {
            p_row[s] = math::exp(p_row[s] - row_log_sum);
            ds_row[s] = p_row[s] * (ds_row[s] - dy_y);
          }
          std::fill(p_row + visible, p_row + width, 0.0f);
          std::fill(ds_row + visible, ds_row + width, 0.0f);
        }
        cpu::product<float>(rows, D, width, scale, ds_read, k, 0, dq);
        cpu::product<float>(width, D, rows, scale, ds_read.transposed(), q, keep, dk);
        cpu::product<float>(width, D, rows, 1, p_read.transposed(), dy, keep, dv);
      }
    }
  });
}

}  // namespace chapbook

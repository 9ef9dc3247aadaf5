// Causal attention (Vaswani et al. 2017), one query at a time: y = softmax(scale q k^T) v over the places a
// query may see.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// How many heads of queries share one of keys and values, and its index for one of theirs.
static int64_t sharing(const View& q, const View& k) { return q.shape[1] / k.shape[1]; }
static Index shared_by(Index head, int64_t group) {
  head.at[1] /= group;
  return head;
}

void ReferenceBackend::attention(In q_view, In k_view, In v_view, double scale, Out y_view,
                                 Out log_sum_view) {
  const int64_t T = q_view.shape[2], D = q_view.shape[3], S = k_view.shape[2];
  for (Index head(leading(q_view.shape, 2)); head; ++head) {
    const Index shared = shared_by(head, sharing(q_view, k_view));
    const Numbers q = at(q_view, head), k = at(k_view, shared), v = at(v_view, shared);
    const Numbers y = at(y_view, head), log_sum = at(log_sum_view, head);
    for (int64_t t = 0; t < T; ++t) {
      const int64_t visible = S - T + t + 1;  // the places this query sees
      std::vector<double> weight(visible);
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t s = 0; s < visible; ++s) {
        for (int64_t d = 0; d < D; ++d) weight[s] += scale * q(t, d) * k(s, d);
        largest = std::max(largest, weight[s]);
      }
      for (double& w : weight) sum += w = std::exp(w - largest);
      for (int64_t d = 0; d < D; ++d) {
        double total = 0;
        for (int64_t s = 0; s < visible; ++s) total += weight[s] / sum * v(s, d);
        y(t, d) = total;
      }
      log_sum(t) = largest + std::log(sum);
    }
  }
}

// With p = softmax(scale q k^T):  dv = p^T dy,  dp = dy v^T,  ds = p (dp - sum(dp p)),  dq = scale ds k,  dk
// = scale ds^T q. The sum over a row of dp p equals dy . y, so no row of dp need be kept. dk and dv are sums
// over all heads of queries that share them.
void ReferenceBackend::attention_backward(In q_view, In k_view, In v_view, double scale, In y_view,
                                          In log_sum_view, In dy_view, Out dq_view, Out dk_view,
                                          Out dv_view) {
  const int64_t T = q_view.shape[2], D = q_view.shape[3], S = k_view.shape[2];
  const int64_t group = sharing(q_view, k_view);
  for (Index shared(leading(k_view.shape, 2)); shared; ++shared) {
    const Numbers k = at(k_view, shared), v = at(v_view, shared);
    const Numbers dk = at(dk_view, shared), dv = at(dv_view, shared);
    std::vector<double> dk_sum(S * D), dv_sum(S * D);  // half types would round at every addition
    for (int64_t member = 0; member < group; ++member) {
      Index head = shared;
      head.at[1] = shared.at[1] * group + member;
      const Numbers q = at(q_view, head), y = at(y_view, head), log_sum = at(log_sum_view, head);
      const Numbers dy = at(dy_view, head), dq = at(dq_view, head);
      for (int64_t t = 0; t < T; ++t) {
        std::vector<double> dq_sum(D);
        double dy_y = 0;
        for (int64_t d = 0; d < D; ++d) dy_y += dy(t, d) * y(t, d);
        for (int64_t s = 0; s < S - T + t + 1; ++s) {
          double score = 0, dp = 0;
          for (int64_t d = 0; d < D; ++d) {
            score += scale * q(t, d) * k(s, d);
            dp += dy(t, d) * v(s, d);
          }
          const double p = std::exp(score - log_sum(t)), ds = p * (dp - dy_y);
          for (int64_t d = 0; d < D; ++d) {
            dv_sum[s * D + d] += p * dy(t, d);
            dq_sum[d] += scale * ds * k(s, d);
            dk_sum[s * D + d] += scale * ds * q(t, d);
          }
        }
        for (int64_t d = 0; d < D; ++d) dq(t, d) = dq_sum[d];
      }
    }
    for (int64_t s = 0; s < S; ++s)
      for (int64_t d = 0; d < D; ++d) {
        dk(s, d) = dk_sum[s * D + d];
        dv(s, d) = dv_sum[s * D + d];
      }
  }
}

}  // namespace chapbook

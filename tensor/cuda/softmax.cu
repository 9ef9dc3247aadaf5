// Softmax, its logarithm and the loss on top of them. One block takes one row, and reads it once for the sum
// of its exponentials: each thread rescales its own sum when a larger number turns up (Milakov & Gimelshein
// 2018, "Online normalizer calculation for softmax"), and the threads join theirs at the end.
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/exponential.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/row.h"

namespace chapbook {

namespace {

// sum of exp(x - largest) over numbers x, and the largest of them. NaN passes through.
template <class N>
struct Exponentials {
  N largest = -std::numeric_limits<N>::infinity(), sum = 0;

  // What is subtracted: where all places so far are masked, anything but minus infinity.
  __device__ static N offset(N largest) {
    return largest == -std::numeric_limits<N>::infinity() ? 0 : largest;
  }
  template <int c>
  __device__ void add(const Pack<N, c>& x) {
    const N before = largest;
    for (int i = 0; i < c; ++i) largest = Max::combine(largest, x[i]);
    sum *= exponential(before - offset(largest));
    for (int i = 0; i < c; ++i) sum += exponential(x[i] - offset(largest));
  }
  __device__ void join_block() {
    const N before = largest;
    largest = block_max(largest);
    sum = block_sum(sum * exponential(before - offset(largest)));
  }
  __device__ N log_sum() const { return largest + math::log(sum); }
};

// Of a row, which the whole block reads; all threads get it.
template <class T>
__device__ Exponentials<Wide<T>> exponentials_of(Row<T> x, int64_t n) {
  Exponentials<Wide<T>> row;
  for_columns<full_pack<T>>(n, head_of(n, x), [&]<int c>(Count<c>, int64_t j) { row.add(load<c>(x, j)); });
  row.join_block();
  return row;
}

// The formulas of both functions; the backward pass needs a sum over the row first.
struct Softmax {
  template <class N>
  __device__ static N y(N x, const Exponentials<N>& row) {
    return exponential(x - row.largest) / row.sum;
  }
  // dx = y (dy - sum(dy y))
  template <class N>
  __device__ static N term(N y, N dy) {
    return dy * y;
  }
  template <class N>
  __device__ static N dx(N y, N dy, N sum) {
    return y * (dy - sum);
  }
};
struct LogSoftmax {
  template <class N>
  __device__ static N y(N x, const Exponentials<N>& row) {
    return x - row.log_sum();
  }
  // dx = dy - exp(y) sum(dy)
  template <class N>
  __device__ static N term(N, N dy) {
    return dy;
  }
  template <class N>
  __device__ static N dx(N y, N dy, N sum) {
    return dy - exponential(y) * sum;
  }
};

template <class Formula, class T>
__global__ void softmax_forward(Rows<T> xs, Rows<T> ys, int64_t n) {
  const Row<T> x = xs[blockIdx.x], y = ys[blockIdx.x];
  const Exponentials<Wide<T>> row = exponentials_of(x, n);
  for_columns<full_pack<T>>(n, head_of(n, x, y), [&]<int c>(Count<c>, int64_t j) {
    Pack<Wide<T>, c> numbers = load<c>(x, j);
    for (int i = 0; i < c; ++i) numbers[i] = Formula::y(numbers[i], row);
    store<c>(y, j, numbers);
  });
}

template <class Formula, class T>
__global__ void softmax_backward(Rows<T> ys, Rows<T> dys, Rows<T> dxs, int64_t n) {
  const Row<T> y = ys[blockIdx.x], dy = dys[blockIdx.x], dx = dxs[blockIdx.x];
  const int64_t head = head_of(n, y, dy, dx);
  Wide<T> sum = 0;
  for_columns<full_pack<T>>(n, head, [&]<int c>(Count<c>, int64_t j) {
    const Pack<Wide<T>, c> a = load<c>(y, j), b = load<c>(dy, j);
    for (int i = 0; i < c; ++i) sum += Formula::term(a[i], b[i]);
  });
  sum = block_sum(sum);
  for_columns<full_pack<T>>(n, head, [&]<int c>(Count<c>, int64_t j) {
    Pack<Wide<T>, c> a = load<c>(y, j);
    const Pack<Wide<T>, c> b = load<c>(dy, j);
    for (int i = 0; i < c; ++i) a[i] = Formula::dx(a[i], b[i], sum);
    store<c>(dx, j, a);
  });
}

template <class Formula>
void forward(View x, View y) {
  if (x.count() == 0) return;
  visit_float(x.dtype, [&]<class T>(Type<T>) {
    const int64_t n = x.shape[-1];
    launch<softmax_forward<Formula, T>>({blocks_for(x.count(), n), threads_for(n, full_pack<T>)}, Rows<T>(x),
                                        Rows<T>(y), n);
  });
}

template <class Formula>
void backward(View y, View dy, View dx) {
  if (y.count() == 0) return;
  visit_float(y.dtype, [&]<class T>(Type<T>) {
    const int64_t n = y.shape[-1];
    launch<softmax_backward<Formula, T>>({blocks_for(y.count(), n), threads_for(n, full_pack<T>)}, Rows<T>(y),
                                         Rows<T>(dy), Rows<T>(dx), n);
  });
}

// The loss of each row, log_sum - x[target] + s (x[target] - mean(x)) with s the smoothing; 0 where it does
// not count.
template <class T>
__global__ void cross_entropy_rows(Rows<T> logits, Row<int32_t> targets, int64_t classes, int32_t ignore,
                                   double smoothing, Row<Wide<T>> log_sums, double* losses) {
  const int64_t i = blockIdx.x;
  const Row<T> x = logits[i];
  const Exponentials<Wide<T>> row = exponentials_of(x, classes);
  const int32_t target = targets[i];
  const bool counts = target != ignore && target >= 0 && target < classes;  // a bad id is reported elsewhere
  const Wide<T> at_target = counts ? static_cast<Wide<T>>(x[target]) : 0;
  Wide<T> below = 0;    // x[target] - mean(x)
  if (smoothing > 0) {  // for all threads or for none
    for_columns<full_pack<T>>(classes, head_of(classes, x), [&]<int c>(Count<c>, int64_t j) {
      const Pack<Wide<T>, c> numbers = load<c>(x, j);
      for (int k = 0; k < c; ++k) below += at_target - numbers[k];
    });
    below = block_sum(below) / static_cast<Wide<T>>(classes);
  }
  if (threadIdx.x > 0) return;
  log_sums[i] = row.log_sum();
  losses[i] = counts ? double{row.log_sum()} - at_target + smoothing * below : 0;
}

// One block: how many targets count.
__global__ void count_targets(Row<int32_t> targets, int64_t rows, int32_t ignore, double* counted) {
  double count = 0;
  for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) count += targets[i] != ignore;
  count = block_sum(count);
  if (threadIdx.x == 0) *counted = count;
}

// One block: the losses of all rows over how many count.
template <class N>
__global__ void mean_loss(const double* losses, int64_t rows, const double* counted, N* loss) {
  double total = 0;
  for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) total += losses[i];
  total = block_sum(total);
  if (threadIdx.x == 0) *loss = *counted > 0 ? static_cast<N>(total / *counted) : 0;
}

// dx[j] = dloss / counted (exp(x[j] - log_sum) - (1 - s) [j = target] - s / classes). dx may be x itself: a
// thread reads a number before it writes it, and no other thread reads it.
template <class T>
__global__ void cross_entropy_backward_rows(Rows<T> logits, Row<int32_t> targets, int64_t classes,
                                            int32_t ignore, Wide<T> smoothing, Row<Wide<T>> log_sums,
                                            const double* counted, const Wide<T>* dloss, Rows<T> dlogits) {
  const int64_t i = blockIdx.x;
  const Row<T> x = logits[i], dx = dlogits[i];
  const int32_t target = targets[i];
  const bool counts = target != ignore;
  const Wide<T> log_sum = log_sums[i], share = smoothing / static_cast<Wide<T>>(classes);
  const Wide<T> scale = counts ? static_cast<Wide<T>>(*dloss / *counted) : 0;
  for_columns<full_pack<T>>(classes, head_of(classes, x, dx), [&]<int c>(Count<c>, int64_t j) {
    Pack<Wide<T>, c> numbers = load<c>(x, j);
    for (int k = 0; k < c; ++k) {
      const Wide<T> wanted = share + (j + k == target ? 1 - smoothing : 0);
      numbers[k] = counts ? scale * (exponential(numbers[k] - log_sum) - wanted) : 0;
    }
    store<c>(dx, j, numbers);
  });
}

// How many rows count, in the backend's memory: given, or counted into `scratch`.
const double* counted_rows(const View& targets, const CrossEntropy& options, double* scratch) {
  if (options.count) return options.count.as<double>();
  launch<count_targets>({1, 1024}, row_of<int32_t>(targets), targets.count(), options.ignore, scratch);
  return scratch;
}

}  // namespace

void CudaBackend::cross_entropy(In logits, In targets, CrossEntropy options, Out loss, Out log_sum) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const Scratch<double> losses(blocks(), rows + 1);
  const double* counted = counted_rows(targets, options, losses.data() + rows);
  visit_float(logits.dtype, [&]<class T>(Type<T>) {
    if (rows > 0)
      launch<cross_entropy_rows<T>>({blocks_for(rows, 1), threads_for(classes, full_pack<T>)},
                                    Rows<T>(logits), row_of<int32_t>(targets), classes, options.ignore,
                                    options.smoothing, row_of<Wide<T>>(log_sum), losses.data());
    launch<mean_loss<Wide<T>>>({1, 1024}, losses.data(), rows, counted, loss.as<Wide<T>>());
  });
}

void CudaBackend::cross_entropy_backward(In logits, In targets, CrossEntropy options, In log_sum, In dloss,
                                         Out dlogits) {
  if (logits.count() == 0) return;
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const Scratch<double> count(blocks(), 1);
  const double* counted = counted_rows(targets, options, count.data());
  visit_float(logits.dtype, [&]<class T>(Type<T>) {
    launch<cross_entropy_backward_rows<T>>({blocks_for(rows, 1), threads_for(classes, full_pack<T>)},
                                           Rows<T>(logits), row_of<int32_t>(targets), classes, options.ignore,
                                           static_cast<Wide<T>>(options.smoothing), row_of<Wide<T>>(log_sum),
                                           counted, dloss.as<const Wide<T>>(), Rows<T>(dlogits));
  });
}

void CudaBackend::softmax(In x, Out y) { forward<Softmax>(x, y); }
void CudaBackend::softmax_backward(In y, In dy, Out dx) { backward<Softmax>(y, dy, dx); }
void CudaBackend::log_softmax(In x, Out y) { forward<LogSoftmax>(x, y); }
void CudaBackend::log_softmax_backward(In y, In dy, Out dx) { backward<LogSoftmax>(y, dy, dx); }

}  // namespace chapbook

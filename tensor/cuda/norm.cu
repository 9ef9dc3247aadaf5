// Layer normalisation (Ba, Kiros & Hinton 2016). Forwards a warp takes a row: after the first pass the row is
// in the cache next to it. Backwards a block walks down a stretch of rows, and each thread keeps a few
// columns.
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/row.h"

namespace chapbook {

namespace {

// x, y (rows, n). One warp for each row, blockDim.y rows in a block.
template <class T, class Weight>
__global__ void layer_norm_rows(Rows<T> xs, Row<Weight> weight, Row<Weight> bias, Wide<T> epsilon, Rows<T> ys,
                                Row<Wide<T>> means, Row<Wide<T>> rstds, int64_t rows, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (i >= rows) return;
  const Row<T> x = xs[i];
  const Row<T> y = ys[i];

  const int64_t head = head_of(n, x);
  Wide<T> mean = 0;
  for_columns<full_pack<T>>(n, head, [&]<int c>(Count<c>, int64_t j) {
    const Pack<Wide<T>, c> numbers = load<c>(x, j);
    for (int k = 0; k < c; ++k) mean += numbers[k];
  });
  mean = warp_sum(mean) / static_cast<Wide<T>>(n);

  Wide<T> variance = 0;
  for_columns<full_pack<T>>(n, head, [&]<int c>(Count<c>, int64_t j) {
    const Pack<Wide<T>, c> numbers = load<c>(x, j);
    for (int k = 0; k < c; ++k) variance += (numbers[k] - mean) * (numbers[k] - mean);
  });
  variance = warp_sum(variance) / static_cast<Wide<T>>(n);
  const Wide<T> rstd = 1 / math::sqrt(variance + epsilon);

  const int64_t in_all = bias.data ? head_of(n, x, y, weight, bias) : head_of(n, x, y, weight);
  for_columns<full_pack<T>>(n, in_all, [&]<int c>(Count<c>, int64_t j) {
    Pack<Wide<T>, c> numbers = load<c>(x, j), added = {};
    const Pack<Wide<T>, c> factor = load<c>(weight, j);
    if (bias.data) added = load<c>(bias, j);
    for (int k = 0; k < c; ++k) numbers[k] = (numbers[k] - mean) * rstd * factor[k] + added[k];
    store<c>(y, j, numbers);
  });
  if (threadIdx.x > 0) return;
  means[i] = mean;
  rstds[i] = rstd;
}

// The `c` columns of a row from column j on, where there are any; 0 beyond the last column n - 1.
template <int c, class T>
__device__ Pack<Wide<T>, c> load_some(const Row<T>& x, int64_t j, int64_t n, bool packs) {
  if (packs && j + c <= n) return load<c>(x, j);
  Pack<Wide<T>, c> numbers;
  for (int k = 0; k < c; ++k) numbers[k] = j + k < n ? static_cast<Wide<T>>(x[j + k]) : 0;
  return numbers;
}
template <int c, class T>
__device__ void store_some(const Row<T>& y, int64_t j, int64_t n, bool packs,
                           const Pack<Wide<T>, c>& numbers) {
  if (packs && j + c <= n) return store<c>(y, j, numbers);
  for (int k = 0; k < c; ++k)
    if (j + k < n) y[j + k] = static_cast<T>(numbers[k]);
}

constexpr int walkers = 512;  // threads of a block at most, backwards

// y = u weight + bias with u = (x - mean) rstd. With du = dy weight: dx = rstd (du - mean(du) - u mean(du
// u)), since mean and rstd depend on every x; dweight = sum over rows of dy u, dbias = sum over rows of dy.
// A block takes rows blockIdx.x * stretch and on, a thread the c columns from threadIdx.x * c on. It leaves
// its sums over the stretch in dweights and dbiases (blocks, n).
template <class T, class Weight, int c>
__global__ void __launch_bounds__(walkers)
    layer_norm_backward_rows(Rows<T> xs, Row<Weight> weights, Row<Wide<T>> means, Row<Wide<T>> rstds,
                             Rows<T> dys, Rows<T> dxs, Wide<T>* dweights, Wide<T>* dbiases, int64_t rows,
                             int64_t stretch, int64_t n) {
  using Numbers = Pack<Wide<T>, c>;
  const int64_t j = int64_t{threadIdx.x} * c;
  const Numbers weight = load_some<c>(weights, j, n, weights.packs());
  Numbers dweight = {}, dbias = {};
  const int64_t first = blockIdx.x * stretch, end = min(first + stretch, rows);
  for (int64_t i = first; i < end; ++i) {
    const Row<T> x_row = xs[i], dy_row = dys[i];
    const Row<T> dx_row = dxs[i];
    Numbers u = load_some<c>(x_row, j, n, x_row.packs());
    const Numbers dy = load_some<c>(dy_row, j, n, dy_row.packs());
    const Wide<T> mean = means[i], rstd = rstds[i];
    Wide<T> sum_du = 0, sum_du_u = 0;
    for (int k = 0; k < c; ++k) {  // beyond the last column dy is 0, and adds nothing
      u[k] = (u[k] - mean) * rstd;
      const Wide<T> du = dy[k] * weight[k];
      sum_du += du;
      sum_du_u += du * u[k];
      dweight[k] += dy[k] * u[k];
      dbias[k] += dy[k];
    }
    const Wide<T> mean_du = block_sum(sum_du) / static_cast<Wide<T>>(n);
    const Wide<T> mean_du_u = block_sum(sum_du_u) / static_cast<Wide<T>>(n);
    for (int k = 0; k < c; ++k) u[k] = rstd * (dy[k] * weight[k] - mean_du - u[k] * mean_du_u);
    store_some<c>(dx_row, j, n, dx_row.packs(), u);
  }
  const Row<Wide<T>> dweight_row{dweights + blockIdx.x * n, 1}, dbias_row{dbiases + blockIdx.x * n, 1};
  store_some<c>(dweight_row, j, n, dweight_row.packs(), dweight);
  store_some<c>(dbias_row, j, n, dbias_row.packs(), dbias);
}

// y[j] = sum over i of x[i][j], x (rows, n); and another y of the x behind it. A block takes 32 columns of x
// number blockIdx.y; its warp number w adds rows w, w + 32, ..., and the 32 sums of a column are added by one
// warp.
template <class N, class T>
__global__ void sum_columns(const N* x, int64_t rows, int64_t n, Row<T> first, Row<T> second) {
  x += blockIdx.y * rows * n;
  const Row<T> y = blockIdx.y == 0 ? first : second;
  CHAPBOOK_SHARED(N, sums, [32][33]);  // 33: the numbers of a column lie in different banks
  const int64_t j = int64_t{blockIdx.x} * 32 + threadIdx.x;
  N sum = 0;
  if (j < n)
    for (int64_t i = threadIdx.y; i < rows; i += 32) sum += x[i * n + j];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  const int64_t column = int64_t{blockIdx.x} * 32 + threadIdx.y;
  sum = warp_sum(sums[threadIdx.x][threadIdx.y]);
  if (threadIdx.x == 0 && column < n) y[column] = static_cast<T>(sum);
}

// Calls f(Type<T>{}, Type<Weight>{}): weights have the dtype of x, or are f32 beside a half type.
template <class F>
void visit_norm(DType x, DType weight, F&& f) {
  visit_float(x, [&]<class T>(Type<T>) {
    if (weight == x)
      f(Type<T>{}, Type<T>{});
    else if constexpr (sizeof(T) == 2)
      f(Type<T>{}, Type<float>{});
  });
}

constexpr int64_t most_stretches = 1024;  // of rows, backwards: how many blocks there are at most
constexpr int64_t least_rows = 16;        // of a stretch: each costs a row of sums

}  // namespace

void CudaBackend::layer_norm(In x, In weight, In bias, double epsilon, Out y, Out mean, Out rstd) {
  const int64_t rows = x.shape[0], n = x.shape[1];
  constexpr unsigned rows_of_block = 4;
  if (rows == 0) return;
  visit_norm(x.dtype, weight.dtype, [&]<class T, class Weight>(Type<T>, Type<Weight>) {
    launch<layer_norm_rows<T, Weight>>({blocks_for(rows, rows_of_block), {32, rows_of_block}}, Rows<T>(x),
                                       row_of<Weight>(weight), row_of<Weight>(bias),
                                       static_cast<Wide<T>>(epsilon), Rows<T>(y), row_of<Wide<T>>(mean),
                                       row_of<Wide<T>>(rstd), rows, n);
  });
}

void CudaBackend::layer_norm_backward(In x, In weight, In mean, In rstd, In dy, Out dx, Out dweight,
                                      Out dbias) {
  const int64_t rows = x.shape[0], n = x.shape[1];
  const int64_t stretch = std::max(least_rows, (rows + most_stretches - 1) / most_stretches);
  const unsigned stretches = blocks_for(rows, stretch);
  if (n == 0) return;
  visit_norm(x.dtype, weight.dtype, [&]<class T, class Weight>(Type<T>, Type<Weight>) {
    const Scratch<Wide<T>> sums(blocks(), 2 * stretches * n);
    Wide<T>*const dweights = sums.data(), *const dbiases = dweights + stretches * n;  // behind each other
    const auto walk = [&]<int columns>(Count<columns>) {
      launch<layer_norm_backward_rows<T, Weight, columns>>(
          {stretches, threads_for(n, columns, walkers)}, Rows<T>(x), row_of<Weight>(weight),
          row_of<Wide<T>>(mean), row_of<Wide<T>>(rstd), Rows<T>(dy), Rows<T>(dx), dweights, dbiases, rows,
          stretch, n);
    };
    check(n <= 32 * walkers, "layer_norm_backward: rows of {} numbers; on a GPU at most {}", n, 32 * walkers);
    if (rows > 0) n <= 8 * walkers ? walk(Count<8>{}) : walk(Count<32>{});
    launch<sum_columns<Wide<T>, Weight>>({{blocks_for(n, 32), dbias ? 2u : 1u}, {32, 32}}, dweights,
                                         stretches, n, row_of<Weight>(dweight), row_of<Weight>(dbias));
  });
}

}  // namespace chapbook

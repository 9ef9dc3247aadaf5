// Rows of a table by number, and its gradient. Many rows may be added into one row of the table, and always
// in the same order: their places are sorted by id first, then each row of the table has one block that adds.
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/row.h"
#include "tensor/cuda/scratch.h"

namespace chapbook {

namespace {

// rows[i] = table[ids[i]]. One warp for each row, blockDim.y rows in a block. A bad id, which is reported
// elsewhere, gives zeros.
template <class T, class Table>
__global__ void gather(Rows<Table> table, int64_t limit, Row<int32_t> ids, int64_t count, Rows<T> rows,
                       int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (i >= count) return;
  const int32_t id = ids[i];
  const bool good = id >= 0 && id < limit;
  const Row<Table> from = table[good ? id : 0];
  const Row<T> to = rows[i];
  for_columns<full_pack<T>>(n, head_of(n, to, from), [&]<int c>(Count<c>, int64_t j) {
    Pack<Wide<T>, c> numbers = {};
    if (good) numbers = load<c>(from, j);
    store<c>(to, j, numbers);
  });
}

constexpr int sorters = 64;  // threads of a block that sorts

// order[p] = i and sorted[p] = ids[i], where p ids come before ids[i]: the smaller ones, and the equal ones
// before i. Each thread finds the place of one id by comparing it with all others: count^2 comparisons, but
// all at once, and few as long as a batch has some ten thousand ids.
__global__ void sort_ids(Row<int32_t> ids, int64_t count, int32_t* sorted, int32_t* order) {
  CHAPBOOK_SHARED(int32_t, tile, [sorters]);
  const int64_t i = int64_t{blockIdx.x} * sorters + threadIdx.x;
  const int32_t id = i < count ? ids[i] : 0;
  int32_t place = 0;
  for (int64_t first = 0; first < count; first += sorters) {
    if (first + threadIdx.x < count) tile[threadIdx.x] = ids[first + threadIdx.x];
    __syncthreads();
    const int here = static_cast<int>(min(count - first, int64_t{sorters}));
    for (int k = 0; k < here; ++k) place += tile[k] < id || (tile[k] == id && first + k < i);
    __syncthreads();
  }
  if (i >= count) return;
  sorted[place] = id;
  order[place] = static_cast<int32_t>(i);
}

constexpr int adders = 8;  // warps of a block that adds

// table[id] += the rows with that id, which are neighbours in the sorted order. The block of the first of
// them adds them all, each warp its stretch of them; the sums of the warps are added in order. c columns for
// each lane.
template <class T, class Table, int c>
__global__ void add_rows(Rows<T> rows, const int32_t* sorted, const int32_t* order, int64_t count,
                         Rows<Table> table, int64_t limit, int64_t n) {
  using Sums = Pack<Wide<T>, c>;
  CHAPBOOK_SHARED(Sums, sums, [adders][32]);
  const int64_t begin = blockIdx.x;
  const int32_t id = sorted[begin];
  if (id < 0 || id >= limit) return;                 // reported elsewhere
  if (begin > 0 && sorted[begin - 1] == id) return;  // another block's

  int64_t length = 0;
  for (int found = adders * 32; found == adders * 32; length += found) {
    const int64_t p = begin + length + threadIdx.y * 32 + threadIdx.x;
    found = __syncthreads_count(p < count && sorted[p] == id);
  }
  const int64_t from = begin + length * threadIdx.y / adders,
                to = begin + length * (threadIdx.y + 1) / adders;
  for (int64_t first = 0; first < n; first += 32 * c) {
    const int64_t j = first + threadIdx.x * c;
    Sums sum = {};
    if (j < n)
      for (int64_t p = from; p < to; ++p) {
        const Sums x = load<c>(rows[order[p]], j);
        for (int k = 0; k < c; ++k) sum[k] += x[k];
      }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && j < n) {
      for (int warp = 1; warp < adders; ++warp)
        for (int k = 0; k < c; ++k) sum[k] += sums[warp][threadIdx.x][k];
      const Row<Table> y = table[id];
      const Pack<Wide<Table>, c> before = load<c>(y, j);
      for (int k = 0; k < c; ++k) sum[k] += before[k];
      store<c>(y, j, sum);
    }
    __syncthreads();
  }
}

// Calls f(Type<T>{}, Type<Table>{}): the table has the dtype of the rows, or is f32 beside rows of a half
// type.
template <class F>
void visit_table(const char* op, DType rows, DType table, F&& f) {
  visit_float(rows, [&]<class T>(Type<T>) {
    if (table == rows) return f(Type<T>{}, Type<T>{});
    if constexpr (sizeof(T) == 2)
      if (table == DType::f32) return f(Type<T>{}, Type<float>{});
    fail("{}: rows of {} and a table of {} do not mix", op, name_of(rows), name_of(table));
  });
}

}  // namespace

void CudaBackend::gather_rows(View table, View ids, View rows) {
  const int64_t count = rows.shape[0], n = rows.shape[1];
  constexpr unsigned rows_of_block = 4;
  if (rows.count() == 0) return;
  visit_table("gather_rows", rows.dtype, table.dtype, [&]<class T, class Table>(Type<T>, Type<Table>) {
    launch<gather<T, Table>>({blocks_for(count, rows_of_block), {32, rows_of_block}}, Rows<Table>(table),
                             table.shape[0], row_of<int32_t>(ids), count, Rows<T>(rows), n);
  });
}

void CudaBackend::scatter_add_rows(View rows, View ids, View table) {
  const int64_t count = rows.shape[0], n = rows.shape[1];
  if (rows.count() == 0) return;
  const Scratch<int32_t> sorted(*this, count), order(*this, count);
  launch<sort_ids>({blocks_for(count, sorters), sorters}, row_of<int32_t>(ids), count, sorted.data(),
                   order.data());
  visit_table("scatter_add_rows", rows.dtype, table.dtype, [&]<class T, class Table>(Type<T>, Type<Table>) {
    const auto add = [&]<int c>(Count<c>) {
      launch<add_rows<T, Table, c>>({blocks_for(count, 1), {32, adders}}, Rows<T>(rows), sorted.data(),
                                    order.data(), count, Rows<Table>(table), table.shape[0], n);
    };
    constexpr int width = full_pack<T>;
    in_packs(rows, width) && in_packs(table, width) ? add(Count<width>{}) : add(Count<1>{});
  });
}

}  // namespace chapbook

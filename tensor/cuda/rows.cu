// Rows of a table by number, and its gradient. Many rows may be added into one row of the table, and always
// in the same order: their ids are sorted first, then blocks add up pieces of equal length of that order.
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/row.h"
#include "tensor/cuda/sort.h"

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

constexpr int piece = 32;  // sorted places that a block adds up

// y[j...] += sum
template <int c, class Table>
__device__ void add(const Row<Table>& y, int64_t j, Pack<Wide<Table>, c> sum) {
  const Pack<Wide<Table>, c> before = load<c>(y, j);
  for (int k = 0; k < c; ++k) sum[k] += before[k];
  store<c>(y, j, sum);
}

// table[id] += the rows with that id, which are neighbours in the sorted order: a run. A block takes a piece
// of that order, its threads c columns each. A run that lies in one piece is added to its row of the table;
// what this piece has of a longer one goes to `carried`, whose rows 2 i and 2 i + 1 belong to piece i: one
// for a run that came from the piece before, one for a run that begins here. Ids of `limit` have no row.
template <class T, class Table, int c>
__global__ void add_rows(Rows<T> rows, const IdAt* sorted, int64_t count, Rows<Table> table, int64_t limit,
                         int64_t n, Wide<T>* carried) {
  using Sums = Pack<Wide<T>, c>;
  constexpr int ahead = 4;  // rows that are read before the first of them is added
  const int64_t begin = int64_t{blockIdx.x} * piece, end = min(begin + piece, count);
  const auto same = [&](int64_t p, int64_t q) { return sorted[p].id == sorted[q].id; };
  const bool came = begin > 0 && same(begin - 1, begin), goes_on = end < count && same(end - 1, end);
  for (int64_t j = int64_t{threadIdx.x} * c; j < n; j += int64_t{blockDim.x} * c) {
    Sums sum = {};
    for (int64_t first = begin; first < end; first += ahead) {
      Sums x[ahead];
      for (int i = 0; i < ahead; ++i)
        if (first + i < end) x[i] = load<c>(rows[sorted[first + i].place], j);
      for (int i = 0; i < ahead; ++i) {
        const int64_t p = first + i;
        if (p >= end) break;
        for (int k = 0; k < c; ++k) sum[k] += x[i][k];
        if (p + 1 < end && same(p, p + 1)) continue;
        if (came && same(begin, p))
          store<c>(carried + 2 * blockIdx.x * n + j, sum);
        else if (goes_on && p + 1 == end)
          store<c>(carried + (2 * blockIdx.x + 1) * n + j, sum);
        else if (sorted[p].id < limit)
          add<c>(table[sorted[p].id], j, sum);
        sum = {};
      }
    }
  }
}

// Adds the runs that lie in several pieces, from what `add_rows` has carried. A block for each piece but the
// last: it adds the run that begins in its piece and goes on.
template <class T, class Table, int c>
__global__ void add_carried(const Wide<T>* carried, const IdAt* sorted, int64_t count, Rows<Table> table,
                            int64_t limit, int64_t n) {
  const int64_t begin = int64_t{blockIdx.x} * piece, end = begin + piece;
  const int32_t id = sorted[end - 1].id;
  const bool began_before = begin > 0 && sorted[begin - 1].id == id;
  if (id == limit || sorted[end].id != id || began_before) return;

  int64_t more = 0;  // pieces it goes on in
  for (int found = static_cast<int>(blockDim.x); found == static_cast<int>(blockDim.x); more += found) {
    const int64_t p = end + (more + threadIdx.x) * piece;
    found = __syncthreads_count(p < count && sorted[p].id == id);
  }
  for (int64_t j = int64_t{threadIdx.x} * c; j < n; j += int64_t{blockDim.x} * c) {
    Pack<Wide<T>, c> sum = load<c>(carried + (2 * blockIdx.x + 1) * n + j);
    for (int64_t i = 1; i <= more; ++i) {
      const Pack<Wide<T>, c> x = load<c>(carried + 2 * (blockIdx.x + i) * n + j);
      for (int k = 0; k < c; ++k) sum[k] += x[k];
    }
    add<c>(table[id], j, sum);
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

void CudaBackend::gather_rows(In table, In ids, Out rows) {
  const int64_t count = rows.shape[0], n = rows.shape[1];
  constexpr unsigned rows_of_block = 4;
  if (rows.count() == 0) return;
  visit_table("gather_rows", rows.dtype, table.dtype, [&]<class T, class Table>(Type<T>, Type<Table>) {
    launch<gather<T, Table>>({blocks_for(count, rows_of_block), {32, rows_of_block}}, Rows<Table>(table),
                             table.shape[0], row_of<int32_t>(ids), count, Rows<T>(rows), n);
  });
}

void CudaBackend::scatter_add_rows(In rows, In ids, InOut table) {
  const int64_t count = rows.shape[0], n = rows.shape[1];
  if (rows.count() == 0) return;
  const Scratch<IdAt> sorted(blocks(), count);
  sort_ids(*this, ids, table.shape[0], sorted.data());
  visit_table("scatter_add_rows", rows.dtype, table.dtype, [&]<class T, class Table>(Type<T>, Type<Table>) {
    const unsigned pieces = blocks_for(count, piece);
    const Scratch<Wide<T>> carried(blocks(), 2 * pieces * n);
    const auto add = [&]<int c>(Count<c>) {
      const unsigned threads = threads_for(n, c);
      launch<add_rows<T, Table, c>>({pieces, threads}, Rows<T>(rows), sorted.data(), count,
                                    Rows<Table>(table), table.shape[0], n, carried.data());
      if (pieces > 1)
        launch<add_carried<T, Table, c>>({pieces - 1, threads}, carried.data(), sorted.data(), count,
                                         Rows<Table>(table), table.shape[0], n);
    };
    constexpr int width = full_pack<T>;
    in_packs(rows, width) && in_packs(table, width) ? add(Count<width>{}) : add(Count<1>{});
  });
}

}  // namespace chapbook

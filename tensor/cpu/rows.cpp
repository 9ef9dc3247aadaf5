// Rows of a table by number. Many of the rows added into a table may meet in one of its rows: threads share
// the work by columns, so that each number's sum is made by one thread, in the order of the rows, a piece of
// them at a time.
#include <algorithm>
#include <cstring>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
#include "tensor/recycle.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

using cpu::grain;

void CpuBackend::check_ids(const char* op, In ids, int64_t limit, std::optional<int32_t> also) {
  reference_backend().check_ids(op, ids, limit, also);  // a pass over few numbers
}

void CpuBackend::gather_rows(In table, In ids, Out rows) {
  const std::initializer_list<View> views = {table, rows};
  if (!cpu::all_f32(views) || !cpu::dense_rows(views))
    return reference_backend().gather_rows(table, ids, rows);
  const int64_t n = rows.shape[1];
  parallel_for(rows.shape[0], std::max<int64_t>(1, grain / std::max<int64_t>(n, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t id = ids.as<int32_t>()[i * ids.strides[0]];
                   std::memcpy(rows.as<float>() + i * rows.strides[0],
                               table.as<float>() + id * table.strides[0], n * sizeof(float));
                 }
               });
}

static void add_row(const float* from, float* to, int64_t n) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) to[j] += from[j];
}

// One long chain of additions would lose digits. So the first `piece` rows of an id are added to the table,
// and the next ones, a piece at a time, to a row of their own, which is added at the end.
void CpuBackend::scatter_add_rows(In rows, In ids, InOut table) {
  const std::initializer_list<View> views = {table, rows};
  if (!cpu::all_f32(views) || !cpu::dense_rows(views))
    return reference_backend().scatter_add_rows(rows, ids, table);
  constexpr int64_t piece = 512;
  const int64_t count = rows.shape[0], columns = rows.shape[1];
  float* const more = cpu::scratch<struct More>(count / piece * columns);
  struct Sum {
    float *at, *row;  // of `more`, and of the table
  };
  RecycledVector<Sum> sums;
  struct Id {
    int32_t rows = 0, sum = -1;  // in its present piece, which is the first or one of `sums`
  };
  RecycledVector<Id> ids_seen(table.shape[0]);
  RecycledVector<float*> to(count);  // where each row is added
  for (int64_t i = 0; i < count; ++i) {
    const int64_t id = ids.as<int32_t>()[i * ids.strides[0]];
    float* const row = table.as<float>() + id * table.strides[0];
    Id& seen = ids_seen[id];
    if (seen.rows++ == piece) {
      seen = {1, static_cast<int32_t>(sums.size())};
      sums.push_back({more + seen.sum * columns, row});
    }
    to[i] = seen.sum < 0 ? row : sums[seen.sum].at;
  }
  parallel_for(columns, 64, [&](int64_t first, int64_t last) {
    const int64_t n = last - first;
    for (const Sum& sum : sums) std::fill_n(sum.at + first, n, 0.0f);
    for (int64_t i = 0; i < count; ++i)
      add_row(rows.as<float>() + i * rows.strides[0] + first, to[i] + first, n);
    for (const Sum& sum : sums) add_row(sum.at + first, sum.row + first, n);
  });
}

}  // namespace chapbook

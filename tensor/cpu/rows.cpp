// Rows of a table by number. Many of the rows added into a table may meet in one of its rows: threads share
// the work by columns, so that each number's sum is made by one thread, in the order of the rows.
#include <cstring>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
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

void CpuBackend::scatter_add_rows(In rows, In ids, InOut table) {
  const std::initializer_list<View> views = {table, rows};
  if (!cpu::all_f32(views) || !cpu::dense_rows(views))
    return reference_backend().scatter_add_rows(rows, ids, table);
  parallel_for(rows.shape[1], 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rows.shape[0]; ++i) {
      const int64_t id = ids.as<int32_t>()[i * ids.strides[0]];
      const float* from = rows.as<float>() + i * rows.strides[0];
      float* to = table.as<float>() + id * table.strides[0];
#pragma GCC ivdep
      for (int64_t j = begin; j < end; ++j) to[j] += from[j];
    }
  });
}

}  // namespace chapbook

// Rows of a table by number: what an embedding does, and its gradient.
#include <optional>
#include <vector>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::check_ids(const char* op, In ids, int64_t limit, std::optional<int32_t> also) {
  for (int64_t i = 0; i < ids.count(); ++i) {
    const int32_t id = ids.as<int32_t>()[i];
    check((id >= 0 && id < limit) || id == also, "{}: id {} is not in 0..{}", op, id, limit - 1);
  }
}

void ReferenceBackend::gather_rows(In table_view, In ids, Out rows_view) {
  const Numbers table(table_view), rows(rows_view), id(ids);
  for (int64_t i = 0; i < rows_view.shape[0]; ++i)
    for (int64_t j = 0; j < rows_view.shape[1]; ++j) rows(i, j) = table(static_cast<int64_t>(id(i)), j);
}

void ReferenceBackend::scatter_add_rows(In rows_view, In ids, InOut table_view) {
  const Numbers table(table_view), rows(rows_view), id(ids);
  const int64_t columns = rows_view.shape[1];
  std::vector<double> sums(table_view.count());  // a half-precision table would round at every addition
  for (int64_t i = 0; i < rows_view.shape[0]; ++i)
    for (int64_t j = 0; j < columns; ++j) sums[static_cast<int64_t>(id(i)) * columns + j] += rows(i, j);
  for (Index i(table_view.shape); i; ++i) table(i) += sums[i.at[0] * columns + i.at[1]];
}

}  // namespace chapbook

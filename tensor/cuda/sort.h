// Sorting the ids of a batch.
#pragma once
#include "tensor/backend.h"
#include "tensor/device.h"

namespace chapbook {

// An id, and where among the ids it stood. One access moves both.
struct alignas(8) IdAt {
  int32_t id, place;
};

// Writes all ids with their places to `sorted`, the smallest first and equal ones in the order they stood in.
// An id outside 0..limit - 1, which is reported elsewhere, becomes `limit` and so stands behind all others.
void sort_ids(Backend& backend, const View& ids, int64_t limit, IdAt* sorted);

}  // namespace chapbook

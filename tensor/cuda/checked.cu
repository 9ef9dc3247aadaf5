// Ids are checked where they are, and the host learns of a bad one when it next waits.
#include "tensor/cuda/checked.h"

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"

namespace chapbook {

// One block looks through all ids, so that the bad id it reports is always the first.
__global__ void find_bad_id(const char* op, const int32_t* ids, int64_t count, int64_t limit, int64_t also,
                            BadId* bad_id) {
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    const bool good = (ids[i] >= 0 && ids[i] < limit) || ids[i] == also;
    if (!good && i < first) first = i;
  }
  first = block_reduce<Min>(first);
  if (threadIdx.x == 0 && first < count && bad_id->op == nullptr) *bad_id = {op, ids[first], limit};
}

void CudaBackend::check_ids(const char* op, In ids, int64_t limit, std::optional<int32_t> also) {
  const int64_t no_id = int64_t{1} << 32;
  launch<find_bad_id>({1, 1024}, op, ids.as<int32_t>(), ids.count(), limit, also ? int64_t{*also} : no_id,
                      &state()->bad_id);
}

DeviceState* CudaBackend::state() {
  if (!state_) {
    state_ = static_cast<DeviceState*>(allocate(sizeof(DeviceState)));
    const DeviceState fresh;
    upload(&fresh, state_, sizeof(fresh));
  }
  return state_;
}

void CudaBackend::report(BadId bad_id) {
  if (!bad_id.op) return;
  const BadId none;
  upload(&none, &state()->bad_id, sizeof(none));
  fail("{}: id {} is not in 0..{}", bad_id.op, bad_id.id, bad_id.limit - 1);
}

}  // namespace chapbook

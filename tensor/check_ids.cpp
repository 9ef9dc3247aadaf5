// What a backend does that has no better way.
#include "tensor/backend.h"
#include "tensor/recycle.h"

namespace chapbook {

void Backend::check_ids(const char* op, View ids, int64_t limit, std::optional<int32_t> also) {
  RecycledVector<int32_t> on_host(ids.count());
  if (!on_host.empty()) download(ids.data, on_host.data(), on_host.size() * sizeof(int32_t));
  for (int32_t id : on_host)
    check((id >= 0 && id < limit) || id == also, "{}: id {} is not in 0..{}", op, id, limit - 1);
}

}  // namespace chapbook

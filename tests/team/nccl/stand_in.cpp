// As much of NCCL and of CUDA's runtime as team/nccl calls, without a GPU: ranks are threads of this process,
// and what lies on a stream is done when the host asks for it and not before. Send and receive are done once
// both are there, in the order of the stream, as NCCL promises. The environment variable
// NCCL_STAND_IN_LOSES=R makes what rank R sends get lost.
#include <cuda_runtime.h>
#include <nccl.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<char>;
std::mutex mutex;
std::map<std::string, std::map<std::pair<int, int>, std::deque<Bytes>>> wires;  // of a team: from, to
int teams = 0;

// Whether it is done; it is asked again until it is.
using Work = std::function<bool()>;
struct Stream {
  std::deque<Work> work;
};
thread_local std::vector<std::pair<Stream*, Work>> group;
thread_local bool grouping = false;

void submit(Stream* stream, Work work) {
  if (grouping)
    group.emplace_back(stream, std::move(work));
  else
    stream->work.push_back(std::move(work));
}

}  // namespace

struct ncclComm {
  std::string team;
  int rank, size;
};

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the stand-in"; }
cudaError_t cudaMalloc(void** memory, size_t bytes) { return *memory = std::malloc(bytes), cudaSuccess; }
cudaError_t cudaFree(void* memory) { return std::free(memory), cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = reinterpret_cast<cudaStream_t>(new Stream), cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return delete reinterpret_cast<Stream*>(stream), cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (kind != cudaMemcpyDefault) return cudaErrorInvalidValue;
  submit(reinterpret_cast<Stream*>(stream), [=] { return std::memcpy(to, from, bytes), true; });
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  auto& work = reinterpret_cast<Stream*>(stream)->work;
  const std::lock_guard lock(mutex);
  while (!work.empty() && work.front()()) work.pop_front();
  return work.empty() ? cudaSuccess : cudaErrorNotReady;
}

const char* ncclGetErrorString(ncclResult_t) { return "an error of the stand-in"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard lock(mutex);
  const std::string name = "team " + std::to_string(++teams);
  std::memcpy(id->internal, name.c_str(), name.size() + 1);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  if (std::strncmp(id.internal, "team ", 5) != 0 || rank < 0 || rank >= size) return ncclInvalidArgument;
  return *comm = new ncclComm{id.internal, rank, size}, ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return delete comm, ncclSuccess; }
ncclResult_t ncclCommAbort(ncclComm_t comm) { return delete comm, ncclSuccess; }
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const char* loses = std::getenv("NCCL_STAND_IN_LOSES");
  *error = loses && std::atoi(loses) != comm->rank ? ncclRemoteError : ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclGroupStart() { return grouping = true, ncclSuccess; }
// What is in a group is done together: all sends first, and none waits for another.
ncclResult_t ncclGroupEnd() {
  grouping = false;
  if (group.empty()) return ncclSuccess;
  Stream* const stream = group.front().first;
  stream->work.push_back([works = std::move(group)]() mutable {
    std::erase_if(works, [](auto& work) { return work.second(); });
    return works.empty();
  });
  group.clear();
  return ncclSuccess;
}
ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (type != ncclUint8 || peer < 0 || peer >= comm->size || peer == comm->rank) return ncclInvalidArgument;
  submit(reinterpret_cast<Stream*>(stream), [=] {
    const char* loses = std::getenv("NCCL_STAND_IN_LOSES");
    if (loses && std::atoi(loses) == comm->rank) return true;
    const char* bytes = static_cast<const char*>(data);
    wires[comm->team][{comm->rank, peer}].emplace_back(bytes, bytes + count);
    return true;
  });
  return ncclSuccess;
}
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (type != ncclUint8 || peer < 0 || peer >= comm->size || peer == comm->rank) return ncclInvalidArgument;
  submit(reinterpret_cast<Stream*>(stream), [=] {
    auto& wire = wires[comm->team][{peer, comm->rank}];
    if (wire.empty()) return false;
    if (wire.front().size() != count) std::abort();  // of NCCL's, whatever happens then
    std::memcpy(data, wire.front().data(), count);
    wire.pop_front();
    return true;
  });
  return ncclSuccess;
}

}  // extern "C"

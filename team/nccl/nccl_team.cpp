#include "team/nccl/nccl_team.h"

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "tensor/check.h"

namespace chapbook {
namespace {

constexpr size_t at_once = 4 << 20;  // bytes

void must(cudaError_t status, const char* what) {
  check(status == cudaSuccess, "CUDA: {}: {}", what, cudaGetErrorString(status));
}
void must(ncclResult_t status, const char* what) {
  check(status == ncclSuccess, "NCCL: {}: {}", what, ncclGetErrorString(status));
}

class Nccl : public Team {
 public:
  explicit Nccl(Team& meeting) : rank_(meeting.rank()), size_(meeting.size()) {
    int devices = 0;
    must(cudaGetDeviceCount(&devices), "counting devices");
    check(devices > 0, "NCCL: there is no GPU here");
    must(cudaSetDevice(rank_ % devices), "choosing a device");
    ncclUniqueId id{};
    if (rank_ == 0) must(ncclGetUniqueId(&id), "an id for the team");
    id = told(meeting, id);
    must(ncclCommInitRank(&comm_, size_, id, rank_), "meeting the others");
    must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    for (std::byte** block : {&given_, &taken_}) {
      void* memory = nullptr;
      must(cudaMalloc(&memory, at_once), "memory");
      *block = static_cast<std::byte*>(memory);
    }
  }

  ~Nccl() override {
    cudaFree(given_), cudaFree(taken_);
    cudaStreamDestroy(stream_);
    if (comm_) ncclCommDestroy(comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  // NCCL asks for as many bytes as come, and does not say where they differ. Where nothing goes either way, a
  // byte does, so that it is still a meeting.
  void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override {
    const bool nothing = send.empty() && receive.empty();
    do {
      const auto give = send.first(std::min(send.size(), at_once));
      const auto take = receive.first(std::min(receive.size(), at_once));
      // Default: from and to wherever the pointers say.
      if (!give.empty())
        must(cudaMemcpyAsync(given_, give.data(), give.size(), cudaMemcpyDefault, stream_), "what is given");
      must(ncclGroupStart(), "an exchange");
      if (!give.empty() || nothing)
        must(ncclSend(given_, std::max<size_t>(1, give.size()), ncclUint8, peer, comm_, stream_), "giving");
      if (!take.empty() || nothing)
        must(ncclRecv(taken_, std::max<size_t>(1, take.size()), ncclUint8, peer, comm_, stream_), "taking");
      must(ncclGroupEnd(), "an exchange");
      if (!take.empty())
        must(cudaMemcpyAsync(take.data(), taken_, take.size(), cudaMemcpyDefault, stream_), "what is taken");
      wait_for(peer);
      send = send.subspan(give.size()), receive = receive.subspan(take.size());
    } while (!send.empty() || !receive.empty());
  }

  // Not cudaStreamSynchronize, which would wait for ever for a peer that has gone.
  void wait_for(int peer) {
    while (true) {
      const cudaError_t status = cudaStreamQuery(stream_);
      if (status == cudaSuccess) return;
      if (status != cudaErrorNotReady) must(status, "an exchange");
      ncclResult_t error = ncclSuccess;
      must(ncclCommGetAsyncError(comm_, &error), "an exchange");
      if (error != ncclSuccess && error != ncclInProgress) {
        ncclCommAbort(std::exchange(comm_, nullptr));
        fail("worker {} is lost to worker {}: {}", peer, rank_, ncclGetErrorString(error));
      }
      std::this_thread::yield();
    }
  }

  int rank_, size_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::byte *given_ = nullptr, *taken_ = nullptr;  // in the device's memory
};

}  // namespace

std::unique_ptr<Team> nccl_team(Team& meeting) { return std::make_unique<Nccl>(meeting); }

}  // namespace chapbook

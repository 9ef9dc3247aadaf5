// The engine over MPI: an exchange is MPI_Sendrecv. A ring of pulses beside it notices a machine that no
// longer answers: MPI itself would wait for ever, or as long as TCP does.
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <thread>

#include "team/mpi.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds pulse_every = 500ms, silent_for = 4s;

class Mpi : public MpiTeam {
 public:
  Mpi() {
    int threads = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &threads);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    check(std::has_single_bit(static_cast<unsigned>(size_)), "{} workers: their number is a power of two",
          size_);
    check(threads == MPI_THREAD_MULTIPLE, "this MPI cannot be called from two threads");
    MPI_Comm_dup(MPI_COMM_WORLD, &pulses_);
    if (size_ > 1) pulse_ = std::thread([this] { watch(); });
  }

  ~Mpi() override {
    MPI_Barrier(MPI_COMM_WORLD);  // the others may have longer to do
    ended_ = true;
    if (pulse_.joinable()) pulse_.join();
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Comm_free(&pulses_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  [[noreturn]] void end_all(const std::string& line) override {
    // What all have found wrong at once, worker 0 says for all.
    if (rank_ > 0) std::this_thread::sleep_for(500ms);
    const std::string whole = rank_ > 0 ? fmt::format("chapbook: worker {}: {}\n", rank_, line)
                                        : fmt::format("chapbook: {}\n", line);
    std::fputs(whole.c_str(), stderr);
    std::fflush(stderr);
    std::thread([] {  // where the machine that mpirun is on cannot be reached either
      std::this_thread::sleep_for(1s);
      ::_exit(2);
    })
        .detach();
    MPI_Abort(MPI_COMM_WORLD, 2);
    ::_exit(2);
  }

 private:
  void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override {
    constexpr size_t most = 1 << 30;  // MPI counts in int
    do {
      const auto give = send.first(std::min(send.size(), most));
      const auto take = receive.first(std::min(receive.size(), most));
      MPI_Sendrecv(give.data(), static_cast<int>(give.size()), MPI_BYTE, peer, 0, take.data(),
                   static_cast<int>(take.size()), MPI_BYTE, peer, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      send = send.subspan(give.size()), receive = receive.subspan(take.size());
    } while (!send.empty() || !receive.empty());
  }

  // Each worker hears the one before it in the ring.
  void watch() {
    const int from = (rank_ + size_ - 1) % size_, to = (rank_ + 1) % size_;
    char given = 1, taken = 0;
    MPI_Request sending = MPI_REQUEST_NULL, receiving = MPI_REQUEST_NULL;
    MPI_Irecv(&taken, 1, MPI_BYTE, from, 1, pulses_, &receiving);
    auto heard = Clock::now(), last = heard;
    while (!ended_) {
      int sent = 0, received = 0;
      MPI_Test(&sending, &sent, MPI_STATUS_IGNORE);
      if (sent) MPI_Isend(&given, 1, MPI_BYTE, to, 1, pulses_, &sending);
      MPI_Test(&receiving, &received, MPI_STATUS_IGNORE);
      const auto now = Clock::now();
      if (now - last > 4 * pulse_every) heard = now;  // this process itself has not run
      last = now;
      if (received) {
        heard = now;
        MPI_Irecv(&taken, 1, MPI_BYTE, from, 1, pulses_, &receiving);
      }
      if (now - heard > silent_for)
        end_all(
            fmt::format("worker {} has not been heard for {} seconds; all workers end. The last "
                        "checkpoint is whole: go on from it with --resume",
                        from, silent_for / 1s));
      std::this_thread::sleep_for(pulse_every);
    }
    MPI_Cancel(&receiving);
    MPI_Request_free(&receiving);
    if (sending != MPI_REQUEST_NULL) MPI_Request_free(&sending);
  }

  int rank_ = 0, size_ = 1;
  MPI_Comm pulses_ = MPI_COMM_NULL;
  std::atomic<bool> ended_{false};
  std::thread pulse_;
};

}  // namespace
}  // namespace chapbook

extern "C" chapbook::MpiTeam* chapbook_mpi_team() { return new chapbook::Mpi; }

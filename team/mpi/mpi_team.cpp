// The engine over MPI: an exchange is MPI_Isend and MPI_Irecv. A ring of pulses beside it notices a machine
// that no longer answers: MPI itself would wait for ever, or as long as TCP does.
#define OMPI_SKIP_MPICXX 1  // its C++ interface, which nobody uses
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

#include "team/mpi.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds pulse_every = 250ms, silent_for = 3s;
constexpr int of_numbers = 0, of_pulses = 1, of_leaving = 2;  // tags
constexpr size_t at_once = 1 << 20;                           // bytes; MPI counts them in int

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
    // A message that is too long is to be said in a line of ours.
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (size_ > 1) pulse_ = std::thread([this] { watch(); });
  }

  // Who is done says so to all, and waits for all: whoever still waits for it then knows (see swap), where a
  // barrier would only wait.
  ~Mpi() override {
    std::vector<MPI_Request> leaving;
    for (int other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      for (int i = 0; i < 2; ++i) leaving.emplace_back();
      MPI_Isend(nullptr, 0, MPI_BYTE, other, of_leaving, MPI_COMM_WORLD, &leaving[leaving.size() - 2]);
      MPI_Irecv(nullptr, 0, MPI_BYTE, other, of_leaving, MPI_COMM_WORLD, &leaving.back());
    }
    // Not MPI_Waitall, which takes a whole core until the last worker has told its story.
    for (int all = 0; MPI_Testall(static_cast<int>(leaving.size()), leaving.data(), &all,
                                  MPI_STATUSES_IGNORE) == MPI_SUCCESS &&
                      !all;)
      std::this_thread::sleep_for(10ms);
    ended_ = true;
    if (pulse_.joinable()) pulse_.join();
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Comm_free(&pulses_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  [[noreturn]] void end_all(const std::string& line) override {
    // What all have found wrong at once, worker 0 says for all, and ends them.
    if (rank_ > 0) std::this_thread::sleep_for(2s);
    end_at_once(line);
  }

 private:
  [[noreturn]] void end_at_once(const std::string& line) {
    const std::string whole = rank_ > 0 ? fmt::format("chapbook: worker {}: {}\n", rank_, line)
                                        : fmt::format("chapbook: {}\n", line);
    std::fputs(whole.c_str(), stderr);
    std::fflush(stderr);
    std::thread([] {  // where the machine that mpirun is on cannot be reached either
      std::this_thread::sleep_for(500ms);
      ::_exit(2);
    })
        .detach();
    MPI_Abort(MPI_COMM_WORLD, 2);
    ::_exit(2);
  }

  void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override {
    do {
      const auto give = send.first(std::min(send.size(), at_once));
      const auto take = receive.first(std::min(receive.size(), at_once));
      MPI_Request both[2];
      MPI_Isend(give.data(), static_cast<int>(give.size()), MPI_BYTE, peer, of_numbers, MPI_COMM_WORLD,
                &both[0]);
      MPI_Irecv(take.data(), static_cast<int>(take.size()), MPI_BYTE, peer, of_numbers, MPI_COMM_WORLD,
                &both[1]);
      const bool fits = wait_for(peer, both[1], take.size()) && wait_for(peer, both[0], {});
      check(fits, "exchange: worker {} gives another number of bytes than worker {} expects, {}", peer, rank_,
            receive.size());
      send = send.subspan(give.size()), receive = receive.subspan(take.size());
    } while (!send.empty() || !receive.empty());
  }

  // Whether it ends well, with as many bytes as are expected. Throws where the peer has left.
  bool wait_for(int peer, MPI_Request& request, std::optional<size_t> expected) {
    auto look = Clock::now() + 10ms;
    for (int tries_left = -1;;) {
      int done = 0;
      MPI_Status status;
      if (MPI_Test(&request, &done, &status) != MPI_SUCCESS) return false;
      if (done) {
        int bytes = 0;
        MPI_Get_count(&status, MPI_BYTE, &bytes);
        return !expected || static_cast<size_t>(bytes) == *expected;
      }
      if (Clock::now() > look) {
        // What was sent before it left may still be on its way, so there is some time after that.
        int left = 0;
        MPI_Iprobe(peer, of_leaving, MPI_COMM_WORLD, &left, MPI_STATUS_IGNORE);
        if (left && tries_left < 0) tries_left = 100;
        check(tries_left != 0, "worker {} has ended although worker {} still waits for it", peer, rank_);
        if (tries_left > 0) --tries_left;
        look = Clock::now() + 10ms;
      }
      std::this_thread::yield();
    }
  }

  // Each worker hears the one before it in the ring.
  void watch() {
    const int from = (rank_ + size_ - 1) % size_, to = (rank_ + 1) % size_;
    char given = 1, taken = 0;
    MPI_Request sending = MPI_REQUEST_NULL, receiving = MPI_REQUEST_NULL;
    MPI_Irecv(&taken, 1, MPI_BYTE, from, of_pulses, pulses_, &receiving);
    auto heard = Clock::now(), last = heard;
    while (!ended_) {
      int sent = 0, received = 0;
      MPI_Test(&sending, &sent, MPI_STATUS_IGNORE);
      if (sent) MPI_Isend(&given, 1, MPI_BYTE, to, of_pulses, pulses_, &sending);
      MPI_Test(&receiving, &received, MPI_STATUS_IGNORE);
      const auto now = Clock::now();
      if (now - last > 4 * pulse_every) heard = now;  // this process itself has not run
      last = now;
      if (received) {
        heard = now;
        MPI_Irecv(&taken, 1, MPI_BYTE, from, of_pulses, pulses_, &receiving);
      }
      if (now - heard > silent_for)
        end_at_once(
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

#include "team/processes.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds pulse_every = 100ms, silent_for = 4s, first_pulse = 30s;

// What one worker gives another: two blocks, of which one is filled while the other is read.
constexpr size_t block_bytes = 256 << 10;
struct Mailbox {
  alignas(64) std::atomic<uint32_t> written;  // blocks, since the beginning
  alignas(64) std::atomic<uint32_t> read;
  uint32_t length[2];
  alignas(64) std::byte block[2][block_bytes];
};

struct alignas(64) Worker {
  std::atomic<uint32_t> pulses;
  std::atomic<uint32_t> bell;  // rung when one of its mailboxes has changed
  std::atomic<uint32_t> said;
  std::atomic<uint32_t> left;  // it has ended, well, and gives no more
  char why[1024];
};

static_assert(std::atomic<uint32_t>::is_always_lock_free);  // and so good between processes

void ring(std::atomic<uint32_t>& bell) {
  bell.fetch_add(1);
  ::syscall(SYS_futex, &bell, FUTEX_WAKE, 1 << 30, nullptr, nullptr, 0);
}

void wait_for(std::atomic<uint32_t>& bell, uint32_t heard) {
  // A core of a virtual machine that went idle takes hundreds of microseconds to come back.
  for (const auto start = Clock::now(); Clock::now() - start < 50us;) {
    if (bell.load() != heard) return;
    std::this_thread::yield();
  }
  ::syscall(SYS_futex, &bell, FUTEX_WAIT, heard, nullptr, nullptr, 0);
}

}  // namespace

// The pages of mailboxes that nobody uses are never made: of n workers, each has log2(n) peers.
struct SharedMemory {
  volatile std::sig_atomic_t stop;
  Worker workers[1];  // `size` of them, then size * size mailboxes

  static size_t bytes(int size) {
    return mailboxes_at(size) + sizeof(Mailbox) * static_cast<size_t>(size) * size;
  }
  static size_t mailboxes_at(int size) { return sizeof(SharedMemory) + sizeof(Worker) * size; }
  Mailbox& mailbox(int size, int from, int to) {
    std::byte* const first = reinterpret_cast<std::byte*>(this) + mailboxes_at(size);
    return reinterpret_cast<Mailbox*>(first)[from * size + to];
  }
  static SharedMemory* map(int descriptor, int size) {
    void* const begin = ::mmap(nullptr, bytes(size), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    check(begin != MAP_FAILED, "cannot map the memory that workers share: {}", std::strerror(errno));
    return static_cast<SharedMemory*>(begin);
  }
};

// ---- A worker

static constexpr const char* variable = "CHAPBOOK_WORKER";

void Place::to_environment() const {
  ::setenv(variable, fmt::format("{} {} {}", rank, size, memory).c_str(), 1);
}

bool Place::in_environment() { return std::getenv(variable) != nullptr; }

Place Place::from_environment() {
  Place place{};
  check(std::sscanf(std::getenv(variable), "%d %d %d", &place.rank, &place.size, &place.memory) == 3,
        "{} is for the program itself to set", variable);
  ::unsetenv(variable);
  return place;
}

struct ProcessTeam::Pulse {
  std::atomic<bool> ended{false};
  std::thread thread;
};

ProcessTeam::ProcessTeam(const Place& place)
    : place_(place), shared_(SharedMemory::map(place.memory, place.size)), pulse_(new Pulse) {
  pulse_->thread = std::thread([this] {
    while (!pulse_->ended) {
      shared_->workers[place_.rank].pulses.fetch_add(1);
      std::this_thread::sleep_for(pulse_every);
    }
  });
}

ProcessTeam::~ProcessTeam() {
  pulse_->ended = true;
  pulse_->thread.join();
  ::munmap(shared_, SharedMemory::bytes(place_.size));
}

const volatile std::sig_atomic_t& ProcessTeam::stop() const { return shared_->stop; }

void ProcessTeam::say_why(const std::string& message) {
  Worker& worker = shared_->workers[place_.rank];
  const size_t length = message.copy(worker.why, sizeof worker.why - 1);
  worker.why[length] = 0;
  worker.said = 1;
}

// Both directions at once, block by block. Who waits for the other is woken by its bell.
void ProcessTeam::swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) {
  Mailbox& out = shared_->mailbox(size(), rank(), peer);
  Mailbox& in = shared_->mailbox(size(), peer, rank());
  std::atomic<uint32_t>& bell = shared_->workers[rank()].bell;
  bool sent = false, received = false;  // all of it; where there is nothing, an empty block goes
  while (!sent || !received) {
    const uint32_t heard = bell.load();
    const bool peer_left = shared_->workers[peer].left.load();  // before what it gave last is looked for
    bool moved = false;
    if (const uint32_t written = out.written.load(); !sent && written - out.read.load() < 2) {
      const auto block = send.first(std::min(send.size(), block_bytes));
      std::ranges::copy(block, out.block[written % 2]);
      out.length[written % 2] = static_cast<uint32_t>(block.size());
      send = send.subspan(block.size());
      sent = send.empty();
      out.written = written + 1;
      moved = true;
    }
    if (const uint32_t read = in.read.load(); !received && in.written.load() != read) {
      const size_t length = in.length[read % 2];
      check(length == std::min(receive.size(), block_bytes),
            "exchange: worker {} gives {} bytes where worker {} expects {}", peer, length, rank(),
            receive.size());
      std::copy_n(in.block[read % 2], length, receive.begin());
      receive = receive.subspan(length);
      received = receive.empty();
      in.read = read + 1;
      moved = true;
    }
    if (moved) {
      ring(shared_->workers[peer].bell);
      continue;
    }
    check(!peer_left, "worker {} has ended although worker {} still waits for it", peer, rank());
    wait_for(bell, heard);
  }
}

// ---- The process that watches

namespace {

volatile std::sig_atomic_t interrupts = 0;
void on_interrupt(int) { interrupts = interrupts + 1; }

// While it lives, Ctrl-C and SIGTERM are counted and nothing else.
class CountInterrupts {
 public:
  CountInterrupts() {
    interrupts = 0;
    for (int i = 0; i < 2; ++i) before_[i] = std::signal(signals[i], on_interrupt);
  }
  ~CountInterrupts() {
    for (int i = 0; i < 2; ++i) std::signal(signals[i], before_[i]);
  }

 private:
  static constexpr int signals[] = {SIGINT, SIGTERM};
  void (*before_[2])(int);
};

struct Watched {
  pid_t process = 0;
  bool ended = false;
  int status = 0;
  uint32_t pulses = 0;
  Clock::time_point heard = {};
};

class Watcher {
 public:
  Watcher(int size, SharedMemory& shared) : workers_(size), shared_(shared) {}
  ~Watcher() { end_all(); }

  void start(int descriptor, const std::function<int(const Place&)>& work) {
    const int size = static_cast<int>(workers_.size());
    const pid_t watcher = ::getpid();
    std::fflush(nullptr);
    for (int rank = 0; rank < size; ++rank) {
      const pid_t process = ::fork();
      check(process >= 0, "cannot start worker {}: {}", rank, std::strerror(errno));
      if (process == 0) {
        for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_IGN);  // the watcher has them
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != watcher) std::_Exit(2);  // it died in between
        int code = 2;
        try {
          code = work({rank, size, descriptor});
        } catch (const std::exception& error) {
          ProcessTeam({rank, size, descriptor}).say_why(error.what());
        }
        std::fflush(nullptr);
        std::_Exit(code);
      }
      workers_[rank].process = process;
      workers_[rank].heard = Clock::now() + first_pulse - silent_for;
    }
  }

  int watch() {
    auto last = Clock::now();
    while (true) {
      if (interrupts > 0) shared_.stop = 1;
      if (interrupts > 1) {
        end_all();
        return 130;
      }
      look();
      const auto failed = std::ranges::find_if(workers_, failure);
      if (failed != workers_.end()) report(failed - workers_.begin());
      if (std::ranges::all_of(workers_, &Watched::ended)) return WEXITSTATUS(workers_[0].status);
      const auto now = Clock::now();
      // Where this process has not run itself, as with Ctrl-Z, it cannot say that others have not.
      if (now - last > 1s)
        for (Watched& worker : workers_) worker.heard = std::max(worker.heard, now);
      last = now;
      for (size_t rank = 0; rank < workers_.size(); ++rank)
        if (!workers_[rank].ended && now - workers_[rank].heard > silent_for)
          fail("worker {} (process {}) has not run for {} seconds; all workers were ended. {}", rank,
               workers_[rank].process, silent_for / 1s, go_on);
      std::this_thread::sleep_for(20ms);
    }
  }

 private:
  static constexpr const char* go_on = "The last checkpoint is whole: go on from it with --resume";

  // A worker that is interrupted ends with 130, as the program does.
  static bool failure(const Watched& worker) {
    return worker.ended && !(WIFEXITED(worker.status) &&
                             (WEXITSTATUS(worker.status) == 0 || WEXITSTATUS(worker.status) == 130));
  }

  void look() {
    for (size_t rank = 0; rank < workers_.size(); ++rank) {
      Watched& worker = workers_[rank];
      if (!worker.ended && ::waitpid(worker.process, &worker.status, WNOHANG) == worker.process) {
        worker.ended = true;
        if (!failure(worker)) {  // whoever still waits for it is to know
          shared_.workers[rank].left = 1;
          for (size_t other = 0; other < workers_.size(); ++other) ring(shared_.workers[other].bell);
        }
      }
      const uint32_t pulses = shared_.workers[rank].pulses.load();
      if (pulses != worker.pulses) worker.heard = Clock::now();
      worker.pulses = pulses;
    }
  }

  // `first` is the first that was seen to fail; what all have found wrong, rank 0 says for all.
  [[noreturn]] void report(size_t first) {
    // One that says why may have been only the first to find it, and worker 0 puts its files in order.
    const auto until = Clock::now() + (shared_.workers[first].said.load() ? 2000ms : 100ms);
    while (Clock::now() < until && !std::ranges::all_of(workers_, &Watched::ended)) {
      std::this_thread::sleep_for(20ms);
      look();
    }
    for (size_t rank = 0; rank < workers_.size(); ++rank)
      if (shared_.workers[rank].said.load()) {
        end_all();
        const std::string why = shared_.workers[rank].why;
        if (rank == 0) throw Error(why);
        fail("worker {}: {}", rank, why);
      }
    const Watched failed = workers_[first];
    end_all();
    if (WIFSIGNALED(failed.status))
      fail("worker {} (process {}) was killed by signal {}; all workers were ended. {}", first,
           failed.process, WTERMSIG(failed.status), go_on);
    fail("worker {} (process {}) ended with code {}; all workers were ended. {}", first, failed.process,
         WEXITSTATUS(failed.status), go_on);
  }

  void end_all() {
    for (Watched& worker : workers_) {
      if (worker.ended || worker.process == 0) continue;
      ::kill(worker.process, SIGKILL);
      // One that waits for a disk dies when the disk answers; the others' line is not kept waiting for it.
      for (int tries = 0; tries < 100 && ::waitpid(worker.process, &worker.status, WNOHANG) == 0; ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      worker.ended = true;
    }
  }

  std::vector<Watched> workers_;
  SharedMemory& shared_;
};

}  // namespace

int run_processes(int size, const std::function<int(const Place&)>& work) {
  check(size >= 1 && size <= 64 && std::has_single_bit(static_cast<unsigned>(size)),
        "{} workers: their number is a power of two, up to 64", size);
  const int descriptor = ::memfd_create("chapbook workers", 0);
  check(descriptor >= 0 && ::ftruncate(descriptor, static_cast<off_t>(SharedMemory::bytes(size))) == 0,
        "cannot make memory that workers share: {}", std::strerror(errno));
  SharedMemory* const shared = SharedMemory::map(descriptor, size);
  const auto unmap = [&](void*) {
    ::munmap(shared, SharedMemory::bytes(size));
    ::close(descriptor);
  };
  const std::unique_ptr<void, decltype(unmap)> at_the_end(shared, unmap);
  const CountInterrupts counting;
  Watcher watcher(size, *shared);
  watcher.start(descriptor, work);
  return watcher.watch();
}

void start_program_again(const Place& place) {
  place.to_environment();
  std::string words = read_file("/proc/self/cmdline");  // each ends with a zero
  std::vector<char*> arguments;
  for (size_t i = 0; i < words.size(); i += std::strlen(&words[i]) + 1) arguments.push_back(&words[i]);
  arguments.push_back(nullptr);
  ::execv("/proc/self/exe", arguments.data());
  fail("cannot start this program again: {}", std::strerror(errno));
}

// ---- Cores

int take_cores(const Team& team, int threads) {
  cpu_set_t all, mine;
  CPU_ZERO(&all);
  CPU_ZERO(&mine);
  ::sched_getaffinity(0, sizeof all, &all);
  const int each = CPU_COUNT(&all) / team.size();
  for (int core = 0, seen = 0; each > 0 && core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &all) && seen++ / each == team.rank()) CPU_SET(core, &mine);
  if (each > 0) ::sched_setaffinity(0, sizeof mine, &mine);
  return std::max(1, threads / team.size());
}

}  // namespace chapbook

#include "apps/run/workers.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

#include "team/mpi.h"
#include "team/processes.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/os/system.h"

namespace chapbook {

static constexpr int stopped = 130;  // what shells expect of a program ended by Ctrl-C
static constexpr const char* no_memory = "out of memory; a smaller batch, context or model needs less";

static volatile std::sig_atomic_t interrupted = 0;
static void on_interrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL);
}

const volatile std::sig_atomic_t& listen_for_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, on_interrupt);
  return interrupted;
}
void stop_listening() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
}

// Starts this program again as each of the workers, with the same arguments.
static void start_workers(int workers) {
  const int code = run_processes(workers, [](const Place& place) -> int { start_program_again(place); });
  if (code != 0) std::exit(code);
}

static void be_worker(const Workload& work) {
  ProcessTeam team(Place::from_environment());
  try {
    const int threads = thread_pool().threads();
    thread_pool().set_threads(take_cores(team, threads));
    if (!work(team, team.stop())) std::exit(stopped);
  } catch (const std::bad_alloc&) {
    team.say_why(no_memory);
    std::_Exit(2);
  } catch (const std::exception& error) {
    team.say_why(error.what());
    std::_Exit(2);
  }
}

static void be_worker_of_mpi(int workers, const Workload& work) {
  const auto& stop = listen_for_interrupts();
  std::unique_ptr<MpiTeam> team = mpi_team();
  bool done = false;
  try {
    // Unless mpirun gave each its own cores, those of one machine share them.
    const char* const here = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (here && std::thread::hardware_concurrency() == os::processors_of_machine())
      thread_pool().set_threads(std::max(1, thread_pool().threads() / std::max(1, std::atoi(here))));
    check(workers == 1, "mpirun says how many workers there are; leave out --workers");
    done = work(*team, stop);
  } catch (const std::bad_alloc&) {
    team->end_all(no_memory);
  } catch (const std::exception& error) {
    team->end_all(error.what());
  }
  team.reset();  // waits for the others
  if (!done) std::exit(stopped);
}

void in_workers(int workers, const Workload& work) {
  if (Place::in_environment()) return be_worker(work);
  if (workers > 1) return start_workers(workers);
  if (started_by_mpirun()) return be_worker_of_mpi(workers, work);
  if (!work(alone(), listen_for_interrupts())) std::exit(stopped);
}

}  // namespace chapbook

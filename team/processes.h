// A team of processes on one machine, which meet in shared memory, and the process that watches over them.
// All that is Linux's own is in processes.cpp: memfd, futex, and that a child dies with its parent. On other
// systems there are no such teams, and portable_processes.cpp says so.
#pragma once
#include <csignal>
#include <functional>
#include <memory>
#include <string>

#include "team/team.h"

namespace chapbook {

struct SharedMemory;

// Where a worker finds the others.
struct Place {
  int rank, size;
  int memory;  // file descriptor of what they share

  // For a worker that becomes another program with exec: the variable CHAPBOOK_WORKER.
  void to_environment() const;
  static bool in_environment();
  static Place from_environment();
};

class ProcessTeam : public Team {
 public:
  explicit ProcessTeam(const Place& place);
  ~ProcessTeam() override;
  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  // Set once the user has asked all workers to stop.
  const volatile std::sig_atomic_t& stop() const;
  // Why this worker is about to end: for the one line that the watcher says.
  void say_why(const std::string& message);

 private:
  void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override;

  Place place_;
  [[maybe_unused]] SharedMemory* shared_;  // which the portable way does not have
  struct Pulse;
  std::unique_ptr<Pulse> pulse_;
};

// Starts `size` processes, in each of which `work` is called with its place; it either becomes another
// program or returns the exit code. Returns what all of them exit with. Where one fails, dies, or does not
// run for some seconds (is stopped, or has no processor), all are ended and one line is thrown that names it:
// within five seconds, and within 30 while it starts. One that ends well while others still wait for it is
// named too. A worker that computes, or waits for a disk, for ever is not noticed.
//
// Ctrl-C and SIGTERM become stop(), and a second one ends all at once.
int run_processes(int size, const std::function<int(const Place&)>& work);

// In the place of this process, this program anew with the same arguments, which finds that place.
[[noreturn]] void start_program_again(const Place& place);

// Once in a worker, its share of the machine: threads that it starts from now on run on cores of its own,
// where there are enough for all. Gives how many of `threads` are its.
int take_cores(const Team& team, int threads);

}  // namespace chapbook

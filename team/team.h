// Team: workers, each a process, that do one thing together. All that goes between them is an exchange of
// two: an engine (processes.h on one machine, mpi.h between machines) has that one function, and everything
// else is made of it. Each worker makes the same calls in the same order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chapbook {

class Team {
 public:
  virtual ~Team() = default;
  virtual int rank() const = 0;  // which worker this is, from 0
  virtual int size() const = 0;  // how many there are: a power of two

  // Gives `send` to the peer, whose call names this worker, and takes what the peer gives. The lengths may
  // differ, and what one gives is as long as what the other expects.
  void exchange(int peer, std::span<const std::byte> send, std::span<std::byte> receive);

  // `all` gets the same number of bytes from each worker, by rank, in every worker.
  void gather(std::span<const std::byte> mine, std::span<std::byte> all);

  void barrier() { gather({}, {}); }  // returns when all have come here

  // What exchange() has sent, and how long it took, waiting for peers included.
  int64_t bytes_sent() const { return bytes_sent_; }
  double seconds() const { return seconds_; }

 private:
  virtual void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) = 0;

  int64_t bytes_sent_ = 0;
  double seconds_ = 0;
};

// A worker that is a team by itself.
class Alone : public Team {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

 private:
  void swap(int, std::span<const std::byte>, std::span<std::byte>) override {}
};
Team& alone();

// The bytes of some numbers.
template <class T>
std::span<const std::byte> bytes_of(std::span<const T> numbers) {
  return std::as_bytes(numbers);
}

// One number of each worker, by rank, in every worker.
template <class T>
std::vector<T> gather(Team& team, const T& mine) {
  std::vector<T> all(team.size());
  team.gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

// What rank 0 says, in every worker.
template <class T>
T told(Team& team, const T& by_rank_0) {
  return gather(team, by_rank_0).front();
}
inline bool told(Team& team, bool by_rank_0) { return told(team, int{by_rank_0}) != 0; }
std::string told(Team& team, const std::string& by_rank_0);

bool any(Team& team, bool here);  // in any worker

// Throws, in every worker and with the same line, which names a worker, where `here` is not the same text in
// all of them. `what` says what it is: "the data".
void check_same(Team& team, const std::string& what, const std::string& here);

}  // namespace chapbook

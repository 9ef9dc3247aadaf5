#include "team/sum.h"

#include <algorithm>
#include <utility>

#include "tensor/check.h"

namespace chapbook {

namespace {

struct Halves {
  Parts mine, peers;
};

// What is left to a worker of `group`, when it and its peer at this distance share it.
Halves halve(Parts group, int rank, int distance) {
  const int middle = (group.first + group.last) / 2;
  const Parts left{group.first, middle}, right{middle, group.last};
  return rank & distance ? Halves{right, left} : Halves{left, right};
}

// The groups that a worker is in at distances 1, 2, 4, ...: each is half of the one before.
std::vector<Halves> way(int rank, int size, int parts) {
  check(parts % size == 0, "{} parts cannot be shared by {} workers", parts, size);
  std::vector<Halves> steps;
  Parts group{0, parts};
  for (int distance = 1; distance < size; distance *= 2) {
    steps.push_back(halve(group, rank, distance));
    group = steps.back().mine;
  }
  return steps;
}

// The numbers of some places one after another, as if they lay in one row.
class Row {
 public:
  // Numbers that go in a message: 1 MiB, which the second cache holds.
  static constexpr size_t at_once = 1 << 18;

  explicit Row(Places places) : places_(std::move(places)) {}
  bool empty() const { return at_ == places_.size(); }

  // Up to `most` numbers at once, from where the last call ended, span by span.
  template <class Each>
  void next(size_t most, Each each) {
    while (most > 0 && !empty()) {
      const size_t length = std::min(most, places_[at_].size() - begin_);
      if (length > 0) each(places_[at_].subspan(begin_, length));
      begin_ += length, most -= length;
      if (begin_ == places_[at_].size()) ++at_, begin_ = 0;
    }
  }
  size_t count() const {
    size_t all = 0;
    for (const std::span<float> place : places_) all += place.size();
    return all;
  }

 private:
  Places places_;
  size_t at_ = 0, begin_ = 0;
};

// Gives the numbers of `given` to the peer and does `each` with those that come for `taken`, in few messages
// however small the places are.
template <class Each>
void exchange_rows(Team& team, int peer, Row given, Row taken, Each each) {
  static thread_local std::vector<float> sent(Row::at_once), received(Row::at_once);
  for (size_t to_give = given.count(), to_take = taken.count(); to_give > 0 || to_take > 0;) {
    const size_t giving = std::min(to_give, Row::at_once), taking = std::min(to_take, Row::at_once);
    float* end = sent.data();
    given.next(giving, [&](std::span<float> some) { end = std::copy(some.begin(), some.end(), end); });
    team.exchange(peer, std::as_bytes(std::span(sent).first(giving)),
                  std::as_writable_bytes(std::span(received).first(taking)));
    const float* theirs = received.data();
    taken.next(taking, [&](std::span<float> some) {
      each(some, theirs);
      theirs += some.size();
    });
    to_give -= giving, to_take -= taking;
  }
}

}  // namespace

Parts parts_of(int rank, int size, int parts) {
  const std::vector<Halves> steps = way(rank, size, parts);
  return steps.empty() ? Parts{0, parts} : steps.back().mine;
}

void reduce_scatter(Team& team, int parts, const PlacesOf& places_of) {
  int distance = 1;
  for (const Halves& halves : way(team.rank(), team.size(), parts)) {
    exchange_rows(team, team.rank() ^ distance, Row(places_of(halves.peers.first, halves.peers.last)),
                  Row(places_of(halves.mine.first, halves.mine.last)),
                  [](std::span<float> kept, const float* theirs) {
                    // The order of the two does not matter: a + b has the bits of b + a.
                    for (size_t i = 0; i < kept.size(); ++i) kept[i] += theirs[i];
                  });
    distance *= 2;
  }
}

void all_gather(Team& team, int parts, const PlacesOf& places_of) {
  std::vector<Halves> steps = way(team.rank(), team.size(), parts);
  for (int distance = team.size() / 2; distance > 0; distance /= 2) {
    const Halves& halves = steps.back();
    exchange_rows(team, team.rank() ^ distance, Row(places_of(halves.mine.first, halves.mine.last)),
                  Row(places_of(halves.peers.first, halves.peers.last)),
                  [](std::span<float> whole, const float* theirs) {
                    std::copy_n(theirs, whole.size(), whole.begin());
                  });
    steps.pop_back();
  }
}

int64_t all_reduce_bytes(int64_t numbers, int size) { return 2 * numbers / size * (size - 1) * 4; }

}  // namespace chapbook

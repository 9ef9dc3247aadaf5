#include "team/sum.h"

#include <algorithm>

#include "tensor/check.h"

namespace chapbook {

namespace {

constexpr size_t at_once = 1 << 18;  // numbers: 1 MiB, which the second cache holds

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

// No place longer than what is sent at once.
Places cut(const Places& places) {
  Places pieces;
  for (std::span<float> place : places)
    for (; !place.empty(); place = place.subspan(std::min(at_once, place.size())))
      pieces.push_back(place.first(std::min(at_once, place.size())));
  return pieces;
}

// Piece after piece, as long as either side has one.
template <class Each>
void in_pieces(const Places& a, const Places& b, Each each) {
  const Places some = cut(a), others = cut(b);
  for (size_t i = 0; i < std::max(some.size(), others.size()); ++i)
    each(i < some.size() ? some[i] : std::span<float>(), i < others.size() ? others[i] : std::span<float>());
}

}  // namespace

Parts parts_of(int rank, int size, int parts) {
  const std::vector<Halves> steps = way(rank, size, parts);
  return steps.empty() ? Parts{0, parts} : steps.back().mine;
}

void reduce_scatter(Team& team, int parts, const PlacesOf& places_of) {
  static thread_local std::vector<float> received(at_once);
  int distance = 1;
  for (const Halves& halves : way(team.rank(), team.size(), parts)) {
    in_pieces(places_of(halves.peers.first, halves.peers.last),
              places_of(halves.mine.first, halves.mine.last),
              [&](std::span<float> given, std::span<float> kept) {
                const auto theirs = std::span(received).first(kept.size());
                team.exchange(team.rank() ^ distance, std::as_bytes(given), std::as_writable_bytes(theirs));
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
    in_pieces(places_of(halves.mine.first, halves.mine.last),
              places_of(halves.peers.first, halves.peers.last),
              [&](std::span<float> mine, std::span<float> theirs) {
                team.exchange(team.rank() ^ distance, std::as_bytes(mine), std::as_writable_bytes(theirs));
              });
    steps.pop_back();
  }
}

int64_t all_reduce_bytes(int64_t numbers, int size) { return 2 * numbers / size * (size - 1) * 4; }

}  // namespace chapbook

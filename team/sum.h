// All-reduce in its two halves, by hand, over the numbers of a vector that is cut into parts. Which pairs are
// added does not depend on how many workers there are: see reduce_scatter.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "team/team.h"

namespace chapbook {

// Where the numbers of the parts `first` to `last` - 1 lie, in order: in several places, as in the gradients
// of many parameters. Every worker has as many numbers in each.
using Places = std::vector<std::span<float>>;
using PlacesOf = std::function<Places(int first, int last)>;

// The parts that a worker has the sum of in the end, and answers for.
struct Parts {
  int first, last;
};
Parts parts_of(int rank, int size, int parts);

// Adds the vectors of all workers. Afterwards each has the sum in parts_of(rank), and in the others what it
// had got to.
//
// Vector halving at distances 1, 2, 4, ...: two neighbours cut the vector in halves, each gives one away and
// adds the other; then two pairs do so with what is left, and so on. A number of the sum is
// ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) whichever part it is in. A ring sends no more, but adds each part
// up from another worker on. (Rabenseifner 2004; Thakur, Rabenseifner & Gropp 2005, who begin at the largest
// distance.)
void reduce_scatter(Team& team, int parts, const PlacesOf& places_of);

// The way back: each worker gets from the others what these answer for.
void all_gather(Team& team, int parts, const PlacesOf& places_of);

// What one worker sends in both together, for a vector of `numbers`: 2 (N - 1) / N of its bytes.
int64_t all_reduce_bytes(int64_t numbers, int size);

}  // namespace chapbook

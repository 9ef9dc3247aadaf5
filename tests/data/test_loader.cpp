// Loaders: batches are windows of the tokens, an epoch visits each once, and a saved position continues bit
// for bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "data/loader.h"
#include "tensor/check.h"

using namespace chapbook;

namespace {

// Token i is i, so that an input tells its place.
std::vector<uint16_t> counting_tokens(size_t count) {
  std::vector<uint16_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), uint16_t{0});
  return tokens;
}

struct Batch {
  std::vector<int32_t> inputs, targets;
  explicit Batch(int64_t size)
      : inputs(static_cast<size_t>(size), -1), targets(static_cast<size_t>(size), -1) {}
  bool operator==(const Batch&) const = default;
};

Batch next(Loader& loader, int64_t size) {
  Batch batch(size);
  loader.next(batch.inputs, batch.targets);
  return batch;
}

template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Where the windows of the present epoch begin.
std::vector<int32_t> epoch_of(Loader& loader, int64_t context) {
  std::vector<int32_t> begins;
  for (int64_t i = loader.windows_in_epoch(); i > 0; --i) begins.push_back(next(loader, context).inputs[0]);
  return begins;
}

}  // namespace

TEST_CASE("evaluation: ids of 32 bits give the batches that ids of 16 bits give, and may be larger") {
  const std::vector<uint16_t> narrow = counting_tokens(100);
  std::vector<int32_t> wide(narrow.begin(), narrow.end());
  const EvaluationLoader a(narrow, 3, 8, 5), b(wide, 3, 8, 5);
  REQUIRE(a.batches() == b.batches());
  for (int64_t i = 0; i < a.batches(); ++i) {
    Batch x(24), y(24);
    CHECK(a.batch(i, x.inputs, x.targets) == b.batch(i, y.inputs, y.targets));
    CHECK(x == y);
  }
  wide[1] = 65'793;
  Batch batch(24);
  EvaluationLoader(wide, 3, 8).batch(0, batch.inputs, batch.targets);
  CHECK(batch.inputs[1] == 65'793);
  CHECK(batch.targets[0] == 65'793);
}

TEST_CASE("loader: the permutation is one, for every small size and some odd large ones") {
  std::vector<uint64_t> sizes(300);
  std::iota(sizes.begin(), sizes.end(), 1);
  for (const uint64_t size : {4095, 4096, 4097, 65537, 99991}) sizes.push_back(size);
  for (const uint64_t size : sizes) {
    std::vector<bool> seen(size, false);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t image = permuted_index(i, size, 7);
      REQUIRE(image < size);
      REQUIRE_FALSE(seen[image]);
      seen[image] = true;
    }
  }
  CHECK(permuted_index((uint64_t{1} << 40) + 4, (uint64_t{1} << 40) + 5, 7) < (uint64_t{1} << 40) + 5);
  CHECK(error_of([] { permuted_index(5, 5, 0); }) == "permuted_index: 5 is not below 5");
}

TEST_CASE("loader: permutations are fair") {
  // 0 goes to each of 6 places about equally often: 6000 keys, standard deviation 29.
  std::map<uint64_t, int> places;
  for (uint64_t key = 0; key < 6000; ++key) ++places[permuted_index(0, 6, key)];
  for (const auto& [place, count] : places) CHECK((count > 850 && count < 1150));
  // Neighbours are torn apart: of 9999 pairs about 2 stay neighbours in order.
  int together = 0;
  for (uint64_t i = 0; i + 1 < 10000; ++i)
    together += permuted_index(i + 1, 10000, 1) == permuted_index(i, 10000, 1) + 1;
  CHECK(together < 12);
}

TEST_CASE("loader: targets are the inputs moved by one") {
  const auto tokens = counting_tokens(1000);
  Loader loader(tokens, 3, 8, {.seed = 5});
  for (int i = 0; i < 200; ++i) {
    const Batch batch = next(loader, 24);
    for (int j = 0; j < 24; ++j) {
      REQUIRE(batch.targets[j] == batch.inputs[j] + 1);
      if (j % 8 > 0) REQUIRE(batch.inputs[j] == batch.inputs[j - 1] + 1);
    }
  }
}

TEST_CASE("loader: an epoch visits every window once") {
  for (const int64_t count : {9, 10, 15, 16, 17, 18, 100, 1001}) {
    const auto tokens = counting_tokens(static_cast<size_t>(count));
    Loader loader(tokens, 1, 8, {.seed = 2});
    for (int epoch = 0; epoch < 5; ++epoch) {
      auto begins = epoch_of(loader, 8);
      CHECK(loader.state().position == static_cast<int64_t>(begins.size()));
      std::sort(begins.begin(), begins.end());
      CHECK(begins.front() < 8);
      CHECK(begins.back() + 8 <= count - 1);
      CHECK(begins.back() + 16 > count - 1);  // no whole window is left out
      for (size_t i = 1; i < begins.size(); ++i) CHECK(begins[i] == begins[i - 1] + 8);
      next(loader, 8);
      CHECK(loader.state().epoch == epoch + 1);
      loader = Loader(tokens, 1, 8, {.seed = 2, .epoch = epoch + 1});
    }
  }
}

TEST_CASE("loader: epochs and seeds differ in offset and order") {
  const auto tokens = counting_tokens(1000);
  std::set<std::vector<int32_t>> orders;
  std::set<int32_t> offsets;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      Loader loader(tokens, 1, 8, {.seed = seed, .epoch = epoch});
      const auto begins = epoch_of(loader, 8);
      orders.insert(begins);
      offsets.insert(begins[0] % 8);
    }
  }
  CHECK(orders.size() == 25);
  CHECK(offsets.size() > 4);
}

TEST_CASE("loader: a saved position continues with the same batches, whatever the batch size was") {
  const auto tokens = counting_tokens(777);
  Loader whole(tokens, 4, 8, {.seed = 11});
  for (int step = 0; step < 100; ++step) {  // about four epochs
    Loader resumed(tokens, 4, 8, whole.state());
    Loader halves(tokens, 2, 8, whole.state());
    const Batch batch = next(whole, 32);
    REQUIRE(next(resumed, 32) == batch);
    REQUIRE(resumed.state() == whole.state());
    const Batch first = next(halves, 16), second = next(halves, 16);
    REQUIRE(std::equal(first.inputs.begin(), first.inputs.end(), batch.inputs.begin()));
    REQUIRE(std::equal(second.inputs.begin(), second.inputs.end(), batch.inputs.begin() + 16));
  }
}

TEST_CASE("loader: the batches of a seed never change") {
  // Written down from the first version: a change here breaks resuming old runs.
  const auto tokens = counting_tokens(100);
  Loader loader(tokens, 6, 8, {.seed = 42});
  const Batch batch = next(loader, 48);
  std::vector<int32_t> begins;
  for (int row = 0; row < 6; ++row) begins.push_back(batch.inputs[8 * row]);
  CHECK(begins == std::vector<int32_t>{18, 82, 42, 34, 74, 66});
}

TEST_CASE("loader: evaluation makes every token but the first a target once") {
  for (const int64_t count : {2, 3, 8, 9, 10, 16, 17, 24, 25, 26, 100}) {
    const auto tokens = counting_tokens(static_cast<size_t>(count));
    const EvaluationLoader loader(tokens, 3, 8);
    std::vector<int32_t> seen;
    int64_t counted = 0;
    for (int64_t i = 0; i < loader.batches(); ++i) {
      Batch batch(24);
      const int64_t targets = loader.batch(i, batch.inputs, batch.targets);
      CHECK(targets > 0);
      counted += targets;
      for (int64_t j = 0; j < 24; ++j) {
        if (batch.targets[j] == ignored_target) {
          CHECK(j >= targets);
          CHECK(batch.inputs[j] == 0);
        } else {
          CHECK(batch.targets[j] == batch.inputs[j] + 1);
          seen.push_back(batch.targets[j]);
        }
      }
    }
    CHECK(counted == count - 1);
    CHECK(static_cast<int64_t>(seen.size()) == count - 1);
    for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == static_cast<int32_t>(i) + 1);
  }
}

TEST_CASE("loader: overlapping windows of an evaluation count each target once, with enough before it") {
  for (const int64_t count : {2, 8, 9, 10, 12, 13, 14, 60})
    for (const int64_t stride : {1, 3, 4, 8}) {
      CAPTURE(count);
      CAPTURE(stride);
      const auto tokens = counting_tokens(static_cast<size_t>(count));
      const EvaluationLoader loader(tokens, 2, 8, stride);
      std::vector<int> seen(static_cast<size_t>(count));
      int64_t counted = 0;
      for (int64_t i = 0; i < loader.batches(); ++i) {
        Batch batch(16);
        counted += loader.batch(i, batch.inputs, batch.targets);
        for (int64_t j = 0; j < 16; ++j) {
          if (batch.targets[j] == ignored_target) continue;
          ++seen[batch.targets[j]];
          CHECK(batch.inputs[j] == batch.targets[j] - 1);
          if (i > 0 || j >= 8) CHECK(j % 8 >= 8 - stride);
        }
      }
      CHECK(counted == count - 1);
      CHECK(seen[0] == 0);
      for (int64_t i = 1; i < count; ++i) CHECK(seen[i] == 1);
    }
  CHECK(error_of([] { EvaluationLoader(counting_tokens(100), 1, 8, 9); }) ==
        "loader: windows of 8 tokens cannot begin 9 apart: some would be passed over");
}

TEST_CASE("loader: errors") {
  const auto tokens = counting_tokens(8);
  CHECK(error_of([&] { Loader(tokens, 1, 8, {}); }) ==
        "loader: the data has 8 tokens, but a context of 8 needs at least 9; use more text or a shorter "
        "context");
  CHECK(error_of([&] { Loader(tokens, 1, 7, {}); }) == "no error");
  CHECK(error_of([&] { Loader(tokens, 0, 7, {}); }) ==
        "loader: batch size 0 and context 7 must be at least 1");
  CHECK(error_of([&] { Loader(tokens, 1, 0, {}); }) ==
        "loader: batch size 1 and context 0 must be at least 1");
  CHECK(error_of([&] { Loader(tokens, 1, 2, {.epoch = -1}); }) ==
        "loader: epoch -1 and position 0 must not be negative");
  CHECK(error_of([&] { Loader(tokens, 1, 7, {.position = 2}); }) ==
        "loader: position 2 is past the 1 windows of the epoch; was the state saved with other data or "
        "another context?");
  Batch small(3);
  CHECK(error_of([&] { Loader(tokens, 2, 2, {}).next(small.inputs, small.targets); }) ==
        "loader: a batch of 2 x 2 does not fit 3 inputs and 3 targets");
  CHECK(error_of([&] { EvaluationLoader(counting_tokens(1), 1, 1); }) ==
        "loader: the data has 1 tokens, but a context of 1 needs at least 2; use more text or a shorter "
        "context");
  const EvaluationLoader evaluation(tokens, 1, 3);
  CHECK(error_of([&] { evaluation.batch(3, small.inputs, small.targets); }) ==
        "loader: batch 3 is not among the 3 of the evaluation");
}

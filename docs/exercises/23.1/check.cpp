// The first half of an all-reduce: two workers, then more; the order of the sum; what is sent.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "team/sum.h"
#include "tests/support/thread_team.h"

using namespace chapbook;

constexpr int parts = 8;

// Number i of worker r, of sizes that make another order of the sum another sum.
static float number(int r, size_t i) {
  return std::sin(static_cast<float>(7 * r + 3 * i)) * std::pow(10.0f, static_cast<float>((r + i) % 6));
}

static float tree(int first, int count, size_t i) {
  return count == 1 ? number(first, i) : tree(first, count / 2, i) + tree(first + count / 2, count / 2, i);
}

// Each part is `length` numbers of one place and one number of another.
static void check_sum(int size, size_t length) {
  in_threads(size, [&](Team& team) {
    std::vector<float> a(parts * length), b(parts);
    for (size_t i = 0; i < a.size(); ++i) a[i] = number(team.rank(), i);
    for (size_t i = 0; i < b.size(); ++i) b[i] = number(team.rank(), 1000 + i);
    reduce_scatter(team, parts, [&](int first, int last) {
      return Places{std::span(a).subspan(length * first, length * (last - first)),
                    std::span(b).subspan(first, last - first)};
    });
    const Parts own = parts_of(team.rank(), size, parts);
    const auto check_number = [&](float got, size_t i, int part) {
      const float wanted = tree(0, size, i);
      check(got == wanted,
            "{} workers: in worker {}, a number of part {} is {:.9g}; the tree's sum is {:.9g}{}", size,
            team.rank(), part, got, wanted,
            std::abs(got - wanted) <= 1e-4 * std::abs(wanted) ? ", so it was added up in another order" : "");
    };
    for (int part = own.first; part < own.last; ++part) {
      for (size_t i = part * length; i < (part + 1) * length; ++i) check_number(a[i], i, part);
      check_number(b[part], 1000 + part, part);
    }
    const auto most = static_cast<int64_t>((length + 1) * parts * 4 / size * (size - 1));
    check(team.bytes_sent() <= most,
          "{} workers: worker {} has sent {} bytes, and (N - 1) / N of its numbers are {}", size, team.rank(),
          team.bytes_sent(), most);
  });
}

static void says(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    FAIL(std::string(error.what()));
  }
}

TEST_CASE("two workers, each with half of the sum") {
  says([] { check_sum(2, 5); });
}
TEST_CASE("four workers: at distance 2 the sums of pairs are added") {
  says([] { check_sum(4, 5); });
}
TEST_CASE("eight workers, and parts of more than one message") {
  says([] { check_sum(8, 3); });
  says([] { check_sum(2, 100'000); });
}
TEST_CASE("one worker has nobody to ask") {
  says([] { check_sum(1, 5); });
}

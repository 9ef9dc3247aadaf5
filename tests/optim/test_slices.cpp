// Slices: every number of a model is in one part, whatever the buckets, and all parts of a bucket are as
// long.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/slices.h"
#include "optim/tree_sum.h"

using namespace chapbook;

static std::vector<Parameter> some_parameters() {
  std::vector<Parameter> all;
  for (const Shape& shape : {Shape{7, 5}, Shape{3}, Shape{64, 9}, Shape{100}, Shape{1}, Shape{33, 17}})
    all.push_back({"p" + std::to_string(all.size()), Variable::parameter(Tensor::zeros(shape, DType::f32))});
  return all;
}

TEST_CASE("slices: each number lies in one part, in order, and of a parameter a part has one piece") {
  for (const int64_t bucket : {1, 100, 700, 1 << 18})
    for (const int64_t parts : {1, 2, 8, 32}) {
      const Slices slices(some_parameters(), parts, bucket);
      CAPTURE(bucket);
      CAPTURE(parts);
      std::vector<int64_t> end(slices.parameters().size());  // of what has been seen of each
      size_t last_parameter = 0;
      for (const Slices::Bucket& each : slices.buckets()) {
        CHECK(each.first == last_parameter);
        last_parameter = each.last;
      }
      CHECK(last_parameter == slices.parameters().size());
      for (int64_t part = 0; part < parts; ++part) {
        std::vector<int> seen(end.size());
        for (const Slices::Piece& piece : slices.pieces(part, part + 1)) {
          CHECK(++seen[piece.parameter] == 1);
          CHECK(piece.begin == end[piece.parameter]);
          end[piece.parameter] = piece.end;
        }
      }
      for (size_t i = 0; i < end.size(); ++i)
        CHECK(end[i] == slices.parameters()[i].variable.value().count());
      // A bucket's pieces are those of its parameters.
      size_t pieces = 0;
      for (size_t i = 0; i < slices.buckets().size(); ++i) pieces += slices.pieces(0, parts, i).size();
      CHECK(pieces == slices.pieces(0, parts).size());
    }
}

TEST_CASE("slices: a bucket ends where it is large enough") {
  CHECK(Slices(some_parameters(), 2, 1).buckets().size() == 6);
  CHECK(Slices(some_parameters(), 2, 1 << 20).buckets().size() == 1);
  const Slices slices(some_parameters(), 2, 600);
  REQUIRE(slices.buckets().size() == 2);
  CHECK(slices.buckets()[0].last == 3);  // 48 + 16 + 576 numbers
}

TEST_CASE("a tree sum adds the last list tensor by tensor, in any order, to the same bits") {
  const auto list = [](int leaf) {
    TreeSum::List tensors;
    for (int i = 0; i < 3; ++i)  // of very different sizes, so that another order has other bits
      tensors.push_back(Tensor::full({4}, std::sin(leaf + 3 * i) * std::pow(10.0, leaf * 5 % 7), DType::f32));
    return tensors;
  };
  TreeSum sum;
  for (int leaf = 0; leaf < 7; ++leaf) sum.add(list(leaf));
  TreeSum::List last = list(7);
  bool other = false;  // in a row: or this shows nothing
  for (const size_t i : {size_t{2}, size_t{0}, size_t{1}}) {
    const auto x = [&](int leaf) { return list(leaf)[i]; };
    const Tensor wanted = ((x(0) + x(1)) + (x(2) + x(3))) + ((x(4) + x(5)) + (x(6) + x(7)));
    Tensor in_a_row = x(0);
    for (int leaf = 1; leaf < 8; ++leaf) in_a_row = in_a_row + x(leaf);
    other = other || in_a_row.to_vector<float>() != wanted.to_vector<float>();
    CHECK(sum.add_last(i, std::move(last[i])).to_vector<float>() == wanted.to_vector<float>());
  }
  CHECK(other);
  sum.clear();
  sum.add(list(0));
  sum.add(list(1));
  CHECK_THROWS_AS(sum.add_last(0, list(2)[0]), Error);
}

// Views: the offsets they reach, compared with a walk that asks the index of every number.
#include "tensor/view.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/support/show.h"

using namespace chapbook;

namespace {

// What a view reaches, in index order: places in elements, counted from `origin`.
std::vector<int64_t> places(const View& x, const void* origin) {
  std::vector<int64_t> result;
  const int64_t start = (x.as<char>() - static_cast<const char*>(origin)) / size_of(x.dtype);
  for (Index i(x.shape); i; ++i) result.push_back(start + i.offset(x.strides));
  return result;
}

// A view of numbers that are never read: only their places count.
View whole(const Shape& shape, DType dtype = DType::f32) {
  static double origin;
  return {&origin, dtype, shape, contiguous_strides(shape)};
}
std::vector<int64_t> places(const View& x) { return places(x, whole({}).data); }

// Is there any view of shape `to` that reaches these places? Its strides can only be the steps to the index 1
// of each axis.
bool has_view(const std::vector<int64_t>& places, const Shape& to) {
  if (places.empty()) return true;
  const Strides rows = contiguous_strides(to);
  Strides strides = to;
  for (int axis = 0; axis < to.rank; ++axis)
    strides[axis] = to[axis] > 1 ? places[rows[axis]] - places[0] : 0;
  size_t n = 0;
  for (Index i(to); i; ++i)
    if (places[n++] != places[0] + i.offset(strides)) return false;
  return true;
}

class Chooser {
 public:
  explicit Chooser(uint32_t seed) : generator_(seed) {}
  int64_t operator()(int64_t low, int64_t high) {
    return low + generator_() % (high - low + 1);
  }  // both can be

  Shape shape(int most_axes, int64_t most) {
    Shape result;
    for (int64_t n = (*this)(0, most_axes); result.rank < n;) result.size[result.rank++] = (*this)(1, most);
    if ((*this)(0, 19) == 0 && result.rank > 0) result[(*this)(0, result.rank - 1)] = 0;
    return result;
  }

  // Some shape of as many numbers: their prime factors dealt out to axes.
  Shape shape_of_count(int64_t count) {
    Shape result;
    result.rank = (*this)(count == 1 ? 0 : 1, Shape::max_rank);
    std::fill(result.size, result.size + result.rank, 1);
    for (int64_t factor = 2; count > 1; ++factor)
      for (; count % factor == 0; count /= factor) result[(*this)(0, result.rank - 1)] *= factor;
    if (count == 0) result[0] = 0;
    return result;
  }

 private:
  std::mt19937 generator_;
};

// The same change to a view and, number by number, to a list of places with its shape.
struct Walk {
  View view;
  Shape shape;
  std::vector<int64_t> places;

  int64_t at(const Shape& index) const {
    int64_t n = 0;
    for (int axis = 0; axis < shape.rank; ++axis) n = n * shape[axis] + index[axis];
    return places[n];
  }
  template <class Source>
  void change(const View& changed, const Shape& to, Source source) {
    std::vector<int64_t> result;
    for (Index i(to); i; ++i) result.push_back(at(source(Shape(i.at, to.rank))));
    view = changed;
    shape = to;
    places = std::move(result);
  }
};

void transpose(Walk& x, int a, int b) {
  Shape to = x.shape;
  std::swap(to[a], to[b]);
  x.change(x.view.transpose(a, b), to, [=](Shape index) {
    std::swap(index[a], index[b]);
    return index;
  });
}
void slice(Walk& x, int axis, int64_t from, int64_t end) {
  x.change(x.view.slice(axis, from, end), x.shape.with(axis, end - from),
           [=](const Shape& index) { return index.with(axis, index[axis] + from); });
}
void select(Walk& x, int axis, int64_t at) {
  x.change(x.view.select(axis, at), x.shape.without(axis), [=](const Shape& index) {
    Shape source;
    for (int i = 0; i <= index.rank; ++i)
      source.size[source.rank++] = i < axis ? index[i] : i == axis ? at : index[i - 1];
    return source;
  });
}
void broadcast(Walk& x, const Shape& to) {
  const Shape shape = x.shape;
  x.change(x.view.broadcast_to(to), to, [=](const Shape& index) {
    Shape source = shape;
    for (int i = 1; i <= shape.rank; ++i) source[-i] = shape[-i] == 1 ? 0 : index[-i];
    return source;
  });
}

}  // namespace

TEST_CASE("view: small ones by hand") {
  const View x = whole({2, 3});
  CHECK(places(x) == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  CHECK(places(x.transpose(0, -1)) == std::vector<int64_t>{0, 3, 1, 4, 2, 5});
  CHECK(x.transpose(0, 1).shape == Shape{3, 2});
  CHECK(places(x.slice(-1, 1, 3)) == std::vector<int64_t>{1, 2, 4, 5});
  CHECK(places(x.select(0, 1)) == std::vector<int64_t>{3, 4, 5});
  CHECK(places(x.select(0, 1).broadcast_to({2, 3})) == std::vector<int64_t>{3, 4, 5, 3, 4, 5});
  CHECK(places(x.slice(1, 0, 1).broadcast_to({2, 2})) == std::vector<int64_t>{0, 0, 3, 3});
  CHECK(places(whole({}).broadcast_to({3})) == std::vector<int64_t>{0, 0, 0});
  CHECK(places(x.slice(0, 1, 1)).empty());
  CHECK(places(whole({2, 3}, DType::u8).select(1, 2)) == std::vector<int64_t>{2, 5});
  CHECK(places(whole({2, 3}, DType::f64).select(1, 2)) == std::vector<int64_t>{2, 5});
}

TEST_CASE("view: contiguous") {
  CHECK(whole({2, 3}).contiguous());
  CHECK(whole({}).contiguous());
  CHECK(!whole({2, 3}).transpose(0, 1).contiguous());
  CHECK(whole({1, 3}).transpose(0, 1).contiguous());  // axes of size 1 do not count
  CHECK(whole({4, 3}).slice(0, 1, 3).contiguous());
  CHECK(!whole({4, 3}).slice(1, 1, 3).contiguous());
  CHECK(!whole({1}).broadcast_to({3}).contiguous());
  CHECK(whole({4, 3}).slice(0, 0, 1).slice(1, 1, 3).contiguous());
}

TEST_CASE("view: reshape") {
  const View x = whole({4, 6});
  CHECK(x.can_reshape({2, 12}));
  CHECK(x.transpose(0, 1).can_reshape({2, 3, 4}));  // splits an axis
  CHECK(!x.transpose(0, 1).can_reshape({24}));
  CHECK(x.slice(1, 0, 3).can_reshape({2, 2, 3}));
  CHECK(!x.slice(1, 0, 3).can_reshape({12}));
  CHECK(x.slice(1, 0, 3).can_reshape({4, 1, 3, 1}));
  CHECK(whole({1}).broadcast_to({6}).can_reshape({2, 3}));
  // Heads (B, T, H, D) seen as (B, H, T, D) join only after a copy.
  CHECK(!whole({2, 5, 3, 4}).transpose(1, 2).can_reshape({2, 5, 12}));
  CHECK(!x.can_reshape({5, 5}));
}

TEST_CASE("view: random chains of changes reach what a walk over the indices reaches") {
  Chooser choose(2);
  int reshaped = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Walk x;
    x.shape = choose.shape(5, 4);
    x.view = whole(x.shape, choose(0, 1) ? DType::f64 : DType::u8);
    x.places = places(x.view);
    for (int64_t steps = choose(0, 5); steps > 0; --steps) {
      const int axis = x.shape.rank ? choose(0, x.shape.rank - 1) : 0;
      const int64_t kind = choose(0, 4);
      if (kind == 0 && x.shape.rank > 0) transpose(x, axis, choose(0, x.shape.rank - 1));
      if (kind == 1 && x.shape.rank > 0) {
        const int64_t from = choose(0, x.shape[axis]);
        slice(x, axis, from, choose(from, x.shape[axis]));
      }
      if (kind == 2 && x.shape.rank > 0 && x.shape[axis] > 0) select(x, axis, choose(0, x.shape[axis] - 1));
      if (kind == 3 && x.shape.rank < 5) {
        Shape to = x.shape;
        for (int64_t& size : to.size) size = size == 1 && &size < to.end() ? choose(1, 3) : size;
        if (choose(0, 1)) {
          std::copy_backward(to.size, to.size + to.rank, to.size + to.rank + 1);
          to.size[0] = choose(1, 3);
          ++to.rank;
        }
        if (to.count() < 5000) broadcast(x, to);
      }
      if (kind == 4) {
        const Shape to = choose.shape_of_count(x.shape.count());
        const bool possible = has_view(x.places, to);
        INFO(fmt::format("{} strides {} to {}", x.shape, x.view.strides, to));
        CHECK(x.view.can_reshape(to) == possible);
        ++(possible ? reshaped : refused);
        if (possible) {
          x.view = x.view.reshape(to);
          x.shape = to;
        } else {
          CHECK_THROWS_AS(x.view.reshape(to), Error);
        }
      }
      INFO(fmt::format("{} strides {}", x.shape, x.view.strides));
      REQUIRE(x.view.shape == x.shape);
      REQUIRE(places(x.view) == x.places);
    }
  }
  CHECK(reshaped > 500);
  CHECK(refused > 100);
}

TEST_CASE("view: errors") {
  const View x = whole({2, 3});
  CHECK_THROWS_WITH_AS(x.transpose(0, 2), "transpose: no axis 2 in shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(x.slice(1, 2, 4), "slice: 2 to 4 of axis 1 in shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(x.slice(1, -1, 2), "slice: -1 to 2 of axis 1 in shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(x.slice(1, 2, 1), "slice: 2 to 1 of axis 1 in shape (2, 3)", Error);
  CHECK_THROWS_WITH_AS(x.select(0, 2), "select: no index 2 in axis 0 of shape (2, 3)", Error);
  CHECK_THROWS_AS(x.select(0, -1), Error);
  CHECK_THROWS_AS(x.select(0, INT64_MAX), Error);
  CHECK_THROWS_WITH_AS(x.broadcast_to({3}), "broadcast_to: shape (2, 3) has more axes than (3,)", Error);
  CHECK_THROWS_WITH_AS(x.broadcast_to({4, 3}), "broadcast_to: shape (2, 3) does not stretch to (4, 3)",
                       Error);
  CHECK_THROWS_WITH_AS(whole({1}).broadcast_to({-1}),
                       "broadcast_to: shape (-1,) has a negative size or too many numbers", Error);
  CHECK_THROWS_WITH_AS(x.reshape({4}), "reshape: (2, 3) has 6 numbers, (4,) has 4", Error);
  CHECK_THROWS_AS(x.reshape({-2, -3}), Error);
  CHECK_THROWS_WITH_AS(x.transpose(0, 1).reshape({6}),
                       "reshape: the numbers of (3, 2) do not lie in the order of (6,)", Error);
}

TEST_CASE("index: last axis fastest, nothing for empty shapes, once for a scalar") {
  std::string walked;
  for (Index i({2, 3}); i; ++i) walked += fmt::format("{}{} ", i.at[0], i.at[1]);
  CHECK(walked == "00 01 02 10 11 12 ");
  int count = 0;
  for (Index i({2, 0}); i; ++i) ++count;
  CHECK(count == 0);
  for (Index i({}); i; ++i) ++count;
  CHECK(count == 1);
}

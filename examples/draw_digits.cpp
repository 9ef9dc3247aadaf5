// Digits for examples/digits.cpp where MNIST is not at hand: 28 x 28 pixels, drawn with a shaky hand.
//   examples_draw_digits DIRECTORY [TRAIN] [TEST]    2,000 and 500 images unless told otherwise
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "data/idx.h"
#include "tensor/files.h"
#include "tensor/ops.h"

using namespace chapbook;

// The line of each digit, from point to point of a field of 5 x 7, two figures each.
static const char* const lines[10] = {"10 30 41 45 36 16 05 01 10",
                                      "11 20 26",
                                      "01 10 30 41 42 06 46",
                                      "00 40 22 43 45 36 16 05",
                                      "30 04 44 34 32 36",
                                      "40 00 03 33 44 45 36 16 05",
                                      "40 10 02 05 16 36 45 44 33 13 04",
                                      "00 40 16",
                                      "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
                                      "42 33 13 02 01 10 30 41 45 36 16"};
struct Point {
  double x, y;
};

double distance(Point p, Point from, Point to) {
  const double x = to.x - from.x, y = to.y - from.y, length = std::max(x * x + y * y, 1e-9);
  const double along = std::clamp(((p.x - from.x) * x + (p.y - from.y) * y) / length, 0.0, 1.0);
  return std::hypot(p.x - from.x - along * x, p.y - from.y - along * y);
}

void draw(int digit, Random& random, std::vector<uint8_t>& pixels) {
  const std::vector<float> shake = normal({64}, random).to_vector<float>();
  size_t drawn = 0;
  const auto some = [&](double size) { return size * shake[drawn++]; };
  const double turn = some(0.12), slant = some(0.15), wide = 3.1 + some(0.25), high = 2.9 + some(0.2);
  const Point middle{14 + some(1.2), 14 + some(1.2)};
  const double pen = 0.9 + std::abs(some(0.4));
  std::vector<Point> line;
  std::istringstream points(lines[digit]);
  for (std::string point; points >> point;) {
    const double y = high * (point[1] - '3' + some(0.12)),
                 x = wide * (point[0] - '2' + some(0.12)) - slant * y;
    line.push_back({middle.x + x * std::cos(turn) - y * std::sin(turn),
                    middle.y + x * std::sin(turn) + y * std::cos(turn)});
  }
  for (int i = 0; i < 28 * 28; ++i) {
    double nearest = 100;
    for (size_t k = 0; k + 1 < line.size(); ++k)
      nearest = std::min(nearest, distance({i % 28 + 0.5, i / 28 + 0.5}, line[k], line[k + 1]));
    pixels.push_back(static_cast<uint8_t>(255 * std::clamp(pen + 0.5 - nearest, 0.0, 1.0)));
  }
}

void write(const std::string& path, int64_t count, uint64_t seed) {
  Random random{seed};
  std::vector<uint8_t> pixels, labels;
  for (int64_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<uint8_t>(i * 7 % 10));
    draw(labels.back(), random, pixels);
  }
  write_idx(path + "-images-idx3-ubyte", Tensor::from(pixels, {count, 28, 28}));
  write_idx(path + "-labels-idx1-ubyte", Tensor::from(labels, {count}));
}

int main(int argc, char** argv) try {
  check(argc >= 2 && argc <= 4, "usage: {} DIRECTORY [TRAIN] [TEST]", argv[0]);
  make_directory(argv[1]);
  write(std::string(argv[1]) + "/train", argc > 2 ? std::stoll(argv[2]) : 2000, 1);
  write(std::string(argv[1]) + "/t10k", argc > 3 ? std::stoll(argv[3]) : 500, 2);
} catch (const std::exception& error) {
  fmt::print(stderr, "draw_digits: {}\n", error.what());
  return 2;
}

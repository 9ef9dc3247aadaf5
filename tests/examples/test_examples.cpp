// The programs of examples/, each run as a reader would, to the accuracy its text promises.
#include <doctest/doctest.h>

#include "tensor/files.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static std::string run(const std::string& program) {
  const auto [code, output] = shell(CHAPBOOK_BINARY_DIR "/examples_" + program);
  CHECK_MESSAGE(code == 0, output);
  return output;
}

// The last number that follows `word` in a text.
static double number_after(const std::string& word, const std::string& text) {
  const size_t at = text.rfind(word);
  REQUIRE_MESSAGE(at != std::string::npos, text);
  return std::stod(text.substr(at + word.size()));
}

TEST_CASE("xor is learned") { CHECK(number_after("right: ", run("xor")) == 4); }

TEST_CASE("two spirals are told apart, and the border is drawn") {
  const TemporaryDirectory directory;
  CHECK(number_after("accuracy ", run("spirals " + (directory / "border.svg"))) >= 0.99);
  const std::string picture = read_file(directory / "border.svg");
  CHECK(picture.find("class='area c0' opacity") != std::string::npos);
  CHECK(picture.find("class='area c1' opacity") != std::string::npos);
}

TEST_CASE("digits are read from MNIST's files") {
  const TemporaryDirectory directory;
  run("draw_digits " + (directory / "digits"));
  const std::string output = run("digits " + (directory / "digits"));
  CHECK(number_after("accuracy ", output) >= 0.95);
  INFO(output);
  CHECK(number_after("loss ", output) <= 0.3 * number_after("epoch 1  loss ", output));
}

TEST_CASE("the bigram model learns what there is to learn of one byte") {
  const std::string output = run("bigram");
  INFO(output);
  const double least = number_after("of which ", output);
  CHECK(number_after("loss ", output) >= least);
  CHECK(number_after("loss ", output) <= 1.01 * least);
}

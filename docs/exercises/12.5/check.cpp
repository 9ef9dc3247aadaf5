// The gradient of wte, row by row, against the slope of the loss: a token that was read hears from the head
// and from where it was read, one that was not hears from the head alone.
#include "tests/nn/models.h"
#include "tests/support/show.h"

using namespace chapbook;

namespace {

struct Model {
  GPTConfig config{.layers = 2, .heads = 2, .width = 8, .context = 6, .vocabulary = 11};
  GPT gpt{config};
  Tensor tokens = Tensor::from(std::vector<int32_t>{3, 1, 4, 1, 5, 2}, {1, 6});
  Tensor targets = Tensor::from(std::vector<int32_t>{1, 4, 1, 5, 2, 6}, {1, 6});
  Variable wte;

  Model() {
    scramble(gpt, 3);
    backward(gpt.loss(tokens, targets));
    wte = parameters(gpt)[0].variable;
  }
  double loss() const {
    NoGrad no_grad;
    return gpt.loss(tokens, targets).value().item();
  }
  // (loss(w + h) - loss(w - h)) / 2h, of each number of the row. In f32 it is good to some thousandths.
  std::vector<double> slopes(int64_t row) const {
    std::vector<double> all;
    auto* numbers = wte.value().view().select(0, row).as<float>();
    for (int64_t i = 0; i < config.width; ++i) {
      const float here = numbers[i];
      numbers[i] = here + 1e-2f;
      const double above = loss();
      numbers[i] = here - 1e-2f;
      all.push_back((above - loss()) / 2e-2);
      numbers[i] = here;
    }
    return all;
  }
  void check_row(int64_t row, const std::string& who) const {
    std::vector<double> got(static_cast<size_t>(config.width));
    if (wte.gradient()) got = wte.gradient().select(0, row).to_vector<double>();
    const std::vector<double> wanted = slopes(row);
    double apart = 0, length = 0, arrived = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
      length += wanted[i] * wanted[i];
      arrived += got[i] * got[i];
    }
    if (!(std::sqrt(apart / length) <= 2e-2))
      FAIL("row ", row, " of wte, ", who, ": a gradient of length ", std::sqrt(arrived),
           " arrives, and by the slope of the loss its length is ", std::sqrt(length));
  }
};

}  // namespace

TEST_CASE("a token that was not read hears from the head, at every place") {
  const Model model;
  for (const int64_t row : {0, 7, 8}) model.check_row(row, "a token that is nowhere in the text");
}

TEST_CASE("a token that was read hears from both: from the head, and from where it was read") {
  const Model model;
  for (const int64_t row : {3, 1, 4}) model.check_row(row, "a token of the text");
}

// What a model is worth: counted right, in small pieces, and never a number where there is none.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/run/evaluation.h"
#include "nn/gpt.h"
#include "tensor/block_cache.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

GPT model_of(const GPTConfig& config, double scale = 1) {
  GPT gpt(config);
  Random random{1};
  gpt.initialise(random);
  if (scale != 1) {
    PartVisitor visit([&](const std::string& name, Variable& parameter) {
      const Tensor& value = parameter.value();
      if (name.ends_with("wte.weight")) value.backend().copy((value * scale).view(), value.view());
    });
    gpt.parts(visit);
  }
  return gpt;
}

std::vector<int32_t> some_ids(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i * 7 + i) % vocabulary));
  return ids;
}

}  // namespace

TEST_CASE("hits are counted as sorting all logits counts them, in whatever pieces") {
  const GPT gpt = model_of({.layers = 1, .heads = 2, .width = 16, .context = 8, .vocabulary = 50}, 20);
  const std::vector<int32_t> ids = some_ids(61, 50);
  const Score score = evaluate(gpt, ids, {.batch = 3, .accuracy = true});
  CHECK(score.targets == 60);
  int64_t top1 = 0, top5 = 0;
  for (size_t begin = 0; begin + 1 < ids.size(); begin += 8) {
    const auto length = std::min<int64_t>(8, static_cast<int64_t>(ids.size() - begin) - 1);
    const Tensor tokens = Tensor::from(std::span(ids).subspan(begin, length), {1, length});
    const std::vector<float> logits = gpt(tokens).value().to_vector<float>();
    for (int64_t row = 0; row < length; ++row) {
      std::vector<int32_t> order(50);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return logits[row * 50 + a] > logits[row * 50 + b]; });
      const auto rank = std::find(order.begin(), order.end(), ids[begin + row + 1]) - order.begin();
      top1 += rank < 1, top5 += rank < 5;
    }
  }
  CHECK(score.top1 == top1);
  CHECK(score.top5 == top5);
  CHECK(top5 > top1);
  const double loss = evaluate(gpt, ids, {.batch = 3}).loss;
  CHECK(std::abs(score.loss - loss) <= 1e-5 * loss);  // f32 sums in another order
}

TEST_CASE("ids beyond 16 bits are what they are") {
  const GPT gpt = model_of({.layers = 1, .heads = 1, .width = 8, .context = 4, .vocabulary = 65'800}, 30);
  std::vector<int32_t> ids = some_ids(9, 200);
  const double low = evaluate(gpt, ids, {.batch = 1}).loss;
  for (int32_t& id : ids) id += 65'536;
  const double high = evaluate(gpt, ids, {.batch = 1}).loss;
  CHECK(std::abs(low - high) > 1e-3);  // they were the same ids, modulo 65,536
}

TEST_CASE("a text becomes ids of a vocabulary beyond 16 bits") {
  // Bytes, the end, and names for the rest, none of which text has; then the ids of the bytes are beyond.
  std::vector<std::string> tokens;
  std::vector<int32_t> special;
  for (int i = 0; i < 65'536; ++i) {
    special.push_back(i);
    tokens.push_back(fmt::format("<{}>", i));
  }
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  special.push_back(static_cast<int32_t>(tokens.size()));
  tokens.push_back("<|endoftext|>");
  const Tokenizer tokenizer(tokens, {}, special);
  const TemporaryDirectory directory;
  write_file(directory / "text.txt", "ab");
  const EvaluationText text = evaluation_text(directory / "text.txt", tokenizer);
  CHECK(text.tokens == std::vector<int32_t>{65'536 + 'a', 65'536 + 'b', 65'792});
}

TEST_CASE("of large logits few rows are there at once, also of one window") {
  for (const auto& [context, batch] : {std::pair{16, 128}, {1024, 2}}) {  // 412 MB of logits
    CAPTURE(context);
    const GPTConfig config{.layers = 1, .heads = 1, .width = 8, .context = context, .vocabulary = 50'257};
    const GPT gpt = model_of(config);
    const std::vector<int32_t> ids = some_ids(2048 + 1, config.vocabulary);
    BlockCache& blocks = gpt.backend().blocks();
    blocks.reset_peak();
    const auto before = static_cast<double>(blocks.peak_bytes());
    const Score score = evaluate(gpt, ids, {.batch = batch, .accuracy = true});
    CHECK(score.targets == 2048);
    // 64 MB of them, and the model's own tensors, which are small.
    CHECK(static_cast<double>(blocks.peak_bytes()) - before <= 80 << 20);
  }
}

TEST_CASE("with one weight that is no number, an evaluation ends with one line") {
  for (const bool accuracy : {false, true}) {
    GPT gpt = model_of({.layers = 1, .heads = 1, .width = 8, .context = 4, .vocabulary = 50});
    std::vector<float> table = parameters(gpt)[0].variable.value().to_vector<float>();
    table[8 * 3] = std::nanf("");
    PartVisitor visit([&](const std::string& name, Variable& parameter) {
      Tensor value = parameter.value();
      if (name.ends_with("wte.weight")) value.upload(table.data());
    });
    gpt.parts(visit);
    CHECK_THROWS_WITH_AS(
        evaluate(gpt, std::vector<int32_t>{1, 2, 4, 5, 6}, {.batch = 1, .accuracy = accuracy}),
        "the model's loss is nan: its weights are broken", Error);
  }
}

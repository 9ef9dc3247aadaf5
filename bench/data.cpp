// Text to tokens to batches, on the built-in stories; one thread.
#include "bench/row.h"
#include "data/bpe_train.h"
#include "data/loader.h"
#include "data/stories.h"

namespace chapbook {
namespace {

struct Data {
  std::string text;
  Tokenizer tokenizer;
  std::vector<int32_t> ids;
};

std::string stories() {
  std::string text;
  write_stories(2000, 1, [&](std::string_view story) { text += story; });
  return text;
}

const Data& data() {
  static const Data data = [] {
    const std::string text = stories();
    const Tokenizer tokenizer = train_bpe(text, 4096);
    return Data{text, tokenizer, tokenizer.encode(text, SpecialTokens::recognise)};
  }();
  return data;
}

template <class F>
Row row(std::string name, std::string unit, double units, F f) {
  return {.section = "data",
          .name = std::move(name),
          .shape = fmt::format("{} bytes", data().text.size()),
          .prepare = [=](Backend&) -> std::function<void()> { return f; },
          .unit = std::move(unit),
          .units = units};
}

}  // namespace

std::vector<Row> data_rows() {
  const double megabytes = static_cast<double>(data().text.size()) / 1e6;
  const auto tokens = std::make_shared<std::vector<uint16_t>>(data().ids.begin(), data().ids.end());
  const auto loader = std::make_shared<Loader>(*tokens, 8, 256, LoaderState{});
  return {row("learn a tokenizer of 4096", "MB/s", megabytes, [] { train_bpe(data().text, 4096); }),
          row("encode", "MB/s", megabytes,
              [] { data().tokenizer.encode(data().text, SpecialTokens::recognise); }),
          row("decode", "MB/s", megabytes, [] { data().tokenizer.decode(data().ids); }),
          row("load a batch of 8 x 256", "tokens/s", 2048,
              [=, inputs = std::vector<int32_t>(2048), targets = std::vector<int32_t>(2048)]() mutable {
                (void)tokens;
                loader->next(inputs, targets);
              })};
}

}  // namespace chapbook

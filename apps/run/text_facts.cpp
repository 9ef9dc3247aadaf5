#include "apps/run/text_facts.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "apps/report/plot.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

void TextFacts::add_story(int64_t story_bytes, int64_t story_tokens) {
  if (story_tokens <= 0) return;
  const auto count = [](std::vector<int64_t>& buckets, double bucket) {
    ++buckets[std::min(buckets.size() - 1, static_cast<size_t>(std::max(0.0, bucket)))];
  };
  count(by_tokens, 4 * std::log2(static_cast<double>(story_tokens)));
  count(by_bytes_per_token, 10 * static_cast<double>(story_bytes) / static_cast<double>(story_tokens));
}

// The share of stories in each bucket that has any, at its middle.
static Line share(const std::string& name, const std::vector<int64_t>& buckets, int64_t stories,
                  double (*middle)(double)) {
  Line line{name, {}, {}};
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i] == 0) continue;
    line.x.push_back(middle(static_cast<double>(i) + 0.5));
    line.y.push_back(100 * static_cast<double>(buckets[i]) /
                     static_cast<double>(std::max<int64_t>(stories, 1)));
  }
  return line;
}

static Json to_json(const TextFacts& facts) {
  return {{"stories", facts.stories},
          {"bytes", facts.bytes},
          {"tokens", facts.tokens},
          {"duplicates", facts.duplicates},
          {"leaked", facts.leaked},
          {"mojibake", facts.mojibake},
          {"hash", fmt::format("{:016x}", facts.hash)}};
}

void write_text_facts(const std::string& directory, const TextFacts& train, const TextFacts& valid) {
  const Json json = {{"train", to_json(train)}, {"valid", to_json(valid)}};
  write_file(directory + "/text.json", json.dump(2) + "\n");
  const auto draw = [&](const char* file, const char* title, const char* x, bool log_x, auto buckets,
                        double (*middle)(double)) {
    write_file(directory + "/" + file,
               svg({.title = title,
                    .x_label = x,
                    .y_label = "stories, %",
                    .log_x = log_x,
                    .lines = {share("training", train.*buckets, train.stories, middle),
                              share("validation", valid.*buckets, valid.stories, middle)}}));
  };
  draw("lengths.svg", "How long the stories are", "tokens", true, &TextFacts::by_tokens,
       [](double i) { return std::exp2(i / 4); });
  draw("bytes_per_token.svg", "How much text a token holds", "bytes per token", false,
       &TextFacts::by_bytes_per_token, [](double i) { return i / 10; });
}

}  // namespace chapbook

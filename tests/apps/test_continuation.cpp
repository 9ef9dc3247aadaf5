// Texts that are continued together: each becomes what it becomes alone, bit for bit, however others join and
// leave; where texts end; and beam search against all texts there are.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "data/utf8.h"
#include "nn/gpt.h"
#include "program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
using End = Continuation::End;

namespace {

struct Small {
  Tokenizer tokenizer = [] {
    std::string text;
    write_stories(50, 1, [&](std::string_view story) { text += story; });
    return train_bpe(text, 300);
  }();
  GPT gpt{{.layers = 2, .heads = 2, .width = 64, .context = 40, .vocabulary = 307}};  // more rows than tokens
  Small() {
    Random random{1};
    gpt.initialise(random);
    for (const auto& [name, tensor] : state(gpt))  // scores that differ: small weights make all tokens alike
      gpt.backend().copy((tensor * 4.0).view(), tensor.view());
  }
  std::vector<int32_t> ids(std::string_view prompt) const { return prompt_ids(tokenizer, prompt); }
};

struct Told {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<double> log_probabilities;
  End end;
  bool operator==(const Told&) const = default;
};

Told alone(const Small& small, const std::vector<int32_t>& prompt, const Sampling& sampling) {
  Continuation text(small.gpt, small.tokenizer, prompt, sampling, 3);
  Continuation* const one = &text;
  Told told{};
  while (text.end() == End::none) {
    step(small.gpt, {&one, 1});
    told.text += text.text();
    told.log_probabilities.push_back(text.log_probability());
  }
  told.ids.assign(text.said().begin(), text.said().end());
  told.end = text.end();
  return told;
}

}  // namespace

TEST_CASE("continuous batching gives each text the bits of being alone") {
  const Small small;
  Random random{5};
  struct Text {
    std::vector<int32_t> prompt;
    Sampling sampling;
    uint64_t joins;  // the step at which it does
    std::unique_ptr<Continuation> continuation;
    Told told;
  };
  // More than a group of rows at once; some prompts equal, some of one token, some longer than the context.
  std::vector<Text> texts(40);
  const char* const prompts[] = {"", "Once upon a time", "The dog", "Once upon a time", "a"};
  for (size_t i = 0; i < texts.size(); ++i) {
    Text& text = texts[i];
    text.prompt = small.ids(prompts[i % 5]);
    if (i % 7 == 0)
      for (int j = 0; j < 60; ++j) text.prompt.push_back(static_cast<int32_t>(random.below(256)));
    text.sampling = {.temperature = i % 3 ? 1.0 : 0.0,
                     .repetition_penalty = i % 4 ? 1 : 1.2,
                     .seed = i,
                     .tokens = 1 + static_cast<int64_t>(random.below(60)),
                     .stop_at_end = false};
    text.joins = random.below(20);
  }
  size_t most = 0;
  for (uint64_t at = 0;; ++at) {
    std::vector<Continuation*> going;
    bool waiting = false;
    for (Text& text : texts) {
      if (text.joins == at)
        text.continuation =
            std::make_unique<Continuation>(small.gpt, small.tokenizer, text.prompt, text.sampling, 3);
      waiting |= text.joins > at;
      if (text.continuation && text.continuation->end() == End::none)
        going.push_back(text.continuation.get());
    }
    if (going.empty() && !waiting) break;
    most = std::max(most, going.size());
    step(small.gpt, going);
    for (Text& text : texts) {
      if (std::ranges::find(going, text.continuation.get()) == going.end()) continue;
      text.told.text += text.continuation->text();
      text.told.log_probabilities.push_back(text.continuation->log_probability());
      text.told.ids.assign(text.continuation->said().begin(), text.continuation->said().end());
      text.told.end = text.continuation->end();
    }
  }
  CHECK(most > 20);
  for (const Text& text : texts) CHECK((text.told == alone(small, text.prompt, text.sampling)));
}

TEST_CASE("a text ends at its end, at a text to stop at, or when there are enough tokens") {
  const Small small;
  const std::vector<int32_t> prompt = small.ids("Once");
  const Sampling sampling{.temperature = 1, .top_p = 1, .seed = 3, .tokens = 200, .stop_at_end = false};
  const Told whole = alone(small, prompt, sampling);
  CHECK(whole.end == End::length);
  CHECK(whole.ids.size() == 200);
  CHECK(whole.text == well_formed(small.tokenizer.decode(whole.ids)));

  // Any piece of the text stops it before where it first stands, wherever tokens are cut.
  Random random{1};
  for (int i = 0; i < 50; ++i) {
    const size_t length = 1 + random.below(6), at = random.below(whole.text.size() - length);
    const auto inside = [&](size_t i) { return (static_cast<unsigned char>(whole.text[i]) & 0xC0) == 0x80; };
    if (inside(at) || inside(at + length)) continue;  // of a character
    Sampling stops = sampling;
    stops.stop = {"never said", whole.text.substr(at, length)};
    const Told stopped = alone(small, prompt, stops);
    CHECK(stopped.end == End::stop);
    CHECK(stopped.text == whole.text.substr(0, whole.text.find(stops.stop[1])));
    CHECK(std::ranges::equal(stopped.ids, std::span(whole.ids).first(stopped.ids.size())));
  }
  Sampling never = sampling;
  never.stop = {whole.text + "!"};
  CHECK(alone(small, prompt, never).text == whole.text);

  Sampling ends = sampling;
  ends.stop_at_end = true;
  ends.logit_bias = {{small.tokenizer.end_of_text(), 100}};
  const Told ended = alone(small, prompt, ends);
  CHECK(ended.end == End::stop);
  CHECK(ended.text == "");
  CHECK(ended.ids == std::vector<int32_t>{small.tokenizer.end_of_text()});
  CHECK_THROWS_AS(alone(small, {}, sampling), Error);
  CHECK_THROWS_AS(alone(small, {300}, sampling), Error);
}

TEST_CASE("what streams is whole characters, and joined it is the whole text") {
  const Small small;  // with random weights it says random bytes
  const std::string letters = "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x90\xb6";
  for (const std::string stop : {"", "\xe2\x82\xac \xf0\x9f\x90\xb7", "llo!"}) {
    StopText text(small.tokenizer, "", stop.empty() ? std::vector<std::string>{} : std::vector{stop});
    std::string joined;
    for (const int32_t id : small.tokenizer.encode(letters)) {
      const std::string piece = text.push(id);
      CHECK(complete_utf8(piece) == piece.size());
      joined += piece;
    }
    CHECK(joined + text.finish() == letters);
  }
}

TEST_CASE("log-probabilities are the model's own, whatever sampling does") {
  const Small small;
  const std::vector<int32_t> prompt = small.ids("Once");
  Sampling sampling{.temperature = 0.5, .top_k = 3, .seed = 2, .tokens = 5, .stop_at_end = false};
  sampling.logit_bias = {{70, 30.0}};
  const Told told = alone(small, prompt, sampling);
  std::vector<int32_t> ids = prompt;
  for (size_t i = 0; i < told.ids.size(); ++i) {
    const Tensor tokens = Tensor::from(ids, {1, static_cast<int64_t>(ids.size())});
    const auto logits = small.gpt(tokens).value().select(1, ids.size() - 1).to_vector<float>();
    const LogProbabilities expected{std::span(logits).first(300)};
    // Two passes in f32 of other shapes.
    CHECK(std::abs(told.log_probabilities[i] - expected(told.ids[i])) <= 1e-4);
    ids.push_back(told.ids[i]);
  }
}

TEST_CASE("beam search finds what trying all finds, when it has beams for all") {
  const Small small;
  const std::vector<int32_t> prompt = small.ids("The");
  const int64_t V = small.tokenizer.vocabulary_size();
  std::vector<int32_t> ids = prompt;
  const auto scores = [&](const std::vector<int32_t>& text) {
    const Tensor tokens = Tensor::from(text, {1, static_cast<int64_t>(text.size())});
    const auto logits = small.gpt(tokens).value().select(1, text.size() - 1).to_vector<float>();
    std::vector<double> all(V);
    const LogProbabilities log_probability{std::span(logits).first(V)};
    for (int64_t id = 0; id < V; ++id) all[id] = log_probability(static_cast<int32_t>(id));
    return all;
  };
  // All texts of two tokens, and those that end before.
  const std::vector<double> first = scores(prompt);
  double best = -HUGE_VAL, greedy = 0;
  for (int32_t a = 0; a < V; ++a) {
    if (a == small.tokenizer.end_of_text()) {
      best = std::max(best, first[a]);
      continue;
    }
    std::vector<int32_t> text = prompt;
    text.push_back(a);
    const std::vector<double> second = scores(text);
    const double likeliest = first[a] + *std::max_element(second.begin(), second.end());
    best = std::max(best, likeliest / 2);
    if (first[a] == *std::max_element(first.begin(), first.end())) greedy = likeliest / 2;
  }
  const std::vector<Beam> beams = beam_search(small.gpt, small.tokenizer, prompt, V, 2);
  CHECK(std::abs(beams[0].score - best) <= 1e-5);
  CHECK(std::is_sorted(beams.begin(), beams.end(), [](auto& a, auto& b) { return a.score > b.score; }));
  // One beam is greedy.
  const std::vector<Beam> one = beam_search(small.gpt, small.tokenizer, prompt, 1, 2);
  CHECK(std::abs(one[0].score - greedy) <= 1e-5);
  CHECK(one[0].said == alone(small, prompt, {.temperature = 0, .tokens = 2}).ids);
  CHECK(beam_search(small.gpt, small.tokenizer, prompt, 1, 30)[0].said ==
        alone(small, prompt, {.temperature = 0, .tokens = 30}).ids);
  // Every beam is as likely as it says, by a pass over its whole text.
  for (const Beam& beam : beam_search(small.gpt, small.tokenizer, prompt, 5, 12)) {
    std::vector<int32_t> text = prompt;
    double log_probability = 0;
    for (const int32_t id : beam.said) {
      log_probability += scores(text)[id];
      text.push_back(id);
    }
    if (beam.said.size() < 12) log_probability += scores(text)[small.tokenizer.end_of_text()];
    CHECK(std::abs(beam.log_probability - log_probability) <= 1e-3);  // of f32 logits of about 10, 12 times
  }
  // A text ends with what the model's files say, too.
  const std::vector<Beam> ended = beam_search(small.gpt, small.tokenizer, prompt, 1, 2, 0, {one[0].said[0]});
  CHECK(ended[0].said.empty());
  // One text once, however many ends it could have: here every token is one.
  std::vector<int32_t> all(V);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<Beam> once = beam_search(small.gpt, small.tokenizer, prompt, 3, 2, 0, all);
  REQUIRE(once.size() == 1);
  CHECK(once[0].said.empty());
  CHECK_THROWS_AS(beam_search(small.gpt, small.tokenizer, prompt, 0, 2), Error);
  CHECK_THROWS_AS(beam_search(small.gpt, small.tokenizer, prompt, 2, 100), Error);
}

TEST_CASE("what a prompt is put after is the model's own") {
  const Small small;
  const auto end = small.tokenizer.end_of_text();
  CHECK(prompt_ids(small.tokenizer, "").size() == 1);
  CHECK(prompt_ids(small.tokenizer, "", false) == std::vector<int32_t>{end});
  CHECK(prompt_ids(small.tokenizer, "The") == [&] {
    auto ids = small.tokenizer.encode("The");
    ids.insert(ids.begin(), end);
    return ids;
  }());
  CHECK(prompt_ids(small.tokenizer, "The", false) == small.tokenizer.encode("The"));
  const TemporaryDirectory directory;
  GPT gpt(small.gpt.config());
  load(gpt, state(const_cast<GPT&>(small.gpt)));
  save_model(gpt, small.tokenizer, directory.path);
  CHECK(load_model(directory.path).after_end);
  // The command, too: without being asked, and asked.
  const auto told = [&](const std::string& more) {
    return run_program("generate " + directory.path + " --prompt The --tokens 9 " + more).output;
  };
  const auto line = [&](bool after_end) {
    return "The" + tell(gpt, small.tokenizer, "The", {.temperature = 0, .tokens = 9}, after_end) + "\n";
  };
  REQUIRE(line(true) != line(false));
  CHECK(told("--temperature 0") == line(true));
  CHECK(told("--temperature 0 --after-end yes --count 1") == line(true));
  CHECK(told("--temperature 0 --after-end no") == line(false));
  CHECK(told("--beams 1") == line(true));
  std::filesystem::remove(directory / "generation_config.json");  // as a GPT-2 from elsewhere may be
  CHECK_FALSE(load_model(directory.path).after_end);
}

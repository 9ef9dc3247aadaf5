// What chapter 23 prints. One part for each word: problem, orders, steps, beginner, slices, overlap.
#include "docs/demo/workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>

#include "apps/run/family.h"
#include "apps/run/trainer.h"
#include "tests/apps/little_run.h"
#include "tests/support/thread_team.h"

using namespace chapbook;

// ---- problem: the same training by 1, 2 and 4 workers

static std::vector<float> trained(Settings settings, int workers) {
  static const std::vector<uint16_t> data = little_tokens(3000);
  std::vector<float> weights;
  in_threads(workers, [&](Team& team) {
    const auto model = make_model(settings);
    Random random{1};
    model->initialise(random);
    Trainer trainer(settings, *model, data, team);
    for (int i = 0; i < 50; ++i) trainer.step();
    if (team.rank() > 0) return;
    for (const Parameter& parameter : parameters(*model))
      for (const float x : parameter.variable.value().to_vector<float>()) weights.push_back(x);
  });
  return weights;
}

static void problem() {
  for (const auto& [sum, title] : {std::pair{"any", "each worker adds up what it has, then all workers"},
                                   {"tree", "one tree over the shards, whoever computes them"}}) {
    Settings settings = little_settings();
    settings.batch = 4, settings.accumulation = 8, settings.shards = 8, settings.steps = 50,
    settings.sum = sum;
    const std::vector<float> one = trained(settings, 1);
    fmt::print("{}\nworkers   weights with other bits than those of 1 worker, after 50 steps\n", title);
    for (const int workers : {1, 2, 4}) {
      const std::vector<float> several = trained(settings, workers);
      size_t other = 0;
      for (size_t i = 0; i < one.size(); ++i) other += one[i] != several[i];
      const double share = static_cast<double>(other) / static_cast<double>(one.size());
      fmt::print("{:>7}   {}\n", workers,
                 other == 0    ? "none"
                 : share > 0.5 ? "most of them"
                               : "some of them");
    }
    if (sum == std::string("any")) fmt::print("\n");
  }
}

// ---- orders: how number by number is added up, by 4 workers with 4 parts

static OfWorkers<Term> terms(int workers, int numbers) {
  OfWorkers<Term> of;
  for (int r = 0; r < workers; ++r) of.emplace_back(numbers, Term{std::to_string(r)});
  return of;
}

static std::string bare(const Term& term) {
  return term.text.front() == '(' ? term.text.substr(1, term.text.size() - 2) : term.text;
}

static void orders() {
  const std::vector<Term> around = ring(terms(4, 4));
  OfWorkers<Term> of = terms(4, 4);
  std::vector<Range> has(4, {0, 4});
  for (const size_t d : {1, 2}) halve(of, has, d);
  fmt::print("part   ring                halving\n");
  for (size_t part = 0; part < 4; ++part)
    for (size_t r = 0; r < 4; ++r)
      if (has[r].first == part) fmt::print("{:>4}   {:<20}{}\n", part, bare(around[part]), bare(of[r][part]));
}

// ---- steps: who has what

static void steps() {
  OfWorkers<Term> of = terms(4, 4);
  std::vector<Range> has(4, {0, 4});
  const auto show = [&](const std::string& title) {
    fmt::print("{}\n", title);
    for (size_t r = 0; r < 4; ++r) {
      std::string line = fmt::format("worker {}  ", r);
      for (size_t i = 0; i < 4; ++i)
        line += fmt::format("{:<20}", i >= has[r].first && i < has[r].last ? bare(of[r][i]) : "");
      fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
    }
  };
  show("at the beginning; a column is a part");
  halve(of, has, 1);
  show("after distance 1, each has sent 2 parts");
  halve(of, has, 2);
  show("after distance 2, each has sent 1 part more");
}

// ---- beginner: whole vectors, and ours

static void beginner() {
  constexpr size_t length = 1 << 16;
  fmt::print("workers   whole vectors: sent by each   in halves   the same sum\n");
  for (const int size : {2, 4, 8}) {
    int64_t whole = 0, halves = 0;
    bool same = true;
    std::mutex mutex;
    in_threads(size, [&](Team& team) {
      std::vector<float> a(length);
      for (size_t i = 0; i < length; ++i)
        a[i] = std::sin(static_cast<float>(i) + 0.1f * static_cast<float>(team.rank()));
      std::vector<float> b = a;
      add_up_whole(team, a);
      const int64_t first = team.bytes_sent();
      const PlacesOf places = [&](int from, int to) {
        const size_t part = length / size;
        return Places{std::span(b).subspan(part * from, part * (to - from))};
      };
      reduce_scatter(team, size, places);
      all_gather(team, size, places);
      const std::lock_guard lock(mutex);
      whole = first, halves = team.bytes_sent() - first, same = same && a == b;
    });
    fmt::print("{:>7}{:>22} KiB{:>15} KiB   {}\n", size, whole / 1024, halves / 1024, same ? "yes" : "no");
  }
}

// ---- slices: what each worker answers for

static void slices() {
  const std::vector<Parameter> parameters = {{"table", Variable::parameter(Tensor::zeros({40, 16}))},
                                             {"bias", Variable::parameter(Tensor::zeros({24}))},
                                             {"matrix", Variable::parameter(Tensor::zeros({16, 48}))}};
  const Slices slices(parameters, 4, 600);
  fmt::print("part   bucket   numbers\n");
  for (int part = 0; part < 4; ++part)
    for (size_t bucket = 0; bucket < slices.buckets().size(); ++bucket) {
      std::string line;
      for (const Slices::Piece& piece : slices.pieces(part, part + 1, bucket))
        line += fmt::format("{}{} {} to {}", line.empty() ? "" : ", ", parameters[piece.parameter].name,
                            piece.begin, piece.end - 1);
      fmt::print("{:>4}{:>9}   {}\n", part, bucket, line);
    }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"problem", problem}, {"orders", orders}, {"steps", steps}, {"beginner", beginner}, {"slices", slices}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_workers: say which part: problem orders steps beginner slices\n");
    return 2;
  }
  part->second();
}

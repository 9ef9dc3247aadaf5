#include "apps/run/run.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "apps/report/machine.h"
#include "apps/report/memory.h"
#include "apps/run/origin.h"
#include "apps/run/run_parts.h"
#include "apps/run/run_record.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool Run::done() const {
  return trainer_.steps() >= settings_.steps ||
         (settings_.early_stop > 0 && state_.evaluations_since_best >= settings_.early_stop);
}

double Run::seconds() const { return seconds_before_ + seconds_since(start_); }

void Run::save() {
  state_.seconds = seconds();
  const NamedTensors optimizer = trainer_.optimizer_state();  // which all workers give
  if (!first_worker()) return;
  log_->sync();  // a run that goes on from here has all that led to it
  save_as("last", directory_, state_, trainer_, optimizer, *model_, data_.tokenizer);
  if (settings_.keep > 0)
    save_step(directory_, settings_.keep, state_, trainer_, optimizer, *model_, data_.tokenizer);
}

Sampling Run::sampling(int64_t tokens) const {
  return {.temperature = settings_.temperature,
          .top_k = settings_.top_k,
          .top_p = settings_.top_p,
          .seed = static_cast<uint64_t>(settings_.seed),
          .tokens = tokens};
}

// With small random weights every token is about equally likely, and the loss of the first step is near ln V.
// Not quite: the head is the table of tokens, so that the token just seen scores higher than others, and a
// text that repeats one word starts lower: by 1.5 at most, of 1 to 12 layers and 32 to 1024 numbers. A wide
// model's scores differ by chance, with a variance of 0.0004 C, of which half is added.
void check_first_loss(double loss, const Settings& settings) {
  const double expected = std::log(static_cast<double>(settings.vocabulary));
  const double spread = 0.0002 * static_cast<double>(settings.width), margin = 0.05 * expected + 0.3;
  const double least = expected - 1.5 - margin, most = expected + spread + margin;
  check(!settings.check_first_loss || (loss > least && loss < most),
        "the first loss is {:.3f}, but a fresh model of {} tokens starts near ln {} = {:.3f}; something is "
        "wrong (or, if you know better: --set check_first_loss=false)",
        loss, settings.vocabulary, settings.vocabulary, expected);
}

Score Run::validation_score(const LanguageModel& model, int64_t batches, Team& team) const {
  return evaluate(
      model, data_.valid.tokens(),
      {.batch = settings_.batch, .batches = batches, .counted = if_any(valid_answers_), .team = &team});
}

void Run::evaluate_now(std::optional<Progress>& progress) {
  const EvaluationOptions options{.batch = settings_.batch,
                                  .batches = settings_.eval_batches,
                                  .counted = if_any(train_answers_),
                                  .team = &team_};
  const double train = evaluate(*model_, data_.train.tokens(), options).loss;
  const double valid = validation_score(*model_, settings_.eval_batches, team_).loss;
  const bool best = state_.evaluations == 0 || valid < state_.best_loss;
  ++state_.evaluations;
  state_.evaluations_since_best = best ? 0 : state_.evaluations_since_best + 1;
  if (best) state_.best_loss = valid;
  if (!progress) return;
  if (best) save_best(directory_, state_, *model_, data_.tokenizer);
  log_->write(
      trainer_.steps(),
      {{"tokens", static_cast<double>(trainer_.tokens())}, {"train_loss", train}, {"valid_loss", valid}});
  progress->clear();
  say_(fmt::format("step {:>6}  train {:.4f}  valid {:.4f}{}", trainer_.steps(), train, valid,
                   best ? "  best so far" : ""));
}

void Run::sample(int64_t tokens) {
  const std::string story = tell(*model_, data_.tokenizer, "", sampling(tokens));
  say_(fmt::format("  {}", story));
  const std::string path = directory_ + "/samples.jsonl";
  const Json line = {{"step", trainer_.steps()}, {"text", story}};
  write_file(path, read_file(path) + to_text(line) + "\n");
}

void Run::log_step(const Trainer::Step& step, const Communication& with_others, double speed,
                   Progress& progress) {
  log_->write(trainer_.steps(), {{"tokens", static_cast<double>(trainer_.tokens())},
                                 {"loss", step.loss},
                                 {"rate", step.rate},
                                 {"gradient_norm", step.gradient_norm},
                                 {"tokens_per_second", speed},
                                 {"seconds", seconds()},
                                 {"peak_bytes", static_cast<double>(peak_bytes())},
                                 {"sent_bytes", static_cast<double>(with_others.bytes_sent)},
                                 {"waited_seconds", with_others.waited}});
  progress.update(
      static_cast<double>(trainer_.steps()),
      fmt::format("loss {:.3f}  rate {:.1e}  {} tokens/s", step.loss, step.rate, short_count(speed)));
}

// A step that gives no finite numbers leaves the run as it was before, and that is kept to be looked at.
Trainer::Step Run::next_step() {
  try {
    return trainer_.step();
  } catch (const NotFinite& error) {
    const NamedTensors optimizer = trainer_.optimizer_state();  // which all workers give
    const auto wait_for_the_first = [&] { told(team_, 0); };
    if (!first_worker()) {
      wait_for_the_first();  // whose work is lost when one of a team ends
      throw;
    }
    save_as("broken", directory_, state_, trainer_, optimizer, *model_, data_.tokenizer);
    Origin origin(*model_);
    try {
      Trainer again(without_graph(settings_), *model_, data_.train.tokens(), alone(), if_any(train_answers_));
      again.restore(trainer_.state(), optimizer);
      again.step();
    } catch (const NotFinite&) {
    }
    wait_for_the_first();
    const std::string begins =  // nothing where only a fused op, or the sum of all squares, is not finite
        origin.text().empty() ? "" : fmt::format("It begins in {}. ", origin.text());
    fail("{}\n  {}See it again:  ./chapbook replay {} --step {}", error.what(), begins, directory_,
         trainer_.steps() + 1);
  }
}

void Run::train(const volatile std::sig_atomic_t& stop) {
  model_->backend().blocks().reset_peak();  // what was measured before is no part of the run
  const auto due = [&](int64_t every) { return every > 0 && trainer_.steps() % every == 0; };
  std::optional<Progress> progress;
  if (first_worker())
    progress.emplace("training", static_cast<double>(settings_.steps), static_cast<double>(trainer_.steps()));
  while (!done() && !any(team_, stop)) {
    const auto before = Clock::now();
    const Communication had = trainer_.communication();
    const Trainer::Step step = next_step();
    const Communication has = trainer_.communication();
    const Communication of_step{has.bytes_sent - had.bytes_sent, has.seconds - had.seconds,
                                has.waited - had.waited};
    const double speed = static_cast<double>(trainer_.tokens_per_step()) / seconds_since(before);
    if (step.skipped > 0) {
      if (progress) progress->clear();
      say_(fmt::format(
          "step {:>6}  skipped {} times {} tokens: gradients of up to {:.3g}, where {:.3g} was done",
          trainer_.steps(), step.skipped, trainer_.tokens_per_step(), step.outlier, step.gradient_norm));
    }
    // Where only answers count, batches without one have a loss of 0, and the step's says little.
    if (trainer_.steps() == 1 && fresh_ && state_.begun_from.is_null() && settings_.answer_after.empty()) {
      if (progress) progress->clear();
      check_first_loss(step.loss, settings_);
      say_(fmt::format("first loss {:.3f}, expected near ln {} = {:.3f}", step.loss, settings_.vocabulary,
                       std::log(static_cast<double>(settings_.vocabulary))));
    }
    if (progress) log_step(step, of_step, speed, *progress);
    if (due(settings_.eval_every) || done()) evaluate_now(progress);
    if (progress && due(settings_.sample_every) && !done()) {
      progress->clear();
      sample(48);
    }
    // The last thing of a step: what a run that is killed has not written, it writes when it goes on.
    if (due(settings_.save_every)) save();
  }
  if (progress) progress->finish();
  save();
  if (settings_.early_stop > 0 && state_.evaluations_since_best >= settings_.early_stop)
    say_(fmt::format("stopped early: {} evaluations without a lower validation loss",
                     state_.evaluations_since_best));
}

// Bits for a byte of the text, or of the answers in it.
static double bits_of(const Score& score, const TokenFile& file, const std::vector<bool>& answers,
                      const Tokenizer& tokenizer) {
  if (answers.empty()) return bits_per_byte(score, file.info().tokens, file.info().text_bytes);
  int64_t bytes = 0;
  for (size_t i = 0; i < answers.size(); ++i)
    if (answers[i] && file.tokens()[i] != tokenizer.end_of_text())
      bytes += static_cast<int64_t>(tokenizer.token_bytes(file.tokens()[i]).size());
  return bits_per_byte(score, score.targets, bytes);
}

void Run::finish() {
  const size_t peak = peak_bytes();  // before there is a second model
  const int64_t steps_here = std::max<int64_t>(1, trainer_.steps() - first_step_);
  const Communication with_others = trainer_.communication();
  const double sent = static_cast<double>(with_others.bytes_sent) / static_cast<double>(steps_here);
  const std::unique_ptr<LanguageModel> best = load_network(whole_directory(directory_ + "/best"));
  const Score score = validation_score(*best, 0, alone());
  const double bits = bits_of(score, data_.valid, valid_answers_, data_.tokenizer);
  const double trained_for = seconds();
  Json results = {{"machine", machine_json()},
                  {"data",
                   {{"train", data_.train.info().text},
                    {"train_tokens", data_.train.size()},
                    {"valid", data_.valid.info().text},
                    {"valid_tokens", data_.valid.size()},
                    {"valid_bytes", data_.valid.info().text_bytes}}},
                  {"settings", to_json(settings_)},
                  {"parameters", count_parameters(*best)},
                  {"steps", trainer_.steps()},
                  {"tokens", trainer_.tokens()},
                  {"seconds", std::round(trained_for * 10) / 10},
                  {"valid_loss", score.loss},
                  {"valid_perplexity", std::exp(score.loss)},
                  {"valid_bits_per_byte", bits},
                  {"peak_bytes", peak}};
  if (team_.size() > 1)
    results["communication"] = {{"workers", team_.size()},
                                {"sent_bytes_a_step", sent},
                                {"seconds", with_others.seconds},
                                {"waited_seconds", with_others.waited}};
  if (!state_.begun_from.is_null())
    results["begun_from"] = forgetting(state_.begun_from, *best, directory_ + "/base", settings_.batch);
  write_file(directory_ + "/results.json", results.dump(2) + "\n");
  write_file(directory_ + "/loss.svg", svg(loss_curve(read_metrics(directory_ + "/metrics.csv"),
                                                      fmt::format("Loss of {}", directory_))));
  say_(fmt::format("\ntrained    {} tokens in {}", short_count(static_cast<double>(trainer_.tokens())),
                   duration(trained_for)));
  say_(fmt::format("memory     {} of tensors at most", bytes_text(static_cast<double>(peak))));
  if (team_.size() > 1)
    say_(fmt::format(
        "sent       {} a step by each of {} workers; {:.1f}% of the time went into waiting for it",
        bytes_text(sent), team_.size(), 100 * with_others.waited / seconds_since(start_)));
  say_(fmt::format(
      "valid      loss {:.4f}, perplexity {:.2f}, {:.4f} bits per byte, over all {} validation tokens (best "
      "model)",
      score.loss, std::exp(score.loss), bits, score.targets));
  if (const auto& old = results["begun_from"]; old.contains("old_text"))
    say_(fmt::format("old text   loss {:.4f}, which was {:.4f} before: {} tokens of {}",
                     old["loss_after"].get<double>(), old["loss_before"].get<double>(),
                     old["old_tokens"].get<int64_t>(), old["old_text"].get<std::string>()));
  const RunRecord record = read_run(directory_);
  write_report(record);
  write_events(record);
  say_(fmt::format("files      {0}/best (the model), {0}/report.html, {0}/metrics.csv, {0}/results.json\n",
                   directory_));
  say_(fmt::format("A story by this model:\n\n{}\n", tell(*best, data_.tokenizer, "", sampling(400))));
  say_(fmt::format("More:  ./chapbook generate {}", directory_));
}

}  // namespace chapbook

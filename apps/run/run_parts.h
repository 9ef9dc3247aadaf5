// What run.cpp, run_start.cpp, replay.cpp and trial.cpp share of a run; and a check of run.cpp's that a test
// calls, too.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "apps/run/run.h"

namespace chapbook {

os::File lock_run(const std::string& directory);
// Throws unless the token files hold what they held when the run began.
void check_same_data(const std::string& directory, const RunState& state, const TrainingData& data);
// Where only answers count (the setting answer_after): which of the tokens are. Else empty.
std::vector<bool> answers_in(const TokenFile& file, const Settings& settings, const Tokenizer& tokenizer);
const std::vector<bool>* if_any(const std::vector<bool>& counted);
void break_as(const Settings& settings, const Run::Say& say, const Team& team);  // see faults.h
std::string hash_of(LanguageModel& model);                                       // SHA-256 of all its numbers
// Throws where the loss of a fresh model's first step is far from ln V, unless the settings say not to look.
void check_first_loss(double loss, const Settings& settings);
Settings without_graph(Settings settings);  // a pass from a recording shows no ops
double seconds_since(std::chrono::steady_clock::time_point start);

}  // namespace chapbook

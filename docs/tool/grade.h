// Says whether an exercise is solved, and if not, why not, in words for its reader.
#pragma once
#include <filesystem>
#include <string>

#include "docs/tool/exercise.h"

namespace chapbook {

struct Verdict {
  bool passed;
  std::string words;  // lines without an end
};

// Builds the copy of a source at `copy` in place of ours, with the exercise's tests, and runs them. Only the
// copy is compiled and the rest linked, as it was built for us; nothing of ours is changed. `build` is a
// directory to do that in.
Verdict grade_source(const Exercise& exercise, const std::filesystem::path& copy,
                     const std::filesystem::path& build);

// Brings what grade_source links up to date, for all of these; throws if that cannot be built.
void build_for(const std::vector<const Exercise*>& exercises);

// The number a reader answered, against the one counted from the real thing.
Verdict grade_answer(const Exercise& exercise, const std::string& answer);
double right_answer(const Exercise& exercise);

// The results of a finished run in `directory`.
Verdict grade_run(const Exercise& exercise, const std::filesystem::path& directory);

// Grades what is in the reader's `directory` of all exercises.
Verdict grade(const Exercise& exercise, const std::filesystem::path& directory);

}  // namespace chapbook

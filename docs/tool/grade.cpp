#include "docs/tool/grade.h"

#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;

// The lines that are not comments: nothing until the reader has written something.
static std::string written(const fs::path& file) {
  std::string answer;
  for (const std::string& line : split_lines(read_file(file)))
    if (!line.starts_with('#')) answer += line;
  return answer.find_first_not_of(" \t\r") == std::string::npos ? "" : answer;
}

Verdict grade(const Exercise& exercise, const fs::path& directory) {
  const fs::path file = file_of(exercise, directory);
  if (exercise.kind == "run") return grade_run(exercise, file);
  check(fs::exists(file), "{} is missing; `./chapbook exercise start {} --again` makes it anew", shown(file),
        exercise.number);
  if (exercise.of_source())
    return grade_source(exercise, file, fs::path(CHAPBOOK_BUILD_DIR) / "exercises" / exercise.number);
  const std::string answer = written(file);
  if (answer.empty()) return {false, fmt::format("There is no answer yet in {}.", shown(file))};
  return grade_answer(exercise, answer);
}

}  // namespace chapbook

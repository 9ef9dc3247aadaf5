// Grades a reader's copy: a program of it, the tests of the exercise and our libraries, and what that says.
#include <fmt/format.h>

#include <algorithm>

#include "docs/tool/grade.h"
#include "docs/tool/program.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;

static const std::string root = CHAPBOOK_SOURCE_DIR;

// Kernels run on the simt machine, which only their checks are linked with.
static constexpr const char* machine = "libsimt_alone.a";
static bool has_kernels(const Exercise& exercise) {
  return std::any_of(exercise.tests.begin(), exercise.tests.end(),
                     [](const std::string& test) { return test.ends_with(".cu"); });
}

void build_for(const std::vector<const Exercise*>& exercises) {
  std::vector<std::string> targets = libraries_of_checks();
  targets.push_back(object_of("docs/exercises/report.cpp"));
  for (const Exercise* exercise : exercises) {
    for (const std::string& test : exercise->tests) targets.push_back(object_of(test));
    if (has_kernels(*exercise)) targets.push_back(machine);
  }
  build_targets(targets);
}

// The names of tests that ask for more than the task does, as doctest leaves them out.
static std::string without(const Exercise& exercise) {
  std::string names;
  for (const std::string& name : exercise.without) names += (names.empty() ? "" : ",") + name + "*";
  return names.empty() ? names : " --test-case-exclude=" + chapbook::quoted(names);
}

Verdict grade_source(const Exercise& exercise, const fs::path& copy, const fs::path& build) {
  make_directory(build);
  std::vector<std::string> objects, sources = exercise.also;
  if (!exercise.file.ends_with(".h")) sources.push_back(exercise.file);
  const std::string overlay = copy.string().substr(0, copy.string().size() - exercise.file.size());
  for (const std::string& source : sources) {
    objects.push_back(build / (fs::path(source).stem().string() + ".o"));
    const std::string file = source == exercise.file ? copy.string() : root + "/" + source;
    // -O1, as it is built quickly and runs fast enough.
    const Ran ran = compile_as(source, file, objects.back(), overlay, "-O1");
    if (ran.code != 0) return {false, "It does not compile:\n" + first_error(ran.output)};
  }
  for (const std::string& test : exercise.tests)
    if (std::find(sources.begin(), sources.end(), test) == sources.end()) objects.push_back(object_of(test));
  objects.push_back(object_of("docs/exercises/report.cpp"));
  if (has_kernels(exercise)) objects.push_back(machine);
  const fs::path program = build / "check";
  const Ran linked = link_as("exercise_checks", objects, program);
  if (linked.code != 0) return {false, "It does not link:\n" + first_error(linked.output)};

  // Tests read files of the repository. Two minutes are twenty times what the slowest of them takes.
  const Ran ran = run_shell("cd " + quoted(root) + " && timeout 120 " + quoted(program) +
                            " --abort-after=1 --reporters=exercise" + without(exercise));
  std::string words = ran.output;
  while (words.ends_with('\n')) words.pop_back();
  // What the stub of an exercise throws.
  const std::string stub = "exercise " + exercise.number + ": ", unwritten = " is not written yet";
  if (const size_t at = words.find(stub), end = words.find(unwritten, at); end < std::string::npos)
    return {false,
            fmt::format("{}{}: look for \"exercise {}\" in it.",
                        words.substr(at + stub.size(), end - at - stub.size()), unwritten, exercise.number)};
  if (ran.code == 124)
    words += "\nIt does not end: two minutes have gone by. Is there a loop without an end?";
  if (ran.code > 128) words += fmt::format("\nIt crashed with signal {}.", ran.code - 128);
  return {ran.code == 0, words};
}

}  // namespace chapbook

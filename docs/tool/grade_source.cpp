// The linker takes a function from where it finds it first, and from a library only those files of which it
// still needs something. So a program that is linked with the reader's copy and then with our libraries has
// the reader's functions and none of that file of ours.
#include <fmt/format.h>

#include <algorithm>

#include "docs/tool/grade.h"
#include "docs/tool/shell.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

const std::string root = CHAPBOOK_SOURCE_DIR, build_root = CHAPBOOK_BUILD_DIR;
const std::string frame = "exercise_checks";  // a target of all checks; exercises link as it does

// Where CMake puts the object of a source: with the target of its folder.
std::string object_of(const std::string& source) {
  std::string target = source.substr(0, source.find('/'));
  if (target == "docs") target = frame;
  if (target == "tests") target = "test_" + source.substr(6, source.find('/', 6) - 6);
  return "CMakeFiles/" + target + ".dir/" + source + ".o";
}

// The command with which ninja makes a target.
std::string command_of(const std::string& target) {
  const Ran ran = run_shell("ninja -C " + quoted(build_root) + " -t commands " + quoted(target));
  check(ran.code == 0 && !ran.output.empty(), "ninja does not know how to make {}: {}", target, ran.output);
  return split_lines(ran.output).back();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// Our command for `source`, for another file and object. Headers are looked for in `overlay` before ours.
// -O1, as it is built quickly and runs fast enough.
std::string compile_command(const std::string& source, const std::string& file, const std::string& object,
                            const std::string& overlay) {
  std::string command = command_of(object_of(source));
  command = replaced(command, object_of(source), quoted(object));
  command = replaced(command, root + "/" + source, quoted(file));
  const size_t first_flag = command.find(" -");
  return command.substr(0, first_flag) + " -I" + quoted(overlay) + command.substr(first_flag) + " -O1";
}

std::string link_command(const std::vector<std::string>& objects, const std::string& program) {
  const std::string command = command_of(frame);
  const size_t objects_begin = command.find("CMakeFiles/" + frame),
               objects_end = command.find(" -o " + frame);
  check(objects_begin < objects_end && objects_end != std::string::npos, "cannot read how {} is linked: {}",
        frame, command);
  std::string list;
  for (const std::string& object : objects) list += quoted(object) + " ";
  return command.substr(0, objects_begin) + list + "-o " + quoted(program) +
         command.substr(objects_end + 4 + frame.size());
}

Ran in_build(const std::string& command) { return run_shell("cd " + quoted(build_root) + " && " + command); }

// The first error of a compiler or linker with what it shows of the place. Paths begin at the root.
std::string first_error(std::string output) {
  for (const std::string& prefix : {root, fs::relative(root, build_root).string()})
    output = replaced(output, prefix + "/", "");
  std::vector<std::string> lines = split_lines(output);
  const auto is_error = [](const std::string& line) {
    return line.find("error:") != std::string::npos || line.find("undefined reference") != std::string::npos;
  };
  const auto first = std::find_if(lines.begin(), lines.end(), is_error);
  if (first == lines.end()) return output;
  const auto most = first + std::min<std::ptrdiff_t>(8, lines.end() - first);
  const auto end = std::find_if(
      first + 1, most, [&](const std::string& line) { return is_error(line) || line.starts_with("ninja:"); });
  return fmt::format("{}", fmt::join(first, end, "\n"));
}

}  // namespace

void build_for(const std::vector<const Exercise*>& exercises) {
  std::string targets = "optim test_support " + object_of("docs/exercises/report.cpp");
  for (const Exercise* exercise : exercises)
    for (const std::string& test : exercise->tests) targets += " " + object_of(test);
  const Ran ran = in_build("flock lock ninja " + targets);
  check(ran.code == 0, "our own sources do not build:\n{}", first_error(ran.output));
}

Verdict grade_source(const Exercise& exercise, const fs::path& copy, const fs::path& build) {
  make_directory(build);
  std::vector<std::string> objects, sources = exercise.also;
  if (!exercise.file.ends_with(".h")) sources.push_back(exercise.file);
  const std::string overlay = copy.string().substr(0, copy.string().size() - exercise.file.size());
  for (const std::string& source : sources) {
    objects.push_back(build / (fs::path(source).stem().string() + ".o"));
    const std::string file = source == exercise.file ? copy.string() : root + "/" + source;
    const Ran ran = in_build(compile_command(source, file, objects.back(), overlay));
    if (ran.code != 0) return {false, "It does not compile:\n" + first_error(ran.output)};
  }
  for (const std::string& test : exercise.tests) objects.push_back(object_of(test));
  objects.push_back(object_of("docs/exercises/report.cpp"));
  const fs::path program = build / "check";
  const Ran linked = in_build(link_command(objects, program));
  if (linked.code != 0) return {false, "It does not link:\n" + first_error(linked.output)};

  // Tests read files of the repository. Two minutes are twenty times what the slowest of them takes.
  const Ran ran = run_shell("cd " + quoted(root) + " && timeout 120 " + quoted(program) +
                            " --abort-after=1 --reporters=exercise");
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

#include "docs/tool/program.h"

#include <fmt/format.h>

#include <algorithm>

#include "docs/tool/source.h"
#include "tensor/check.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

const std::string root = CHAPBOOK_SOURCE_DIR, build_root = CHAPBOOK_BUILD_DIR;

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

Ran in_build(const std::string& command) { return run_shell("cd " + quoted(build_root) + " && " + command); }

}  // namespace

std::string object_of(const std::string& source) {
  std::string target = source.substr(0, source.find('/'));
  if (target == "docs") target = "exercise_checks";
  if (source.starts_with("bench/ladder/")) target = "ladder_cpu";
  if (target == "tests") target = "test_" + source.substr(6, source.find('/', 6) - 6);
  return "CMakeFiles/" + target + ".dir/" + source + ".o";
}

void build_targets(const std::vector<std::string>& targets) {
  const Ran ran = in_build(fmt::format("flock lock ninja {}", fmt::join(targets, " ")));
  check(ran.code == 0, "our own sources do not build:\n{}", first_error(ran.output));
}

Ran compile_as(const std::string& source, const fs::path& file, const fs::path& object,
               const fs::path& overlay, const std::string& more) {
  std::string command = command_of(object_of(source));
  command = replaced(command, object_of(source), quoted(object));
  command = replaced(command, root + "/" + source, quoted(file));
  const size_t first_flag = command.find(" -");
  return in_build(command.substr(0, first_flag) + " -I" + quoted(overlay) + command.substr(first_flag) + " " +
                  more);
}

std::vector<std::string> libraries_of_checks() {
  return {"liboptim.a", "libnn.a", "libtest_support.a", "libautograd.a", "libtensor.a", "libteam.a"};
}

Ran link_as(const std::string& target, const std::vector<std::string>& objects, const fs::path& program,
            bool with_its_own) {
  const std::string command = command_of(target);
  const size_t objects_begin = command.find("CMakeFiles/"), objects_end = command.find(" -o " + target);
  check(objects_begin < objects_end && objects_end != std::string::npos, "cannot read how {} is linked: {}",
        target, command);
  std::string list;
  for (const std::string& object : objects) list += quoted(object) + " ";
  if (with_its_own) list += command.substr(objects_begin, objects_end + 1 - objects_begin);
  return in_build(command.substr(0, objects_begin) + list + "-o " + quoted(program) +
                  command.substr(objects_end + 4 + target.size()));
}

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

}  // namespace chapbook

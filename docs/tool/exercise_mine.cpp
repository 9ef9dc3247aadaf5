// ./chapbook train --mine: the program with all pieces of the reader's that have passed in place of ours.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <map>

#include "docs/tool/command.h"
#include "docs/tool/exercise.h"
#include "docs/tool/program.h"
#include "docs/tool/source.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

const fs::path root = CHAPBOOK_SOURCE_DIR;

// Sources of the program that have passed. What was written comes after what was mended, so that it counts
// where both are the same function.
std::vector<const Exercise*> passed_sources(const fs::path& directory) {
  std::vector<const Exercise*> found;
  for (const Exercise& each : exercises())
    if (each.is_of_program() && passed(each, directory)) found.push_back(&each);
  std::stable_partition(found.begin(), found.end(),
                        [](const Exercise* each) { return each->kind == "bug hunt"; });
  return found;
}

// Our files with the reader's pieces, by path.
std::map<std::string, std::string> files_of(const std::vector<const Exercise*>& sources,
                                            const fs::path& directory) {
  std::map<std::string, std::string> files;
  const auto ours = [&](const std::string& path) -> std::string& {
    return files.try_emplace(path, read_file(root / path)).first->second;
  };
  for (const Exercise* each : sources) {
    std::string& text = ours(each->file);
    text = with_piece_of(read_file(passed_file(*each, directory)), *each, text);
    for (const Edit& change : each->training) {
      const size_t hash = change.from.find('#');
      std::string& between = ours(change.from.substr(0, hash));
      const Piece piece = find_piece({change.from, between}, change.from.substr(hash + 1));
      between.replace(piece.body, piece.body_end - piece.body, "\n  " + change.to + "\n");
    }
  }
  return files;
}

// Builds it; the path of the program.
fs::path build(const std::vector<const Exercise*>& sources, const fs::path& directory) {
  const fs::path place = fs::path(CHAPBOOK_BUILD_DIR) / "exercises/mine", overlay = place / "source";
  fs::remove_all(overlay);
  const auto files = files_of(sources, directory);
  std::vector<std::string> compiled;
  for (const auto& [path, text] : files) {
    make_directory((overlay / path).parent_path());
    write_file(overlay / path, text);
    if (!path.ends_with(".h")) compiled.push_back(path);
  }
  for (const Exercise* each : sources)
    for (const std::string& also : each->also)
      if (!also.starts_with("docs/") && std::find(compiled.begin(), compiled.end(), also) == compiled.end())
        compiled.push_back(also);

  std::vector<std::string> objects;
  std::vector<std::future<Ran>> running;
  for (const std::string& path : compiled) {
    objects.push_back(place / (std::to_string(objects.size()) + ".o"));
    running.push_back(std::async(std::launch::async, [path, object = objects.back(), &overlay, &files] {
      return compile_as(path, files.contains(path) ? overlay / path : root / path, object, overlay, "");
    }));
  }
  for (size_t i = 0; i < running.size(); ++i)
    if (const Ran ran = running[i].get(); ran.code != 0)
      fail(
          "your pieces of {} do not compile together; what a piece needs must be functions, types or "
          "includes:\n{}",
          compiled[i], first_error(ran.output));
  const Ran linked = link_as("chapbook", objects, place / "chapbook", true);
  check(linked.code == 0, "your pieces do not link: {}", first_error(linked.output));
  return place / "chapbook";
}

void mine(const std::string& directory, std::vector<std::string> arguments) {
  const auto sources = passed_sources(directory);
  check(!sources.empty(),
        "none of your pieces has passed yet; ./chapbook exercise list shows the exercises, and those about a "
        "source of the program are pieces");
  std::string names;
  for (const Exercise* each : sources)
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", each->title, each->number);
  fmt::print("With {} piece{} of yours in place of ours: {}.\n", sources.size(),
             sources.size() == 1 ? "" : "s", names);
  const fs::path program = build(sources, directory);
  std::fflush(stdout);
  if (std::none_of(arguments.begin(), arguments.end(),
                   [](const std::string& each) { return each.starts_with("--run"); }))
    arguments.insert(arguments.end(), {"--run", "runs/mine"});
  arguments.insert(arguments.begin(), {program, "train"});
  std::vector<char*> pointers;
  for (std::string& each : arguments) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  ::execv(pointers[0], pointers.data());
  fail("{} does not start", shown(program));
}

}  // namespace

void add_mine(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "mine", "train with your pieces that have passed; what comes behind is for ./chapbook train");
  auto directory = std::make_shared<std::string>(exercises_directory());
  command->add_option("--in", *directory, "where your copies are; exercises/ unless told")->type_name("DIR");
  command->prefix_command();
  command->callback([command, directory] { mine(*directory, command->remaining()); });
}

}  // namespace chapbook

#include "docs/tool/exercise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

const fs::path root = CHAPBOOK_SOURCE_DIR;

std::vector<Edit> read_edits(const nlohmann::json& pairs) {
  std::vector<Edit> edits;
  for (const auto& pair : pairs) edits.push_back({pair.at(0), pair.at(1)});
  return edits;
}

const std::vector<std::string> fields = {"kind", "title", "task", "solution", "file",    "cut",  "changes",
                                         "also", "tests", "unit", "wants",    "mutants", "hides"};

double number_or(const nlohmann::json& value, double otherwise) {
  return value.is_null() ? otherwise : value.get<double>();
}

Exercise read_exercise(const fs::path& directory) {
  Exercise exercise;
  exercise.number = directory.filename();
  const std::string path = directory / "exercise.json";
  try {
    const auto json = nlohmann::json::parse(read_file(path));
    for (const auto& [name, value] : json.items())
      check(std::find(fields.begin(), fields.end(), name) != fields.end(), "there is no field {}", name);
    exercise.kind = json.at("kind");
    exercise.title = json.at("title");
    exercise.task = json.at("task");
    exercise.solution = json.value("solution", "");
    exercise.file = json.value("file", "");
    exercise.cut = json.value("cut", "");
    exercise.changes = read_edits(json.value("changes", nlohmann::json::array()));
    exercise.hides = json.value("hides", exercise.hides);
    exercise.also = json.value("also", exercise.also);
    exercise.tests = json.value("tests", exercise.tests);
    exercise.unit = json.value("unit", "");
    const auto wants = json.value("wants", nlohmann::json::object());
    for (const auto& [what, range] : wants.items())
      exercise.wants[what] = {number_or(range.at(0), -INFINITY), number_or(range.at(1), INFINITY)};
    exercise.mutants = read_edits(json.at("mutants"));
  } catch (const std::exception& error) {
    fail("{}: {}", path, error.what());
  }
  const bool source = exercise.kind == "build" || exercise.kind == "gradient" || exercise.kind == "bug hunt";
  check(source || exercise.kind == "number" || exercise.kind == "run", "{}: there is no kind {}", path,
        exercise.kind);
  check(exercise.of_source() == source && exercise.tests.empty() == !source &&
            (exercise.cut.empty() && exercise.changes.empty()) == !source,
        "{}: a {} {} a file, tests, and a cut or changes", path, exercise.kind, source ? "has" : "has not");
  check(!exercise.title.empty() && !exercise.task.empty() && !exercise.mutants.empty(),
        "{}: title, task or mutants are missing", path);
  return exercise;
}

std::pair<int, int> order(const std::string& number) {
  const size_t point = number.find('.');
  return {std::stoi(number), std::stoi(number.substr(point + 1))};
}

bool is_number(const std::string& text) {
  const size_t point = text.find('.');
  const auto digits = [](const std::string& part) {
    return !part.empty() && part.size() <= 3 &&
           std::all_of(part.begin(), part.end(), [](char letter) { return letter >= '0' && letter <= '9'; });
  };
  return point != std::string::npos && digits(text.substr(0, point)) && digits(text.substr(point + 1));
}

// The name of the function that is cut out: "fn:ReferenceBackend::layer_norm" is layer_norm.
std::string cut_name(const Exercise& exercise) {
  std::string name = exercise.cut.substr(exercise.cut.find(':') + 1);
  const size_t bracket = name.find('(', name.starts_with("operator()") ? 10 : 0);
  if (bracket != std::string::npos) name.resize(bracket);
  return name.substr(name.rfind(':') + 1);
}

// The source with the exercise's hole or bug.
std::string changed(std::string text, const Exercise& exercise) {
  if (!exercise.cut.empty()) {
    const Piece piece = find_piece({exercise.file, text}, exercise.cut);
    check(piece.body < piece.body_end, "{}#{} has no body to take out", exercise.file, exercise.cut);
    const size_t line = text.rfind('\n', piece.body_end) + 1;  // that of the closing brace
    const std::string indent(text.find_first_not_of(' ', line) - line, ' ');
    text.replace(piece.body, piece.body_end - piece.body,
                 fmt::format("\n{0}  fail(\"exercise {1}: {2} is not written yet\");\n{0}", indent,
                             exercise.number, cut_name(exercise)));
  }
  for (const Edit& change : exercise.changes) text = edited(text, change, exercise.file);
  return text;
}

}  // namespace

const std::vector<Exercise>& exercises() {
  static const std::vector<Exercise> all = [] {
    std::vector<Exercise> found;
    for (const auto& entry : fs::directory_iterator(root / "docs/exercises"))
      if (is_number(entry.path().filename())) found.push_back(read_exercise(entry.path()));
    std::sort(found.begin(), found.end(),
              [](const Exercise& a, const Exercise& b) { return order(a.number) < order(b.number); });
    return found;
  }();
  return all;
}

std::vector<const Exercise*> exercises_of(const std::string& wanted) {
  std::vector<const Exercise*> found;
  std::vector<std::string> chapters, numbers;
  for (const Exercise& exercise : exercises()) {
    const std::string chapter = exercise.number.substr(0, exercise.number.find('.'));
    if (exercise.number == wanted || chapter == wanted) found.push_back(&exercise);
    if (wanted.substr(0, wanted.find('.')) == chapter) numbers.push_back(exercise.number);
    if (chapters.empty() || chapters.back() != chapter) chapters.push_back(chapter);
  }
  if (!found.empty()) return found;
  if (!numbers.empty())
    fail("there is no exercise {}; chapter {} has {}", wanted, wanted.substr(0, wanted.find('.')),
         fmt::join(numbers, ", "));
  fail("there is no exercise \"{}\"; an exercise is a number like 2.1, of the chapters {}", wanted,
       fmt::join(chapters, ", "));
}

const Exercise& exercise(const std::string& number) {
  const auto found = exercises_of(number);
  check(found[0]->number == number, "{} is a chapter; its exercises are {} to {}", number, found[0]->number,
        found.back()->number);
  return *found[0];
}

std::string edited(const std::string& text, const Edit& edit, const std::string& where) {
  const size_t at = text.find(edit.from);
  check(at != std::string::npos, "{}: there is no \"{}\"", where, edit.from);
  check(text.find(edit.from, at + 1) == std::string::npos, "{}: \"{}\" stands there more than once", where,
        edit.from);
  return text.substr(0, at) + edit.to + text.substr(at + edit.from.size());
}

std::string source_of(const Exercise& exercise) {
  std::string text = read_file(root / exercise.file);
  for (const std::string& other : exercise.hides) text = changed(text, chapbook::exercise(other));
  return text;
}

std::string stub_of(const Exercise& exercise) {
  std::string task =
      fmt::format("// Exercise {}, {}: {}.\n", exercise.number, exercise.kind, exercise.title) +
      task_text(exercise, "", "// ");
  if (exercise.kind != "bug hunt")
    task += fmt::format("// The place says \"exercise {}: ... not written yet\".\n", exercise.number);
  return task + fmt::format("// When you are done: ./chapbook check {}\n\n", exercise.number) +
         changed(source_of(exercise), exercise);
}

fs::path exercises_directory() { return root / "exercises"; }

fs::path file_of(const Exercise& exercise, const fs::path& directory) {
  const fs::path own = directory / exercise.number;
  if (exercise.kind == "number") return own / "answer.txt";
  return own / (exercise.kind == "run" ? "run" : exercise.file);
}

std::string shown(const fs::path& path) {
  const fs::path relative = path.lexically_relative(root);
  return relative.empty() || *relative.begin() == ".." ? path : relative;
}

static std::string with_run(std::string text, const Exercise& exercise, const fs::path& directory) {
  for (size_t at; (at = text.find("{run}")) != std::string::npos;)
    text.replace(at, 5, shown(file_of(exercise, directory)));
  return text;
}

std::string run_command(const Exercise& exercise, const fs::path& directory) {
  return with_run(exercise.solution, exercise, directory);
}

std::string task_text(const Exercise& exercise, const fs::path& directory, const std::string& before,
                      size_t width) {
  std::string text, line = before;
  std::istringstream words(with_run(exercise.task, exercise, directory));
  for (std::string word; words >> word;) {
    if (line.size() + word.size() > width && line.size() > before.size()) {
      text += line.substr(0, line.size() - 1) + "\n";
      line = before;
    }
    line += word + " ";
  }
  return text + line.substr(0, line.size() - 1) + "\n";
}

}  // namespace chapbook

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

const std::vector<std::string> fields = {"kind",    "title", "task",    "solution", "file",    "cut",
                                         "changes", "piece", "also",    "tests",    "without", "training",
                                         "unit",    "wants", "mutants", "hides",    "hints",   "second"};

fs::path second_file(const Exercise& exercise) {
  return root / "docs/exercises" / exercise.number / "second.inc";
}

// The dear function that a counted exercise begins with.
fs::path start_file(const Exercise& exercise) {
  return root / "docs/exercises" / exercise.number / "start.inc";
}

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
    exercise.piece = json.value("piece", exercise.cut);
    exercise.hides = json.value("hides", exercise.hides);
    exercise.also = json.value("also", exercise.also);
    exercise.tests = json.value("tests", exercise.tests);
    exercise.without = json.value("without", exercise.without);
    exercise.training = read_edits(json.value("training", nlohmann::json::array()));
    exercise.hints = json.at("hints");
    exercise.second = json.value("second", "");
    exercise.unit = json.value("unit", "");
    const auto wants = json.value("wants", nlohmann::json::object());
    for (const auto& [what, range] : wants.items())
      exercise.wants[what] = {number_or(range.at(0), -INFINITY), number_or(range.at(1), INFINITY)};
    exercise.mutants = read_edits(json.at("mutants"));
  } catch (const std::exception& error) {
    fail("{}: {}", path, error.what());
  }
  const bool source = exercise.kind == "build" || exercise.kind == "gradient" || exercise.begins_whole();
  check(source || exercise.kind == "number" || exercise.kind == "run", "{}: there is no kind {}", path,
        exercise.kind);
  check(exercise.of_source() == source && exercise.tests.empty() == !source &&
            exercise.piece.empty() == !source &&
            (exercise.cut.empty() && exercise.changes.empty()) == !source,
        "{}: a {} {} a file, tests, and a cut, or changes and the piece they are in", path, exercise.kind,
        source ? "has" : "has not");
  check(!exercise.title.empty() && !exercise.task.empty() && !exercise.mutants.empty() &&
            !exercise.hints.empty(),
        "{}: title, task, hints or mutants are missing", path);
  check(fs::exists(start_file(exercise)) == exercise.is_counted() &&
            (!exercise.is_counted() || !exercise.cut.empty()),
        "{}: exercises of performance and memory, and no others, have a start.inc, and a cut", path);
  check(fs::exists(second_file(exercise)) == source && exercise.second.empty() == source,
        "{}: a second right solution is missing: {}", path, source ? "second.inc" : "the field second");
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

// Where the lines that are comments end.
size_t first_line_of_code(const std::string& text, size_t at) {
  while (text.compare(text.find_first_not_of(' ', at), 2, "//") == 0) at = text.find('\n', at) + 1;
  return at;
}

// The number of the line, from 1, that a byte is in.
int line_of(const std::string& text, size_t at) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

// The source with the exercise's hole or bug, or with the function that takes too much.
std::string changed(std::string text, const Exercise& exercise) {
  if (exercise.is_counted()) return with_piece_of(read_file(start_file(exercise)), exercise, text);
  if (!exercise.cut.empty()) {
    const Piece piece = find_piece({exercise.file, text}, exercise.cut);
    check(piece.body < piece.body_end, "{}#{} has no body to take out", exercise.file, exercise.cut);
    const size_t line = text.rfind('\n', piece.body_end) + 1;  // that of the closing brace
    const std::string indent(text.find_first_not_of(' ', line) - line, ' ');
    text.replace(piece.body, piece.body_end - piece.body,
                 fmt::format("\n{0}  fail(\"exercise {1}: {2} is not written yet\");\n{0}", indent,
                             exercise.number, cut_name(exercise)));
    // The comment above may say how it is done; the task is on top of the copy.
    text.erase(piece.begin, first_line_of_code(text, piece.begin) - piece.begin);
  }
  for (const Edit& change : exercise.changes) text = edited(text, change, exercise.file);
  return text;
}

std::string with_run(std::string text, const Exercise& exercise, const fs::path& directory) {
  for (size_t at; (at = text.find("{run}")) != std::string::npos;)
    text.replace(at, 5, shown(file_of(exercise, directory)));
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

std::vector<const Exercise*> answered_in(const std::string& file, const std::vector<int>& lines) {
  std::vector<const Exercise*> found;
  for (const Exercise& exercise : exercises()) {
    if (exercise.file != file) continue;
    const std::string text = read_file(root / file);
    std::vector<std::pair<int, int>> answers;
    if (!exercise.cut.empty()) {
      const Piece piece = find_piece({file, text}, exercise.cut);
      answers.emplace_back(line_of(text, piece.body) + 1, line_of(text, piece.body_end) - 1);
    }
    for (const Edit& change : exercise.changes) {
      const size_t at = text.find(change.from);
      check(at != std::string::npos, "{}: there is no \"{}\"", file, change.from);
      answers.emplace_back(line_of(text, at), line_of(text, at + change.from.size()));
    }
    if (std::any_of(lines.begin(), lines.end(), [&](int line) {
          return std::any_of(answers.begin(), answers.end(),
                             [&](const auto& range) { return range.first <= line && line <= range.second; });
        }))
      found.push_back(&exercise);
  }
  return found;
}

std::string with_piece_of(const std::string& copy, const Exercise& exercise, const std::string& text) {
  const Source theirs{exercise.file, copy}, ours{exercise.file, text};
  const Piece from = find_piece(theirs, exercise.piece), to = find_piece(ours, exercise.piece);
  const auto known = named_pieces(ours);
  const auto is_known = [&](const NamedPiece& each) {
    return std::any_of(known.begin(), known.end(), [&](const NamedPiece& k) { return k.name == each.name; });
  };
  const auto is_inside = [](const Piece& a, const Piece& b) { return b.begin <= a.begin && a.end <= b.end; };
  const auto all = named_pieces(theirs);
  std::string outside, beside;  // of the type that the function is a member of, if it is one
  size_t before = to.begin;
  for (const NamedPiece& each : known)
    if (is_inside(to, each.piece)) before = std::min(before, each.piece.begin);
  for (const NamedPiece& each : all) {
    if (is_known(each) || each.piece.begin == from.begin) continue;
    bool member = false, taken = false;
    for (const NamedPiece& type : all)
      if (type.name != each.name && is_inside(each.piece, type.piece))
        (is_known(type) ? member : taken) = true;
    const std::string lines = copy.substr(each.piece.begin, each.piece.end - each.piece.begin);
    if (!taken) (member ? beside : outside) += lines + "\n";
  }
  std::string includes;
  for (const std::string& line : split_lines(copy))
    if (line.starts_with("#include") && text.find(line) == std::string::npos) includes += line + "\n";
  return includes + text.substr(0, before) + outside + text.substr(before, to.begin - before) + beside +
         copy.substr(from.begin, from.end - from.begin) + text.substr(to.end);
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
  if (!exercise.begins_whole())
    task += fmt::format("// The place says \"exercise {}: ... not written yet\".\n", exercise.number);
  std::string text = changed(source_of(exercise), exercise);
  // A hole says with fail() that it is one.
  if (!exercise.cut.empty() && !exercise.begins_whole() &&
      text.find("\"tensor/check.h\"") == std::string::npos)
    text.insert(text.find("#include"), "#include \"tensor/check.h\"\n");
  return task + fmt::format("// When you are done: ./chapbook check {}\n\n", exercise.number) + text;
}

std::string second_of(const Exercise& exercise, const fs::path& directory) {
  if (exercise.of_source())
    return with_piece_of(read_file(second_file(exercise)), exercise, source_of(exercise));
  return with_run(exercise.second, exercise, directory);
}

fs::path exercises_directory() { return root / "exercises"; }

fs::path file_of(const Exercise& exercise, const fs::path& directory) {
  const fs::path own = directory / exercise.number;
  if (exercise.kind == "number") return own / "answer.txt";
  return own / (exercise.kind == "run" ? "run" : exercise.file);
}

fs::path passed_file(const Exercise& exercise, const fs::path& directory) {
  const fs::path file = file_of(exercise, directory / "passed");
  return exercise.kind == "run" ? file / "results.json" : file;
}

bool passed(const Exercise& exercise, const fs::path& directory) {
  return fs::exists(passed_file(exercise, directory));
}

std::string shown(const fs::path& path) {
  const fs::path relative = path.lexically_relative(root);
  return relative.empty() || *relative.begin() == ".." ? path : relative;
}

std::string run_command(const Exercise& exercise, const fs::path& directory) {
  return with_run(exercise.solution, exercise, directory);
}

std::string wrapped(const std::string& text, const std::string& before, size_t width) {
  std::string lines, line = before;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (line.size() + word.size() > width && line.size() > before.size()) {
      lines += line.substr(0, line.size() - 1) + "\n";
      line = before;
    }
    line += word + " ";
  }
  return lines + line.substr(0, line.size() - 1) + "\n";
}

std::string task_text(const Exercise& exercise, const fs::path& directory, const std::string& before) {
  return wrapped(with_run(exercise.task, exercise, directory), before);
}

}  // namespace chapbook

#include "docs/tool/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <regex>

#include "docs/tool/exercise.h"
#include "docs/tool/lists.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {

namespace fs = std::filesystem;

static constexpr size_t longest_quote = 40;  // lines

Book open_book(const std::string& root, const std::string& build) {
  Book book{root, build, {}};
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator();
       ++entry) {
    const std::string name = entry->path().filename().string();
    const std::string path = fs::relative(entry->path(), root).generic_string();
    const bool not_ours = name[0] == '.' || path == "build" || path == "runs" || path == "exercises";
    if (entry->is_directory() && not_ours)
      entry.disable_recursion_pending();
    else if (entry->is_regular_file() && name.ends_with(".md"))
      book.pages.push_back({path, read_file(entry->path().string())});
  }
  std::sort(book.pages.begin(), book.pages.end(),
            [](const Page& a, const Page& b) { return a.path < b.path; });
  return book;
}

std::string link_from(const Page& page, const std::string& path) {
  const fs::path here = fs::path(page.path).parent_path();
  return fs::path(path).lexically_relative(here.empty() ? "." : here).generic_string();
}

namespace {

// "argument|first|second" -> its parts. In a table the bars are written \|.
std::vector<std::string> parts(const std::string& argument) {
  std::vector<std::string> result{""};
  for (size_t i = 0; i < argument.size(); ++i) {
    if (argument.compare(i, 2, "\\|") == 0) continue;
    if (argument[i] == '|')
      result.emplace_back();
    else
      result.back() += argument[i];
  }
  return result;
}

// The places that "3-9,12" names among `count` lines, from 0; all of them for "".
std::vector<size_t> choose(size_t count, const std::string& ranges) {
  static const std::regex shape(R"((\d+(-\d+)?(,\d+(-\d+)?)*)?)"), range(R"((\d+)(?:-(\d+))?)");
  check(std::regex_match(ranges, shape), "\"|{}\" is not a choice of lines, as in |3-9,12", ranges);
  std::vector<size_t> places;
  if (ranges.empty())
    for (size_t i = 0; i < count; ++i) places.push_back(i);
  for (std::sregex_iterator match(ranges.begin(), ranges.end(), range), end; match != end; ++match) {
    const size_t from = std::stoul((*match)[1]), to = (*match)[2].matched ? std::stoul((*match)[2]) : from;
    check(from >= 1 && from <= to && to <= count && (places.empty() || from > places.back() + 1),
          "|{}: there are {} lines, to be named from the first to the last", ranges, count);
    for (size_t i = from; i <= to; ++i) places.push_back(i - 1);
  }
  return places;
}

std::string fenced(const std::string& language, const std::vector<std::string>& lines) {
  std::string fence = "```";  // longer than any inside
  for (const std::string& line : lines)
    while (line.find(fence) != std::string::npos) fence += '`';
  return fmt::format("{}{}\n{}\n{}\n", fence, language, fmt::join(lines, "\n"), fence);
}

std::string language_of(const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  if (ending == ".json" || ending == ".jsonl") return "json";
  if (ending == ".md") return "markdown";
  if (ending == ".txt" && path.ends_with("CMakeLists.txt")) return "cmake";
  if (ending.empty()) return "bash";  // the launcher and the scripts
  return "cpp";
}

std::string quote(const Book& book, const Page& page, const std::string& argument) {
  const Quote quote = read_quote(book, argument);
  check(quote.lines.size() <= longest_quote, "a quote of {} lines; {} at most: choose some with |3-9,12",
        quote.lines.size(), longest_quote);
  const std::string text = fmt::format("\n[{}]({})\n\n{}", quote.path, link_from(page, quote.path),
                                       fenced(language_of(quote.path), quote.lines));
  // What an exercise asks for stands on the page, but folded.
  const auto asked = answered_in(quote.path, quote.numbers);
  if (asked.empty()) return text;
  std::string numbers;
  for (const Exercise* each : asked)
    numbers += fmt::format("{}{}",
                           numbers.empty()        ? ""
                           : each == asked.back() ? " and "
                                                  : ", ",
                           each->number);
  return fmt::format("\n<details><summary>Our version; it answers exercise{} {}</summary>\n{}\n</details>\n",
                     asked.size() > 1 ? "s" : "", numbers, text);
}

std::string output(const Book& book, const std::string& argument) {
  static const std::regex shape(R"((demo/\w+|chapbook)( [^'\\$`;&<>]*)?)");
  const std::vector<std::string> part = parts(argument);
  std::smatch match;
  check(std::regex_match(part[0], match, shape),
        "an output is of `demo/NAME ...` or `chapbook ...`, not of `{}`", part[0]);
  int wanted = 0;
  std::string ranges;
  for (size_t i = 1; i < part.size(); ++i) {
    if (part[i].starts_with("exit "))
      wanted = std::atoi(part[i].c_str() + 5);
    else
      ranges = part[i];
  }
  const std::string name = match[1],
                    program =
                        book.build + (name == "chapbook" ? "/chapbook" : "/docs/demo_" + name.substr(5));
  check(fs::exists(program), "{} is not built: is there a docs/{}.cpp?", program, name);
  // The same page on every machine: where to compute is not left to what the machine has.
  auto [code, text] = run_shell(fmt::format("cd {} && CHAPBOOK_BACKEND=cpu timeout 60 {} {} </dev/null",
                                            quoted(book.root), quoted(program), match[2].str()));
  check(code == wanted, "`{}` ends with exit code {}, not {}: {}", part[0], code, wanted,
        text.substr(0, 400));
  static const std::regex trailing(" +(?=\n|$)");
  text = std::regex_replace(text, trailing, "");
  while (text.ends_with('\n')) text.pop_back();
  const std::vector<std::string> lines = split_lines(text);
  std::vector<std::string> chosen;
  for (const size_t i : choose(lines.size(), ranges)) chosen.push_back(lines[i]);
  return "\n" + fenced("text", chosen);
}

// "docs/results/x.json#values.error|.1e" -> the file and the rest.
std::pair<std::string, std::string> file_and_path(const std::string& argument) {
  const size_t hash = argument.find('#');
  check(hash != std::string::npos, "a value is FILE#PATH|FORMAT, not {}", argument);
  return {argument.substr(0, hash), argument.substr(hash + 1)};
}

std::string value(const Book& book, const std::string& argument) {
  const std::vector<std::string> part = parts(argument);
  const auto [file, path] = file_and_path(part[0]);
  try {
    return format_value(at_path(read_json(book.at(file)), path), part.size() > 1 ? part[1] : "");
  } catch (const Error& error) {
    fail("{}: {}", file, error.what());
  }
}

struct Figure {
  std::string name, file;
  Json results;
};

Figure read_figure(const Book& book, const std::string& argument) {
  static const std::regex shape(R"(([\w-]+) (\S+\.json))");
  std::smatch match;
  check(std::regex_match(argument, match, shape), "a figure is NAME FILE.json, not {}", argument);
  Figure figure{match[1], match[2], read_json(book.at(match[2]))};
  check(figure.results.contains("figures") && figure.results["figures"].contains(figure.name),
        "{} has no figure {}", figure.file, figure.name);
  return figure;
}

constexpr const char* note = " <em>Its sources have changed since.</em>";

std::string caption(const Book& book, const Page& page, const std::string& argument) {
  const Figure figure = read_figure(book, argument);
  const Json &manifest = figure.results.at("manifest"), &plot = figure.results["figures"][figure.name];
  const auto text = [&](const char* key) { return manifest.value(key, Json("unknown")).get<std::string>(); };
  return fmt::format("\n![{}]({})\n\n*{}, {} cores, seed {}, {}, commit {}:* `{}`{}\n",
                     plot.at("title").get<std::string>(), link_from(page, "docs/img/" + figure.name + ".svg"),
                     text("processor"), manifest.value("cores", 0), manifest.value("seed", 0), text("date"),
                     text("commit"), text("command"),
                     changed_sources(book.root, manifest).empty() ? "" : note);
}

}  // namespace

Quote read_quote(const Book& book, const std::string& argument) {
  const std::vector<std::string> part = parts(argument);
  const size_t hash = part[0].find('#');
  check(hash != std::string::npos && part.size() <= 2, "a quote is FILE#PIECE or FILE#PIECE|LINES, not {}",
        argument);
  Quote quote{part[0].substr(0, hash), {}, {}};
  const Source source{quote.path, read_file(book.at(quote.path))};
  std::vector<int> numbers;
  const auto lines = quoted_lines(source, find_piece(source, part[0].substr(hash + 1)), &numbers);
  size_t next = 0;
  for (const size_t i : choose(lines.size(), part.size() == 2 ? part[1] : "")) {
    if (next && i > next) {
      quote.lines.push_back(std::string(std::min(lines[i].find_first_not_of(' '), lines[i].size()), ' ') +
                            "...");
      quote.numbers.push_back(0);
    }
    quote.lines.push_back(lines[i]);
    quote.numbers.push_back(numbers[i]);
    next = i + 1;
  }
  return quote;
}

void check_claim(const Book& book, const std::string& argument) {
  const size_t hash = argument.find('#');
  check(hash != std::string::npos, "a claim is FILE#PATH < PATH, not {}", argument);
  const std::string file = argument.substr(0, hash), claim = argument.substr(hash + 1);
  const auto read_one = [&](const std::string& text) {
    char* end = nullptr;
    if (const double number = std::strtod(text.c_str(), &end); *end == '\0' && !text.empty()) return number;
    const size_t other = text.find('#');
    const Json json = read_json(book.at(other == std::string::npos ? file : text.substr(0, other)));
    const Json& value = at_path(json, other == std::string::npos ? text : text.substr(other + 1));
    check(value.is_number() || value.is_null(), "{} is not a number", text);
    return value.is_null() ? std::nan("") : value.get<double>();
  };
  // A term: numbers and paths, multiplied and divided from left to right.
  const auto read = [&](const std::string& term) {
    static const std::regex sign(" ([*/]) ");
    double result = 1;
    bool divide = false;
    size_t begin = 0;
    for (std::sregex_iterator match(term.begin(), term.end(), sign), none;; ++match) {
      const size_t end = match == none ? term.size() : static_cast<size_t>(match->position());
      const double factor = read_one(term.substr(begin, end - begin));
      result = divide ? result / factor : result * factor;
      if (match == none) return result;
      begin = end + 3;
      divide = (*match)[1] == "/";
    }
  };
  if (claim.ends_with(" == null")) {
    const double value = read(claim.substr(0, claim.size() - 8));
    check(std::isnan(value), "the claim {} does not hold: it is {}", claim, value);
    return;
  }
  static const std::regex comparison(" (<=|>=|<|>) ");
  std::sregex_iterator match(claim.begin(), claim.end(), comparison), none;
  check(match != none, "the claim {} compares nothing: <, <=, >, >= with spaces around", claim);
  double left = read(claim.substr(0, static_cast<size_t>(match->position())));
  while (match != none) {
    const std::string sign = (*match)[1];
    const auto begin = static_cast<size_t>(match->position() + match->length());
    const size_t end = ++match == none ? claim.size() : static_cast<size_t>(match->position());
    const double right = read(claim.substr(begin, end - begin));
    const bool holds = sign == "<"    ? left < right
                       : sign == "<=" ? left <= right
                       : sign == ">"  ? left > right
                                      : left >= right;
    check(holds, "the claim {} does not hold: {:.6g} {} {:.6g}", claim, left, sign, right);
    left = right;
  }
}

std::string without_notes(const std::string& text) {
  const size_t begin = text.find(note);
  return begin == std::string::npos ? text : text.substr(0, begin) + "\n";
}

std::string render(const Book& book, const Page& page, const PageBlock& block) {
  if (block.kind == "code") return quote(book, page, block.argument);
  if (block.kind == "out") return output(book, block.argument);
  if (block.kind == "val") return value(book, block.argument);
  if (block.kind == "fig") return caption(book, page, block.argument);
  return list(book, page, block.argument);
}

Picture draw_picture(const Book& book, const PageBlock& block) {
  const Figure figure = read_figure(book, block.argument);
  return {"docs/img/" + figure.name + ".svg", svg(plot_from_json(figure.results["figures"][figure.name]))};
}

std::vector<Problem> find_outdated(const Book& book, const Page& page, const std::vector<PageBlock>& blocks) {
  std::vector<Problem> notes;
  std::vector<std::string> seen;
  for (const PageBlock& block : blocks) {
    std::string file;
    if (block.kind == "fig") file = block.argument.substr(block.argument.find(' ') + 1);
    if (block.kind == "val") file = block.argument.substr(0, block.argument.find('#'));
    if (!fs::is_regular_file(book.at(file)) || std::find(seen.begin(), seen.end(), file) != seen.end())
      continue;
    seen.push_back(file);
    const Json results = read_json(book.at(file));
    if (!results.is_object() || !results.contains("manifest")) continue;
    const Json& manifest = results["manifest"];
    if (const auto changed = changed_sources(book.root, manifest); !changed.empty())
      notes.push_back({page.path, block.line,
                       fmt::format("{} was measured at commit {}; changed since: {}", file,
                                   manifest.value("commit", "unknown"), fmt::join(changed, ", "))});
  }
  return notes;
}

}  // namespace chapbook

#include "docs/tool/formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>

#include "tensor/check.h"

namespace chapbook {
namespace {

// The commands that chapters use, with how many arguments they take. One that is not here is a misspelling,
// or is added after a look at the page in a browser.
const std::map<std::string, int, std::less<>>& commands() {
  static const std::map<std::string, int, std::less<>> known = [] {
    std::map<std::string, int, std::less<>> table = {
        {"frac", 2},         {"tfrac", 2},     {"dfrac", 2},      {"binom", 2},     {"sqrt", 1},
        {"overline", 1},     {"underline", 1}, {"hat", 1},        {"widehat", 1},   {"tilde", 1},
        {"widetilde", 1},    {"bar", 1},       {"vec", 1},        {"dot", 1},       {"mathbf", 1},
        {"mathrm", 1},       {"mathcal", 1},   {"mathbb", 1},     {"mathit", 1},    {"boldsymbol", 1},
        {"operatorname", 1}, {"text", 1},      {"underbrace", 1}, {"overbrace", 1}, {"boxed", 1},
        {"phantom", 1},      {"overset", 2},   {"underset", 2},   {"stackrel", 2},  {"substack", 1}};
    for (const char* name : {"partial",      "nabla",      "sum",        "prod",       "int",
                             "top",          "cdot",       "cdots",      "dots",       "ldots",
                             "vdots",        "ddots",      "odot",       "otimes",     "oplus",
                             "times",        "circ",       "quad",       "qquad",      "le",
                             "ge",           "leq",        "geq",        "ne",         "neq",
                             "approx",       "sim",        "simeq",      "equiv",      "propto",
                             "in",           "notin",      "subset",     "to",         "gets",
                             "mapsto",       "rightarrow", "leftarrow",  "Rightarrow", "Leftrightarrow",
                             "infty",        "pm",         "mp",         "mid",        "ll",
                             "gg",           "forall",     "exists",     "lfloor",     "rfloor",
                             "lceil",        "rceil",      "langle",     "rangle",     "lVert",
                             "rVert",        "lvert",      "rvert",      "Vert",       "vert",
                             "big",          "Big",        "bigl",       "bigr",       "Bigl",
                             "Bigr",         "bigg",       "Bigg",       "biggl",      "biggr",
                             "displaystyle", "limits",     "exp",        "log",        "ln",
                             "tanh",         "cosh",       "sinh",       "sin",        "cos",
                             "max",          "min",        "arg",        "Pr",         "det",
                             "dim",          "bmod",       "alpha",      "beta",       "gamma",
                             "delta",        "epsilon",    "varepsilon", "zeta",       "eta",
                             "theta",        "kappa",      "lambda",     "mu",         "nu",
                             "xi",           "pi",         "rho",        "sigma",      "tau",
                             "phi",          "varphi",     "chi",        "psi",        "omega",
                             "Gamma",        "Delta",      "Theta",      "Lambda",     "Sigma",
                             "Phi",          "Psi",        "Omega",      "ell",        "star",
                             "ast",          "prime",      "mathstrut",  "colon",      "iff",
                             "implies"})
      table.emplace(name, 0);
    return table;
  }();
  return known;
}

const std::set<std::string, std::less<>> environments = {"aligned", "matrix", "pmatrix", "bmatrix",
                                                         "cases",   "array",  "split",   "gathered"};

class Reader {
 public:
  explicit Reader(std::string_view formula) : text_(formula) {}
  void read() {
    read_group("");
    check(at_ == text_.size(), "there is a }} without its {{");
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int environments_ = 0;

  void skip_spaces() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  // A command's name without its backslash (which is read), or one character.
  std::string name() {
    const size_t begin = at_;
    while (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_]))) ++at_;
    if (at_ == begin && at_ < text_.size()) ++at_;
    check(at_ > begin, "it ends with a backslash");
    return std::string(text_.substr(begin, at_ - begin));
  }

  // Up to the } that ends the group, or to \right or \end, which `until` names, or to the end of the formula.
  void read_group(const std::string& until) {
    bool raised = false, lowered = false;
    for (skip_spaces(); at_ < text_.size() && text_[at_] != '}'; skip_spaces()) {
      const char letter = text_[at_];
      if (letter == '^' || letter == '_') {
        bool& used = letter == '^' ? raised : lowered;
        check(!used, "there are two {} in a row", letter);
        used = true;
        ++at_;
        read_argument(std::string(1, letter));
        continue;
      }
      raised = lowered = false;
      if (letter == '\\') {
        ++at_;
        const std::string command = name();
        if (command == until) return;
        check(command != "right" && command != "end", "there is a \\{} without its beginning", command);
        read_command(command);
      } else {
        read_one();
      }
    }
    check(until.empty(), "there is no \\{}", until);
  }

  // One character or one group.
  void read_one() {
    const char letter = text_[at_];
    check(letter != '&' || environments_ > 0, "there is a & outside of \\begin and \\end");
    check(letter != '$' && letter != '#' && letter != '%', "there is a {}", letter);
    ++at_;
    if (letter != '{') return;
    read_group("");
    check(at_ < text_.size(), "there is a {{ without its }}");
    ++at_;
  }

  void read_argument(const std::string& of) {
    skip_spaces();
    check(at_ < text_.size() && std::string_view("}^_&").find(text_[at_]) == std::string_view::npos,
          "{} has no argument", of);
    if (text_[at_] != '\\') return read_one();
    ++at_;
    read_command(name());
  }

  // {what is in braces}, as it stands.
  std::string braces(const std::string& of) {
    skip_spaces();
    const size_t close = text_.find('}', at_);
    check(at_ < text_.size() && text_[at_] == '{' && close != std::string_view::npos, "\\{} has no {{...}}",
          of);
    const std::string inside(text_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    return inside;
  }

  void read_command(const std::string& command) {
    if (command == "left") {
      skip_spaces();
      read_delimiter(command);
      read_group("right");
      read_delimiter("right");
    } else if (command == "begin") {
      const std::string environment = braces(command);
      check(environments.contains(environment), "\\begin{{{}}} is not known", environment);
      if (environment == "array") braces(command);
      ++environments_;
      read_group("end");
      --environments_;
      const std::string end = braces("end");
      check(end == environment, "\\begin{{{}}} ends with \\end{{{}}}", environment, end);
    } else if (command == "text" || command == "operatorname") {
      const std::string inside = braces(command);
      check(inside.find_first_of("_^&#%$") == std::string::npos || command == "operatorname",
            "\\text{{{}}} holds a character that it must not", inside);
    } else if (std::isalpha(static_cast<unsigned char>(command[0]))) {
      const auto found = commands().find(command);
      check(found != commands().end(), "\\{} is not known", command);
      skip_spaces();
      if (command == "sqrt" && at_ < text_.size() && text_[at_] == '[')
        at_ = std::min(text_.find(']', at_), text_.size() - 1) + 1;
      for (int i = 0; i < found->second; ++i) read_argument("\\" + command);
    } else {
      check(std::string_view(",;:! \\{}|_%$#&").find(command[0]) != std::string_view::npos,
            "\\{} is not known", command);
    }
  }

  void read_delimiter(const std::string& of) {
    skip_spaces();
    check(at_ < text_.size(), "\\{} has no bracket", of);
    if (text_[at_++] == '\\') return void(name());
    check(std::string_view("()[]|./<>").find(text_[at_ - 1]) != std::string_view::npos, "\\{} has no bracket",
          of);
  }
};

}  // namespace

std::string formula_error(const std::string& formula) {
  try {
    check(formula.find_first_not_of(" \n") != std::string::npos, "it is empty");
    Reader(formula).read();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<Problem> check_formulas(const Page& page) {
  std::vector<Problem> problems;
  const auto look_at = [&](int line, const std::string& formula) {
    if (const std::string error = formula_error(formula); !error.empty())
      problems.push_back({page.path, line, fmt::format("the formula {}: {}", formula, error)});
  };
  int number = 0, begin = 0;  // begin: the line of the math fence that is open
  std::string display;
  for (const ProseLine& line : prose_lines(page.text)) {
    ++number;
    if (line.fenced) {
      if (begin && line.text == "```") {
        look_at(begin, display);
        begin = 0;
      } else if (begin) {
        display += line.text + "\n";
      } else if (line.text == "```math") {
        begin = number;
        display.clear();
      }
      continue;
    }
    const std::string prose = without_code_spans(line.text);
    const auto dollar = [&](size_t from) {
      size_t at = prose.find('$', from);
      while (at != std::string::npos && at > 0 && prose[at - 1] == '\\') at = prose.find('$', at + 1);
      return at;
    };
    for (size_t open = dollar(0); open != std::string::npos;) {
      const size_t close = dollar(open + 1);
      if (close == std::string::npos) {
        problems.push_back(
            {page.path, number, "a $ has no second one on its line; an amount of money is \\$5"});
        break;
      }
      const std::string formula = prose.substr(open + 1, close - open - 1);
      if (formula.empty())
        problems.push_back({page.path, number, "$$ is not rendered everywhere; write a fence of ```math"});
      else if (formula.front() == ' ' || formula.back() == ' ')
        problems.push_back(
            {page.path, number, fmt::format("the formula ${}$ has spaces at its dollars", formula)});
      else
        look_at(number, formula);
      open = dollar(close + 1);
    }
  }
  return problems;
}

}  // namespace chapbook

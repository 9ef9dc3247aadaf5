#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

using namespace chapbook;

static const Source example{"example.cpp", R"--(// What the file holds.
#include "x.h"

namespace chapbook {

// ---- a divider

static const char* const text = "} { // no comment";
constexpr int sizes[] = {1, 2, 3};
const auto twice = [](int x) { return 2 * x; };

// Adds.
// Both are numbers.
template <class T, class = std::enable_if_t<(sizeof(T) > 2)>>
T add(T a, T b) {
  if (a < b) {  // region: inner is no marker
    // region: sum
    const T c = a + b;

    // region: nested
    return c;
    // endregion
    // endregion
  }
  return '}' + 1'000;
}

int declared(int x);
int overloaded(int x) { return x; }
int overloaded(double x,
               double y) {
  return R"(}{")"[0];
}

struct Node : Base<int> {
  int number{0};  // a member

 public:
  explicit Node(int n) : number{n}, other_(n) { run(); }
  Node() = default;
  // Says so.
  bool operator()(int) const override { return true; }
  bool operator<(const Node& other) const { return number < other.number; }
  virtual void matmul(View a, View b) = 0;

 private:
  struct Inner {
    void run() {}
  };
  int other_;
};

void Node::Inner::run() { add(1, 2); }
Node* operator*(const Node& a, const Node& b) { return nullptr; }

enum class Kind { a, b };

TEST_CASE("the sum (of two) is right") {
  CHECK(add(1, 2) == 3);
}

}  // namespace chapbook
)--"};

static std::string quote(const std::string& name) {
  std::string text;
  for (const std::string& line : quoted_lines(example, find_piece(example, name))) text += line + "\n";
  return text;
}

TEST_CASE("pieces of a source are found by name, with the comment above") {
  CHECK(quote("fn:add").starts_with("// Adds.\n// Both are numbers.\ntemplate"));
  CHECK(quote("fn:add").ends_with("  return '}' + 1'000;\n}\n"));
  CHECK(quote("fn:chapbook::add") == quote("fn:add"));
  CHECK(quote("fn:declared") == "int declared(int x);\n");
  CHECK(quote("fn:overloaded(int") == "int overloaded(int x) { return x; }\n");
  CHECK(quote("fn:overloaded(double x, double") ==
        "int overloaded(double x,\n               double y) {\n  return R\"(}{\")\"[0];\n}\n");
  CHECK(quote("struct:Kind") == "enum class Kind { a, b };\n");
  CHECK(quote("struct:Node").ends_with("  int other_;\n};\n"));
  CHECK(quote("fn:Node::Node(int") == "explicit Node(int n) : number{n}, other_(n) { run(); }\n");
  CHECK(quote("fn:operator()") == "// Says so.\nbool operator()(int) const override { return true; }\n");
  CHECK(quote("fn:operator<") ==
        "bool operator<(const Node& other) const { return number < other.number; }\n");
  CHECK(quote("fn:operator*") == "Node* operator*(const Node& a, const Node& b) { return nullptr; }\n");
  CHECK(quote("fn:matmul") == "virtual void matmul(View a, View b) = 0;\n");
  CHECK(quote("test:the sum (of") ==
        "TEST_CASE(\"the sum (of two) is right\") {\n  CHECK(add(1, 2) == 3);\n}\n");
}

TEST_CASE("regions are quoted without markers and moved to the left") {
  CHECK(quote("sum") == "const T c = a + b;\n\nreturn c;\n");
  CHECK(quote("nested") == "return c;\n");
  std::vector<int> numbers;
  quoted_lines(example, find_piece(example, "sum"), &numbers);
  CHECK(numbers == std::vector<int>{18, 19, 21});
}

TEST_CASE("the body of a piece is what an exercise cuts") {
  const auto body = [](const std::string& name) {
    const Piece piece = find_piece(example, name);
    return example.text.substr(piece.body, piece.body_end - piece.body);
  };
  CHECK(body("fn:overloaded(int") == " return x; ");
  CHECK(body("fn:declared").empty());
  CHECK(body("nested") == "    return c;\n");
}

TEST_CASE("what is not there, or there twice, is refused with what was meant") {
  const auto message = [](const std::string& name) -> std::string {
    try {
      find_piece(example, name);
    } catch (const Error& error) {
      return error.what();
    }
    return "found";
  };
  CHECK(message("fn:ad") == "example.cpp has no fn:ad; did you mean fn:add?");
  CHECK(message("fn:overloaded") ==
        "example.cpp has 2 of fn:overloaded; say more: fn:chapbook::overloaded(int x) or "
        "fn:chapbook::overloaded(double x, double y)");
  CHECK(message("struct:Nod") == "example.cpp has no struct:Nod; did you mean struct:Node?");
  CHECK(message("summ") == "example.cpp has no region summ; did you mean sum?");
  CHECK(message("line:3").starts_with("example.cpp#line:3: a piece is fn:NAME"));
  CHECK(message("test:ticks") ==
        "example.cpp has no test:ticks; did you mean test:the sum (of two) is right?");
}

// Reading all there is shows constructs the example lacks: a bracket out of step throws.
TEST_CASE("every source of the repository can be read") {
  const std::filesystem::path root = CHAPBOOK_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"tensor", "autograd", "nn", "optim", "data", "apps", "tests", "bench", "docs"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string kind = entry.path().extension().string();
      if (kind != ".h" && kind != ".cpp") continue;
      const Source source{entry.path().string(), read_file(entry.path().string())};
      CHECK_THROWS_WITH_AS(find_piece(source, "fn:there_is_no_such_function"),
                           doctest::Contains("there_is_no_such_function"), Error);
      ++files;
    }
  CHECK(files > 100);
  const auto lines_of = [&](const std::string& path, const std::string& name) {
    const Source source{path, read_file((root / path).string())};
    return quoted_lines(source, find_piece(source, name));
  };
  CHECK(lines_of("tensor/reference/norm.cpp", "fn:layer_norm_backward").front().starts_with("// With u ="));
  CHECK(lines_of("autograd/variable.h", "struct:Node").back() == "};");
  CHECK(lines_of("nn/norm.h", "fn:LayerNorm::parts").size() == 4);
  CHECK(lines_of("autograd/ops.cpp", "fn:operator*(const Variable& p, const Variable& q").size() > 4);
}

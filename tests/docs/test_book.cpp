// The tool that keeps the book true, on a small book that can be broken; and the book itself.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "docs/tool/docs.h"
#include "docs/tool/formula.h"
#include "docs/tool/links.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "docs/tool/site.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::string page_text = R"(# A page

<!-- explains: code.cpp -->
<!-- unquoted: code.cpp#fn:more | it is only called -->

<!-- code: code.cpp#fn:twice -->
<!-- /code -->

<!-- out: demo/hello a b|1 -->
<!-- /out -->

An error of <!-- val: docs/results/r.json#values.error|.1e --><!-- /val --> in $x^2$ of [code](../code.cpp), see [above](#a-page).

<!-- fig: curve docs/results/r.json -->
<!-- /fig -->

<!-- claim: docs/results/r.json#0 < values.error < 0.5 * values.limit < values.limit / values.error -->

<!-- list: coverage -->
<!-- /list -->

<!-- list: rungs ladder.json -->
<!-- /list -->

```math
\frac{1}{x}
```

<details><summary>Hint</summary>

Think.

</details>
)";

// A repository with one page, filled.
struct SmallBook {
  TemporaryDirectory directory;
  std::string root = directory.path;

  SmallBook() {
    put("code.cpp",
        "// Doubles.\nint twice(int x) { return 2 * x; }\n\nint more(int x) { return twice(x) + 1; }\n");
    put("build/docs/demo_hello", "#!/bin/sh\necho \"hello $1 $2  \"\necho more\n");
    const Json figure = to_json(
        Plot{.title = "Curve", .x_label = "x", .y_label = "y", .lines = {{"line", {1, 2}, {3, NAN}}}});
    const Json manifest = {{"command", "run it"},
                           {"commit", "abc"},
                           {"sources", {{"code.cpp#fn:twice", digest(root, "code.cpp#fn:twice")}}}};
    put("docs/results/r.json", Json{{"manifest", manifest},
                                    {"values", {{"error", 0.00012}, {"limit", 0.001}, {"none", nullptr}}},
                                    {"figures", {{"curve", figure}}}}
                                   .dump());
    const Json rungs = {{{"name", "loops"}, {"threads", 1}, {"gflops", {{"median", 0.63}}}},
                        {{"name", "tiles"}, {"threads", 2}, {"gflops", {{"median", 2345.6}}}}};
    put("ladder.json", Json{{"machine", {{"processor", "A"}, {"cores", 2}, {"date", "2026-01-31"}}},
                            {"sizes", {{{"m", 8}, {"n", 9}, {"k", 7}, {"rows", rungs}}}}}
                           .dump());
    put("docs/page.md", page_text);
    rewrite();
  }
  void put(const std::string& path, const std::string& text) const {
    make_directory(std::filesystem::path(root + "/" + path).parent_path().string());
    write_file(root + "/" + path, text);
    if (path.starts_with("build/"))
      std::filesystem::permissions(root + "/" + path, std::filesystem::perms::owner_all);
  }
  std::string get(const std::string& path) const { return read_file(root + "/" + path); }
  void replace(const std::string& path, const std::string& from, const std::string& to) const {
    std::string text = get(path);
    REQUIRE(text.find(from) != std::string::npos);
    put(path, text.replace(text.find(from), from.size(), to));
  }
  Report rewrite() const {
    Book book = open_book(root, root + "/build");
    return rewrite_page(book, book.pages.at(0));
  }
  // All problems, one a line.
  std::string problems() const {
    const Book book = open_book(root, root + "/build");
    std::string text;
    for (const Problem& problem : check_page(book, book.pages.at(0)).problems)
      text += fmt::format("{}:{}: {}\n", problem.path, problem.line, problem.text);
    return text;
  }
};

// Where a line that begins with `text` is.
static int line_of(const std::string& page, const std::string& text) {
  const size_t at = page.find("\n" + text);
  REQUIRE(at != std::string::npos);
  return 2 + static_cast<int>(std::count(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

TEST_CASE("book: every kind of block is filled, and then nothing is stale") {
  const SmallBook book;
  const std::string page = book.get("docs/page.md");
  for (const char* part :
       {"<!-- code: code.cpp#fn:twice -->\n[code.cpp](../code.cpp)\n\n```cpp\n// "
        "Doubles.\nint twice(int x) { return 2 * x; }\n```\n<!-- /code -->",
        "-->\n```text\nhello a b\n```\n<!-- /out -->", "|.1e -->1.2e-04<!-- /val --> in",
        "![Curve](img/curve.svg)",
        "| [code.cpp](../code.cpp) | 2 | 1 | `fn:more` (1 line): it is only called |",
        "| rung | threads | 8 x 9 x 7 |\n| --- | --- | --- |\n| loops | 1 | 0.6 |\n| tiles | 2 | "
        "2346 |\n\nGFLOP/s. *A, 2 cores, 2026-01-31.*"}) {
    CAPTURE(page);
    CHECK_MESSAGE(page.find(part) != std::string::npos, part);
  }
  CHECK(book.get("docs/img/curve.svg").ends_with("</svg>\n"));
  CHECK(book.problems() == "");
  CHECK(book.rewrite().written.empty());
}

TEST_CASE("book: what is changed behind the page's back is found, with page and line") {
  struct Change {
    const char *file, *from, *to, *block, *says;
  };
  for (const Change& change : std::initializer_list<Change>{
           {"code.cpp", "2 * x", "3 * x",
            "<!-- code:", "is stale: the page has \"int twice(int x) { return 2 * x; }\", now it is"},
           {"code.cpp", "Doubles", "Twice", "<!-- code:", "is stale"},
           {"code.cpp", "int twice", "int thrice",
            "<!-- code:", "code.cpp has no fn:twice; did you mean fn:thrice?"},
           {"code.cpp", "int more", "int other() { return 1; }\nint more",
            "<!-- explains:", "neither quoted nor have a reason"},
           {"build/docs/demo_hello", "hello", "goodbye", "<!-- out:", "is stale"},
           {"build/docs/demo_hello", "echo more", "exit 3", "<!-- out:", "ends with exit code 3, not 0"},
           {"docs/results/r.json", "0.00012", "0.00013", "An error", "is stale"},
           {"docs/results/r.json", "error", "mistake", "An error", "there is no \"error\" at values"},
           {"docs/results/r.json", "3.0", "4.0",
            "<!-- fig:", "docs/img/curve.svg is not what its results give"},
           {"docs/results/r.json", "abc", "abd", "<!-- fig:", "is stale"},
           {"docs/results/r.json", "0.001,", "0.0002,", "<!-- claim:", "does not hold: 0.00012 < 0.0001"},
           {"docs/page.md", "* values.limit", "* values.none", "<!-- claim:", "does not hold"},
           {"docs/page.md", "values.limit / values.error", "values.error / 1",
            "<!-- claim:", "does not hold: 0.0005 < 0.00012"},
           {"docs/page.md", "#0 < values", "#1 <= values", "<!-- claim:", "does not hold: 1 <= 0.00012"},
           {"docs/page.md", "0 < values.error", "0 < values.mistake",
            "<!-- claim:", "there is no \"mistake\""},
           {"docs/page.md", "0 < values.error < 0.5 * values.limit < values.limit / values.error",
            "values.error == null", "<!-- claim:", "does not hold: it is 0.00012"},
           {"docs/page.md", "0 < values.error < 0.5 * values.limit < values.limit / values.error",
            "values.error", "<!-- claim:", "compares nothing"},
           {"docs/page.md", "1.2e-04", "1.1e-04", "An error", "is stale"},
           {"docs/page.md", "hello a b\n", "hello a c\n", "<!-- out:", "is stale"},
           {"docs/page.md", "(../code.cpp), see", "(../cod.cpp), see", "An error",
            "links to cod.cpp, which is not there"},
           {"docs/page.md", "#a-page)", "#the-page)", "An error",
            "has no heading #the-page; did you mean #a-page?"},
           {"docs/page.md", "$x^2$", "$x^{2$", "An error", "the formula x^{2"},
           {"docs/page.md", "$x^2$", "$x^2", "An error", "has no second one"},
           {"docs/page.md", "\\frac{1}{x}", "\\fraq{1}{x}", "```math", "\\fraq is not known"},
           {"docs/page.md", "summary>\n\n", "summary>\n", "Think.",
            "there is no empty line behind </summary>"},
           {"docs/page.md", "<!-- /code -->", "", "<!-- code:", "has no <!-- /code -->"},
           {"docs/page.md", "<!-- /out -->", "<!-- /val -->", "<!-- /val", "ends nothing"},
           {"docs/page.md", "<!-- list: coverage", "<!-- list: covrage", "<!-- list", "there is no list"},
           {"docs/page.md", "<!-- out: demo", "<!-- put: demo", "<!-- put",
            "there are code, out, val, fig, list"}}) {
    const SmallBook book;
    book.replace(change.file, change.from, change.to);
    const std::string found = book.problems();
    CAPTURE(std::string(change.from));
    CAPTURE(found);
    const std::string where =
        fmt::format("docs/page.md:{}: ", line_of(book.get("docs/page.md"), change.block));
    CHECK_MESSAGE(found.find(where) != std::string::npos, change.from, " at ", where);
    CHECK_MESSAGE(found.find(change.says) != std::string::npos, change.says);
  }
  const SmallBook book;
  std::filesystem::remove(book.root + "/docs/img/curve.svg");
  CHECK(book.problems().find("docs/img/curve.svg is missing") != std::string::npos);
}

TEST_CASE("book: results measured on other sources are noted, and are no failure") {
  const SmallBook book;
  book.replace("code.cpp", "int twice", "// A comment measures nothing.\nint  twice");
  book.rewrite();
  CHECK(book.get("docs/page.md").find("have changed since") == std::string::npos);
  book.replace("code.cpp", "int  twice", "static int twice");
  book.rewrite();
  CHECK(book.problems() == "");
  CHECK(book.get("docs/page.md").find("commit abc:* `run it` <em>Its sources have changed since.</em>") !=
        std::string::npos);
  const Book opened = open_book(book.root, book.root + "/build");
  const Report report = check_page(opened, opened.pages.at(0));
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].text ==
        "docs/results/r.json was measured at commit abc; changed since: code.cpp#fn:twice");
  // Where the source is as it was again, the page's note is no reason to fail either.
  book.replace("code.cpp", "static int twice", "int twice");
  CHECK(book.problems().find("fig") == std::string::npos);
}

TEST_CASE("book: a chapter is as long as can be read, counted in words of its sentences") {
  const SmallBook book;
  book.put("docs/chapters.txt", "90 | Words | docs | none\n");
  const auto problems = [&](int words) {
    std::string text =
        "# 90. Words\n\n| no word | of this |\n\n```text\nnor this\n```\n<!-- nor: this > 2 * that -->\n";
    for (int i = 3; i < words; ++i) text += "`a word`\n";  // behind the two of the title
    book.put("docs/90-words.md", text + "[the last](../code.cpp).\n");
    return book.problems();
  };
  CHECK(problems(1499).find("docs/90-words.md:1: 1500 words") == std::string::npos);
  CHECK(problems(1498).find("docs/90-words.md:1: 1499 words; a chapter has 1500 to 3500") !=
        std::string::npos);
  CHECK(problems(3499).find("words; a chapter") == std::string::npos);
  CHECK(problems(3500).find("docs/90-words.md:1: 3501 words") != std::string::npos);
}

TEST_CASE("book: what an exercise asks for stands folded on a page, also as a part of more") {
  const Book book = open_book(CHAPBOOK_SOURCE_DIR, "");
  const Page page{"docs/x.md", ""};
  const auto quote = [&](const std::string& argument) { return render(book, page, {"code", argument}); };
  const std::string fold = "\n<details><summary>Our version; it answers exercise";
  CHECK(quote("tensor/shape.cpp#fn:contiguous_strides").starts_with(fold + " 2.1</summary>\n\n["));
  CHECK(quote("tensor/shape.cpp#fn:contiguous_strides").ends_with("```\n\n</details>\n"));
  CHECK(quote("nn/gpt.h#struct:Block").starts_with(fold + " 12.1</summary>"));
  CHECK(quote("autograd/variable.cpp#fn:backward(const Variable& y")
            .starts_with(fold + "s 7.4 and 7.5</summary>"));
  CHECK(quote("tensor/view.cpp#fn:View::slice").starts_with(fold + " 2.3</summary>"));
  CHECK(
      quote("tensor/view.cpp#fn:View::slice|1-4").starts_with("\n["));  // without the line that is asked for
  CHECK(quote("tensor/view.cpp#fn:View::transpose").starts_with("\n["));
}

TEST_CASE("book: markers in fences and in back quotes are text") {
  std::vector<Problem> problems;
  const Page page{
      "p.md",
      "`<!-- code: x -->` and ``a ` <!-- out: y -->``\n```text\n<!-- val: z -->\n```\n<!-- a comment -->\n"};
  CHECK(find_blocks(page, problems).empty());
  CHECK(problems.empty());
}

TEST_CASE("book: values by their path, and numbers as they are written") {
  const Json json = {
      {"a", {{"b", {1, 2.5}}}},
      {"rows", {{{"name", "x y"}, {"n", 1}, {"v", 7}}, {{"name", "x y"}, {"n", 2}, {"v", 1234567}}}}};
  CHECK(format_value(at_path(json, "a.b.1"), ".2f") == "2.50");
  CHECK(format_value(at_path(json, "rows.name=x y&n=2.v"), ",") == "1,234,567");
  CHECK(format_value(at_path(json, "rows.0.v"), "") == "7");
  CHECK(format_value(-123456, ",") == "-123,456");
  CHECK(format_value(123, ",") == "123");
  CHECK(format_value("one\n\ntwo", "") == "one two");
  CHECK_THROWS(at_path(json, "rows.name=x y.v"));
  CHECK_THROWS(at_path(json, "a.b.2"));
  CHECK_THROWS(format_value(1.5, "q"));
  CHECK_THROWS(format_value(json, ".1f"));
}

TEST_CASE("book: formulas that KaTeX would refuse") {
  for (const char* good :
       {"x", "x^2_i", "\\frac{a}{b}", "\\frac12", "\\sqrt[3]{x}", "\\left( \\frac{a}{b} \\right]",
        "\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}", "\\begin{pmatrix} 1 & 2 \\end{pmatrix}",
        "\\mathbf{1}^\\top x", "\\operatorname{softmax}(x)", "\\text{if } x > 0", "a \\, b \\% \\{c\\}",
        "\\left\\lVert x \\right\\rVert", "e^{-x}", "x'"})
    CHECK_MESSAGE(formula_error(good) == "", good);
  for (const char* bad : {"",
                          "x^",
                          "x_{",
                          "}",
                          "x^2^3",
                          "\\frac{a}",
                          "\\frac",
                          "\\sqrt",
                          "\\alpah",
                          "\\left( x",
                          "x \\right)",
                          "\\begin{aligned} x",
                          "\\begin{aligned} x \\end{matrix}",
                          "\\begin{foo} x \\end{foo}",
                          "a & b",
                          "\\text{a_b}",
                          "50%",
                          "\\",
                          "\\left x \\right)",
                          "{x"})
    CHECK_MESSAGE(formula_error(bad) != "", bad);
}

TEST_CASE("book: headings are named as code hosts name them") {
  CHECK(anchors("# 2. Tensors: `shape`, and more\n## What goes wrong\n## What goes wrong\n```\n# no "
                "heading\n```\n") ==
        std::vector<std::string>{"2-tensors-shape-and-more", "what-goes-wrong", "what-goes-wrong-1"});
}

TEST_CASE("book: in the site docs/ is the root, and sources are pages") {
  CHECK(site_path("docs/README.md") == "index.md");
  CHECK(site_path("docs/02-tensors.md") == "02-tensors.md");
  CHECK(site_path("docs/img/x.svg") == "img/x.svg");
  CHECK(site_path("tensor/README.md") == "code/tensor/README.md");
  CHECK(site_path("tensor/view.h") == "code/tensor/view.h.md");
}

TEST_CASE("book: exit codes") {
  const std::string program = CHAPBOOK_DOCS_PROGRAM;
  CHECK(run_shell(program + " docs --check nowhere").code == 2);
  CHECK(run_shell(program + " docs --chek").code == 2);
  CHECK(run_shell(program + " docs --help").code == 0);
}

TEST_CASE("book: every page says what its sources say") {
  const Ran ran = run_shell(std::string(CHAPBOOK_DOCS_PROGRAM) + " docs --check");
  CHECK_MESSAGE(ran.code == 0, ran.output);
}

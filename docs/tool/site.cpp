#include "docs/tool/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "docs/tool/links.h"
#include "docs/tool/lists.h"
#include "docs/tool/results.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {

namespace fs = std::filesystem;

static constexpr const char* katex = "/usr/share/javascript/katex";  // of Debian's libjs-katex

std::string site_path(const std::string& path) {
  if (path == "docs/README.md") return "index.md";
  const std::string ending = fs::path(path).extension().string();
  const bool as_it_is = ending == ".md" || ending == ".svg" || ending == ".png";
  return (path.starts_with("docs/") ? path.substr(5) : "code/" + path) + (as_it_is ? "" : ".md");
}

namespace {

// A link to a directory is one to its README.
std::string file_of(const Book& book, const std::string& path) {
  return fs::is_directory(book.at(path)) ? (fs::path(path) / "README.md").lexically_normal().generic_string()
                                         : path;
}

// The page with links as they are in the site; `linked` receives what they lead to.
std::string with_site_links(const Book& book, const Page& page, std::set<std::string>& linked) {
  static const std::regex outside("^([a-z]+:|#).*");
  std::string text = page.text;
  std::vector<Link> links = find_links(page.text);
  std::reverse(links.begin(), links.end());
  const fs::path here = fs::path(site_path(page.path)).parent_path();
  for (const Link& link : links) {
    if (std::regex_match(link.target, outside)) continue;
    const size_t hash = std::min(link.target.find('#'), link.target.size());
    const std::string path = file_of(book, (fs::path(page.path).parent_path() / link.target.substr(0, hash))
                                               .lexically_normal()
                                               .generic_string());
    linked.insert(path);
    const std::string target =
        fs::path(site_path(path)).lexically_relative(here.empty() ? "." : here).generic_string();
    text.replace(link.begin, link.target.size(), target + link.target.substr(hash));
  }
  return text;
}

// Comments of the tool are taken out, since Markdown in Python ends a paragraph at one; text inside <details>
// is read as Markdown, as code hosts do.
std::string for_python(const std::string& text) {
  static const std::regex comment(R"(<!-- /?[a-z]+(: .*?)? -->)"), details("<details>");
  std::string result;
  for (const ProseLine& line : prose_lines(text)) {
    const bool has_comment = !line.fenced && without_code_spans(line.text).find("<!--") != std::string::npos;
    std::string kept = has_comment ? std::regex_replace(line.text, comment, "") : line.text;
    if (has_comment && kept.empty()) continue;
    if (!line.fenced) kept = std::regex_replace(kept, details, "<details markdown=\"1\">\n");
    result += kept + "\n";
  }
  return result;
}

std::string source_page(const Book& book, const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  const std::string text = read_file(book.at(path));
  std::string fence = "````";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fmt::format("# {}\n\n{} {{ .{} linenums=\"1\" }}\n{}\n{}\n", path, fence,
                     ending == ".json" || ending == ".jsonl" ? "json"
                     : ending == ".py"                       ? "python"
                     : ending.empty()                        ? "bash"
                                                             : "cpp",
                     text, fence);
}

// The sources of a folder, one behind the other.
std::string all_of_folder(const Book& book, const std::string& folder) {
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(book.at(folder)))
    if (entry.is_regular_file()) files.insert(entry.path().filename().string());
  std::string text;
  for (const std::string& file : files) text += source_page(book, folder + "/" + file) + "\n";
  return text;
}

std::string heading(const Page& page) {
  const std::vector<std::string> lines = split_lines(page.text);
  return lines.empty() || !lines[0].starts_with("# ") ? page.path : lines[0].substr(2);
}

// mkdocs.yml's list of pages: chapters in order, other pages of docs/, the folders.
std::string navigation(const Book& book) {
  const auto entry = [](int depth, const std::string& title, const std::string& path) {
    return fmt::format("{:{}}- {}: {}\n", "", depth, Json(title).dump(), path);
  };
  std::string nav = "nav:\n" + entry(2, "The book", "index.md") + "  - Chapters:\n";
  std::set<std::string> seen = {"docs/README.md"};
  for (const Chapter& chapter : chapters(book))
    if (!chapter.page.empty()) {
      seen.insert(chapter.page);
      nav += entry(6, fmt::format("{}. {}", chapter.number, chapter.title.substr(0, chapter.title.find(':'))),
                   site_path(chapter.page));
    }
  nav += "  - Appendices:\n";
  std::map<std::string, std::string> by_heading;  // appendices begin with their letter
  for (const Page& page : book.pages)
    if (page.path.starts_with("docs/") && !seen.contains(page.path))
      by_heading[heading(page)] = site_path(page.path);
  for (const auto& [title, path] : by_heading) nav += entry(6, title, path);
  nav += "  - The code:\n";
  for (const Page& page : book.pages)
    if (!page.path.starts_with("docs/")) nav += entry(6, heading(page), site_path(page.path));
  return nav;
}

void put(const std::string& path, const std::string& text) {
  make_directory(fs::path(path).parent_path().string());
  write_file(path, text);
}

}  // namespace

void write_site(const Book& book, const std::string& directory) {
  check(fs::exists(katex), "{} is missing: Debian's package libjs-katex has it", katex);
  const std::string pages = directory + "/pages/";
  fs::remove_all(pages);
  std::set<std::string> linked;
  for (const Page& page : book.pages) {
    put(pages + site_path(page.path), for_python(with_site_links(book, page, linked)));
  }
  for (const std::string& path : linked) {
    const std::string to = pages + site_path(path);
    if (fs::exists(to)) continue;
    const fs::path folder = fs::path(path).parent_path();
    if (fs::is_regular_file(book.at(path)))
      put(to, to.ends_with(".md") ? source_page(book, path) : read_file(book.at(path)));
    else if (path.ends_with("/README.md") && fs::is_directory(book.at(folder)))  // a folder without one
      put(to, all_of_folder(book, folder));
    // What is missing otherwise mkdocs complains of.
  }
  for (const char* name : {"book.css", "math.js"})
    put(pages + "site/" + name, read_file(book.at(std::string("docs/site/") + name)));
  for (const char* name : {"katex.min.css", "katex.min.js"})
    put(pages + "site/" + name, read_file(std::string(katex) + "/" + name));
  for (const auto& font : fs::directory_iterator(std::string(katex) + "/fonts"))
    put(pages + "site/fonts/" + font.path().filename().string(), read_file(font.path().string()));
  put(directory + "/mkdocs.yml", read_file(book.at("docs/site/mkdocs.yml")) + navigation(book));
}

}  // namespace chapbook

#include "apps/serve/page.h"

#include <fmt/format.h>

#include "tensor/check.h"

namespace chapbook {

// The assembler puts each file between two names.
#define CHAPBOOK_FILE(name, file)                                                           \
  asm(".section .rodata\n"                                                                  \
      ".global chapbook_" #name ", chapbook_" #name                                         \
      "_end\n"                                                                              \
      "chapbook_" #name ": .incbin \"" CHAPBOOK_PAGES "/" file                              \
      "\"\n"                                                                                \
      "chapbook_" #name                                                                     \
      "_end:\n"                                                                             \
      ".previous\n");                                                                       \
  extern "C" const char chapbook_##name[], chapbook_##name##_end[];                         \
  static std::string_view name() {                                                          \
    return {chapbook_##name, static_cast<size_t>(chapbook_##name##_end - chapbook_##name)}; \
  }

CHAPBOOK_FILE(page_html, "page.html")
CHAPBOOK_FILE(xray_html, "xray.html")
CHAPBOOK_FILE(book_css, "book.css")
CHAPBOOK_FILE(xray_css, "xray.css")
CHAPBOOK_FILE(xray_js, "xray.js")
CHAPBOOK_FILE(dashboard_html, "dashboard.html")
CHAPBOOK_FILE(icon_txt, "icon.txt")

std::string put(std::string text, std::string_view name, std::string_view content) {
  const std::string mark = fmt::format("/* put: {} */", name);
  const size_t at = text.find(mark);
  check(at != text.npos, "a page has no place for {}", name);
  return text.replace(at, mark.size(), content);
}

// With the look that all share.
static std::string dressed(std::string_view html) {
  return put(put(std::string(html), "icon.txt", icon_txt()), "book.css", book_css());
}
static std::string with_viewer(std::string_view html) {
  return put(put(dressed(html), "xray.css", xray_css()), "xray.js", xray_js());
}

const std::string& page() {
  static const std::string whole = with_viewer(page_html());
  return whole;
}

const std::string& xray_file() {
  static const std::string whole = with_viewer(xray_html());
  return whole;
}

const std::string& dashboard_page() {
  static const std::string whole = dressed(dashboard_html());
  return whole;
}

}  // namespace chapbook

// What holds for every page: nothing is asked of anybody else, nothing is without a name, nothing too pale.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "tensor/files.h"
#include "tests/support/browser.h"

namespace chapbook {

using Any = Browser::Json;

// Says so loudly where there is none.
inline bool browser_is_there() {
  if (Browser::there()) return true;
  // .ci/run installs them; REQUIRE_BROWSER makes their absence a failure there.
  std::cerr << "\n*** chromium and chromium-driver are not installed: THE PAGE IS NOT TESTED ***\n\n";
  CHECK_MESSAGE(!std::getenv("REQUIRE_BROWSER"), "there is no browser");
  return false;
}

// Every control has a name for those who do not see it.
inline const char* const unnamed = R"(
  const named = e => e.getAttribute('aria-label')?.trim() || e.getAttribute('aria-labelledby') || e.labels?.[0]?.textContent.trim() ||
    (e.tagName === 'BUTTON' && e.textContent.trim()) || e.getAttribute('title');
  return [...document.querySelectorAll('button, input, select, textarea, summary, [role=button], [tabindex]')]
    .filter(e => !named(e) && !(e.tagName === 'SUMMARY' && e.textContent.trim())).map(e => e.outerHTML.slice(0, 200));)";

// Text whose colour does not stand out from what is behind it by 4.5 to 1 (WCAG 2.2, 1.4.3).
inline const char* const too_pale = R"(
  const parse = c => c.match(/[\d.]+/g).map(Number), light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if ((c[3] ?? 1) > 0.5) return c; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.closest('[disabled], .hidden, script, style, i, select')) continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e).slice(0, 3));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(contrast.toFixed(2) + ' ' + e.outerHTML.slice(0, 120));
  }
  return found;)";

inline void save_picture(Browser& browser, const std::string& name) {
  if (const char* folder = std::getenv("CHAPBOOK_PICTURES")) {  // to be looked at
    const std::string text = browser.screenshot();
    write_file(std::string(folder) + "/" + name + ".base64", text);
  }
}

// The console is empty, and every request went to this server.
inline void check_quiet(Browser& browser, const std::string& base) {
  for (const Any& entry : browser.log("browser")) FAIL_CHECK(entry["message"].get<std::string>());
  int requests = 0;
  for (const Any& entry : browser.log("performance")) {
    const Any message = Any::parse(entry["message"].get<std::string>())["message"];
    if (message["method"] != "Network.requestWillBeSent") continue;
    const std::string url = message["params"]["request"]["url"];
    CHECK_MESSAGE((url.starts_with(base) || url.starts_with("data:")), url);
    ++requests;
  }
  CHECK(requests > 0);
}

// What axe-core finds (github.com/dequelabs/axe-core), where CHAPBOOK_AXE names its axe.min.js; it is not
// among Debian's packages.
inline void check_with_axe(Browser& browser) {
  const char* axe = std::getenv("CHAPBOOK_AXE");
  if (!axe) return;
  if (browser.run("return typeof axe") == "undefined") browser.run(read_file(axe));
  browser.run("window.found = null; axe.run().then(result => window.found = result.violations)");
  REQUIRE(browser.becomes("window.found"));
  for (const Any& each : browser.run("return found.flatMap(rule => rule.nodes.map(node => `${rule.id}: "
                                     "${rule.help}: ${node.html.slice(0, 200)}`))"))
    FAIL_CHECK(each.get<std::string>());
}

inline void check_for_everyone(Browser& browser) {
  check_with_axe(browser);
  for (const Any& element : browser.run(unnamed)) FAIL_CHECK("without a name: ", element.get<std::string>());
  for (const Any& element : browser.run(too_pale)) FAIL_CHECK("too pale: ", element.get<std::string>());
  CHECK(browser.run("return document.documentElement.scrollWidth <= innerWidth") == true);
}

}  // namespace chapbook

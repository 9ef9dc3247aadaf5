// The page of serve in a real browser: a story is told, looked at, changed and stopped with mouse and
// keyboard, wide and narrow, light and dark; nothing is asked of anybody else, and nothing is without a name.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/run/model_directory.h"
#include "apps/serve/xray_view.h"
#include "page_checks.h"
#include "program.h"
#include "results.h"
#include "served.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

std::string told(Browser& browser, const std::string& article = "article") {
  return browser.run("return document.querySelector('" + article + " .text').textContent");
}

}  // namespace

TEST_CASE("page: in a browser") {
  if (!browser_is_there()) return;
  std::vector<ServedModel> models = Served::models();
  models.push_back(
      {"slow", lively_model({.layers = 6, .heads = 6, .width = 384, .context = 128, .vocabulary = 400})});
  if (const char* run = std::getenv("CHAPBOOK_PICTURES_OF"))
    models.insert(models.begin(), {"tiny", load_model(run)});
  Served served({}, std::move(models));
  const std::string base = fmt::format("http://localhost:{}/", served.port);
  Browser browser(1280, 860);
  browser.window(1280, 860);
  browser.open(base);
  REQUIRE(browser.becomes("document.querySelector('#model').options.length >= 2", 10));
  check_for_everyone(browser);

  SUBCASE("a story streams in, is looked at, and goes on from another word") {
    browser.run("tokens.value = 40");
    browser.click("#tell");
    CHECK(browser.becomes("document.querySelectorAll('.t:not(.given)').length > 3"));  // while it is told
    REQUIRE(browser.becomes("document.querySelector('#status').textContent.startsWith('Told')"));
    const std::string first = told(browser);
    CHECK(first.starts_with("Once upon a time"));
    CHECK(browser.run("return $('stop').disabled") == true);
    // The model's own log-probabilities and the page's arithmetic agree, with all cuts off.
    browser.run(
        "for (const [name, value] of [['temperature', 1], ['top_p', 1]]) { const e = "
        "document.getElementById(name); e.value = value; e.dispatchEvent(new Event('input')); }");
    browser.point_at(".t:not(.given)");
    REQUIRE(browser.becomes("current?.scores && document.querySelectorAll('#list li').length >= 12"));
    CHECK(browser.run("return [...document.querySelectorAll('#list li')].slice(0, 12).every((li, i) => "
                      "li.row.id === current.top[i][0] && "
                      "Math.abs(li.row.drawn - Math.exp(current.top[i][1])) < 1e-4)") == true);
    save_picture(browser, "wide");
    // Sliders redraw from the same scores, and ask nobody.
    const Any before =
        browser.run("return [...document.querySelectorAll('#list li')].map(li => li.row.drawn)");
    browser.log("performance");
    browser.run("temperature.value = 0.5; temperature.dispatchEvent(new Event('input'))");
    const Any cooler =
        browser.run("return [...document.querySelectorAll('#list li')].map(li => li.row.drawn)");
    CHECK(cooler[0].get<double>() > before[0].get<double>());
    browser.run("top_k.value = 3; top_k.dispatchEvent(new Event('input'))");
    CHECK(browser.run("return document.querySelectorAll('#list li:not(.cut)').length") == 3);
    browser.run("temperature.value = 0; temperature.dispatchEvent(new Event('input'))");
    CHECK(browser.run("return document.querySelectorAll('#list li:not(.cut)').length") == 1);
    for (const Any& entry : browser.log("performance"))
      CHECK(entry["message"].get<std::string>().find("requestWillBeSent\"") == std::string::npos);
    // Another word, and on from there; and back.
    browser.run(
        "[...document.querySelectorAll('.t')].find(t => t.token.at > 8 && t.textContent.trim()).id = "
        "'ninth'");
    browser.click("#ninth");
    REQUIRE(browser.becomes("current?.span.id === 'ninth' && current.scores"));
    const Any kept = browser.run(
        "return texts[0].tokens.slice(0, current.at).map(token => token.span.textContent).join('')");
    const Any chosen = browser.run(
        "const can = li => li.row.id !== current.id && /^[ -~]+$/.test(vocabulary[model.id][li.row.id]) && "
        "!/bytes|endof/.test(vocabulary[model.id][li.row.id]); const li = "
        "[...document.querySelectorAll('#list li')].find(can); li.id = 'chosen'; return [current.at, "
        "li.row.id]");
    browser.click("#chosen button");
    REQUIRE(browser.becomes("document.querySelector('#status').textContent.startsWith('Told')"));
    CHECK(told(browser).starts_with(kept.get<std::string>()));
    CHECK(told(browser) != first);
    CHECK(browser.run("return texts[0].tokens[arguments[0]].id", Json::array({chosen[0]})) == chosen[1]);
    browser.click(".back");
    CHECK(told(browser) == first);
    check_for_everyone(browser);
    check_quiet(browser, base);
  }
  SUBCASE("several texts, side by side, by keyboard alone, and stopped") {
    browser.run(
        "$('model').value = 'slow'; $('model').dispatchEvent(new Event('change')); count.value = 3; "
        "tokens.value = 4000");
    browser.type("#prompt", ", said");
    browser.run("form.requestSubmit()");
    REQUIRE(
        browser.becomes("document.querySelectorAll('article').length === 3 && "
                        "document.querySelectorAll('.t:not(.given)').length > 30"));
    browser.click("#stop");
    REQUIRE(browser.becomes("document.querySelector('.telling') === null"));
    CHECK(browser.run("return document.querySelector('#status').textContent") == "Stopped");
    CHECK(browser.run(
              "return new Set([...document.querySelectorAll('.text')].map(e => e.textContent)).size") == 3);
    CHECK(told(browser).starts_with("Once upon a time, said"));
    browser.run("document.querySelector('.t').focus()");
    browser.key("\uE014");  // to the right
    browser.key("\uE014");
    CHECK(browser.run("return document.activeElement.token.at") == 2);
    REQUIRE(browser.becomes("document.querySelectorAll('#list li').length >= 12"));
    browser.key("\uE015");  // down, into the list
    CHECK(browser.run("return document.activeElement.closest('#list') !== null") == true);
    browser.key("\uE00C");  // escape: back in the text
    CHECK(browser.run("return document.activeElement.token?.at") == 2);
    save_picture(browser, "three");
    check_for_everyone(browser);
    check_quiet(browser, base);
  }
  SUBCASE("narrow and dark") {
    browser.window(390, 780);
    browser.dark(true);
    browser.open(base);
    REQUIRE(browser.becomes("document.querySelector('#model').options.length >= 2", 10));
    browser.run("tokens.value = 60");
    browser.click("#tell");
    REQUIRE(browser.becomes("document.querySelector('#status').textContent.startsWith('Told')"));
    browser.run("scrollTo(0, 0)");
    browser.click(".t:not(.given)");
    REQUIRE(browser.becomes("current?.scores && document.querySelectorAll('#list li').length >= 12"));
    CHECK(browser.run("return getComputedStyle(document.querySelector('#could')).position") == "fixed");
    CHECK(browser.run("return getComputedStyle(document.documentElement).backgroundColor") ==
          "rgb(26, 24, 21)");
    save_picture(browser, "narrow");
    check_for_everyone(browser);
    browser.click("#close");
    CHECK(browser.run("return document.querySelector('#could').matches('.open')") == false);
    check_quiet(browser, base);
  }
  SUBCASE("the x-ray: a head is switched off, and probabilities change") {
    browser.run("$('prompt').value = 'Once upon a time there was a fox.'");
    browser.click("#xray-tab");
    CHECK(browser.run("return $('looked-at').value") == "Once upon a time there was a fox.");
    CHECK(browser.run("return $('telling').checkVisibility()") == false);
    browser.click("#look button");
    REQUIRE(browser.becomes(
        "viewer.data && document.querySelectorAll('.xray .t').length === viewer.data.ids.length"));
    CHECK(browser.run("return document.querySelector('.xray .words').textContent.includes('there was')") ==
          true);
    // What the lens says behind the last block is what the API says.
    const Any ids = browser.run("return viewer.data.ids");
    CHECK(browser.run("return viewer.data.lens.length === viewer.data.layers + 1") == true);
    for (const char* tab : {"guesses", "attention", "back", "graph", "surgery"}) {
      CAPTURE(tab);
      browser.click(fmt::format("[data-tab={}]", tab));
      REQUIRE(
          browser.becomes("document.querySelector('.xray .panel').textContent.length > 40 && "
                          "!document.querySelector('.xray .panel').textContent.includes('Going back')"));
      check_for_everyone(browser);
      save_picture(browser, fmt::format("xray_{}", tab));
    }
    // By keyboard: another token, another tab.
    browser.run("document.querySelector('.xray .t.here').focus()");
    const Any place = browser.run("return viewer.place");
    browser.key("\uE012");  // to the left
    CHECK(browser.run("return viewer.place") == place.get<int>() - 1);
    CHECK(browser.run("return +document.activeElement.dataset.at") == place.get<int>() - 1);
    // Surgery, live.
    const Any before = browser.run("return viewer.data.lens.at(-1)");
    browser.run("document.querySelector('.xray .part').value = '1.1'");
    browser.click(".xray .operate .off");
    REQUIRE(browser.becomes("viewer.data.off?.[0] === '1.1'"));
    CHECK(browser.run("return viewer.data.lens.at(-1)") != before);
    CHECK(browser.run("return viewer.data.before.logprobs.slice(0, -1)") == [&] {
      Any all = Any::array();
      for (size_t i = 0; i + 1 < before.size(); ++i) all.push_back(before[i][1]);
      return all;
    }());
    CHECK(browser.run("return document.querySelector('.xray .sum').textContent.includes('1.1 off')") == true);
    browser.click("[data-tab=attention]");
    CHECK(browser.run("return document.querySelectorAll('.heads .off').length") == 1);
    browser.click("[data-tab=back]");  // and back through what is left
    REQUIRE(browser.becomes("document.querySelectorAll('.xray .parameters li').length > 10"));
    browser.click("[data-tab=surgery]");
    browser.type(".xray .from", "no");
    browser.click(".xray .patch");
    REQUIRE(browser.becomes(
        "document.querySelector('.xray .wrong').textContent.includes('as many as the other')"));
    browser.log("browser");  // where the browser notes a 400 of its own accord
    browser.click(".xray .chips button");
    REQUIRE(browser.becomes("!viewer.data.before"));
    CHECK(browser.run("return viewer.data.lens.at(-1)") == before);
    browser.window(390, 780);
    browser.dark(true);
    browser.click("[data-tab=attention]");
    check_for_everyone(browser);
    save_picture(browser, "xray_narrow");
    check_quiet(browser, base);
  }
  SUBCASE("an error is said") {
    browser.run("tokens.value = 100000; form.noValidate = true");
    browser.click("#tell");
    CHECK(browser.becomes("document.querySelector('#alert').textContent.includes('max_tokens')", 10));
    browser.log("browser");  // where the browser notes a 400 of its own accord
  }
}

TEST_CASE("page: an x-ray as one file, without a server") {
  if (!browser_is_there()) return;
  const Model model = lively_model();
  std::vector<int32_t> ids = prompt_ids(model.tokenizer, "Once upon a time there was a fox. \"</script>\"");
  const XRay seen = xray(model, ids);
  nlohmann::ordered_json data = xray_json(seen, model);
  data["model"] = "lively";
  for (size_t place = 1; place < ids.size(); ++place)
    data["back"][std::to_string(place)] = way_back_json(way_back(model, ids, static_cast<int64_t>(place)));
  const TemporaryDirectory folder;
  const std::string path = folder / "xray.html";
  write_file(path, xray_page(data));
  Browser browser(1280, 860);
  browser.window(1280, 860);
  browser.open("file://" + path);
  REQUIRE(browser.becomes("document.querySelectorAll('.t').length > 5", 10));
  CHECK(browser.run("return document.querySelector('.words').textContent.includes('</script>')") == true);
  for (const char* tab : {"guesses", "attention", "back", "graph", "surgery"}) {
    browser.click(fmt::format("[data-tab={}]", tab));
    check_for_everyone(browser);
  }
  // The weights that it shows are the model's, to a part in 65535.
  const double worst = browser.run(
      "let sum = 0; const T = data.ids.length; for (let l = 0; l < data.layers; ++l) for (let h = 0; h < "
      "data.heads; ++h) for (let t = 0; "
      "t < T; ++t) { let row = 0; for (let s = 0; s <= t; ++s) row += viewer.weight(l, h, t, s); sum = "
      "Math.max(sum, Math.abs(row - 1)); } "
      "return sum");
  CHECK(worst <= static_cast<double>(ids.size()) / 65535);
  const int64_t T = static_cast<int64_t>(ids.size());
  const double shown = browser.run("return viewer.weight(1, 1, arguments[0] - 1, 3)", Json::array({T}));
  CHECK(std::fabs(shown - seen.attention[1][(1 * T + T - 1) * T + 3]) <= 1.0 / 65535);
  browser.window(390, 780);
  browser.dark(true);
  check_for_everyone(browser);
  for (const Any& entry : browser.log("browser")) FAIL_CHECK(entry["message"].get<std::string>());
  for (const Any& entry : browser.log("performance")) {
    const Any message = Any::parse(entry["message"].get<std::string>())["message"];
    if (message["method"] != "Network.requestWillBeSent") continue;
    const std::string url = message["params"]["request"]["url"];
    CHECK_MESSAGE((url.starts_with("file://") || url.starts_with("data:")), url);
  }
}

// How long a browser takes is measured, and not judged: it depends on the machine and on what else runs
// there.
TEST_CASE("page: an x-ray of 128 tokens with all heads is below 5 MB, and how long it takes to open") {
  if (!browser_is_there()) return;
  std::string text;
  write_stories(10, 3, [&](std::string_view story) { text += story; });
  Json measured = Json::object();
  for (const auto& [name, heads, width] :
       {std::tuple{"tiny", 4, 128}, {"story", 6, 192}}) {  // the shapes of presets
    CAPTURE(name);
    const TemporaryDirectory folder;
    const Model model =
        lively_model({.layers = 4, .heads = heads, .width = width, .context = 128, .vocabulary = 400});
    save_model(*model.network, model.tokenizer, folder.path);
    write_file(folder / "text", text);
    const std::string page = folder / "xray.html";
    const Outcome made = run_program(fmt::format("xray {0} --file {0}/text --out {1}", folder.path, page));
    REQUIRE_MESSAGE(made.code == 0, made.output);
    const auto size = std::filesystem::file_size(page);
    CHECK(size < 5'000'000);
    Browser browser(1280, 860);
    std::vector<double> opened;
    for (int i = 0; i < 5; ++i) {
      browser.open("file://" + page);
      REQUIRE(
          browser.becomes("document.querySelectorAll('.t').length === 128 && "
                          "performance.getEntriesByType('paint').length > 0"));
      // When all of its script has run, and there is something to see.
      opened.push_back(
          browser.run("return Math.max(performance.getEntriesByType('navigation')[0].loadEventEnd, "
                      "performance.getEntriesByName('first-contentful-paint')[0].startTime)"));
    }
    const double first = opened[0];
    std::ranges::sort(opened);
    measured[name] = {{"bytes", size},
                      {"milliseconds", {{"first", first}, {"median", opened[2]}, {"slowest", opened[4]}}}};
  }
  write_results("xray_open", {{"tokens", 128}, {"shapes", measured}});
}

TEST_CASE("page: where no browser can be had, its driver is not left behind") {
  if (!browser_is_there()) return;
  const auto children = [] { return read_file("/proc/thread-self/children"); };
  const std::string before = children();
  CHECK_THROWS_AS(Browser(1280, 860, "/nowhere/chromium"), std::runtime_error);
  CHECK(children() == before);
}

// The page on the x-ray: what each head of the one-command run, `./chapbook train`, looks at, and what it is
// worth for names that have been told before and for all other tokens. The run is trained if it is not there.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/run/xray.h"
#include "data/token_file.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "tensor/check.h"

using namespace chapbook;
namespace fs = std::filesystem;

static constexpr int64_t windows = 64;

// A token that begins a word with a capital letter.
static bool capital(const Tokenizer& tokenizer, int32_t id) {
  std::string_view text = tokenizer.token_bytes(id);
  if (text.starts_with(' ')) text.remove_prefix(1);
  return text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z';
}

// The token was there before, and so it can be copied.
static bool told_before(std::span<const int32_t> ids, size_t t) {
  return std::find(ids.begin(), ids.begin() + t, ids[t]) != ids.begin() + t;
}

struct Loss {
  double names = 0, others = 0;  // nats per token
};

struct Text {
  std::vector<int32_t> ids;
  std::vector<bool> name;  // it begins with a capital letter, and was told before in this text
};

static Loss loss(const Model& model, const std::vector<Text>& texts, const std::vector<Cut>& cuts) {
  Loss sum;
  double names = 0, others = 0;
  for (const Text& text : texts) {
    const XRay seen = xray(model, text.ids, {.depth = XRayOptions::Depth::each, .top = 1, .cuts = cuts});
    for (size_t t = 1; t < text.ids.size(); ++t) {
      (text.name[t] ? sum.names : sum.others) -= seen.lens.back()[t - 1].log_probability;
      (text.name[t] ? names : others) += 1;
    }
  }
  return {sum.names / names, sum.others / others};
}

int main() {
  Results results("xray", {"apps/run/xray.cpp", "apps/run/surgery.cpp", "nn/attention.cpp", "nn/gpt.cpp",
                           "apps/run/settings_table.inc", "data/stories.cpp"});
  const fs::path program = fs::canonical("/proc/self/exe").parent_path().parent_path() / "chapbook";
  const fs::path directory = fs::temp_directory_path() / "chapbook-xray";
  if (!fs::exists(directory / "results.json")) {
    fs::remove_all(directory);
    const Ran ran = run_shell(fmt::format("{} train --run {}", program.string(), directory.string()));
    check(ran.code == 0, "train ends with {}:\n{}", ran.code, ran.output);
  }
  const Model model = load_model(directory.string());
  const TokenFile valid = TokenFile::open(directory / "data/valid.bin");
  const auto all = valid.tokens();
  const int64_t context = model.network->context();

  // Stories of the validation part, each from its beginning, as long as the model sees.
  std::vector<Text> texts;
  int64_t names = 0, tokens = 0;
  for (int64_t i = 0; i + context < valid.size() && static_cast<int64_t>(texts.size()) < windows; ++i) {
    if (all[i] != model.tokenizer.end_of_text()) continue;
    Text text;
    for (int64_t j = i; j < i + context && (j == i || all[j] != model.tokenizer.end_of_text()); ++j)
      text.ids.push_back(all[j]);
    for (size_t t = 0; t < text.ids.size(); ++t) {
      text.name.push_back(capital(model.tokenizer, text.ids[t]) && told_before(text.ids, t));
      names += text.name.back();
    }
    tokens += static_cast<int64_t>(text.ids.size()) - 1;
    texts.push_back(std::move(text));
  }

  const Anatomy there = anatomy(*model.network);
  struct Looks {
    double previous = 0, first = 0, name = 0;  // mean weight on the token before, on the first; and of the
                                               // place before a name, on where that name stood
  };
  std::vector<Looks> looks(there.layers * there.heads);
  double places = 0;
  for (const Text& text : texts) {
    const XRay seen = xray(model, text.ids, {.top = 1});
    const int64_t T = static_cast<int64_t>(text.ids.size());
    for (int64_t layer = 0; layer < there.layers; ++layer)
      for (int64_t head = 0; head < there.heads; ++head) {
        Looks& one = looks[layer * there.heads + head];
        const float* w = seen.attention[layer].data() + head * T * T;
        for (int64_t t = 2; t < T; ++t) {
          one.previous += w[t * T + t - 1];
          one.first += w[t * T];
        }
        for (int64_t t = 1; t < T; ++t)
          for (int64_t s = 0; text.name[t] && s < t; ++s)
            if (text.ids[s] == text.ids[t]) one.name += w[(t - 1) * T + s];
      }
    places += static_cast<double>(T - 2);
  }

  const Loss whole = loss(model, texts, {});
  Json heads = Json::array();
  const auto rounded = [](double x) { return std::round(x * 1e4) / 1e4; };
  for (int64_t layer = 0; layer < there.layers; ++layer)
    for (int64_t head = 0; head < there.heads; ++head) {
      const Looks& one = looks[layer * there.heads + head];
      const Loss off = loss(model, texts, {{.part = Cut::Part::head, .layer = layer, .index = head}});
      heads.push_back({{"head", fmt::format("{}.{}", layer, head)},
                       {"previous", rounded(one.previous / places)},
                       {"first", rounded(one.first / places)},
                       {"name", rounded(one.name / static_cast<double>(names))},
                       {"names_off", rounded(off.names)},
                       {"others_off", rounded(off.others)}});
      fmt::print("{}\n", heads.back().dump());
    }
  results.configuration = {{"command", "./chapbook train"},
                           {"stories", texts.size()},
                           {"layers", there.layers},
                           {"heads", there.heads}};
  results.values = {{"tokens", tokens},
                    {"names", names},
                    {"whole", {{"names", rounded(whole.names)}, {"others", rounded(whole.others)}}},
                    {"heads", heads}};
  results.write();
}

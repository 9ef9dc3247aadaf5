#include "apps/serve/xray_view.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/serve/page.h"
#include "data/token_text.h"

namespace chapbook {

namespace {

// Four digits are what people see; null where there is no number.
Json digits(double x, int count = 4) {
  if (!std::isfinite(x)) return nullptr;
  return Json::parse(fmt::format("{:.{}g}", x, count));
}
Json digits(const std::vector<double>& xs) {
  Json all = Json::array();
  for (const double x : xs) all.push_back(digits(x, 3));
  return all;
}

std::string base64(const std::vector<uint16_t>& numbers) {  // little-endian
  static constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes, text;
  for (const uint16_t x : numbers) bytes += {static_cast<char>(x & 255), static_cast<char>(x >> 8)};
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : letters[three >> (18 - 6 * j) & 63];
  }
  return text;
}

// Weights of one layer (heads, T, T): of each row those up to the diagonal; or of each row the `kept`
// largest, their places and then they themselves.
std::string packed(const std::vector<float>& weights, int64_t heads, int64_t T, int64_t kept) {
  std::vector<uint16_t> numbers;
  const auto number = [](float w) { return static_cast<uint16_t>(std::lround(w * 65535)); };
  for (int64_t row = 0; row < heads * T; ++row) {
    const float* w = weights.data() + row * T;
    const int64_t seen = row % T + 1;
    if (kept == 0) {
      for (int64_t s = 0; s < seen; ++s) numbers.push_back(number(w[s]));
      continue;
    }
    std::vector<uint16_t> places(seen);
    std::iota(places.begin(), places.end(), 0);
    const int64_t some = std::min(kept, seen);
    std::partial_sort(places.begin(), places.begin() + some, places.end(),
                      [&](uint16_t a, uint16_t b) { return w[a] != w[b] ? w[a] > w[b] : a < b; });
    for (int64_t i = 0; i < kept; ++i) numbers.push_back(i < some ? places[i] : 0);
    for (int64_t i = 0; i < kept; ++i) numbers.push_back(i < some ? number(w[places[i]]) : 0);
  }
  return base64(numbers);
}

}  // namespace

Json xray_json(const XRay& seen, const Model& model, const std::vector<Cut>& cuts, const XRay* whole) {
  const int64_t T = static_cast<int64_t>(seen.ids.size());
  Json texts = Json::object();
  const auto say = [&](int32_t id) {
    const std::string key = std::to_string(id);
    if (!texts.contains(key)) texts[key] = token_text(model.tokenizer, id);
  };
  for (const int32_t id : seen.ids) say(id);
  Json lens = Json::array();
  for (const std::vector<Guess>& layer : seen.lens) {
    Json row = Json::array();
    for (const Guess& guess : layer) {
      Json one = {digits(guess.entropy), digits(guess.log_probability), guess.rank};
      for (const Choice& choice : guess.likeliest) {
        say(choice.id);
        one.push_back(choice.id);
        one.push_back(digits(choice.probability));
      }
      row.push_back(std::move(one));
    }
    lens.push_back(std::move(row));
  }
  Json graph = Json::array();
  for (const SeenOp& op : seen.graph) {
    Json one = {{"op", op.op},
                {"name", op.name},
                {"part", op.part},
                {"where", op.where},
                {"reads", op.reads},
                {"uses", op.uses},
                {"shape", std::vector<int64_t>(op.shape.begin(), op.shape.end())},
                {"dtype", name_of(op.dtype)},
                {"norm", digits(op.norm)}};
    if (op.flops >= 0) one.update({{"flops", op.flops}, {"bytes", op.bytes}});
    graph.push_back(std::move(one));
  }
  // Long texts have more weights than a page can hold: a thousand tokens and 144 heads, 75 million.
  constexpr int64_t longest = 256;
  const int64_t kept = T <= longest ? 0 : 16;
  Json attention = Json::array();
  for (const std::vector<float>& layer : seen.attention)
    attention.push_back(packed(layer, seen.anatomy.heads, T, kept));
  Json names = Json::array();
  for (const Parameter& parameter : parameters(*model.network)) names.push_back(parameter.name);
  Json json = {{"ids", seen.ids},
               {"texts", texts},
               {"end", model.tokenizer.special_ids().empty() ? -1 : model.tokenizer.end_of_text()},
               {"layers", seen.anatomy.layers},
               {"heads", seen.anatomy.heads},
               {"neurons", seen.anatomy.neurons},
               {"loss", digits(seen.loss(), 6)},
               {"bits", digits(seen.bits_per_byte(), 6)},
               {"lens", lens},
               {"attention", attention},
               {"kept", kept},
               {"graph", graph},
               {"parameters", names}};
  for (const Cut& cut : cuts) json[cut.patched ? "patch" : "off"].push_back(cut.text());
  if (whole) {
    Json before = Json::array();
    for (const Guess& guess : whole->lens.back()) before.push_back(digits(guess.log_probability));
    json["before"] = {{"loss", digits(whole->loss(), 6)},
                      {"bits", digits(whole->bits_per_byte(), 6)},
                      {"logprobs", before}};
  }
  return json;
}

Json way_back_json(const WayBack& way) {
  Json streams = Json::array(), parameters = Json::array();
  for (const std::vector<double>& layer : way.streams) streams.push_back(digits(layer));
  for (const auto& [name, norm] : way.parameters) parameters.push_back(digits(norm, 3));
  return {{"loss", digits(way.loss)},
          {"shares", digits(way.shares)},
          {"streams", streams},
          {"gradients", digits(way.gradients)},
          {"parameters", parameters}};
}

std::string xray_page(const Json& data) {
  std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (size_t at = 0; (at = text.find('<', at)) != text.npos;)
    text.replace(at, 1, "\\u003c");  // no tag ends here
  return put(xray_file(), "data", text);
}

}  // namespace chapbook

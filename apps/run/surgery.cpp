#include "apps/run/surgery.h"

#include <charconv>
#include <functional>

#include "autograd/ops.h"
#include "tensor/json.h"

namespace chapbook {

namespace {

// Hands every named value to a function, and changes none.
class Look : public Watch {
 public:
  explicit Look(std::function<void(const std::string&, const Variable&)> see) : see_(std::move(see)) {}
  Variable named(const std::string& name, const Variable& x) override {
    see_(name, x);
    return x;
  }

 private:
  std::function<void(const std::string&, const Variable&)> see_;
};

// A whole number at the front of `text`, which is taken away; -1 where there is none.
int64_t take_number(std::string_view& text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || text.front() == '-') return -1;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

Tensor batch_of_one(std::span<const int32_t> ids, Backend& backend) {
  return Tensor::from(ids, {1, static_cast<int64_t>(ids.size())}, backend);
}

Anatomy anatomy(const LanguageModel& model) {
  NoGrad no_grad;
  Anatomy found;
  const Look look([&](const std::string& name, const Variable& x) {
    if (name.ends_with(".stream")) ++found.layers;
    if (name.ends_with(".queries")) found.heads = x.size(1);
    if (name.ends_with(".neurons")) found.neurons = x.size(-1);
  });
  model.stream(batch_of_one(std::array{0}, model.backend()));
  return found;
}

NamedValues named_values(const LanguageModel& model, std::span<const int32_t> ids) {
  NoGrad no_grad;
  NamedValues values;
  const Look look([&](const std::string& name, const Variable& x) { values[name] = x.value(); });
  model.stream(batch_of_one(ids, model.backend()));
  return values;
}

std::string Cut::text() const {
  const std::string tail = part == Part::attention ? ".attention"
                           : part == Part::mlp     ? ".mlp"
                           : part == Part::head    ? fmt::format(".{}", index)
                           : part == Part::neuron  ? fmt::format(".mlp.{}", index)
                                                   : "";
  return fmt::format("{}{}{}", layer, tail, place >= 0 ? fmt::format("@{}", place) : "");
}

std::vector<Cut> all_parts(const Anatomy& anatomy) {
  std::vector<Cut> parts;
  for (int64_t layer = 0; layer < anatomy.layers; ++layer) {
    for (const auto part : {Cut::Part::block, Cut::Part::attention, Cut::Part::mlp})
      parts.push_back({part, layer});
    for (int64_t head = 0; head < anatomy.heads; ++head) parts.push_back({Cut::Part::head, layer, head});
  }
  return parts;
}

Cut read_cut(std::string_view text, const Anatomy& anatomy, bool patched) {
  const auto no = [&](const std::string& why) {
    fail("'{}' is no part of this model: {}", printable(text), why);
  };
  std::string_view rest = text;
  Cut cut{.patched = patched};
  cut.layer = take_number(rest);
  if (cut.layer < 0)
    no("a part is LAYER, LAYER.attention, LAYER.mlp, LAYER.HEAD or LAYER.mlp.NEURON, with @PLACE for one "
       "token");
  if (cut.layer >= anatomy.layers) no(fmt::format("its layers are 0 to {}", anatomy.layers - 1));
  const auto take = [&](std::string_view word) {
    const bool there = rest.starts_with(word);
    if (there) rest.remove_prefix(word.size());
    return there;
  };
  if (take(".attention")) {
    cut.part = Cut::Part::attention;
  } else if (take(".mlp.")) {
    cut.part = Cut::Part::neuron;
    cut.index = take_number(rest);
    if (cut.index < 0 || cut.index >= anatomy.neurons)
      no(fmt::format("the neurons of an MLP are 0 to {}", anatomy.neurons - 1));
  } else if (take(".mlp")) {
    cut.part = Cut::Part::mlp;
  } else if (take(".")) {
    cut.part = Cut::Part::head;
    cut.index = take_number(rest);
    if (cut.index < 0 || cut.index >= anatomy.heads)
      no(fmt::format("behind the layer comes attention, mlp, or a head from 0 to {}", anatomy.heads - 1));
  }
  if (take("@")) {
    cut.place = take_number(rest);
    if (cut.place < 0) no("behind @ comes the number of a token");
  }
  if (!rest.empty()) no(fmt::format("what does '{}' mean?", printable(rest)));
  return cut;
}

Surgeon::Surgeon(const Anatomy& anatomy, std::vector<Cut> cuts, NamedValues other)
    : anatomy_(anatomy), cuts_(std::move(cuts)), other_(std::move(other)) {}

Variable Surgeon::named(const std::string& name, const Variable& value) {
  Variable x = value;
  for (const Cut& cut : cuts_) {
    const std::string before = std::to_string(cut.layer) + ".";
    if (!name.starts_with(before)) continue;
    const std::string_view what = std::string_view(name).substr(before.size());
    using Part = Cut::Part;
    const bool whole = cut.part == Part::block;
    const bool meant = cut.part == Part::head     ? what == "attention.heads"
                       : cut.part == Part::neuron ? what == "mlp.neurons"
                       : whole && cut.patched     ? what == "stream"
                                                  : (what == "attention.added" && cut.part != Part::mlp) ||
                                                    (what == "mlp.added" && cut.part != Part::attention);
    if (!meant) continue;
    // x is (B, T, width); of it `count` columns from `from` on go, of all places or of one.
    const int64_t T = x.size(1), width = x.size(2);
    const int64_t count = cut.part == Part::head     ? width / anatomy_.heads
                          : cut.part == Part::neuron ? 1
                                                     : width;
    const int64_t from = cut.part == Part::head || cut.part == Part::neuron ? cut.index * count : 0;
    if (cut.place >= T) continue;
    std::vector<float> kept(T * width, 1);
    for (int64_t t = 0; t < T; ++t)
      if (cut.place < 0 || cut.place == t) std::fill_n(kept.begin() + t * width + from, count, 0.0f);
    const Tensor mask = Tensor::from(kept, {T, width}, x.value().backend()).to(x.value().dtype());
    x = x * mask;
    if (!cut.patched) continue;
    const auto found = other_.find(name);
    check(found != other_.end() && found->second.size(1) >= T,
          "patch: the text to patch {} from has {} tokens, and {} are needed", cut.text(),
          found == other_.end() ? 0 : found->second.size(1), T);
    x = x + found->second.slice(1, 0, T) * (scalar(1, mask) - mask);
  }
  return x;
}

}  // namespace chapbook

// The x-ray against transformers (tests/golden/xray.py), against the fused ops it opens, and against itself.
#include "apps/run/xray.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/profile/profile_backend.h"
#include "tests/nn/models.h"

using namespace chapbook;

namespace {

// As tests/nn/test_golden.cpp: golden numbers are right to float32's last bit, and PyTorch itself, in
// float32, is 8e-7 off for the worst gradient.
constexpr double tolerance = 1e-5;

struct Case {
  std::string name;
  Model model;
  std::map<std::string, Tensor> golden;
  std::vector<int32_t> ids, other;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [name, path] : {std::pair{"gpt2", "xray/gpt2"}, {"llama", "llama/sharded"}}) {
    Case one{name,
             load_model(golden_path(path)),
             golden_tensors(fmt::format("xray/{}.safetensors", name), default_backend()),
             {},
             {}};
    one.ids = one.golden.at("tokens").to_vector<int32_t>();
    one.other = one.golden.at("other").to_vector<int32_t>();
    all.push_back(std::move(one));
  }
  return all;
}

Tensor batch(const Case& one) { return Tensor::from(one.ids, {1, static_cast<int64_t>(one.ids.size())}); }

// Every probability that the guesses show, against those of logits (1, T, V).
double worst_probability(const std::vector<Guess>& guesses, const Tensor& logits,
                         std::span<const int32_t> ids) {
  const std::vector<float> all = logits.to_vector<float>();
  const int64_t V = logits.size(-1);
  double worst = 0;
  const auto compare = [&](double ours, double theirs) {
    const double error = std::fabs(ours - theirs);  // of logarithms: relative, of the probability
    if (!(error <= worst)) worst = error;
  };
  CHECK(static_cast<int64_t>(guesses.size()) == logits.size(1));
  for (size_t t = 0; t < guesses.size(); ++t) {
    const LogProbabilities theirs{std::span(all).subspan(t * V, V)};
    const std::vector<Choice> likeliest = theirs.likeliest(5);
    double entropy = 0;
    for (int32_t id = 0; id < V; ++id) entropy -= theirs(id) * std::exp(theirs(id));
    for (size_t i = 0; i < 5; ++i)
      compare(std::log(guesses[t].likeliest[i].probability), likeliest[i].probability);
    compare(guesses[t].entropy, entropy);
    if (t + 1 < ids.size()) {
      compare(guesses[t].log_probability, theirs(ids[t + 1]));
      CHECK((guesses[t].rank == 0) == (likeliest[0].id == ids[t + 1]));
    } else {
      CHECK(std::isnan(guesses[t].log_probability));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("x-ray: probabilities, lens and attention are those of transformers") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const XRay seen = xray(one.model, one.ids);
    REQUIRE(seen.lens.size() == static_cast<size_t>(seen.anatomy.layers) + 1);
    CHECK(seen.anatomy.layers == 2);
    CHECK(seen.anatomy.heads == 4);
    for (size_t i = 0; i < seen.lens.size(); ++i)
      CHECK(worst_probability(seen.lens[i], one.golden.at(fmt::format("lens.{}", i)), one.ids) <= tolerance);
    CHECK(worst_probability(seen.lens.back(), one.golden.at("logits"), one.ids) <= tolerance);
    for (int64_t i = 0; i < seen.anatomy.layers; ++i) {
      const Tensor& theirs = one.golden.at(fmt::format("attention.{}", i));
      const Tensor ours = Tensor::from(seen.attention[i], theirs.shape());
      CHECK(relative_error(ours, theirs) <= tolerance);
    }
    const NamedValues values = named_values(*one.model.network, one.ids);
    for (size_t i = 0; i < seen.lens.size(); ++i) {
      const std::string name = i == 0 ? "embedded" : fmt::format("{}.stream", i - 1);
      CHECK(relative_error(values.at(name), one.golden.at(fmt::format("stream.{}", i))) <= tolerance);
    }
  }
}

TEST_CASE("x-ray: the way back is that of transformers") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const int64_t place = 11;
    const WayBack way = way_back(one.model, one.ids, place);
    CHECK(std::fabs(way.loss - one.golden.at("loss").item()) <= tolerance * one.golden.at("loss").item());
    const Tensor at_embeddings = one.golden.at("gradient.stream.0") * one.golden.at("stream.0");
    // Products of both signs nearly cancel where a norm comes first, which undoes scale: relative to their
    // sizes.
    const Tensor off = Tensor::from(way.shares, {1, place}) -
                       (-sum(at_embeddings, {-1}).slice(1, 0, place)).to(DType::f64),
                 sizes = sum(abs(at_embeddings), {-1}).slice(1, 0, place).contiguous_copy();
    CHECK(global_norm({&off, 1}).item() <= tolerance * global_norm({&sizes, 1}).item());
    REQUIRE(way.streams.size() == 3);
    for (size_t i = 0; i < way.streams.size(); ++i) {
      const Tensor gradient = one.golden.at(fmt::format("gradient.stream.{}", i));
      CHECK(relative_error(Tensor::from(way.streams[i], {1, place}),
                           sqrt(sum(gradient * gradient, {-1})).slice(1, 0, place)) <= tolerance);
    }
    size_t looked_at = 0;
    for (const auto& [name, norm] : way.parameters) {
      CAPTURE(name);
      const double theirs = one.golden.at("norm." + name).item();
      CHECK(std::fabs(norm - theirs) <= tolerance * theirs);
      ++looked_at;
    }
    CHECK(looked_at == parameters(*one.model.network).size());
    for (const Parameter& parameter : parameters(*one.model.network))
      CHECK_FALSE(parameter.variable.gradient());  // nothing is left behind
    // The op that makes a stream has that stream's gradient.
    const XRay seen = xray(one.model, one.ids);
    REQUIRE(way.gradients.size() == seen.graph.size());
    int found = 0;
    for (size_t i = 0; i < seen.graph.size(); ++i) {
      if (seen.graph[i].name != "0.stream") continue;
      ++found;
      const double theirs = global_norm({&one.golden.at("gradient.stream.1"), 1}).item();
      CHECK(std::fabs(way.gradients[i] - theirs) <= tolerance * theirs);
    }
    CHECK(found == 1);
  }
}

TEST_CASE("x-ray: what is switched off or patched is so in transformers") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const Anatomy found = anatomy(*one.model.network);
    int tried = 0;
    for (const auto& [name, logits] : one.golden) {
      const bool patched = name.starts_with("patched.");
      if (!patched && !name.starts_with("off.")) continue;
      CAPTURE(name);
      const Cut cut = read_cut(name.substr(name.find('.') + 1), found, patched);
      CHECK(cut.text() == name.substr(name.find('.') + 1));
      XRayOptions options{.cuts = {cut}};
      if (patched) options.other = named_values(*one.model.network, one.other);
      CHECK(worst_probability(xray(one.model, one.ids, options).lens.back(), logits, one.ids) <= tolerance);
      options.depth = XRayOptions::Depth::each;
      CHECK(worst_probability(xray(one.model, one.ids, options).lens.back(), logits, one.ids) <= tolerance);
      options.depth = XRayOptions::Depth::next;
      const XRay next = xray(one.model, one.ids, options);
      REQUIRE(next.lens.back().size() == 1);
      ++tried;
    }
    CHECK(tried == 6);
    // And when nobody looks any more, all is as before.
    CHECK(relative_error((*one.model.network)(batch(one)).value(), one.golden.at("logits")) <= tolerance);
  }
}

// The kernel never holds its weights: those shown must be the ones it used.
TEST_CASE("x-ray: the weights shown, times the values, are what the fused attention gave") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const XRay seen = xray(one.model, one.ids);
    const NamedValues values = named_values(*one.model.network, one.ids);
    const int64_t T = static_cast<int64_t>(one.ids.size()), H = seen.anatomy.heads;
    for (int64_t i = 0; i < seen.anatomy.layers; ++i) {
      const std::string before = fmt::format("{}.attention.", i);
      const Tensor v = values.at(before + "values"), weights = Tensor::from(seen.attention[i], {1, H, T, T});
      const int64_t K = v.size(1), D = v.size(3);
      const Tensor all = v.reshape({1, K, 1, T, D}).broadcast_to({1, K, H / K, T, D}).reshape({1, H, T, D});
      const Tensor y = matmul(weights, all).transpose(1, 2).reshape({1, T, H * D});
      CHECK(relative_error(y, values.at(before + "heads")) <= 1e-6);
      for (int64_t h = 0; h < H; ++h)
        for (int64_t t = 0; t < T; ++t) {
          double row = 0;
          for (int64_t s = 0; s < T; ++s) row += seen.attention[i][(h * T + t) * T + s];
          CHECK(std::fabs(row - 1) <= 1e-6);
          for (int64_t s = t + 1; s < T; ++s) CHECK(seen.attention[i][(h * T + t) * T + s] == 0);
        }
    }
  }
}

TEST_CASE("x-ray: the loss is that of the fused pass, and the graph ends in it") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const XRay seen = xray(one.model, one.ids);
    const int64_t T = static_cast<int64_t>(one.ids.size());
    const Tensor tokens = batch(one);
    const double fused =
        one.model.network->loss(tokens.slice(1, 0, T - 1), tokens.slice(1, 1, T).contiguous_copy())
            .value()
            .item();
    CHECK(std::fabs(seen.loss() - fused) <= tolerance * fused);
    REQUIRE(!seen.graph.empty());
    std::string read;
    for (const SeenOp& op : seen.graph) {
      CAPTURE(op.op);
      CHECK(std::isfinite(op.norm));
      CHECK(op.flops == -1);
      for (const int used : op.uses) CHECK(used < &op - seen.graph.data());
      read += ", " + op.reads + ",";
      CHECK(op.part.empty() == op.where.empty());
      if (op.op == "attention") CHECK(op.where.starts_with("nn/"));
    }
    for (const Parameter& parameter : parameters(*one.model.network))
      CHECK_MESSAGE(read.find(", " + parameter.name + ",") != std::string::npos, parameter.name);
    CHECK(seen.graph.back().op == "cross_entropy");
    CHECK(std::fabs(seen.graph.back().norm - fused) <= tolerance * fused);
  }
}

TEST_CASE("x-ray: on a backend that counts, ops have the work of the kernels they ran") {
  Backend& before = default_backend();
  ProfileBackend profile(before);
  set_default_backend(profile);
  {
    const Model model = load_model(golden_path("xray/gpt2"));
    const std::vector<int32_t> ids{5, 6, 7, 8};
    const XRay seen = xray(model, ids);
    int attentions = 0;
    for (const SeenOp& op : seen.graph) {
      CHECK(op.flops >= 0);
      CHECK(op.bytes >= 0);
      if (op.op != "attention") continue;
      CHECK(op.flops == (4 * 8 + 5) * 4 * (4 * 5 / 2));  // 8 numbers a head, 4 heads, 4 tokens
      ++attentions;
    }
    CHECK(attentions == 2);
  }
  set_default_backend(before);
}

TEST_CASE("x-ray: a part is worth what the text loses without it, the most missed first") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const Anatomy there = anatomy(*one.model.network);
    const std::vector<Cut> parts = all_parts(there);
    CHECK(static_cast<int64_t>(parts.size()) == there.layers * (3 + there.heads));
    const std::vector<Worth> worths = losses_without(*one.model.network, one.ids, parts);
    REQUIRE(worths.size() == parts.size());
    double before = INFINITY;
    for (const auto& [part, loss] : worths) {
      CAPTURE(part.text());
      CHECK(loss <= before);
      before = loss;
      const double seen =
          xray(one.model, one.ids, {.depth = XRayOptions::Depth::each, .cuts = {part}}).loss();
      CHECK(loss == doctest::Approx(seen).epsilon(tolerance));
    }
    const Cut beyond = read_cut(fmt::format("0@{}", one.ids.size()), there);
    CHECK_THROWS_WITH_AS(losses_without(*one.model.network, one.ids, {beyond}),
                         doctest::Contains("there is no place"), Error);
  }
}

TEST_CASE("x-ray: what is no part is refused, and what there is is named") {
  const Anatomy some{.layers = 2, .heads = 4, .neurons = 64};
  for (const char* text : {"", "x", "2", "-1", "0.4", "0.head", "0.mlp.64", "0.mlp.", "1.", "1@", "1@x",
                           "0.1.2", "1.mlp.3@2 "}) {
    CAPTURE(text);
    CHECK_THROWS_AS(read_cut(text, some), Error);
  }
  for (const char* text : {"0", "1.attention", "1.mlp", "0.3", "1.mlp.63", "0@5", "0.2@0", "1.mlp.7@12"})
    CHECK(read_cut(text, some).text() == text);
  CHECK_THROWS_WITH_AS(read_cut("3.1", some), "'3.1' is no part of this model: its layers are 0 to 1", Error);
  // A patch from a text that is too short says so.
  const Model model = load_model(golden_path("xray/gpt2"));
  const std::vector<int32_t> ids{5, 6, 7, 8}, few{5, 6};
  XRayOptions options{.cuts = {read_cut("0", anatomy(*model.network), true)}};
  options.other = named_values(*model.network, few);
  CHECK_THROWS_WITH_AS(xray(model, ids, options),
                       "patch: the text to patch 0 from has 2 tokens, and 4 are needed", Error);
  CHECK_FALSE(watched());
}

// What chapter 12 prints. One part for each word: problem, shapes, parts, birth, stream, tied, check,
// presets.
#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/run/family.h"
#include "docs/demo/norm_stack.h"
#include "docs/demo/story_bytes.h"
#include "optim/optimizer.h"

using namespace chapbook;

static constexpr GPTConfig small = {.layers = 4, .heads = 4, .width = 128, .context = 64, .vocabulary = 256};

static void set_deviation(GPT& model, const std::string& ending, double deviation, Random& random) {
  for (const Parameter& each : parameters(model)) {
    const Tensor& value = each.variable.value();
    if (value.rank() == 2 && each.name.ends_with(ending))
      value.backend().copy((normal(value.shape(), random) * deviation).view(), value.view());
  }
}

static double loss_of(const GPT& model, const Tensor& tokens, const Tensor& targets) {
  NoGrad no_grad;
  return model.loss(tokens, targets).value().item();
}

static std::string shape_text(const Shape& shape) { return fmt::format("{}", shape); }

// 1234567 -> "1,234,567"
static std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

// ---- problem: the same model, from two kinds of first weights

static void problem() {
  fmt::print("a blind guess among 256 bytes costs ln 256 = {:.2f} nats\n\n", std::log(256.0));
  fmt::print("first weights                        before any step   after 30 steps\n");
  for (const bool careful : {false, true}) {
    GPT model(small);
    Random random{1};
    model.initialise(random);
    if (!careful) {
      for (const char* name : {"wte.weight", "wpe.weight"}) set_deviation(model, name, 1, random);
      for (const char* name : {"c_attn.weight", "attn.c_proj.weight", "c_fc.weight"})
        set_deviation(model, name, 1 / std::sqrt(128.0), random);
      set_deviation(model, "mlp.c_proj.weight", 1 / std::sqrt(512.0), random);
    }
    AdamW optimizer(parameters(model));
    StoryBatches batches(8, small.context, 1);
    batches.next();
    const double before = loss_of(model, batches.inputs, batches.targets);
    double last = 0;
    for (int step = 1; step <= 30; ++step) {
      const Variable loss = model.loss(batches.inputs, batches.targets);
      backward(loss);
      optimizer.step(1e-3);
      optimizer.clear_gradients();
      batches.next();
      last = loss.value().item();
    }
    fmt::print("{:<36}{:>12.1f} nats{:>12.1f} nats\n",
               careful ? "GPT-2's" : "embeddings 1, others 1 / sqrt(in)", before, last);
  }
}

// ---- shapes: what goes through a small model

static void shapes() {
  const GPTConfig config{.layers = 2, .heads = 2, .width = 8, .context = 6, .vocabulary = 11};
  NormedGPT model(config, Norm::before);
  model.initialise(0.02, true, 1);
  const Tensor tokens = Tensor::from(std::vector<int32_t>{3, 1, 4, 1}, {1, 4});
  const auto row = [](const char* what, const Shape& shape, const char* axes) {
    fmt::print("{:<34}{:<12}{}\n", what, shape_text(shape), axes);
  };
  row("tokens 3 1 4 1", tokens.shape(), "(B, T)");
  Variable x = model.embed(tokens);
  row("rows of wte, plus rows of wpe", x.shape(), "(B, T, C)");
  for (const NormedBlock& block : model.h) {
    x = block(x);
    row("a block", x.shape(), "(B, T, C)");
  }
  const Variable last = model.ln_f(x), logits = matmul(last, transpose(model.wte.weight, 0, 1));
  row("the last norm", last.shape(), "(B, T, C)");
  row("its products with the rows of wte", logits.shape(), "(B, T, V)");
  fmt::print("\n                                  a    b    c    d    e    f    g    h    i    j    k\n");
  const Tensor odds = softmax(logits.value());
  for (int place = 0; place < 4; ++place) {
    fmt::print("next after place {}, in percent  ", place);
    for (const double p : odds.select(0, 0).select(0, place).to_vector<double>())
      fmt::print("{:5.1f}", 100 * p);
    fmt::print("\n");
  }
}

// ---- parts: every parameter of a model with one block

static void parts() {
  GPT model({.layers = 1, .heads = 4, .width = 128, .context = 128, .vocabulary = 2048});
  int64_t total = 0;
  for (const Parameter& each : parameters(model)) {
    const int64_t count = each.variable.value().count();
    fmt::print("{:<36}{:<14}{:>9}\n", each.name, shape_text(each.variable.shape()), grouped(count));
    total += count;
  }
  fmt::print("{:<50}{:>9}\n", "", grouped(total));
}

// ---- birth: the first loss against the deviation of the token embedding

static void birth() {
  fmt::print("deviation of wte   ln V + s^2 C / 2   first loss   score of the token just read\n");
  for (const double s : {0.02, 0.05, 0.1, 0.2, 0.5, 1.0}) {
    GPT model(small);
    Random random{1};
    model.initialise(random);
    set_deviation(model, "wte.weight", s, random);
    StoryBatches batches(8, small.context, 1);
    batches.next();
    NoGrad no_grad;
    const Tensor logits = model(batches.inputs).value().reshape({-1, small.vocabulary});
    const std::vector<int32_t> ids = batches.inputs.to_vector<int32_t>();
    double own = 0;
    for (size_t i = 0; i < ids.size(); ++i)
      own += logits.select(0, static_cast<int64_t>(i)).select(0, ids[i]).item();
    fmt::print("{:>16}{:>19.2f}{:>13.2f}{:>30.2f}\n", s, std::log(256.0) + s * s * 128 / 2,
               model.loss(batches.inputs, batches.targets).value().item(),
               own / static_cast<double>(ids.size()));
  }
}

// ---- stream: how the residual stream grows, with and without the smaller projections

static void stream() {
  fmt::print("layers   c_proj 0.02   c_proj 0.02 / sqrt(2 L)\n");
  for (const int64_t layers : {2, 8, 32}) {
    fmt::print("{:>6}", layers);
    for (const bool scaled : {false, true}) {
      const GPTConfig config{.layers = layers, .heads = 4, .width = 128, .context = 64, .vocabulary = 256};
      NormedGPT model(config, Norm::before);
      model.initialise(0.02, scaled, 1);
      StoryBatches batches(2, config.context, 1);
      batches.next();
      NoGrad no_grad;
      Variable x = model.embed(batches.inputs);
      for (const NormedBlock& block : model.h) x = block(x);
      fmt::print("{:>{}.3f}", size_of_numbers(x.value()), scaled ? 26 : 14);
    }
    fmt::print("\n");
  }
}

// ---- tied: the two gradients that meet in the token embedding

static void tied() {
  const GPTConfig config{.layers = 2, .heads = 2, .width = 32, .context = 64, .vocabulary = 256};
  NormedGPT model(config, Norm::before);
  model.initialise(0.02, true, 1);
  StoryBatches batches(4, config.context, 1);
  batches.next();
  // The table twice: one for the way in, one for the head.
  const Variable in = Variable::parameter(model.wte.weight.value()),
                 out = Variable::parameter(model.wte.weight.value());
  Variable x = gather_rows(in, batches.inputs) + model.wpe.weight;
  for (const NormedBlock& block : model.h) x = block(x);
  backward(linear_cross_entropy(model.ln_f(x), out, batches.targets));
  backward(model.loss(batches.inputs, batches.targets));
  const Tensor whole = model.wte.weight.gradient(), sum_of_both = in.gradient() + out.gradient();
  const auto row_norms = [](const Tensor& x) { return sqrt(sum(x * x, {1})).to_vector<double>(); };
  const std::vector<double> from_in = row_norms(in.gradient()), from_out = row_norms(out.gradient());
  const auto show = [&](const char* name, int id) {
    fmt::print("{:<28}{:>12.5f}{:>12.5f}\n", name, from_in[id], from_out[id]);
  };
  fmt::print(
      "length of the gradient of     from the    from the\n"
      "the row of                   embedding        head\n");
  show("'e', frequent", 'e');
  show("'k', rare", 'k');
  show("'%', not in the text", '%');
  const double error = size_of_numbers(whole - sum_of_both) / size_of_numbers(whole);
  fmt::print("\ntied gradient against the sum of the two: relative error {}\n",
             error <= 1e-6 ? "below 1e-06" : "too large");
}

// ---- check: the gradient of a whole model, by central differences in f64

static void gradient_check() {
  const GPTConfig config{.layers = 2, .heads = 2, .width = 8, .context = 5, .vocabulary = 11};
  NormedGPT model(config, Norm::before);
  Random random{3};
  PartVisitor to_f64([&](const std::string&, Variable& each) {
    const Tensor drawn = normal(each.shape(), random, DType::f64) * 0.3;
    each = Variable::parameter(each.value().rank() == 1 ? drawn + 1 : drawn);
  });
  model.parts(to_f64);
  std::vector<int32_t> ids(2 * 5 + 1);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(11));
  const Tensor all = Tensor::from(ids, {11}), tokens = all.slice(0, 0, 10).reshape({2, 5}),
               targets = all.slice(0, 1, 11).reshape({2, 5});
  backward(model.loss(tokens, targets));
  const auto value = [&] {
    NoGrad no_grad;
    return model.loss(tokens, targets).value().item();
  };
  double worst = 0;
  int64_t count = 0;
  std::string where;
  for (const Parameter& each : parameters(model)) {
    double* numbers = each.variable.value().view().as<double>();
    const std::vector<double> gradient = each.variable.gradient().to_vector<double>();
    double apart = 0, length = 0;
    const double h = 1e-5;
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double here = numbers[i];
      numbers[i] = here + h;
      const double above = value();
      numbers[i] = here - h;
      const double slope = (above - value()) / (2 * h);
      numbers[i] = here;
      apart += (gradient[i] - slope) * (gradient[i] - slope);
      length += slope * slope;
    }
    count += each.variable.value().count();
    worst = std::max(worst, std::sqrt(apart / length));
  }
  fmt::print("{} parameters in {} tensors; the worst tensor's gradient is off by {:.0e}, relative\n",
             grouped(count), parameters(model).size(), std::pow(10, std::ceil(std::log10(worst))));
}

// ---- presets: what they hold and what they cost

static void presets() {
  fmt::print(
      "           L   H     C     T       V    parameters  in embeddings  MFLOP a token  in attention  "
      "activations\n");
  for (const std::string& name : preset_names()) {
    const Settings s = preset(name);
    const ModelCosts model = model_costs(s);
    const double work = model.flops_per_token,
                 attention = 7.0 * static_cast<double>(s.layers * s.width * (s.context + 1));
    fmt::print("{:<9}{:>3}{:>4}{:>6}{:>6}{:>8}{:>14}{:>14.0f}%{:>15.1f}{:>13.1f}%{:>10.0f} MB\n", name,
               s.layers, s.heads, s.width, s.context, grouped(s.vocabulary), grouped(model.parameters),
               100.0 * static_cast<double>(model.embeddings) / static_cast<double>(model.parameters),
               work / 1e6, 100 * attention / work, static_cast<double>(model.activation_bytes) / 1e6);
  }
}

// ---- cost: what was counted in advance beside what a profiled step did

static void cost() {
  const auto profile = nlohmann::json::parse(std::ifstream("bench/results/profile_tiny.json"));
  const auto &settings = profile.at("settings"), &step = profile.at("step");
  const GPTConfig config{.layers = settings.at("layers"),
                         .heads = settings.at("heads"),
                         .width = settings.at("width"),
                         .context = settings.at("context"),
                         .vocabulary = settings.at("vocabulary")};
  const double tokens = settings.at("batch").get<double>() * static_cast<double>(config.context);
  const double seconds = step.at("seconds"), flops = step.at("flops"),
               peak = profile.at("limits").at("flops_per_second"),
               bytes = step.at("bytes_read").get<double>() + step.at("bytes_written").get<double>();
  fmt::print("{:.0f} tokens, counted in advance {:>9.2f} GFLOP\n", tokens,
             tokens * training_flops_per_token(config) / 1e9);
  fmt::print("all ops, counted by the profiler {:>6.2f} GFLOP, {:.0f} MB: {:.0f} FLOP a byte\n", flops / 1e9,
             bytes / 1e6, flops / bytes);
  fmt::print("one step {:>31.3f} s: {:.0f} GFLOP/s, {:.0f}% of what {} threads of {} can do\n\n", seconds,
             flops / seconds / 1e9, 100 * flops / seconds / peak,
             profile.at("limits").at("threads").get<int>(),
             profile.at("machine").at("processor").get<std::string>());
  std::map<std::string, std::pair<double, double>> groups;  // of the step's FLOPs, of its time
  for (const auto& op : profile.at("ops")) {
    const std::string name = op.at("op");
    const char* group = name.starts_with("matmul")       ? "1 products of matrices"
                        : name.starts_with("attention")  ? "2 attention"
                        : name.starts_with("layer_norm") ? "3 layer norms"
                                                         : "4 all else";
    groups[group].first += op.at("flops").get<double>();
    groups[group].second += op.at("seconds").get<double>();
  }
  fmt::print("                       of the FLOPs   of the time\n");
  for (const auto& [name, share] : groups)
    fmt::print("{:<22}{:>12.1f}%{:>13.1f}%\n", name.substr(2), 100 * share.first / flops,
               100 * share.second / seconds);
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> all = {
      {"problem", problem},      {"shapes", shapes},   {"parts", parts},
      {"birth", birth},          {"stream", stream},   {"tied", tied},
      {"check", gradient_check}, {"presets", presets}, {"cost", cost}};
  const auto part = all.find(argc == 2 ? argv[1] : "");
  if (part == all.end()) {
    fmt::print(stderr,
               "demo_gpt: say which part: problem shapes parts birth stream tied check presets cost\n");
    return 2;
  }
  part->second();
}

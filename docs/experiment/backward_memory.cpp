// Chapter 7: the memory of a training step, call by call, with the graph as it is and with blocks that are
// computed again; and what happens to somebody who adds up losses without walking back.
#include <algorithm>

#include "docs/tool/results.h"
#include "nn/gpt.h"
#include "tensor/profile/profile_backend.h"

using namespace chapbook;

static const GPTConfig config{.layers = 6, .heads = 4, .width = 64, .context = 128, .vocabulary = 1024};
static constexpr int64_t batch = 8;

struct Model {
  GPT gpt;
  Tensor tokens, targets;

  Model(Backend& backend, bool recompute) : gpt(config, backend) {
    Random random{1};
    gpt.initialise(random);
    gpt.train_with(nullptr, recompute);
    std::vector<int32_t> ids(batch * (config.context + 1));
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(config.vocabulary));
    const int64_t count = batch * config.context;
    const std::span<const int32_t> all(ids);
    tokens = Tensor::from(all.subspan(0, count), {batch, config.context}, backend);
    targets = Tensor::from(all.subspan(1, count), {batch, config.context}, backend);
  }
  Variable loss() const { return gpt.loss(tokens, targets); }
};

static double megabytes(size_t bytes) { return static_cast<double>(bytes) / 1e6; }

struct Step {
  Line forward, back;                      // MB in use after each call; one line for each direction
  double before, turn, peak, after;        // MB: at the start, when backward begins, at most, at the end
  size_t forward_calls, calls, peak_call;  // the last: in which call most was in use
};

static Step run_step(const std::string& name, bool recompute) {
  ProfileBackend backend(::chapbook::backend("cpu"));
  const Model model(backend, recompute);
  Step step{};
  step.forward.name = name + ", forward", step.back.name = name + ", back";
  step.before = megabytes(backend.blocks().live_bytes());
  backend.take_calls();
  backend.blocks().reset_peak();
  const auto add_calls = [&](Line& line) {
    for (const Call& call : backend.take_calls().calls) {
      line.x.push_back(static_cast<double>(step.calls++));
      line.y.push_back(megabytes(call.live));
    }
  };
  {
    const Variable loss = model.loss();
    add_calls(step.forward);
    step.forward_calls = step.calls;
    step.turn = megabytes(backend.blocks().live_bytes());
    backward(loss);
    add_calls(step.back);
  }
  const auto& y = step.forward.y;
  const auto& z = step.back.y;
  const auto first = std::max_element(y.begin(), y.end()), second = std::max_element(z.begin(), z.end());
  step.peak_call = static_cast<size_t>(*first >= *second ? first - y.begin() : second - z.begin() + y.size());
  step.peak = megabytes(backend.blocks().peak_bytes());
  step.after = megabytes(backend.blocks().live_bytes());
  return step;
}

// MB in use after each of ten steps; `keep`: the sum of losses stays a Variable that nobody walks.
static Line run_steps(const char* name, bool keep) {
  ProfileBackend backend(::chapbook::backend("cpu"));
  Line line{name, {}, {}};
  const Model model(backend, false);
  Variable total;
  for (int step = 1; step <= 10; ++step) {
    const Variable loss = model.loss();
    if (keep)
      total = total ? total + loss : loss;
    else
      backward(loss);
    line.x.push_back(step);
    line.y.push_back(megabytes(backend.blocks().live_bytes()));
  }
  return line;
}

int main() {
  Results results("backward_memory",
                  {"autograd/variable.cpp", "autograd/ops.cpp", "nn/gpt.cpp", "nn/language_model.cpp"});
  results.configuration = {{"layers", config.layers},         {"heads", config.heads},
                           {"width", config.width},           {"context", config.context},
                           {"vocabulary", config.vocabulary}, {"batch", batch}};
  const Step plain = run_step("all kept", false), again = run_step("blocks again", true);
  const Line walked = run_steps("each loss walked back", false),
             kept = run_steps("losses added up, never walked", true);
  results.values = {{"before", plain.before},
                    {"turn", plain.turn},
                    {"peak", plain.peak},
                    {"after", plain.after},
                    {"forward_calls", plain.forward_calls},
                    {"calls", plain.calls},
                    {"peak_call", plain.peak_call},
                    {"peak_at_call", *std::max_element(plain.forward.y.begin(), plain.forward.y.end())},
                    {"peak_back", *std::max_element(plain.back.y.begin(), plain.back.y.end())},
                    {"peak_again", again.peak},
                    {"calls_again", again.calls},
                    {"turn_again", again.turn},
                    {"forward_calls_again", again.forward_calls},
                    {"peak_call_again", again.peak_call},
                    {"walked_last", walked.y.back()},
                    {"kept_first", kept.y.front()},
                    {"kept_last", kept.y.back()}};
  results.figure("backward-memory", {"Memory through one training step",
                                     "call of the backend",
                                     "MB in use",
                                     false,
                                     false,
                                     {plain.forward, plain.back, again.forward, again.back}});
  results.figure("leaked-graphs",
                 {"Memory after each step", "step", "MB in use", false, false, {walked, kept}});
  results.write();
}

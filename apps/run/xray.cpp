#include "apps/run/xray.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>

#include "apps/run/evaluation.h"
#include "autograd/ops.h"
#include "data/loader.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/profile/profile_backend.h"

namespace chapbook {

namespace {

double norm_of(const Tensor& x) {
  const Tensor dense = x.as_contiguous();
  return global_norm({&dense, 1}).item();
}

std::string short_path(const SourceLine& where) {
  if (where.line == 0) return "";
  const std::filesystem::path path = where.file;
  return fmt::format("{}/{}:{}", path.parent_path().filename().string(), path.filename().string(),
                     where.line);
}

// Watches a pass: each op, the values of some names, and on the way back the gradient of each.
class Looker : public Surgeon {
 public:
  Looker(const Model& model, const XRayOptions& options, bool way_back)
      : Surgeon(anatomy(*model.network), options.cuts, options.other),
        way_back_(way_back),
        profile_(dynamic_cast<ProfileBackend*>(&model.network->backend())) {
    for (const Parameter& parameter : parameters(*model.network))
      parameters_[parameter.variable.node()->number] = parameter.name;
    if (profile_) profile_->take_calls();
  }

  void recorded(Node& node, const Tensor& value) override {
    const size_t i = ops_.size();
    op_of_[node.number] = i;
    SeenOp& op = ops_.emplace_back();
    op.op = node.name;
    op.part = path().empty() ? "" : path().substr(0, path().size() - 1);
    op.shape = node.shape;
    op.dtype = value.dtype();
    if (way_back_) {
      Edge& first = node.edges.front();
      first.rule = [this, i, rule = std::move(first.rule)](const Tensor& dy) {
        arrived(i, dy);
        return rule(dy);
      };
      gradients.push_back(0);
      return;
    }
    op.where = short_path(where());
    for (const Edge& edge : node.edges)
      for (const auto& input : edge.inputs) {
        if (!input) continue;
        if (const auto found = parameters_.find(input->number); found != parameters_.end())
          op.reads += (op.reads.empty() ? "" : ", ") + found->second;
        if (const auto found = op_of_.find(input->number); found != op_of_.end())
          op.uses.push_back(static_cast<int>(found->second));
      }
    if (profile_) {
      op.flops = op.bytes = 0;
      for (const Call& call : profile_->take_calls().calls) {
        op.flops += call.cost.flops;
        op.bytes += call.cost.bytes();
      }
    }
    op.norm = norm_of(value);
    if (profile_) profile_->take_calls();
  }

  Variable named(const std::string& name, const Variable& value) override {
    const Variable x = Surgeon::named(name, value);
    if (x.node()) ops_[op_of_.at(x.node()->number)].name = name;
    const bool stream = name == "embedded" || name.ends_with(".stream");
    if (stream || (!way_back_ && (name.ends_with(".queries") || name.ends_with(".keys"))))
      values[name] = x.value();
    return x;
  }

  const std::vector<SeenOp>& ops() const { return ops_; }
  NamedValues values;
  std::vector<double> gradients;  // by op
  std::vector<double> shares;
  std::map<std::string, std::vector<double>> streams;  // by name

 private:
  void arrived(size_t i, const Tensor& dy) {
    gradients[i] = norm_of(dy);
    const auto found = values.find(ops_[i].name);
    if (found == values.end()) return;
    streams[found->first] = sqrt(sum(dy * dy, {-1})).to_vector<double>();
    if (found->first == "embedded") shares = sum(-dy * found->second, {-1}).to_vector<double>();
  }

  const bool way_back_;
  ProfileBackend* const profile_;
  std::map<uint64_t, std::string> parameters_;  // by the number of their node
  std::map<uint64_t, size_t> op_of_;            // likewise
  std::vector<SeenOp> ops_;
};

// Names of the streams, from before the first block to behind the last.
std::string stream_name(int64_t layer) {
  return layer == 0 ? "embedded" : std::to_string(layer - 1) + ".stream";
}

// What stands in rows (1, n, V) of scores, behind tokens `first`, `first` + 1, ...
void guess(const Tensor& scores, int64_t first, std::span<const int32_t> ids, int64_t vocabulary,
           const XRayOptions& options, std::vector<Guess>& guesses) {
  std::vector<float> logits = scores.to_vector<float>();
  const int64_t rows = scores.size(1), V = scores.size(2);
  const size_t begin = guesses.size();
  guesses.resize(begin + rows);
  for (int64_t row = 0; row < rows; ++row) check_scores(std::span(logits).subspan(row * V, vocabulary));
  parallel_for(rows, 1, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; ++row) {
      const std::span<float> x(logits.data() + row * V, vocabulary);
      if (options.temperature != 1)
        for (float& score : x) score = static_cast<float>(score / options.temperature);
      Guess& made = guesses[begin + row];
      const LogProbabilities log_probability(x);
      made.likeliest = log_probability.likeliest(options.top);
      for (Choice& choice : made.likeliest) choice.probability = std::exp(choice.probability);
      made.entropy = 0;
      for (int32_t id = 0; id < vocabulary; ++id) {
        const double p = std::exp(log_probability(id));
        if (p > 0) made.entropy -= p * log_probability(id);
      }
      made.log_probability = std::numeric_limits<double>::quiet_NaN();
      made.rank = -1;
      if (first + row + 1 >= static_cast<int64_t>(ids.size())) continue;
      const int32_t next = ids[first + row + 1];
      made.log_probability = log_probability(next);
      made.rank = std::count_if(x.begin(), x.end(), [&](float score) { return score > x[next]; });
    }
  });
}

// Some rows at once, since scores are as wide as the vocabulary.
std::vector<Guess> guesses(const Model& model, const Tensor& stream, std::span<const int32_t> ids,
                           int64_t from, const XRayOptions& options) {
  NoGrad no_grad;
  constexpr int64_t rows_at_once = 64;
  const int64_t vocabulary = model.tokenizer.vocabulary_size(), T = stream.size(1);
  std::vector<Guess> all;
  for (int64_t first = from; first < T; first += rows_at_once) {
    const Tensor scores =
        model.network->scores(stream.slice(1, first, std::min(T, first + rows_at_once))).value();
    guess(scores, first, ids, vocabulary, options, all);
  }
  return all;
}

// The loss of tokens from + 1 to `to` (of those that are there), as a graph: what the stream says of each.
Variable loss_of(const Model& model, const Variable& stream, std::span<const int32_t> ids, int64_t from,
                 int64_t to) {
  std::vector<int32_t> targets;
  for (int64_t t = from; t < to; ++t)
    targets.push_back(t + 1 < static_cast<int64_t>(ids.size()) ? ids[t + 1] : ignored_target);
  return cross_entropy(model.network->scores(slice(stream, 1, from, to)),
                       batch_of_one(targets, model.network->backend()));
}

void check_places(const std::vector<Cut>& cuts, size_t tokens) {
  for (const Cut& cut : cuts)
    check(cut.place < static_cast<int64_t>(tokens), "x-ray: there is no place {}; the text has 0 to {}",
          cut.place, tokens - 1);
}

}  // namespace

XRay xray(const Model& model, std::vector<int32_t> ids, const XRayOptions& options) {
  check(!ids.empty(), "x-ray: there is no token");
  check_places(options.cuts, ids.size());
  check(options.top > 0 && options.temperature > 0, "x-ray: top and temperature must be more than 0");
  const int64_t T = static_cast<int64_t>(ids.size());
  XRay seen;
  for (int64_t t = 1; t < T; ++t)
    if (!model.tokenizer.is_special(ids[t]))
      seen.text_bytes += static_cast<int64_t>(model.tokenizer.token_bytes(ids[t]).size());
  const Tensor tokens = batch_of_one(ids, model.network->backend());
  if (options.depth != XRayOptions::Depth::inside) {
    NoGrad no_grad;
    const Surgeon surgeon(anatomy(*model.network), options.cuts, options.other);
    const int64_t from = options.depth == XRayOptions::Depth::next ? T - 1 : 0;
    seen.lens.push_back(guesses(model, model.network->stream(tokens).value(), ids, from, options));
    seen.ids = std::move(ids);
    return seen;
  }
  seen.anatomy = anatomy(*model.network);
  NamedValues values;
  {
    Looker looker(model, options, false);
    loss_of(model, model.network->stream(tokens), ids, 0, T);
    seen.graph = looker.ops();
    values = std::move(looker.values);
  }
  for (int64_t i = 0; i < seen.anatomy.layers; ++i) {
    NoGrad no_grad;
    const std::string before = std::to_string(i) + ".attention.";
    const Variable weights = attention_weights(values.at(before + "queries"), values.at(before + "keys"));
    seen.attention.push_back(weights.value().to_vector<float>());
  }
  for (int64_t i = 0; i <= seen.anatomy.layers; ++i)
    seen.lens.push_back(guesses(model, values.at(stream_name(i)), ids, 0, options));
  seen.ids = std::move(ids);
  return seen;
}

WayBack way_back(const Model& model, std::span<const int32_t> ids, int64_t place,
                 const XRayOptions& options) {
  check_places(options.cuts, ids.size());
  check(place > 0 && place < static_cast<int64_t>(ids.size()),
        "x-ray: the way back begins at a token from 1 to {}, not {}", ids.size() - 1, place);
  clear_gradients(*model.network);
  Looker looker(model, options, true);
  const std::span<const int32_t> seen = ids.first(place);  // what comes later cannot matter
  const Variable loss = loss_of(model, model.network->stream(batch_of_one(seen, model.network->backend())),
                                ids, place - 1, place);
  const double nats = loss.value().item();
  check(std::isfinite(nats), "the model's loss is {}: its weights are broken", nats);
  backward(loss);
  WayBack way{nats, std::move(looker.shares), {}, std::move(looker.gradients), {}};
  for (int64_t i = 0; looker.streams.contains(stream_name(i)); ++i)
    way.streams.push_back(std::move(looker.streams.at(stream_name(i))));
  for (const Parameter& parameter : parameters(*model.network)) {
    const Tensor& gradient = parameter.variable.gradient();
    way.parameters.emplace_back(parameter.name, gradient ? norm_of(gradient) : 0);
  }
  clear_gradients(*model.network);
  return way;
}

double XRay::loss() const {
  double sum = 0;
  for (size_t t = 0; t + 1 < ids.size(); ++t) sum -= lens.back()[t].log_probability;
  return sum / static_cast<double>(std::max<size_t>(1, ids.size() - 1));
}

double XRay::bits_per_byte() const {
  return loss() * static_cast<double>(ids.size() - 1) / std::numbers::ln2 /
         static_cast<double>(std::max<int64_t>(1, text_bytes));
}

std::vector<Worth> losses_without(const LanguageModel& model, std::span<const int32_t> ids,
                                  const std::vector<Cut>& parts) {
  check_places(parts, ids.size());
  const Anatomy there = anatomy(model);
  std::vector<Worth> worths;
  for (const Cut& part : parts) {
    const Surgeon surgeon(there, {part});
    worths.push_back({part, evaluate(model, ids).loss});
  }
  std::stable_sort(worths.begin(), worths.end(),
                   [](const Worth& a, const Worth& b) { return a.loss > b.loss; });
  return worths;
}

}  // namespace chapbook

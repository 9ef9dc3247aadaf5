// Whole models: training steps (forward, backward, clipping, AdamW), and decoding one token after another.
#include <map>
#include <optional>

#include "apps/run/random_training.h"
#include "bench/row.h"

namespace chapbook {
namespace {

struct Model {
  const char* name;
  int64_t layers, heads, width, context, vocabulary, batch;
};

Settings settings_of(const Model& model) {
  Settings settings;
  settings.layers = model.layers, settings.heads = model.heads, settings.width = model.width;
  settings.context = model.context, settings.vocabulary = model.vocabulary, settings.batch = model.batch;
  return settings;
}

std::string shape_of(const Model& m) {
  return fmt::format("L={} C={} V={} B={} T={}", m.layers, m.width, m.vocabulary, m.batch, m.context);
}

// Made when first asked for and kept, as models take long to make.
template <class T, class Make>
auto kept(Make make) {
  auto models = std::make_shared<std::map<Backend*, std::shared_ptr<T>>>();
  return [=](Backend& backend) {
    std::shared_ptr<T>& model = (*models)[&backend];
    if (!model) model = make(backend);
    return model;
  };
}

// The floor: all operations at the peak, then all bytes that must move at the memory's speed: every weight,
// gradient and mean as often as AdamW and backward must touch it (8 times 4 bytes), every activation written
// once and read once.
//
// In bf16 there is no floor, as no limit of it is measured.
Row training_row(const Model& model, DType precision = DType::f32) {
  Settings settings = settings_of(model);
  settings.precision = name_of(precision);
  const ModelCosts counted = model_costs(settings);
  const double tokens = static_cast<double>(model.batch * model.context);
  const double bytes =
      16.0 * static_cast<double>(counted.parameters) + static_cast<double>(counted.activation_bytes);
  const Cost cost{counted.flops_per_token * tokens, bytes, bytes};
  const auto training = kept<RandomTraining>(
      [settings](Backend& backend) { return std::make_shared<RandomTraining>(settings, backend); });
  const bool floats = precision == DType::f32;
  return {.section = "train",
          .name = floats ? model.name : fmt::format("{}, {}", model.name, settings.precision),
          .shape = shape_of(model),
          .prepare = [=](Backend& backend) { return [it = training(backend)] { it->trainer.step(); }; },
          .unit = "tokens/s",
          .units = tokens,
          .cost = cost,
          .products = floats,
          .floor =
              [=](const Limits& limits) {
                return floats ? cost.flops / limits.flops + cost.bytes() / limits.bandwidth() : 0;
              }};
}

// A token for each sequence of the batch, always the one after half of the context. The floor: every weight
// is read once; packed ones are 2 bytes, or 1 and an eighth.
Row decoding_row(const Model& model, std::optional<Packing> packing = {}) {
  const Settings settings = settings_of(model);
  const double bytes = !packing ? 4 : *packing == Packing::bf16 ? 2 : 1.125;
  const double parameters = static_cast<double>(model_costs(settings).parameters),
               weights = bytes * parameters;
  const auto made = kept<LanguageModel>([settings, packing](Backend& backend) {
    std::shared_ptr<LanguageModel> network = make_model(settings, backend);
    Random random{1};
    network->initialise(random);
    if (packing) network->pack_weights(*packing);
    return network;
  });
  const auto prepare = [=](Backend& backend) -> std::function<void()> {
    const std::shared_ptr<LanguageModel> network = made(backend);
    const int64_t seen = model.context / 2;
    auto caches = std::make_shared<std::vector<LanguageModel::Caches>>();
    for (int64_t b = 0; b < model.batch; ++b) caches->push_back(network->caches());
    std::vector<LanguageModel::Caches*> sequences;
    for (LanguageModel::Caches& each : *caches) sequences.push_back(&each);
    const auto ids = [&](int64_t count) {
      return Tensor::from(std::vector<int32_t>(model.batch * count, 1), {model.batch, count}, backend);
    };
    network->next(ids(seen), sequences);
    return [=, token = ids(1)] {
      network->next(token, sequences);
      for (LanguageModel::Caches& each : *caches)
        for (KeyValueCache& cache : each) cache.length = seen;
    };
  };
  return {.section = "decode",
          .name = packing ? fmt::format("{}, {}", model.name, name_of(*packing)) : model.name,
          .shape = shape_of(model),
          .prepare = prepare,
          .unit = "tokens/s",
          .units = static_cast<double>(model.batch),
          .cost = {2 * parameters * static_cast<double>(model.batch), weights, 0},
          .floor = [=](const Limits& limits) { return weights / limits.read; }};
}

}  // namespace

std::vector<Row> nn_rows() {
  // The smallest is for backends that are slow.
  const Model trained[] = {{"smallest", 2, 2, 32, 32, 257, 4},
                           {"tiny", 4, 4, 128, 128, 4096, 16},
                           {"small, V = 4,096", 6, 6, 384, 256, 4096, 8},
                           {"small, V = 50,257", 6, 6, 384, 256, 50257, 8}};
  const Model decoded[] = {{"smallest", 2, 2, 32, 32, 257, 1},
                           {"tiny", 4, 4, 128, 128, 4096, 1},
                           {"small", 6, 6, 384, 256, 4096, 1},
                           {"small", 6, 6, 384, 256, 4096, 8},
                           {"GPT-2 124M", 12, 12, 768, 1024, 50257, 1}};
  std::vector<Row> rows;
  for (const Model& model : trained) rows.push_back(training_row(model));
  for (const Model& model : trained) rows.push_back(training_row(model, DType::bf16));
  for (const Model& model : decoded) rows.push_back(decoding_row(model));
  for (const Packing packing : {Packing::bf16, Packing::int8})
    for (const Model& model : {decoded[2], decoded[4]}) rows.push_back(decoding_row(model, packing));
  return rows;
}

}  // namespace chapbook

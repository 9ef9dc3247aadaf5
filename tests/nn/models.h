// What the tests of nn and optim share: small models, golden models, and how far two tensors are apart.
#pragma once
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "nn/gpt.h"

namespace chapbook {

// |a - b| / |b| of all numbers together; NaN when there is one anywhere, and infinite when the shapes differ,
// so that CHECK(relative_error(a, b) <= tolerance) fails.
inline double relative_error(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double distance = 0, length = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    distance += (x[i] - y[i]) * (x[i] - y[i]);
    length += y[i] * y[i];
  }
  return std::sqrt(distance / length);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<float>() == b.to_vector<float>();
}

// Ids below `vocabulary`, in any shape.
inline Tensor random_ids(const Shape& shape, int64_t vocabulary, Random& random,
                         Backend& backend = default_backend()) {
  std::vector<int32_t> ids(shape.count());
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(vocabulary));
  return Tensor::from(ids, shape, backend);
}

// Every parameter random, so that no part can be left out unseen: GPT-2's initialisation would have biases 0
// and residual branches almost 0.
inline void scramble(Module& module, uint64_t seed, double deviation = 0.3) {
  Random random{seed};
  for (const Parameter& parameter : parameters(module)) {
    const Tensor& value = parameter.variable.value();
    Tensor drawn = normal(value.shape(), random, DType::f32, value.backend()) * deviation;
    if (parameter.name.find("ln_") != std::string::npos || parameter.name.find("norm") != std::string::npos)
      drawn = drawn + 1;
    value.backend().copy(drawn.view(), value.view());
  }
}

inline std::string golden_path(const std::string& name) {
  return CHAPBOOK_SOURCE_DIR "/tests/golden/" + name;
}

// A model written by transformers, see tests/golden/gpt2.py: "with_bias" or "no_bias".
inline GPT golden_model(const std::string& name, Backend& backend) {
  const auto json = nlohmann::json::parse(std::ifstream(golden_path("gpt2/" + name + "/config.json")));
  GPTConfig config;
  config.layers = json.at("n_layer");
  config.heads = json.at("n_head");
  config.width = json.at("n_embd");
  config.context = json.at("n_positions");
  config.vocabulary = json.at("vocab_size");
  config.bias = name == "with_bias";
  GPT model(config, backend);
  load(model, load_tensors(golden_path("gpt2/" + name + "/model.safetensors"), backend).tensors);
  return model;
}

inline std::map<std::string, Tensor> golden_tensors(const std::string& name, Backend& backend) {
  const NamedTensors tensors = load_tensors(golden_path(name), backend).tensors;
  return {tensors.begin(), tensors.end()};
}

}  // namespace chapbook

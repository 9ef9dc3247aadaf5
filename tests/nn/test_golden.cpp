// The same numbers as PyTorch: models written by transformers' GPT2LMHeadModel (tests/golden/gpt2.py) give
// the same logits, loss and gradient of every parameter here.
#include <doctest/doctest.h>

#include "tests/nn/models.h"

using namespace chapbook;

// The golden numbers are right to float32's last bit. PyTorch itself, in float32, is 8e-7 off for the worst
// gradient; ten times that leaves room for sums in another order and none for a mistake.
static constexpr double tolerance = 1e-5;

TEST_CASE("a GPT-2 of transformers gives the same logits, loss and gradients") {
  for (const std::string_view name : backend_names()) {
    for (const std::string which : {"with_bias", "no_bias"}) {
      CAPTURE(name);
      CAPTURE(which);
      Backend& device = backend(name);
      GPT model = golden_model(which, device);
      const auto golden = golden_tensors("gpt2/" + which + "/golden.safetensors", device);
      const Tensor &tokens = golden.at("tokens"), &targets = golden.at("targets");

      const double logits_error = relative_error(model(tokens).value(), golden.at("logits"));
      CHECK(logits_error <= tolerance);
      const Variable loss = model.loss(tokens, targets);
      CHECK(relative_error(loss.value(), golden.at("loss")) <= tolerance);

      backward(loss);
      double worst = 0;
      for (const Parameter& parameter : parameters(model)) {
        CAPTURE(parameter.name);
        const double error =
            relative_error(parameter.variable.gradient(), golden.at("gradient." + parameter.name));
        CHECK(error <= tolerance);
        worst = std::max(worst, error);
      }
      // Nothing golden is left unlooked at: tokens, targets, logits and loss, and a gradient for each
      // parameter.
      CHECK(golden.size() == 4 + parameters(model).size());
      MESSAGE(name, ", ", which, ": logits ", logits_error, ", worst gradient ", worst);
    }
  }
}

TEST_CASE("what is saved is what transformers saved") {
  for (const std::string_view name : backend_names()) {
    GPT model = golden_model("with_bias", backend(name));
    const auto saved = golden_tensors("gpt2/with_bias/model.safetensors", backend(name));
    const NamedTensors ours = state(model);
    CHECK(ours.size() == saved.size());
    for (const auto& [each, tensor] : ours) CHECK(same_bits(tensor, saved.at(each)));
  }
}

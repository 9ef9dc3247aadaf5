// A model in training on random tokens: what a step does depends on the shapes, not on the tokens.
#pragma once
#include <vector>

#include "apps/run/trainer.h"

namespace chapbook {

struct Training {
  std::vector<uint16_t> tokens;
  GPT gpt;
  Trainer trainer;

  explicit Training(const Settings& settings, Backend& backend = default_backend())
      : tokens(random_tokens(settings)),
        gpt(model_config(settings), backend),
        trainer(settings, start(gpt), tokens) {}

 private:
  static std::vector<uint16_t> random_tokens(const Settings& settings) {
    Random random{1};
    std::vector<uint16_t> tokens(1 << 20);
    for (uint16_t& token : tokens) token = static_cast<uint16_t>(random.below(settings.vocabulary));
    return tokens;
  }
  static GPT& start(GPT& gpt) {
    Random random{1};
    gpt.initialise(random);
    return gpt;
  }
};

}  // namespace chapbook

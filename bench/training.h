// A model in training on random tokens: what a step does depends on the shapes, not on the tokens.
#pragma once
#include <vector>

#include "apps/run/family.h"
#include "apps/run/trainer.h"

namespace chapbook {

struct Training {
  std::vector<uint16_t> tokens;
  std::unique_ptr<LanguageModel> model;
  Trainer trainer;

  explicit Training(const Settings& settings, Backend& backend = default_backend())
      : tokens(random_tokens(settings)),
        model(make_model(settings, backend)),
        trainer(settings, start(*model), tokens) {}

 private:
  static LanguageModel& start(LanguageModel& model) {
    Random random{1};
    model.initialise(random);
    return model;
  }
};

}  // namespace chapbook

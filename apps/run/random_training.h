// A model in training on random tokens, to be measured: what a step does depends on the shapes, not on the
// tokens.
#pragma once
#include <memory>
#include <vector>

#include "apps/run/family.h"
#include "apps/run/trainer.h"

namespace chapbook {

struct RandomTraining {
  std::vector<uint16_t> tokens;
  std::unique_ptr<LanguageModel> model;
  Trainer trainer;

  explicit RandomTraining(const Settings& settings, Backend& backend = default_backend(),
                          Team& team = alone())
      : tokens(random_tokens(settings)),
        model(make_model(settings, backend)),
        trainer(settings, *model, tokens, team) {
    Random random{static_cast<uint64_t>(settings.seed)};
    model->initialise(random);
  }
};

}  // namespace chapbook

// Times training steps: forward, backward, clipping and AdamW on random tokens. Prints seconds a step, one
// number a line.
//   bench_train_step LAYERS HEADS WIDTH CONTEXT VOCABULARY BATCH STEPS [PRECISION]
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>

#include "apps/run/random_training.h"

using namespace chapbook;

int main(int argc, char** argv) {
  if (argc != 8 && argc != 9) {
    fmt::print(stderr, "usage: {} LAYERS HEADS WIDTH CONTEXT VOCABULARY BATCH STEPS [PRECISION]\n", argv[0]);
    return 2;
  }
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  Settings settings;
  settings.layers = number(1), settings.heads = number(2), settings.width = number(3),
  settings.context = number(4);
  settings.vocabulary = number(5), settings.batch = number(6), settings.steps = number(7) + 4;
  if (argc == 9) settings.precision = argv[8];
  RandomTraining training(settings);
  for (int64_t i = 0; i < settings.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    training.trainer.step();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (i >= 4) fmt::print("{}\n", seconds);  // the first steps take their memory from the system, and record
  }
  fmt::print(stderr, "peak MB {:.0f}\n", training.model->backend().blocks().peak_bytes() / 1e6);
}

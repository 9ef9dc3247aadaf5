// Before a long run: a look for the usual mistakes, and a look for a learning rate. Both train a new model
// that is thrown away, as a run with these settings would (trainer.h), mostly for about a minute; nothing of
// a run is touched. The vocabulary is that of the data.
#pragma once
#include "apps/report/plot.h"
#include "apps/run/run.h"

namespace chapbook {

// The data of a run, whose directory is gone again: what was prepared for it is open, and has no names any
// more.
TrainingData data_to_look_at(RunOptions options);

// Says one line for each thing looked at; gives how many are not as they should be.
//   data       no token is most of the text; validation is not the text that is trained on
//   tokenizer  it makes pieces of 1.5 bytes or more, and a fifth of its longer tokens occur
//   birth      the first loss is near ln V: all tokens equally likely
//   gradients  every parameter has one, it is finite, and it is not all 0
//   one batch  the model learns one batch by heart: its loss halves, and more; what no model can learn of
//              smoothed labels is left out
// Of a step that adds up several batches this sees one. A mistake on purpose, the setting `fault`, is there
// to be found.
int check_training(const Settings& settings, const TrainingData& data, const Run::Say& say);

// The range test of Smith 2017 (arXiv 1506.01186): the rate rises from 1e-6 by the same factor with each step
// until the loss explodes. What to take is a rule of thumb: a tenth of the rate where the smoothed loss
// was lowest.
struct RateCurve {
  std::vector<double> rates, losses, smoothed;
  double suggestion = 0;
};
RateCurve find_rate(const Settings& settings, const TrainingData& data, int64_t steps = 120);
Plot plot_of(const RateCurve& curve);

}  // namespace chapbook

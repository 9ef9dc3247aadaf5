// Dropout, while training: some numbers become 0 at random, the rest grow to make up for it (Srivastava et
// al. 2014).
#pragma once
#include "autograd/watch.h"
#include "nn/linear.h"

namespace chapbook {

struct Dropout {
  double probability = 0;
  // Where masks are drawn from; without one (evaluation, generation) nothing is dropped.
  Random* random = nullptr;

  bool active() const { return random && probability > 0; }
  Variable operator()(const Variable& x) const { return active() ? dropout(x, probability, *random) : x; }
  // residual + what is left of layer(x), which is named "added"; one op where nothing is dropped and nobody
  // looks.
  Variable add(const Variable& residual, const Linear& layer, const Variable& x) const {
    return active() || watched() ? residual + named("added", (*this)(layer(x))) : layer(x, residual);
  }
};

}  // namespace chapbook

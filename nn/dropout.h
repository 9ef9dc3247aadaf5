// Dropout, while training: some numbers become 0 at random, the rest grow to make up for it (Srivastava et
// al. 2014).
#pragma once
#include "autograd/ops.h"

namespace chapbook {

struct Dropout {
  double probability = 0;
  Random* random =
      nullptr;  // where masks are drawn from; without one (evaluation, generation) nothing is dropped

  bool active() const { return random && probability > 0; }
  Variable operator()(const Variable& x) const { return active() ? dropout(x, probability, *random) : x; }
};

}  // namespace chapbook

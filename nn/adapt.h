// A model that exists learns something new: which of its parameters learn, and ways of low rank beside its
// products. A parameter that does not learn is a constant: it has no gradient, and no optimizer has a state
// for it.
#pragma once
#include "nn/linear.h"

namespace chapbook {

// Those that learn, in the order of parts().
std::vector<Parameter> learning_parameters(Module& module);

// From now on only those learn that `learns` accepts by name; what was frozen stays so.
void freeze(Module& module, const std::function<bool(const std::string& name)>& learns);

// Only the last `blocks` blocks learn, and what comes after them: blocks are the parts with numbers for
// names.
void freeze_before_last(Module& module, int64_t blocks);

// Every Linear, with its name.
void for_each_linear(Module& module,
                     const std::function<void(const std::string& name, Linear& linear)>& each);

// LoRA, Hu et al. 2021 (arXiv 2106.09685): y = x W + b + alpha / rank (x A) B, with A (in, rank) and B (rank,
// out).
struct LowRank {
  int64_t rank = 8;
  double alpha = 16;
};
// Freezes all there is and puts such a way beside the Linears that `chosen` accepts by name. A begins with
// numbers of a normal distribution, B with zeros, so that the model still computes what it did. Throws where
// none is chosen.
void add_low_rank(Module& module, const LowRank& low_rank, Random& random,
                  const std::function<bool(const std::string& name)>& chosen);
bool has_low_rank(Module& module);
// W + alpha / rank A B in the place of W, and the ways are gone: the same function, up to rounding.
void merge_low_rank(Module& module);

}  // namespace chapbook

// Surgery: parts of a model switched off, or made to say what they said of another text, while it computes. A
// part is written LAYER (a whole block), LAYER.attention, LAYER.mlp, LAYER.HEAD or LAYER.mlp.NEURON, and
// behind it @PLACE where only one token is meant; all count from 0.
//
// What is switched off adds nothing: a head's or a neuron's numbers become 0, an attention or MLP adds 0 to
// the stream, biases included, and a block does neither. What is patched has the other text's numbers in the
// same places (activation patching, Vig et al. 2020); of a block that is the stream behind it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "autograd/watch.h"
#include "nn/language_model.h"

namespace chapbook {

// How many parts a model has; found by a pass over one token, so no family needs to say it.
struct Anatomy {
  int64_t layers = 0, heads = 0, neurons = 0;  // blocks; of each: heads of queries, numbers inside the MLP
};
Anatomy anatomy(const LanguageModel& model);

struct Cut {
  enum class Part { block, attention, mlp, head, neuron };
  Part part = Part::block;
  int64_t layer = 0, index = 0;  // the index of a head or neuron
  int64_t place = -1;            // the token; -1: all
  bool patched = false;          // else it is off

  std::string text() const;  // "2.mlp.17@3", as it is read
};
std::vector<Cut> all_parts(const Anatomy& anatomy);  // each block, its attention, its MLP, its heads
// Throws for what is no part, naming those there are.
Cut read_cut(std::string_view text, const Anatomy& anatomy, bool patched = false);

Tensor batch_of_one(std::span<const int32_t> ids, Backend& backend);  // (1, T)

// The values of a text that patches come from, by name.
using NamedValues = std::map<std::string, Tensor>;
NamedValues named_values(const LanguageModel& model, std::span<const int32_t> ids);

// Does it while it lives, in this thread. Patches need the `other` text's values, of as many tokens at least.
class Surgeon : public Watch {
 public:
  Surgeon(const Anatomy& anatomy, std::vector<Cut> cuts, NamedValues other = {});
  Variable named(const std::string& name, const Variable& x) override;

 private:
  Anatomy anatomy_;
  std::vector<Cut> cuts_;
  NamedValues other_;
};

}  // namespace chapbook

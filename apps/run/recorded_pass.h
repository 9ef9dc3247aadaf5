// RecordedPass: the forward and backward pass of a batch, again and again with the same shapes. When the
// backend has done it once, it writes its calls down, and from then on does them all at once: a GPU then no
// longer waits for the host to start each kernel. The bits are the same as without.
#pragma once
#include <functional>
#include <memory>

#include "nn/module.h"
#include "tensor/random.h"

namespace chapbook {

class RecordedPass {
 public:
  // `parameters` are all that get gradients, `random` is all that is drawn from.
  RecordedPass(Backend& backend, const std::vector<Parameter>& parameters, Random& random)
      : backend_(backend),
        parameters_(parameters),
        gradients_(parameters.size()),
        places_(parameters.size()),
        random_(random) {}

  // What `compute` gives, which must make the same calls on the same memory every time, and adds to the
  // gradients.
  Tensor operator()(const std::function<Tensor()>& compute);

  static bool possible(Backend& backend);  // can it record?
  bool recorded() const { return first_.recording != nullptr; }

 private:
  struct Pass {
    bool seen = false;  // done call by call, so that all that is made only once is there
    std::unique_ptr<Recording> recording;
    Tensor result;
    uint64_t counter = 0, draws = 0;  // where the random numbers stood, and how far they go
  };
  bool record(Pass& pass, const std::function<Tensor()>& compute);
  void keep_gradients();

  Backend& backend_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> gradients_;  // where the recordings leave them
  std::vector<void*> places_;      // their memory, which no recording may change
  Random& random_;
  Pass first_, adding_;  // to gradients that are not there yet, or are
  bool possible_ = true;
};

}  // namespace chapbook

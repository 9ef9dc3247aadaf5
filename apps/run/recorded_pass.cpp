#include "apps/run/recorded_pass.h"

#include <algorithm>

namespace chapbook {

Tensor RecordedPass::operator()(const std::function<Tensor()>& compute) {
  const bool adds = std::any_of(parameters_.begin(), parameters_.end(), [](const Parameter& each) {
    return static_cast<bool>(each.variable.gradient());
  });
  Pass& pass = adds ? adding_ : first_;
  const bool ready = pass.seen && (!adds || recorded());
  pass.seen = true;
  if (!possible_ || !ready) return compute();
  if (!pass.recording && !record(pass, compute)) return compute();
  pass.recording->replay(random_.counter - pass.counter);
  random_.counter += pass.draws;
  for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].variable.set_gradient(gradients_[i]);
  return pass.result;
}

bool RecordedPass::possible(Backend& backend) {
  const bool can = backend.start_recording();
  if (can) backend.stop_recording();
  return can;
}

// False where the backend cannot.
bool RecordedPass::record(Pass& pass, const std::function<Tensor()>& compute) {
  possible_ = backend_.start_recording();
  if (!possible_) return false;
  pass.counter = random_.counter;
  try {
    std::fill(gradients_.begin(), gradients_.end(),
              Tensor());  // nobody else may hold what is added to in place
    pass.result = compute();
    keep_gradients();
  } catch (...) {
    try {
      backend_.stop_recording();
    } catch (const std::exception&) {  // a consequence; the cause says more
    }
    throw;
  }
  pass.recording = backend_.stop_recording();
  pass.draws = random_.counter - pass.counter;
  random_.counter = pass.counter;  // nothing has been computed yet
  return true;
}

// Recorded itself: each gradient gets memory of its own, in which passes that come later add to it.
void RecordedPass::keep_gradients() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Variable& parameter = parameters_[i].variable;
    const Tensor& gradient = parameter.gradient();
    if (gradient && (gradient.shared() || !gradient.contiguous()))
      parameter.set_gradient(gradient.contiguous_copy());
    void* const place = gradient ? gradient.view().data : nullptr;
    check(!recorded() || place == places_[i], "recorded pass: the gradient of {} does not stay where it is",
          parameters_[i].name);
    places_[i] = place;
    gradients_[i] = gradient;
  }
}

}  // namespace chapbook

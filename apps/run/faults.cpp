#include "apps/run/faults.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "apps/run/family.h"
#include "data/loader.h"
#include "tensor/backend_around.h"
#include "tensor/ops.h"

namespace chapbook {
namespace {

// What a fault does otherwise, it overrides.
class Faulty : public BackendAround {
 public:
  explicit Faulty(Backend& wrapped) : BackendAround(wrapped, "broken") {}
  Backend& sound() const { return wrapped_; }
};

// Each query sees some keys more than it should; behind the last key they are zeros. Query t sees keys 0 to S
// - T + t.
class Mask : public Faulty {
 public:
  Mask(Backend& wrapped, bool all) : Faulty(wrapped), all_(all) {}

  void attention(In q, In k, In v, double scale, Out y, Out log_sum) override {
    wrapped_.attention(q, padded(k).view(), padded(v).view(), scale, y, log_sum);
  }
  void attention_backward(In q, In k, In v, double scale, In y, In log_sum, In dy, Out dq, Out dk,
                          Out dv) override {
    const Tensor keys = padded(k), values = padded(v), dkeys = Tensor::like(keys),
                 dvalues = Tensor::like(values);
    wrapped_.attention_backward(q, keys.view(), values.view(), scale, y, log_sum, dy, dq, dkeys.view(),
                                dvalues.view());
    wrapped_.copy(dkeys.view().slice(2, 0, k.shape[2]), dk);
    wrapped_.copy(dvalues.view().slice(2, 0, v.shape[2]), dv);
  }

 private:
  Tensor padded(const View& x) {  // (B, K, S, D)
    const int64_t S = x.shape[2], more = all_ ? S - 1 : 1;
    const Tensor result = Tensor::zeros(x.shape.with(2, S + more), x.dtype, *this);
    wrapped_.copy(x, result.view().slice(2, 0, S));
    return result;
  }
  bool all_;
};

class NoScale : public Faulty {
 public:
  using Faulty::Faulty;
  void attention(In q, In k, In v, double, Out y, Out log_sum) override {
    wrapped_.attention(q, k, v, 1, y, log_sum);
  }
  void attention_backward(In q, In k, In v, double, In y, In log_sum, In dy, Out dq, Out dk,
                          Out dv) override {
    wrapped_.attention_backward(q, k, v, 1, y, log_sum, dy, dq, dk, dv);
  }
};

class NoNorm : public Faulty {
 public:
  using Faulty::Faulty;
  void layer_norm(In x, In, In, double, Out y, Out mean, Out rstd) override {
    wrapped_.copy(x, y);
    wrapped_.fill(mean, 0);
    wrapped_.fill(rstd, 1);
  }
  void layer_norm_backward(In, In, In, In, In dy, Out dx, Out dweight, Out dbias) override {
    wrapped_.copy(dy, dx);
    wrapped_.fill(dweight, 0);
    if (dbias) wrapped_.fill(dbias, 0);
  }
};

class NoGelu : public Faulty {
 public:
  using Faulty::Faulty;
  void matmul(In a, In b, Out y, const Epilogue& epilogue) override {
    Epilogue linear = epilogue;
    linear.activation = Activation::none;
    linear.before = {};
    wrapped_.matmul(a, b, y, linear);
    if (epilogue.activation == Activation::gelu && epilogue.before) wrapped_.copy(y, epilogue.before);
  }
};

// y = b where y += b is meant.
class Overwrites : public Faulty {
 public:
  using Faulty::Faulty;
  void binary(Binary op, In a, In b, Out y) override {
    if (op == Binary::add && a.data == y.data && b.shape == y.shape) return wrapped_.copy(b, y);
    wrapped_.binary(op, a, b, y);
  }
};

// What the optimizer is given, or does, is changed.
class BadOptimizer : public Faulty {
 public:
  using Change = std::function<void(Backend& wrapped, AdamWStep step, std::vector<AdamWPart> parts)>;
  BadOptimizer(Backend& wrapped, Change change) : Faulty(wrapped), change_(std::move(change)) {}
  void adamw(const AdamWStep& step, std::span<const AdamWPart> parts) override {
    change_(wrapped_, step, {parts.begin(), parts.end()});
  }

 private:
  Change change_;
};

void no_bias_correction(Backend& wrapped, AdamWStep step, std::vector<AdamWPart> parts) {
  step.step = int64_t{1} << 40;
  wrapped.adamw(step, parts);
}

void wrong_sign(Backend& wrapped, AdamWStep step, std::vector<AdamWPart> parts) {
  step.rate = -step.rate;
  wrapped.adamw(step, parts);
}

void no_update(Backend&, AdamWStep, std::vector<AdamWPart>) {}

// The table of tokens, which is the first parameter, stands in the list a second time, as the head.
void tied_twice(Backend& wrapped, AdamWStep step, std::vector<AdamWPart> parts) {
  wrapped.adamw(step, parts);
  wrapped.adamw(step, std::span(parts).first(1));
}

// Gradients of all steps before are still there.
struct NotCleared {
  std::map<const void*, Tensor> sums = {};
  void operator()(Backend& wrapped, AdamWStep step, std::vector<AdamWPart> parts) {
    for (AdamWPart& part : parts) {
      Tensor& sum = sums[part.weight.data];
      if (!sum) sum = Tensor::zeros(part.weight.shape, part.weight.dtype, wrapped);
      wrapped.binary(Binary::add, sum.view(), part.gradient, sum.view());
      part.gradient = sum.view();
    }
    wrapped.adamw(step, parts);
  }
};

}  // namespace

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = {
      {"no_mask", "every place sees all others, also those it is to predict",
       "a loss too good to be true, and no story"},
      {"mask_off_by_one", "every place sees the one it is to predict",
       "a loss too good to be true, and no story"},
      {"no_scale", "scores of attention are not divided by sqrt(d)",
       "hardly; by comparison with other programs"},
      {"no_norm", "layer norms hand on what they are given", "the curve"},
      {"no_gelu", "the MLP is linear", "the curve; a short run may even be better"},
      {"overwrites", "gradients that should add up replace each other", "the curve; the check of gradients"},
      {"not_cleared", "gradients of earlier steps are still there", "the curve"},
      {"wrong_sign", "steps go up the hill", "the curve, at once"},
      {"no_update", "the optimizer is never asked", "the curve, at once"},
      {"no_bias_correction", "Adam's means begin at 0 and are taken as they are",
       "the curve: first steps are too long"},
      {"tied_twice", "the table of tokens is also updated as the head",
       "hardly; by comparison with other programs"},
      {"rate_ten_times", "the learning rate is ten times too high", "the curve"},
      {"not_shifted", "each token is to predict itself", "training is too good, validation is not"},
      {"two_ahead", "each token is to predict the one after the next", "the curve; validation is worse"},
      {"other_tokenizer", "training ids are of another tokenizer than those of validation",
       "validation alone"},
  };
  return all;
}

std::vector<std::string> fault_names() {
  std::vector<std::string> names = {"none"};
  for (const Fault& each : faults()) names.push_back(each.name);
  return names;
}

void check_fault(const Settings& settings) {
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), settings.fault) != names.end();
  };
  const auto& no_faults = family(settings.family).no_faults;
  check(std::ranges::find(no_faults, settings.fault) == no_faults.end(),
        "fault={}: family {} has no such part; there is nothing to break", settings.fault, settings.family);
  check(settings.tied || settings.fault != "tied_twice",
        "fault=tied_twice: with tied=false the table of tokens is no head");
  check(settings.optimizer == "adamw" ||
            !is_one_of({"not_cleared", "wrong_sign", "no_update", "no_bias_correction", "tied_twice"}),
        "fault={}: it is in the step of adamw, not in that of {}", settings.fault, settings.optimizer);
}

Backend& with_fault(Backend& wrapped, const std::string& name) {
  static std::vector<std::unique_ptr<Backend>> made;
  const auto make = [&]() -> std::unique_ptr<Backend> {
    if (name == "no_mask" || name == "mask_off_by_one")
      return std::make_unique<Mask>(wrapped, name == "no_mask");
    if (name == "no_scale") return std::make_unique<NoScale>(wrapped);
    if (name == "no_norm") return std::make_unique<NoNorm>(wrapped);
    if (name == "no_gelu") return std::make_unique<NoGelu>(wrapped);
    if (name == "overwrites") return std::make_unique<Overwrites>(wrapped);
    if (name == "not_cleared") return std::make_unique<BadOptimizer>(wrapped, NotCleared());
    if (name == "wrong_sign") return std::make_unique<BadOptimizer>(wrapped, wrong_sign);
    if (name == "no_update") return std::make_unique<BadOptimizer>(wrapped, no_update);
    if (name == "no_bias_correction") return std::make_unique<BadOptimizer>(wrapped, no_bias_correction);
    if (name == "tied_twice") return std::make_unique<BadOptimizer>(wrapped, tied_twice);
    return nullptr;
  };
  std::unique_ptr<Backend> backend = make();
  if (!backend) return wrapped;
  made.push_back(std::move(backend));
  return *made.back();
}

Backend& without_fault(Backend& backend) {
  const auto* faulty = dynamic_cast<Faulty*>(&backend);
  return faulty ? faulty->sound() : backend;
}

Settings with_fault(Settings settings) {
  if (settings.fault == "rate_ten_times") settings.rate *= 10;
  return settings;
}

void spoil_batch(const std::string& fault, std::span<int32_t> inputs, std::span<int32_t> targets,
                 int64_t vocabulary) {
  if (fault == "not_shifted") std::copy(inputs.begin(), inputs.end(), targets.begin());
  if (fault == "two_ahead") std::rotate(targets.begin(), targets.begin() + 1, targets.end());
  if (fault == "other_tokenizer")
    for (const auto& ids : {inputs, targets})
      for (int32_t& id : ids)
        if (id != ignored_target) id = static_cast<int32_t>(vocabulary - 1 - id);
}

}  // namespace chapbook

// Backend: one way to hold numbers and compute with them. What it can compute is the list of kernels in
// tensor/kernels.inc. A kernel gets Views of its own memory whose shapes, dtypes and ranges the Tensor ops
// have already checked. tensor/reference has the meaning of every kernel; others are faster.
//
// A call may return before its work is done, as on a GPU: work is done in the order of the calls, and
// download and synchronize wait for it. So what a call needs to know of earlier results comes as a View,
// never as a number of the host.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/block_cache.h"
#include "tensor/elementwise.h"
#include "tensor/view.h"

namespace chapbook {

enum class Reduce : uint8_t { sum, max, min };
enum class Distribution : uint8_t { uniform, normal };  // [0, 1); mean 0 and deviation 1

// What calls are given beside single views. `operands` shows each view that is read or written.

// What the loss of a batch of predictions counts.
struct CrossEntropy {
  int32_t ignore = -100;  // rows with this target count for nothing
  double smoothing = 0;   // share of the target's probability that is spread over all classes
  // One f64, where the logits are, that the sum over rows is divided by; nothing: as many as count.
  In count = {};

  void operands(auto&& visit) { count.operands(visit); }
};

// One AdamW update (Loshchilov & Hutter 2019, algorithm 2) of many parameters.
struct AdamWStep {
  double rate, beta1, beta2, epsilon;
  int64_t step;            // counts from 1
  In gradient_scale = {};  // one f64 that gradients are multiplied with first (clipping); nothing: 1. Where
                           // it is not finite, the step changes nothing

  void operands(auto&& visit) { gradient_scale.operands(visit); }
};
struct AdamWPart {
  InOut weight;
  In gradient;
  InOut m, v;
  double decay;

  void operands(auto&& visit) {
    gradient.operands(visit);
    for (InOut* each : {&weight, &m, &v}) each->operands(visit);
  }
};

// Up to so many rows of a product have the same bits alone and together, on the backends of the host: so
// texts that are generated together are those of each alone.
inline constexpr int64_t few_rows = 16;

// What a product does with each number on its way to memory, y = residual + activation(a b + bias), and what
// it gathers while it reads; every part may be missing. It saves passes over memory: each would read and
// write all of y again.
enum class Activation : uint8_t { none, gelu, gelu_backward };
struct Epilogue {
  // (n): added to every row; like all of these, of y's dtype.
  In bias = {};
  // Like y; may be y itself: then the product is added to what y holds.
  In residual = {};
  Activation activation = Activation::none;
  // Like y. gelu: a b + bias is kept here, if given. gelu_backward: y = gelu'(before) (a b).
  View before = {};
  // (n): the sum of b's rows is written here; where b is a gradient, it is that of a bias.
  Out b_sums = {};

  bool nothing() const { return !bias && !residual && !b_sums && activation == Activation::none; }
  void operands(auto&& visit) {
    for (In* each : {&bias, &residual}) each->operands(visit);
    const bool read = activation == Activation::gelu_backward;
    visit(before, read, !read);
    b_sums.operands(visit);
  }
};

// Calls that were written down, to be done again at once: see Backend::start_recording.
class Recording {
 public:
  virtual ~Recording() = default;
  // Does them again, on the same memory. Random numbers are drawn from counters that are higher by
  // `counter_shift`.
  virtual void replay(uint64_t counter_shift) = 0;
};

struct KernelCall;

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  virtual std::string description() const { return std::string(name()); }  // with its device

  // Memory. Tensors take blocks through the cache, which also counts them.
  BlockCache& blocks() { return blocks_; }
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* block) noexcept = 0;
  // The cache tells how many bytes of a block are in use from now on, for backends that watch their memory.
  virtual void hand_out(void* /*block*/, size_t /*bytes*/) noexcept {}
  virtual void upload(const void* host, void* here, size_t bytes) = 0;
  virtual void download(const void* here, void* host, size_t bytes) = 0;
  virtual void synchronize() {}  // waits for the work of all calls so far
  // Whether any thread of the host may read and write the numbers.
  virtual bool in_host_memory() const { return false; }

  // Whether models can be trained in this dtype here: f32, and the half types where the device has them.
  virtual bool trains_in(DType dtype) const { return is_float(dtype); }

  // Whether it multiplies in this dtype faster than in f32.
  virtual bool faster_in(DType /*dtype*/) const { return false; }

  // How many numbers of a result to make at a time when it need not be held whole: few enough for the last
  // cache, but enough to keep all processors busy.
  virtual int64_t numbers_at_once() const { return 1 << 22; }

  // From here to stop_recording() calls are only written down; none may move numbers to or from the host. The
  // blocks they use are kept for the recording while it lives. Returns false where the backend cannot, as
  // when it has met a kernel that it does not have.
  virtual bool start_recording() { return false; }
  virtual std::unique_ptr<Recording> stop_recording() { return nullptr; }

  // The kernels. A backend overrides those it has code of its own for; a call of another one ends in
  // without_kernel.
#define KERNEL(name, parameters, ...) virtual void name parameters;
#include "tensor/kernels.inc"
#undef KERNEL

  // Names of the kernels that were asked for and are not its own.
  std::vector<std::string_view> fallbacks() const;

 protected:
  // Computes what its meaning in tensor/reference is, through the host's memory (reference/fallback.cpp).
  virtual void without_kernel(KernelCall& call);
  void note_fallback(std::string_view kernel);  // and says so, the first time

 private:
  BlockCache blocks_{*this};
  mutable std::mutex fallbacks_mutex_;
  std::vector<std::string_view> fallbacks_;
};

// How a backend says that it has a kernel of its own, with the parameters of the list:
//   Kernel<&Backend::softmax> softmax;
template <class>
struct KernelType;
template <class... Parameters>
struct KernelType<void (Backend::*)(Parameters...)> {
  using type = void(Parameters...);
};
template <auto kernel>
using Kernel = typename KernelType<decltype(kernel)>::type;

// The backend of that name; throws and lists the names there are.
Backend& backend(std::string_view name);
std::vector<std::string_view> backend_names();  // of those present, the fastest first

// What new tensors use unless told: the environment variable CHAPBOOK_BACKEND, else the fastest present.
Backend& default_backend();
void set_default_backend(Backend& backend);

}  // namespace chapbook

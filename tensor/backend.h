// Backend: one way to hold numbers and compute with them. A kernel gets Views of its own memory whose shapes,
// dtypes and ranges the Tensor ops have already checked. tensor/reference gives the meaning of every function
// here; others are faster.
//
// A call may return before its work is done, as on a GPU: work is done in the order of the calls, and
// download and synchronize wait for it. So what a call needs to know of earlier results comes as a View,
// never as a number of the host.
//
// dtypes: operands of one call are of one floating dtype unless its comment says otherwise. For half types
// everything that is summed is f32 inside.
#pragma once
#include <cstddef>
#include <memory>
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

// What the loss of a batch of predictions counts.
struct CrossEntropy {
  int32_t ignore = -100;  // rows with this target count for nothing
  double smoothing = 0;   // share of the target's probability that is spread over all classes
  View count = {};        // one f64 the sum over rows is divided by; nothing: as many as count
};

// One AdamW update (Loshchilov & Hutter 2019, algorithm 2) of many parameters.
struct AdamWStep {
  double rate, beta1, beta2, epsilon;
  int64_t step;              // counts from 1
  View gradient_scale = {};  // one f64 that gradients are multiplied with first (clipping); nothing: 1. Where
                             // it is not finite, the step changes nothing
};
struct AdamWPart {
  View weight, gradient, m, v;
  double decay;
};

// What a product does with each number on its way to memory, y = residual + activation(a b + bias), and what
// it gathers while it reads; every part may be missing. It saves passes over memory: each would read and
// write all of y again.
enum class Activation : uint8_t { none, gelu, gelu_backward };
struct Epilogue {
  View bias = {};      // (n): added to every row; like all of these, of y's dtype
  View residual = {};  // like y; may be y itself: then the product is added to what y holds
  Activation activation = Activation::none;
  View before =
      {};  // like y. gelu: a b + bias is kept here, if given. gelu_backward: y = gelu'(before) (a b)
  View b_sums = {};  // (n): the sum of b's rows is written here; where b is a gradient, it is that of a bias

  bool nothing() const { return !bias && !residual && !b_sums && activation == Activation::none; }
};

// Calls that were written down, to be done again at once: see Backend::start_recording.
class Recording {
 public:
  virtual ~Recording() = default;
  // Does them again, on the same memory. Random numbers are drawn from counters that are higher by
  // `counter_shift`.
  virtual void replay(uint64_t counter_shift) = 0;
};

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

  // Whether models can be trained in this dtype here: f32, and the half types where the device has them.
  virtual bool trains_in(DType dtype) const { return is_float(dtype); }

  // How many numbers of a result to make at a time when it need not be held whole: few enough for the last
  // cache, but enough to keep all processors busy.
  virtual int64_t numbers_at_once() const { return 1 << 22; }

  // From here to stop_recording() calls are only written down; none may move numbers to or from the host. The
  // blocks they use are kept for the recording while it lives. Returns false where the backend cannot.
  virtual bool start_recording() { return false; }
  virtual std::unique_ptr<Recording> stop_recording() { return nullptr; }

  virtual void fill(View y, double value) = 0;
  virtual void copy(View x, View y) = 0;  // strides and dtypes may differ

  // Elementwise: all views have one shape (stride 0 where an operand was stretched).
  virtual void unary(Unary op, View x, View y) = 0;
  virtual void binary(Binary op, View a, View b, View y) = 0;
  virtual void where(View condition, View a, View b, View y) = 0;  // condition: u8
  virtual void random(Distribution distribution, uint64_t seed, uint64_t counter, View y) = 0;
  virtual void triangle(View y, int64_t diagonal) = 0;  // (..., m, n) u8: 1 where column <= row + diagonal

  // y has x's rank, with size 1 where an axis is reduced; at least as wide as f32 for sums.
  virtual void reduce(Reduce op, View x, View y) = 0;
  virtual void argmax(View x, View y) = 0;  // (..., n) -> (...) i32; the first of equals
  virtual void square_sum(std::span<const View> xs, View y) = 0;  // of all numbers of all xs, into one f64

  // (..., m, k) times (..., k, n) into (..., m, n), any strides; y may be f32 where a and b are of a half
  // type. An epilogue wants two axes.
  virtual void matmul(View a, View b, View y, const Epilogue& epilogue) = 0;
  void matmul(View a, View b, View y) { matmul(a, b, y, {}); }

  // Along the last axis.
  virtual void softmax(View x, View y) = 0;
  virtual void softmax_backward(View y, View dy, View dx) = 0;
  virtual void log_softmax(View x, View y) = 0;
  virtual void log_softmax_backward(View y, View dy, View dx) = 0;

  // x, y (N, C); weight, bias (C), bias may be missing; mean, rstd (N). Where x is of a half type, mean and
  // rstd are f32, and weight, bias and their gradients may be.
  virtual void layer_norm(View x, View weight, View bias, double epsilon, View y, View mean, View rstd) = 0;
  virtual void layer_norm_backward(View x, View weight, View mean, View rstd, View dy, View dx, View dweight,
                                   View dbias) = 0;

  // Throws where an id is neither in 0..limit - 1 nor `also`: at once, or when the host next waits. ids: i32,
  // contiguous.
  virtual void check_ids(const char* op, View ids, int64_t limit, std::optional<int32_t> also);

  // table (V, C), ids (N) i32, rows (N, C). scatter adds rows into the table in the order of N. ids are not
  // checked here.
  virtual void gather_rows(View table, View ids, View rows) = 0;
  virtual void scatter_add_rows(View rows, View ids, View table) = 0;

  // logits (N, V), targets (N) i32, not checked; loss: one number, the mean over rows that count; log_sum
  // (N): log of the sum of exponentials. loss, dloss and log_sum are f32 for half types. dlogits may be the
  // memory of logits.
  virtual void cross_entropy(View logits, View targets, CrossEntropy options, View loss, View log_sum) = 0;
  virtual void cross_entropy_backward(View logits, View targets, CrossEntropy options, View log_sum,
                                      View dloss, View dlogits) = 0;

  // Causal attention: q (B, H, T, D); k, v (B, K, S, D), S >= T, and query t sees keys 0 to S - T + t; scale
  // > 0. Head h of q belongs to head h / (H / K) of k and v. y like q; log_sum (B, H, T): log of the sum of
  // exponentials of the scaled scores, which the backward pass starts from; f32 for half types.
  virtual void attention(View q, View k, View v, double scale, View y, View log_sum) = 0;
  virtual void attention_backward(View q, View k, View v, double scale, View y, View log_sum, View dy,
                                  View dq, View dk, View dv) = 0;

  virtual void adamw(const AdamWStep& step, std::span<const AdamWPart> parts) = 0;

 private:
  BlockCache blocks_{*this};
};

// The backend of that name; throws and lists the names there are.
Backend& backend(std::string_view name);
std::vector<std::string_view> backend_names();  // of those present, the fastest first

// What new tensors use unless told: the environment variable CHAPBOOK_BACKEND, else the fastest present.
Backend& default_backend();
void set_default_backend(Backend& backend);

}  // namespace chapbook

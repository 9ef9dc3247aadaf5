// The x-ray: what a model computes for a text, forwards and back. It watches one pass of the model that
// trains and tells stories (autograd/watch.h), so there is no second model to be wrong. Where the watch opens
// an op that is fused otherwise, numbers agree up to rounding; what attention's kernel never holds, its
// weights, are computed from the queries and keys that it read.
#pragma once
#include <string>
#include <vector>

#include "apps/run/model_directory.h"
#include "apps/run/sampling.h"
#include "apps/run/surgery.h"
#include "tensor/kernel_call.h"

namespace chapbook {

struct XRayOptions {
  // What comes behind the text; or behind each of its tokens; or also attention, the lens and the graph.
  enum class Depth { next, each, inside };
  Depth depth = Depth::inside;
  int64_t top = 5;             // alternatives of each token
  double temperature = 1;      // scores are divided by it
  std::vector<Cut> cuts = {};  // what is switched off or patched,
  NamedValues other = {};      // the latter from here
};

// What the model thinks comes after a token, as the stream stands behind some block.
struct Guess {
  std::vector<Choice> likeliest;
  double entropy;          // of all that could come, nats
  double log_probability;  // of what does come; NaN behind the last token
  int64_t rank;            // of that: 0 is the likeliest
};

// An op of the graph, in the order they ran.
struct SeenOp {
  std::string op, name;   // "linear"; what its layer calls the result, "2.attention.queries", or nothing
  std::string part;       // whose it is, "2.attention"; nothing: of the whole model
  std::string where;      // the layer's line, "nn/attention.cpp:64"
  std::string reads;      // parameters that it reads
  std::vector<int> uses;  // ops whose results it reads
  Shape shape;
  DType dtype;
  double norm;        // of the result: the root of the sum of squares
  double flops = -1;  // and bytes that its kernels moved, where the model is on a ProfileBackend
  double bytes = -1;
};

struct XRay {
  std::vector<int32_t> ids;  // T tokens
  int64_t text_bytes = 0;    // of the tokens that are predicted
  Anatomy anatomy;
  // The logit lens (nostalgebraist 2020), [layer][token]: last norm and head on the stream before the first
  // block, behind each, and so at last what the model says; else only that.
  std::vector<std::vector<Guess>> lens;
  std::vector<std::vector<float>> attention;  // [layer], (heads, T, T)
  std::vector<SeenOp> graph;

  double loss() const;           // nats per token, of those that have one before them
  double bits_per_byte() const;  // of the text behind the first token
};

// Up to model.network->context() tokens, and at least one.
XRay xray(const Model& model, std::vector<int32_t> ids, const XRayOptions& options = {});

// The way back from one token: where its loss comes from.
struct WayBack {
  double loss;  // of the token: -log of its probability
  // What each earlier token was for it: minus gradient times value, summed over the numbers of its embedding
  // (in a GPT-2 with that of its place). To first order that is by how much the log-probability would fall if
  // they were 0 (gradient times input, Shrikumar et al. 2016). Not behind blocks: the last norm undoes any
  // scale, so the product comes to nothing there.
  std::vector<double> shares;
  // [layer][earlier token]: norm of the gradient at the stream, before the first block and behind each.
  std::vector<std::vector<double>> streams;
  std::vector<double> gradients;  // norm of the gradient at the result of each op of XRay::graph
  std::vector<std::pair<std::string, double>> parameters;  // and at each parameter
};
// Of token `place` > 0, whose loss depends on those before it. Leaves no gradient behind.
WayBack way_back(const Model& model, std::span<const int32_t> ids, int64_t place,
                 const XRayOptions& options = {});

// What parts are worth: the loss of a text, nats per token, with each switched off. The most missed come
// first.
struct Worth {
  Cut part;
  double loss;
};
std::vector<Worth> losses_without(const LanguageModel& model, std::span<const int32_t> ids,
                                  const std::vector<Cut>& parts);

}  // namespace chapbook

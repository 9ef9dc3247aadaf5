// Counts what exercises ask for, from the library itself, and prints it as JSON for
// docs/tool/grade_answer.cpp: the right number, how exact an answer is to be, and the mistakes one makes with
// the words for them.
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/run/settings.h"
#include "nn/gpt.h"
#include "team/sum.h"
#include "tensor/files.h"
#include "tensor/kernel_call.h"

namespace chapbook {
namespace {

using Mistakes = std::vector<std::pair<double, const char*>>;

struct Answer {
  double value;
  double tolerance;  // relative; 0: to the last digit
  Mistakes mistakes;
};

const GPTConfig gpt2 = {.layers = 12, .heads = 12, .width = 768, .context = 1024, .vocabulary = 50257};

// 0.2
Answer story_bits_per_byte() {
  const auto story = nlohmann::json::parse(read_file(CHAPBOOK_SOURCE_DIR "/bench/results/story.json"));
  const double loss = story.at("valid_loss"), right = story.at("valid_bits_per_byte");
  const double tokens = story.at("data").at("valid_tokens"), bytes = story.at("data").at("valid_bytes");
  const double ln2 = std::log(2);
  return {right,
          0.005,
          {{right * ln2, "so many nats a byte it is; a bit is the smaller unit, so it takes more of them"},
           {right * ln2 * ln2, "to get bits from nats one divides by ln 2, and here it was multiplied by"},
           {loss / ln2, "so many bits a token it is; a token is several bytes"},
           {loss * bytes / tokens / ln2, "tokens and bytes have changed places"},
           {loss * bytes / tokens, "tokens and bytes have changed places, and it is in nats"},
           {loss, "so many nats a token it is"},
           {std::exp(loss), "that is the perplexity, of a token"}}};
}

// 0.3
Answer tokens_of_a_run() {
  Settings run = preset("tiny");
  for (const char* assignment : {"steps=700", "batch=12", "accumulation=3", "context=96"})
    set(run, assignment);
  const auto steps = static_cast<double>(run.steps), batch = static_cast<double>(run.batch),
             context = static_cast<double>(run.context), parts = static_cast<double>(run.accumulation);
  return {steps * batch * parts * context,
          0,
          {{steps * batch * context, "a step adds up the gradients of several batches: accumulation"},
           {steps * batch * parts, "so many sequences it is, each of several tokens"},
           {batch * parts * context, "so many are in one step"},
           {batch * context, "so many are in one batch"},
           {steps * parts * context, "a batch has more than one sequence"}}};
}

// 2.4
Answer bytes_of_logits() {
  const Shape logits = {8, 1024, 50257};
  const auto count = static_cast<double>(logits.count());
  return {count * static_cast<double>(size_of(DType::bf16)),
          0,
          {{count, "so many numbers it has, each of several bytes"},
           {count * 4, "that is 2 times too much: it is the size in f32"}}};
}

// 6.4
Answer bytes_of_a_bias() {
  const View x{nullptr, DType::f32, {2048, 768}, contiguous_strides({2048, 768})};
  const View bias = View{nullptr, DType::f32, {768}, contiguous_strides({768})}.broadcast_to(x.shape);
  const double right = 2 * bytes(x) + bytes(bias);
  return {right,
          0,
          {{3 * bytes(x), "the stretched bias is counted as if it were written out in full"},
           {2 * bytes(x), "the bias is read too, if only once"},
           {bytes(x) + bytes(bias), "so many are read; as many numbers as x has are written"},
           {right / 4, "so many numbers they are, of 4 bytes each"}}};
}

// 9.4
Answer parameters_of_norms() {
  LayerNorm norm(gpt2.width, gpt2.bias);
  const auto one = static_cast<double>(count_parameters(norm)), blocks = static_cast<double>(gpt2.layers);
  return {one * (2 * blocks + 1),
          0,
          {{one * 2 * blocks, "there is one more norm, behind the last block"},
           {one * (blocks + 1), "a block has two of them"},
           {one / 2 * (2 * blocks + 1), "each has a weight and a bias"}}};
}

// 12.2
Answer parameters_of_gpt2() {
  GPTConfig no_bias = gpt2;
  no_bias.bias = false;
  const auto right = static_cast<double>(parameter_count(gpt2)), C = static_cast<double>(gpt2.width);
  return {right,
          0,
          {{right + static_cast<double>(gpt2.vocabulary) * C,
            "the head is counted a second time: it is the token embedding"},
           {right - static_cast<double>(gpt2.context) * C, "the embedding of places is missing"},
           {right - 2 * C, "the norm behind the last block is missing"},
           {static_cast<double>(parameter_count(no_bias)), "the biases are missing"}}};
}

// 12.3
Answer work_of_gpt2() {
  const double right = training_flops_per_token(gpt2);
  return {right,
          0.01,
          {{right / 3, "that is the forward pass; backward costs twice as much again"},
           {6.0 * static_cast<double>(parameter_count(gpt2)),
            "6 for every parameter is the usual estimate: places and norms are no products, and "
            "attention's products of tokens with tokens are not in it"}}};
}

// 23.4
Answer bytes_of_eight_workers() {
  const auto bytes = 4 * static_cast<double>(parameter_count(gpt2));
  const auto right = static_cast<double>(all_reduce_bytes(parameter_count(gpt2), 8));
  return {
      right,
      0,
      {{right / 2, "that is the sum of the gradients; the weights go as many bytes on the way back"},
       {right / 4, "so many numbers they are, of 4 bytes each"},
       {right / 8, "so many numbers the sum takes; a number has 4 bytes, and the weights follow"},
       {2 * bytes, "no worker sends the part that it keeps: (N - 1) / N of the bytes go, each way"},
       {3 * bytes, "so it would be with whole vectors at each of the three distances; here they are halved"},
       {6 * bytes, "so it would be with whole vectors at each of the three distances; here they are halved"},
       {8 * right, "so many all workers send together"}}};
}

}  // namespace
}  // namespace chapbook

int main() {
  using namespace chapbook;
  const std::map<std::string, Answer> all = {
      {"0.2", story_bits_per_byte()}, {"0.3", tokens_of_a_run()},        {"2.4", bytes_of_logits()},
      {"6.4", bytes_of_a_bias()},     {"9.4", parameters_of_norms()},    {"12.2", parameters_of_gpt2()},
      {"12.3", work_of_gpt2()},       {"23.4", bytes_of_eight_workers()}};
  nlohmann::json json;
  for (const auto& [number, answer] : all)
    json[number] = {{"value", answer.value}, {"tolerance", answer.tolerance}, {"mistakes", answer.mistakes}};
  std::puts(json.dump().c_str());
}

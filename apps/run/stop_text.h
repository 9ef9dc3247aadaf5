// Tokens as text while they come, up to the first of some texts to stop at: what is given out is whole
// characters (U+FFFD for bytes that are none), and nothing that may still turn out to be the beginning of
// such a text.
#pragma once
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/bpe.h"
#include "data/utf8.h"

namespace chapbook {

class StopText {
 public:
  // `begun`: bytes of a character that the text before has begun.
  StopText(const Tokenizer& tokenizer, std::string_view begun, std::vector<std::string> stops)
      : decoder_(tokenizer, begun), stops_(std::move(stops)) {}

  // The text that can be given out now; may be empty. Once stopped() there is no more.
  std::string push(int32_t id) { return give(well_formed(decoder_.push(id))); }
  // What was held back, when no more tokens come.
  std::string finish() {
    const std::string given = give(well_formed(decoder_.finish()));
    return given + (stopped_ ? "" : std::exchange(held_, ""));
  }
  bool stopped() const { return stopped_; }

 private:
  std::string give(const std::string& text) {
    if (stopped_) return "";
    held_ += text;
    size_t end = held_.size(), keep = 0;
    for (const std::string& stop : stops_) {
      if (const size_t at = held_.find(stop); at < end) end = at, stopped_ = true;
      // The longest beginning of it that ends what there is.
      for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length)
        if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
    }
    std::string given = held_.substr(0, stopped_ ? end : end - keep);
    held_.erase(0, given.size());
    return given;
  }

  StreamDecoder decoder_;
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace chapbook

#include "data/answers.h"

#include <algorithm>

#include "tensor/check.h"

namespace chapbook {

std::vector<bool> answers(TokenIds tokens, std::span<const int32_t> marker, int32_t end) {
  check(!marker.empty(), "answers: an empty text marks nothing");
  std::vector<bool> of(static_cast<size_t>(tokens.size()));
  std::vector<int32_t> last;  // as many tokens of this story as the marker has
  bool inside = false, found = false;
  for (int64_t i = 0; i < tokens.size(); ++i) {
    int32_t id = 0;
    tokens.copy(i, 1, &id);
    of[static_cast<size_t>(i)] = inside;
    last.push_back(id);
    if (last.size() > marker.size()) last.erase(last.begin());
    inside = inside || std::equal(last.begin(), last.end(), marker.begin(), marker.end());
    found = found || inside;
    if (id == end) inside = false, last.clear();
  }
  check(found, "no story has the text after which its answer begins");
  return of;
}

}  // namespace chapbook

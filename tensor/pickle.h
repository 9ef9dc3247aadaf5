// Python's pickles, as far as torch.save's go: a program for a machine with a stack, of which only the
// instructions and calls are obeyed that make dictionaries, lists, numbers, texts and tensors. All else is
// refused by its name.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace chapbook {

// A value of a pickle is known by its place in the list of all that the pickle has made: what holds others
// holds their places, so nothing is copied, and what holds itself is no harm.
namespace pickled {
using Place = size_t;
struct Mark {};
struct List {  // tuples too
  std::vector<Place> items;
};
struct Dictionary {
  std::vector<std::pair<Place, Place>> items;
};
struct Name {  // of a function or a class
  std::string text;
};
struct Numbers {  // a file of the archive; none where their type is one that no Tensor has
  std::string file;
  DType dtype = DType::f32;
};
struct TensorOf {
  Numbers numbers;
  int64_t first = 0;
  Shape shape;
  bool contiguous = true;
};
using Value = std::variant<Mark, std::nullptr_t, bool, int64_t, double, std::string, List, Dictionary, Name,
                           Numbers, TensorOf>;
}  // namespace pickled

struct Pickle {
  std::vector<pickled::Value> values;
  pickled::Place result = 0;
};

// Throws one line that begins with `path`.
Pickle read_pickle(const std::string& path, std::span<const std::byte> bytes);

}  // namespace chapbook

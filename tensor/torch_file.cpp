#include "tensor/torch_file.h"

#include "tensor/pickle.h"
#include "tensor/zip.h"

namespace chapbook {
namespace {

using namespace pickled;

// Walks through the result, and reads the wanted tensors it meets.
class Reader {
 public:
  using Wanted = std::function<bool(const std::string& name)>;
  Reader(const std::string& path, Backend& backend, const Wanted& wanted)
      : path_(path), zip_(path), backend_(backend), wanted_(wanted) {
    static constexpr std::string_view pickle = "data.pkl";
    for (const auto& [name, entry] : zip_.files())
      if (name == pickle || name.ends_with("/data.pkl"))
        folder_ = name.substr(0, name.size() - pickle.size());
    // "little" or "big".
    const std::string order = folder_ + "byteorder";
    check(!zip_.files().contains(order) || zip_.at(order).size() == 6, "{}: its numbers are big-endian",
          path);
  }

  TorchFile read() {
    const Pickle pickle = read_pickle(path_, zip_.at(folder_ + "data.pkl"));
    TorchFile file;
    file.values = walk(pickle, pickle.result, "", 0, file.tensors);
    return file;
  }

 private:
  Json walk(const Pickle& pickle, Place place, const std::string& name, int depth, NamedTensors& tensors) {
    // A list may hold itself, or one list a million times.
    check(depth < 32 && ++visited_ < 1'000'000, "{}: its lists and dictionaries hold too much", path_);
    const auto inside = [&](const std::string& key) { return name.empty() ? key : name + "." + key; };
    const Value& value = pickle.values[place];
    if (const auto* it = std::get_if<bool>(&value)) return *it;
    if (const auto* it = std::get_if<int64_t>(&value)) return *it;
    if (const auto* it = std::get_if<double>(&value)) return *it;
    if (const auto* it = std::get_if<std::string>(&value)) return *it;
    if (const auto* it = std::get_if<TensorOf>(&value); it && wanted_(name))
      tensors.emplace_back(name, tensor(*it, name));
    if (const auto* it = std::get_if<List>(&value)) {
      Json list = Json::array();
      for (const Place each : it->items)
        list.push_back(walk(pickle, each, inside(std::to_string(list.size())), depth + 1, tensors));
      return list;
    }
    if (const auto* it = std::get_if<Dictionary>(&value)) {
      Json object = Json::object();
      for (const auto& [key_place, item] : it->items) {
        const Value& key = pickle.values[key_place];
        const auto* text = std::get_if<std::string>(&key);
        const auto* number = std::get_if<int64_t>(&key);
        check(text || number, "{}: the key of a dictionary is neither a text nor a whole number", path_);
        const std::string shown = text ? *text : std::to_string(*number);
        object[shown] = walk(pickle, item, inside(shown), depth + 1, tensors);
      }
      return object;
    }
    return nullptr;
  }

  Tensor tensor(const TensorOf& of, const std::string& name) {
    check(!of.numbers.file.empty(), "{}: '{}' is of a type that Chapbook has not", path_, printable(name));
    check(of.contiguous, "{}: '{}' does not lie in one piece", path_, printable(name));
    const auto bytes = zip_.at(folder_ + "data/" + of.numbers.file);
    const auto size = static_cast<uint64_t>(size_of(of.numbers.dtype));
    const uint64_t there = bytes.size() / size, first = static_cast<uint64_t>(of.first),
                   count = static_cast<uint64_t>(of.shape.count());
    check(first <= there && count <= there - first, "{}: '{}' has more numbers than there are", path_,
          printable(name));
    const Tensor x = Tensor::empty(of.shape, of.numbers.dtype, backend_);
    if (count > 0)
      backend_.upload(bytes.data() + first * size, x.view().as<char>(), static_cast<int64_t>(count * size));
    return x;
  }

  const std::string& path_;
  ZipFile zip_;
  Backend& backend_;
  const Wanted& wanted_;
  std::string folder_;  // in the archive, with its slash
  int visited_ = 0;
};

}  // namespace

TorchFile load_torch(const std::string& path, Backend& backend,
                     const std::function<bool(const std::string& name)>& wanted) {
  return Reader(path, backend, wanted).read();
}

}  // namespace chapbook

#include "tensor/pickle.h"

#include <bit>
#include <cstring>
#include <map>

#include "tensor/check.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

using namespace pickled;

// Python's pickletools.py says what each of the instructions does.
class Machine {
 public:
  Machine(const std::string& path, std::span<const std::byte> bytes) : path_(path), bytes_(bytes) {}

  Pickle run() {
    std::map<uint32_t, Place> memo;
    const auto remember = [&](uint32_t key) {
      require(!stack_.empty(), "its pickle takes what is not there");
      memo[key] = stack_.back();
    };
    const auto recall = [&](uint32_t key) {
      require(memo.contains(key), "its pickle takes what is not there");
      stack_.push_back(memo[key]);
    };
    for (;;) {
      switch (const auto instruction = number<uint8_t>()) {
        case 0x80:
          require(number<uint8_t>() <= 5, "its pickle is of a newer protocol");
          break;
        case '.': {
          const Place result = pop();
          return {std::move(values_), result};
        }
        case '(':
          push(Mark{});
          break;
        case 'N':
          push(nullptr);
          break;
        case 0x88:
          push(true);
          break;
        case 0x89:
          push(false);
          break;
        case 'K':
          push(int64_t{number<uint8_t>()});
          break;
        case 'M':
          push(int64_t{number<uint16_t>()});
          break;
        case 'J':
          push(int64_t{number<int32_t>()});
          break;
        case 0x8a:
          push(long_integer());
          break;
        case 'G':
          push(big_endian());
          break;
        case 'X':
          push(text(number<uint32_t>()));
          break;
        case ')':
        case ']':
          push(List{});
          break;
        case 0x85:
          push_tuple(1);
          break;
        case 0x86:
          push_tuple(2);
          break;
        case 0x87:
          push_tuple(3);
          break;
        case 't':
          push(List{since_mark()});
          break;
        case 'a':
          append({pop()});
          break;
        case 'e':
          append(since_mark());
          break;
        case '}':
          push(Dictionary{});
          break;
        case 's': {
          const Place value = pop(), key = pop();
          set_items({key, value});
          break;
        }
        case 'u':
          set_items(since_mark());
          break;
        case 'c': {
          const std::string module = line();
          push(Name{module + "." + line()});
          break;
        }
        case 'Q':
          push(numbers_of(pop()));
          break;
        case 'R':
          reduce();
          break;
        case 'b':
          pop();
          break;  // attributes of a dictionary, which torch.load does not need either
        case 'q':
          remember(number<uint8_t>());
          break;
        case 'r':
          remember(number<uint32_t>());
          break;
        case 'h':
          recall(number<uint8_t>());
          break;
        case 'j':
          recall(number<uint32_t>());
          break;
        default:
          require(false, "its pickle has an instruction {:#04x} that Chapbook does not know", instruction);
      }
    }
  }

 private:
  template <class... Args>
  void require(bool condition, fmt::format_string<Args...> message, Args&&... args) const {
    if (!condition) fail("{}: {}", path_, fmt::format(message, std::forward<Args>(args)...));
  }

  template <class T>
  T number() {
    require(sizeof(T) <= bytes_.size() - at_, "its pickle is cut short");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string text(size_t size) {
    require(size <= bytes_.size() - at_, "its pickle is cut short");
    at_ += size;
    return {reinterpret_cast<const char*>(bytes_.data()) + at_ - size, size};
  }

  std::string line() {
    std::string all;
    for (char letter; (letter = number<char>()) != '\n';) all += letter;
    return all;
  }

  int64_t long_integer() {
    const auto size = number<uint8_t>();
    require(size <= 8, "its pickle holds a number of {} bytes", size);
    int64_t value = 0;
    for (int i = 0; i < size; ++i) value |= static_cast<int64_t>(uint64_t{number<uint8_t>()} << 8 * i);
    const int unused = 64 - 8 * size;
    return size == 0 ? 0 : value << unused >> unused;  // negative where the last byte says so
  }

  double big_endian() {
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | number<uint8_t>();
    return std::bit_cast<double>(bits);
  }

  void push(Value value) {
    values_.push_back(std::move(value));
    stack_.push_back(values_.size() - 1);
  }

  Place pop() {
    require(!stack_.empty(), "its pickle takes what is not there");
    const Place top = stack_.back();
    stack_.pop_back();
    return top;
  }

  template <class T>
  T& as(Place place, const char* what) {
    T* value = std::get_if<T>(&values_[place]);
    require(value, "its pickle has something else where {} should be", what);
    return *value;
  }

  // All above the last mark, which goes with them.
  std::vector<Place> since_mark() {
    size_t mark = stack_.size();
    while (mark > 0 && !std::holds_alternative<Mark>(values_[stack_[mark - 1]])) --mark;
    require(mark > 0, "its pickle takes what is not there");
    const std::vector<Place> all(stack_.begin() + static_cast<std::ptrdiff_t>(mark), stack_.end());
    stack_.resize(mark - 1);
    return all;
  }

  void push_tuple(size_t size) {
    List list{std::vector<Place>(size)};
    for (size_t i = size; i-- > 0;) list.items[i] = pop();
    push(std::move(list));
  }

  void set_items(const std::vector<Place>& items) {
    require(items.size() % 2 == 0 && !stack_.empty(), "its pickle has a key without a value");
    auto& dictionary = as<Dictionary>(stack_.back(), "a dictionary");
    for (size_t i = 0; i < items.size(); i += 2) dictionary.items.emplace_back(items[i], items[i + 1]);
  }

  void append(const std::vector<Place>& items) {
    require(!stack_.empty(), "its pickle takes what is not there");
    auto& list = as<List>(stack_.back(), "a list").items;
    list.insert(list.end(), items.begin(), items.end());
  }

  // ("storage", type, file, device, count): the numbers of a tensor.
  Numbers numbers_of(Place place) {
    const List& id = as<List>(place, "a storage");
    require(id.items.size() == 5 && as<std::string>(id.items[0], "a storage") == "storage",
            "its pickle names something that is no storage of numbers");
    static constexpr std::pair<const char*, DType> types[] = {
        {"torch.FloatStorage", DType::f32},     {"torch.HalfStorage", DType::f16},
        {"torch.BFloat16Storage", DType::bf16}, {"torch.DoubleStorage", DType::f64},
        {"torch.IntStorage", DType::i32},       {"torch.ByteStorage", DType::u8}};
    const std::string& type = as<Name>(id.items[1], "a type of storage").text;
    for (const auto& [name, dtype] : types)
      if (type == name) return {as<std::string>(id.items[2], "the name of a storage"), dtype};
    return {"", DType::f32};  // of a type that no Tensor has: nobody may want it
  }

  std::vector<int64_t> sizes(Place place) {
    std::vector<int64_t> all;
    for (const Place each : as<List>(place, "a shape").items) all.push_back(as<int64_t>(each, "a size"));
    require(all.size() <= Shape::max_rank, "a tensor has {} axes, at most {} are possible", all.size(),
            int{Shape::max_rank});
    return all;
  }

  // (storage, first, shape, strides, ...)
  TensorOf tensor_of(const List& given) {
    require(given.items.size() >= 4, "a tensor lacks its shape");
    TensorOf tensor{
        as<Numbers>(given.items[0], "a storage"), as<int64_t>(given.items[1], "a place"), {}, true};
    const auto shape = sizes(given.items[2]), strides = sizes(given.items[3]);
    require(shape.size() == strides.size() && tensor.first >= 0,
            "a tensor's strides are not those of its shape");
    for (const int64_t size : shape) tensor.shape.size[tensor.shape.rank++] = size;
    require(tensor.shape.countable(), "a tensor has shape {}: too many numbers", tensor.shape);
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0; stride *= shape[i])
      tensor.contiguous = tensor.contiguous && (shape[i] == 1 || strides[i] == stride);
    return tensor;
  }

  // A call of a function, of those that there are here.
  void reduce() {
    const List& given = as<List>(pop(), "the arguments of a call");
    const std::string& name = as<Name>(pop(), "the name of a function").text;
    if (name == "torch._utils._rebuild_tensor_v2") return push(tensor_of(given));
    require(name == "collections.OrderedDict" && given.items.empty(),
            "its pickle wants '{}' to be called; Chapbook only knows tensors, numbers, texts, lists and "
            "dictionaries",
            printable(name));
    push(Dictionary{});
  }

  const std::string& path_;
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  std::vector<Value> values_;
  std::vector<Place> stack_;
};

}  // namespace

Pickle read_pickle(const std::string& path, std::span<const std::byte> bytes) {
  return Machine(path, bytes).run();
}

}  // namespace chapbook

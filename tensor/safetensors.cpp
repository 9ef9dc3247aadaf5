// Invariants that the reader checks before it makes a tensor:
//   1. 8 + header length <= file size, header length <= 100 MB; the header is a JSON object from its first
//   byte to its last.
//   2. No name twice; each entry is exactly dtype, shape and data_offsets.
//   3. The bytes of an entry are those its dtype and shape need.
//   4. Sorted by place, entries follow one another without hole or overlap, from the end of the header to the
//   end of the file.
#include "tensor/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <utility>

#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

static_assert(std::endian::native == std::endian::little, "safetensors numbers are little-endian");

using nlohmann::json;

static constexpr uint64_t max_header = 100'000'000;  // bytes; the limit of the safetensors library
static constexpr int64_t chunk = 4 << 20;            // bytes that move between file and backend at a time

static constexpr std::pair<DType, std::string_view> dtypes[] = {
    {DType::f32, "F32"}, {DType::f64, "F64"}, {DType::bf16, "BF16"}, {DType::f16, "F16"},
    {DType::i32, "I32"}, {DType::u16, "U16"}, {DType::u8, "U8"}};

namespace {

// One tensor of the header: bytes `begin` to `end`, counted from the end of the header.
struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;
  bool wanted;  // else dtype and shape are not known
};

using Wanted = std::function<bool(const std::string& name)>;

struct Header {
  std::vector<Entry> entries;    // in the order of the JSON
  std::vector<size_t> by_place;  // their indices in the order of the numbers
  std::map<std::string, std::string> metadata;
};

// Exactly that many bytes.
void read_all(os::File& file, void* to, size_t bytes, const std::string& path) {
  check(file.read(to, bytes) == bytes, "{}: the file ended while it was read; is another program writing it?",
        path);
}

// Takes the header apart entry by entry, so that it never stands in memory as one tree.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, const std::string& text, const Wanted& wanted)
      : path_(path), wanted_(wanted) {
    // The JSON library takes a zero byte for the end of its input; a header that goes on behind it is
    // malformed.
    require(text.starts_with('{') && text.find('\0') == text.npos, "the header is not a JSON object");
    try {
      [[maybe_unused]] const json nothing_left = json::parse(
          text,
          [this](int depth, json::parse_event_t event, json& value) { return step(depth, event, value); });
    } catch (const json::parse_error& error) {
      require(false, "the header is not JSON (at its byte {})", error.byte);
    } catch (const json::exception&) {
      require(false, "the header holds a number that is too large");
    }
  }

  Header take() { return std::move(header_); }

 private:
  template <class... Args>
  void require(bool condition, fmt::format_string<Args...> message, Args&&... args) const {
    if (!condition) fail("{}: {}", path_, fmt::format(message, std::forward<Args>(args)...));
  }

  // Called by the JSON library for every key and every complete value; `false` drops the value. Entries are
  // at depth 1.
  bool step(int depth, json::parse_event_t event, json& value) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      require(depth < 3, "the header is nested too deep");
      if (depth == 1) keys_ = items_ = 0;
    } else if (event == Event::key && depth == 1) {
      name_ = value.get<std::string>();
      shown_name_ = brief(value);
      require(names_.insert(name_).second, "the header names {} twice", shown_name_);
    } else if (event == Event::key) {
      if (depth == 2) ++keys_;
    } else if (depth == 3) {
      require(++items_ <= 100, "the header's {} holds too many numbers", shown_name_);
    } else if (depth == 1) {
      require(value.is_object(), "the header's {} is not an object", shown_name_);
      require(value.size() == keys_, "the header's {} has a key twice", shown_name_);
      name_ == "__metadata__" ? add_metadata(value) : add_entry(value);
      return false;
    }
    return true;
  }

  void add_metadata(const json& value) {
    for (const auto& [key, text] : value.items()) {
      require(text.is_string(), "the header's __metadata__ has a {} that is not a string", brief(key));
      header_.metadata[key] = text.get<std::string>();
    }
  }

  void add_entry(const json& value) {
    require(value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
                value.contains("data_offsets"),
            "tensor {} needs dtype, shape and data_offsets, and nothing else", shown_name_);
    const json& offsets = value["data_offsets"];
    require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
                offsets[1].is_number_unsigned(),
            "tensor {} has data_offsets {}, not two byte counts", shown_name_, brief(offsets));
    if (!wanted_(name_)) {
      require(offsets[0] <= offsets[1], "tensor {} has data_offsets {}", shown_name_, brief(offsets));
      return header_.entries.push_back({name_, DType::u8, {}, offsets[0], offsets[1], false});
    }
    Entry entry{name_, parse_dtype(value["dtype"]), parse_shape(value["shape"]), offsets[0], offsets[1],
                true};

    const uint64_t bytes = entry.shape.count() * size_of(entry.dtype);
    require(entry.begin <= entry.end && entry.end - entry.begin == bytes,
            "tensor {}, {} {}, needs {} bytes, but has data_offsets {}", shown_name_, name_of(entry.dtype),
            entry.shape, bytes, brief(offsets));
    header_.entries.push_back(std::move(entry));
  }

  DType parse_dtype(const json& value) const {
    for (const auto& [dtype, name] : dtypes)
      if (value.is_string() && value.get_ref<const std::string&>() == name) return dtype;
    fail("{}: tensor {} has dtype {}; only F32, F64, BF16, F16, I32, U16 and U8 can be read", path_,
         shown_name_, brief(value));
  }

  Shape parse_shape(const json& sizes) const {
    require(sizes.is_array(), "tensor {} has shape {}, not a list", shown_name_, brief(sizes));
    require(sizes.size() <= Shape::max_rank, "tensor {} has {} axes, at most {} are possible", shown_name_,
            sizes.size(), int{Shape::max_rank});
    Shape shape;
    for (const json& size : sizes) {
      require(size.is_number_unsigned(), "tensor {} has shape {}, but sizes are whole and not negative",
              shown_name_, brief(sizes));
      shape.size[shape.rank++] = size.get<int64_t>();  // negative from 2^63 on, hence not countable
    }
    require(shape.countable(), "tensor {} has shape {}: too many numbers", shown_name_, brief(sizes));
    return shape;
  }

  // A value of the file in an error message: printable, on one line, not too long.
  static std::string brief(const json& value) {
    const std::string text = value.dump(-1, ' ', true);
    return text.size() <= 80 ? text : text.substr(0, 80) + "...";
  }

  const std::string& path_;
  const Wanted& wanted_;
  Header header_;
  std::set<std::string> names_;
  std::string name_, shown_name_;  // of the entry that is being read
  size_t keys_ = 0, items_ = 0;    // of that entry so far: its keys, what its lists hold
};

// Leaves the file at the first number.
Header read_header(os::File& file, const std::string& path, const Wanted& wanted) {
  check(file.size() >= 8, "{}: {} bytes are too few for a safetensors file", path, file.size());
  uint64_t length;
  read_all(file, &length, 8, path);
  check(length <= max_header, "{}: not a safetensors file, or damaged: the header would be {} bytes", path,
        length);
  check(8 + length <= file.size(), "{}: cut short: {} bytes, but the header alone is {}", path, file.size(),
        8 + length);
  std::string text(length, '\0');
  read_all(file, text.data(), length, path);
  Header header = HeaderParser(path, text, wanted).take();

  std::vector<Entry>& entries = header.entries;
  header.by_place.resize(entries.size());
  std::iota(header.by_place.begin(), header.by_place.end(), 0);
  std::sort(header.by_place.begin(), header.by_place.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
  });
  uint64_t end = 0;
  for (size_t i : header.by_place) {
    check(entries[i].begin == end, "{}: the tensors leave a hole or overlap at byte {} of the numbers", path,
          std::min(end, entries[i].begin));
    end = entries[i].end;
  }
  const uint64_t bytes = file.size() - 8 - length;
  check(end == bytes, "{}: {}: {} bytes of numbers, but the tensors need {}", path,
        bytes < end ? "cut short" : "too long", bytes, end);
  return header;
}

int64_t bytes_of(const Tensor& x) { return x.count() * size_of(x.dtype()); }

std::string in_header(const std::string& path, const std::string& text) {
  try {
    return json_string(text);
  } catch (const json::exception&) {
    fail("{}: not written: a name or a text of its header is not UTF-8", path);
  }
}

// Places of the numbers, widest types first and else in the order given: then each tensor starts at a
// multiple of its number's size, as programs that map the file into memory want. The safetensors library does
// the same.
std::vector<size_t> order_by_width(const NamedTensors& tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return size_of(tensors[a].second.dtype()) > size_of(tensors[b].second.dtype());
  });
  return order;
}

std::string make_header(const std::string& path, const NamedTensors& tensors,
                        const std::vector<size_t>& order,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> parts;
  for (const auto& [key, text] : metadata)
    parts.push_back(in_header(path, key) + ":" + in_header(path, text));
  if (!parts.empty()) parts = {fmt::format("\"__metadata__\":{{{}}}", fmt::join(parts, ","))};

  std::vector<int64_t> begin(tensors.size());
  int64_t end = 0;
  for (size_t i : order) {
    begin[i] = end;
    end += bytes_of(tensors[i].second);
  }
  std::set<std::string> names{"__metadata__"};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, x] = tensors[i];
    check(bool(x), "{}: not written: '{}' is no tensor", path, name);
    check(names.insert(name).second, "{}: not written: the name '{}' is taken", path, name);
    const auto dtype = std::find_if(std::begin(dtypes), std::end(dtypes),
                                    [&x = x](auto& known) { return known.first == x.dtype(); });
    parts.push_back(fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                in_header(path, name), dtype->second, fmt::join(x.shape(), ","), begin[i],
                                begin[i] + bytes_of(x)));
  }
  std::string header = fmt::format("{{{}}}", fmt::join(parts, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(header.size() <= max_header, "{}: not written: the header would be {} bytes, at most {} are possible",
        path, header.size(), max_header);
  return header;
}

// Moves the numbers of a contiguous tensor a chunk at a time: move(place, bytes).
template <class Move>
void in_chunks(const Tensor& x, Move move) {
  for (int64_t at = 0; at < bytes_of(x); at += chunk)
    move(x.view().as<char>() + at, std::min(chunk, bytes_of(x) - at));
}

}  // namespace

TensorFile load_tensors(const std::string& path, Backend& backend, const Wanted& wanted) {
  os::File file = os::File::to_read_regular(path);
  Header header = read_header(file, path, wanted);
  TensorFile result{NamedTensors(header.entries.size()), std::move(header.metadata)};
  std::vector<char> buffer(std::min<uint64_t>(chunk, file.size()));
  for (size_t i : header.by_place) {
    Entry& entry = header.entries[i];
    if (!entry.wanted) {
      for (uint64_t left = entry.end - entry.begin, size; left > 0; left -= size)
        read_all(file, buffer.data(), size = std::min<uint64_t>(left, buffer.size()), path);
      continue;
    }
    const Tensor x = Tensor::empty(entry.shape, entry.dtype, backend);
    in_chunks(x, [&](char* place, int64_t bytes) {
      read_all(file, buffer.data(), bytes, path);
      backend.upload(buffer.data(), place, bytes);
    });
    result.tensors[i] = {std::move(entry.name), x};
  }
  std::erase_if(result.tensors, [](const auto& named) { return !named.second; });
  return result;
}

void save_tensors(const std::string& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  const std::vector<size_t> order = order_by_width(tensors);
  const std::string header = make_header(path, tensors, order, metadata);
  NewFile file(path);
  const uint64_t length = header.size();
  file.write(&length, 8);
  file.write(header.data(), length);
  std::vector<char> buffer(chunk);
  for (size_t i : order) {
    const Tensor x = tensors[i].second.as_contiguous();
    in_chunks(x, [&](const char* place, int64_t bytes) {
      x.backend().download(place, buffer.data(), bytes);
      file.write(buffer.data(), bytes);
    });
  }
  file.close();
}

}  // namespace chapbook

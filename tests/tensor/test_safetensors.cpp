// safetensors: a file of the official library, round trips, and everything that can be wrong with a file.
#include "tensor/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "tensor/ops.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write(const std::string& path, const std::string& bytes) {
  fs::remove(path);  // some file systems sync a file that is cut to nothing and written again
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string with_length(const std::string& header, const std::string& numbers) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + numbers;
}

// Written by the safetensors library for Python, 0.8 (tests/golden/safetensors_file.py).
const std::string golden_header =
    R"({"__metadata__":{"format":"pt"},"exact":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
    R"("nothing":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},)"
    R"("wte.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},"ids":{"dtype":"I32","shape":[2,1],"data_offsets":[24,32]},)"
    R"("brain":{"dtype":"BF16","shape":[2],"data_offsets":[32,36]},"half":{"dtype":"F16","shape":[3],"data_offsets":[36,42]},)"
    R"("tokens":{"dtype":"U16","shape":[2],"data_offsets":[42,46]},"bytes":{"dtype":"U8","shape":[3],"data_offsets":[46,49]}}   )";
const std::string golden_numbers(
    "\x9a\x99\x99\x99\x99\x99\xb9\x3f"                                  // exact: 0.1
    "\x00\x00\x00\x3f\x00\x00\xc0\xbf\x00\x00\x40\x40\x6f\x12\x83\x3a"  // wte.weight: 0.5, -1.5, 3, 0.001
    "\xff\xff\xff\xff\xff\xff\xff\x7f"                                  // ids: -1, 2^31 - 1
    "\x80\x3f\x50\xc0"                                                  // brain: 1, -3.25
    "\x00\x3c\xff\x7b\x00\x80"                                          // half: 1, 65504, -0
    "\x50\xc4\x01\x00"                                                  // tokens: 50256, 1
    "\x00\xff\x07",
    49);  // bytes: 0, 255, 7
const std::string golden = with_length(golden_header, golden_numbers);

NamedTensors golden_tensors(Backend& backend) {
  using F = std::vector<float>;
  return {{"exact", Tensor::from<double>({0.1}, {}, backend)},
          {"nothing", Tensor::zeros({0, 3}, DType::f32, backend)},
          {"wte.weight", Tensor::from<float>({0.5f, -1.5f, 3.0f, 1e-3f}, {2, 2}, backend)},
          {"ids", Tensor::from<int32_t>({-1, 2147483647}, {2, 1}, backend)},
          {"brain", Tensor::from(F{1, -3.25f}, {2}, backend).to(DType::bf16)},
          {"half", Tensor::from(F{1, 65504, -0.0f}, {3}, backend).to(DType::f16)},
          {"tokens", Tensor::from<uint16_t>({50256, 1}, {2}, backend)},
          {"bytes", Tensor::from<uint8_t>({0, 255, 7}, {3}, backend)}};
}

std::string bytes_of(const Tensor& x) {
  const Tensor rows = x.as_contiguous();
  std::string bytes(x.count() * size_of(x.dtype()), '\0');
  rows.backend().download(rows.view().data, bytes.data(), bytes.size());
  return bytes;
}

void check_same(const NamedTensors& a, const NamedTensors& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].first);
    CHECK(a[i].first == b[i].first);
    CHECK(a[i].second.dtype() == b[i].second.dtype());
    CHECK(a[i].second.shape() == b[i].second.shape());
    CHECK(bytes_of(a[i].second) == bytes_of(b[i].second));
  }
}

// What loading says of a file with these bytes, without its path; empty when it is content.
std::string complaint(const TemporaryDirectory& folder, const std::string& bytes) {
  const std::string path = folder / "x.safetensors";
  write(path, bytes);
  try {
    load_tensors(path);
  } catch (const Error& error) {
    const std::string text = error.what();
    REQUIRE(text.starts_with(path + ": "));
    CHECK(text.find('\n') == text.npos);
    return text.substr(path.size() + 2);
  }
  return "";
}

std::string header_complaint(const TemporaryDirectory& folder, const std::string& header, size_t bytes = 8) {
  return complaint(folder, with_length(header, std::string(bytes, '\0')));
}

}  // namespace

TEST_CASE("file: opens a file of the safetensors library, and writes the same bytes") {
  const TemporaryDirectory folder;
  write(folder / "golden", golden);
  for (std::string_view name : backend_names()) {
    CAPTURE(name);
    const TensorFile file = load_tensors(folder / "golden", backend(name));
    check_same(file.tensors, golden_tensors(backend(name)));
    CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
    for (const auto& [_, x] : file.tensors) CHECK(&x.backend() == &backend(name));
    save_tensors(folder / "copy", golden_tensors(backend(name)), {{"format", "pt"}});
    CHECK(read(folder / "copy") == golden);
  }
}

TEST_CASE("file: round trips") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x";
  Random random{1, 0};

  SUBCASE("no tensors") {
    save_tensors(path, {});
    const TensorFile file = load_tensors(path);
    CHECK(file.tensors.empty());
    CHECK(file.metadata.empty());
    CHECK(read(path) == with_length("{}      ", ""));
  }
  SUBCASE("larger than what moves at once, and not a multiple of it") {
    const NamedTensors tensors{{"large", uniform({3, 1234567}, random)}, {"small", uniform({3}, random)}};
    save_tensors(path, tensors);
    check_same(load_tensors(path).tensors, tensors);
  }
  SUBCASE("views are written as what they show") {
    const Tensor x = uniform({4, 6}, random);
    save_tensors(
        path,
        {{"t", x.transpose(0, 1)}, {"s", x.slice(1, 2, 5)}, {"b", x.select(0, 1).broadcast_to({3, 6})}});
    const NamedTensors back = load_tensors(path).tensors;
    CHECK(back[0].second.to_vector<float>() == x.transpose(0, 1).to_vector<float>());
    CHECK(back[1].second.to_vector<float>() == x.slice(1, 2, 5).to_vector<float>());
    CHECK(back[2].second.to_vector<float>() == x.select(0, 1).broadcast_to({3, 6}).to_vector<float>());
  }
  SUBCASE("any order of dtypes: names keep their order, numbers lie at multiples of their size") {
    const NamedTensors tensors{{"a", Tensor::full({3}, 1, DType::u8)},
                               {"b", Tensor::full({5}, 2, DType::f32)},
                               {"c", Tensor::full({1}, 3, DType::bf16)},
                               {"d", Tensor::full({1}, 4, DType::f64)}};
    save_tensors(path, tensors);
    check_same(load_tensors(path).tensors, tensors);
    const std::string bytes = read(path);
    CHECK(bytes.find(R"("d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]})") != bytes.npos);
    CHECK(bytes.find(R"("a":{"dtype":"U8","shape":[3],"data_offsets":[30,33]})") != bytes.npos);
    CHECK((bytes.size() - 33) % 8 == 0);
  }
  SUBCASE("names and metadata of any characters") {
    const NamedTensors tensors{
        {"", Tensor::zeros({1})}, {"\"\\\n\x01", Tensor::zeros({1})}, {"größe 🦊", Tensor::zeros({1})}};
    const std::map<std::string, std::string> metadata{{"", "\t\""}, {"é", "x"}};
    save_tensors(path, tensors, metadata);
    const TensorFile file = load_tensors(path);
    check_same(file.tensors, tensors);
    CHECK(file.metadata == metadata);
  }
  SUBCASE("NaN and its bits") {
    Tensor x = Tensor::empty({2});
    const uint32_t bits[] = {0x7fc01234, 0xffffffff};
    x.upload(bits);
    save_tensors(path, {{"x", x}});
    check_same(load_tensors(path).tensors, {{"x", x}});
  }
}

TEST_CASE("file: cut at every byte, or one byte too long") {
  const TemporaryDirectory folder;
  for (size_t length = 0; length < golden.size(); ++length) {
    CAPTURE(length);
    const std::string text = complaint(folder, golden.substr(0, length));
    if (length < 8)
      CHECK(text == fmt::format("{} bytes are too few for a safetensors file", length));
    else if (length < 520)
      CHECK(text == fmt::format("cut short: {} bytes, but the header alone is 520", length));
    else
      CHECK(text == fmt::format("cut short: {} bytes of numbers, but the tensors need 49", length - 520));
  }
  CHECK(complaint(folder, golden) == "");
  CHECK(complaint(folder, golden + "x") == "too long: 50 bytes of numbers, but the tensors need 49");
}

TEST_CASE("file: every bit of the header turned over is an error or another valid header, never a crash") {
  const TemporaryDirectory folder;
  int errors = 0;
  for (size_t bit = 0; bit < 520 * 8; ++bit) {
    std::string bytes = golden;
    bytes[bit / 8] ^= 1 << bit % 8;
    errors += !complaint(folder, bytes).empty();
  }
  CHECK(errors > 3000);

  std::mt19937 generator(3);
  for (int round = 0; round < 2000; ++round) {  // pieces of the header taken out, doubled or replaced
    std::string header = golden_header;
    for (int edits = 1 + generator() % 3; edits > 0; --edits) {
      const size_t from = generator() % header.size(), length = generator() % 12,
                   source = generator() % header.size();
      header.replace(from, length, header.substr(source, generator() % 12));
    }
    if (header != golden_header) complaint(folder, with_length(header, golden_numbers));
  }
}

TEST_CASE("file: malformed headers") {
  const TemporaryDirectory folder;
  const auto says = [&](const std::string& header) { return header_complaint(folder, header); };
  const auto entry = [](const std::string& inside) { return "{\"w\":{" + inside + "}}"; };
  const auto f32 = [](const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  REQUIRE(says(f32("[2]", "[0,8]")) == "");

  // The JSON.
  CHECK(says("") == "the header is not a JSON object");
  CHECK(says("[]") == "the header is not a JSON object");
  CHECK(says(" {}") == "the header is not a JSON object");
  CHECK(says(std::string("{}\0\0", 4)) == "the header is not a JSON object");
  CHECK(says("{") == "the header is not JSON (at its byte 2)");
  CHECK(says("{}}") == "the header is not JSON (at its byte 3)");
  CHECK(says("{\"\xff\":1}") == "the header is not JSON (at its byte 3)");
  CHECK(says("{\"w\":1e999}") == "the header holds a number that is too large");
  CHECK(says("{\"w\":" + std::string(1'000'000, '[')) == "the header is nested too deep");
  CHECK(says(entry("\"dtype\":" + std::string(1'000'000, '{'))).starts_with("the header is not JSON"));
  CHECK(says(entry(R"("dtype":{"a":{"a":1}})")) == "the header is nested too deep");

  // Entries.
  CHECK(says(R"({"w":1})") == R"(the header's "w" is not an object)");
  CHECK(says(R"({"w":[1]})") == R"(the header's "w" is not an object)");
  CHECK(says(R"({"w":{},"w":{}})") == R"(tensor "w" needs dtype, shape and data_offsets, and nothing else)");
  CHECK(
      says(
          R"({"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})") ==
      R"(the header names "w" twice)");
  CHECK(says(R"({"__metadata__":{},"__metadata__":{}})") == R"(the header names "__metadata__" twice)");
  CHECK(says(R"({"__metadata__":{"a":1}})") == R"(the header's __metadata__ has a "a" that is not a string)");
  CHECK(says(R"({"__metadata__":{"a":"x","a":"y"}})") == R"(the header's "__metadata__" has a key twice)");
  CHECK(says(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"dtype":"F32")")) ==
        R"(the header's "w" has a key twice)");
  CHECK(says(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1)")) ==
        R"(tensor "w" needs dtype, shape and data_offsets, and nothing else)");
  CHECK(says(entry(R"("dtype":"F32","shape":[2])")) ==
        R"(tensor "w" needs dtype, shape and data_offsets, and nothing else)");
  CHECK(says(R"({"a\nb":1})") == R"(the header's "a\nb" is not an object)");

  CHECK(says(f32(fmt::format("[{}]", fmt::join(std::vector<int>(1000, 1), ",")), "[0,8]")) ==
        R"(the header's "w" holds too many numbers)");

  // dtypes.
  CHECK(says(entry(R"("dtype":"I64","shape":[1],"data_offsets":[0,8])")) ==
        R"(tensor "w" has dtype "I64"; only F32, F64, BF16, F16, I32, U16 and U8 can be read)");
  CHECK(says(entry(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])"))
            .starts_with(R"(tensor "w" has dtype "f32"; only)"));
  CHECK(says(entry(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"))
            .starts_with(R"(tensor "w" has dtype 4; only)"));

  // Shapes.
  CHECK(says(f32("2", "[0,8]")) == R"(tensor "w" has shape 2, not a list)");
  CHECK(says(f32("[-2]", "[0,8]")) == R"(tensor "w" has shape [-2], but sizes are whole and not negative)");
  CHECK(says(f32("[2.0]", "[0,8]")) == R"(tensor "w" has shape [2.0], but sizes are whole and not negative)");
  CHECK(says(f32("[\"2\"]", "[0,8]")) ==
        R"(tensor "w" has shape ["2"], but sizes are whole and not negative)");
  CHECK(says(f32("[1,1,1,1,1,1,2]", "[0,8]")) == R"(tensor "w" has 7 axes, at most 6 are possible)");
  CHECK(says(f32("[18446744073709551615]", "[0,8]")) ==
        R"(tensor "w" has shape [18446744073709551615]: too many numbers)");
  CHECK(says(f32("[4294967296,4294967296]", "[0,0]")) ==
        R"(tensor "w" has shape [4294967296,4294967296]: too many numbers)");
  CHECK(says(f32("[0,4294967296,4294967296]", "[0,0]")).ends_with(": too many numbers"));
  CHECK(says(f32("[4611686018427387906]", "[0,8]"))
            .ends_with(": too many numbers"));  // times 4 is 8 in 64 bits

  // Places.
  CHECK(says(f32("[2]", "8")) == R"(tensor "w" has data_offsets 8, not two byte counts)");
  CHECK(says(f32("[2]", "[8]")) == R"(tensor "w" has data_offsets [8], not two byte counts)");
  CHECK(says(f32("[2]", "[-8,0]")) == R"(tensor "w" has data_offsets [-8,0], not two byte counts)");
  CHECK(says(f32("[2]", "[0,8.0]")) == R"(tensor "w" has data_offsets [0,8.0], not two byte counts)");
  CHECK(says(f32("[2]", "[8,0]")) == R"(tensor "w", f32 (2,), needs 8 bytes, but has data_offsets [8,0])");
  CHECK(says(f32("[2]", "[0,4]")) == R"(tensor "w", f32 (2,), needs 8 bytes, but has data_offsets [0,4])");
  CHECK(says(f32("[2]", "[4,12]")) == "the tensors leave a hole or overlap at byte 0 of the numbers");
  CHECK(says(f32("[2]", "[18446744073709551608,18446744073709551615]"))
            .ends_with("needs 8 bytes, but has data_offsets [18446744073709551608,18446744073709551615]"));
  CHECK(says(f32("[4]", "[0,16]")) == "cut short: 8 bytes of numbers, but the tensors need 16");
  CHECK(says(f32("[1]", "[0,4]")) == "too long: 8 bytes of numbers, but the tensors need 4");
  const std::string two =
      R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},"b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})";
  const auto places = [&](int a, int b, int c, int d) {
    return says(fmt::format(fmt::runtime(two), b - a, a, b, d - c, c, d));
  };
  CHECK(places(0, 3, 3, 8) == "");
  CHECK(places(3, 8, 0, 3) == "");
  CHECK(places(0, 0, 0, 8) == "");
  CHECK(places(0, 8, 8, 8) == "");
  CHECK(places(0, 5, 3, 8) == "the tensors leave a hole or overlap at byte 3 of the numbers");
  CHECK(places(0, 3, 4, 8) == "the tensors leave a hole or overlap at byte 3 of the numbers");
  CHECK(places(0, 8, 0, 8) == "the tensors leave a hole or overlap at byte 0 of the numbers");
  CHECK(places(0, 8, 4, 4) == "the tensors leave a hole or overlap at byte 4 of the numbers");

  // The header's length.
  CHECK(complaint(folder, std::string(8, '\xff') + "{}") ==
        "not a safetensors file, or damaged: the header would be 18446744073709551615 bytes");
  CHECK(complaint(folder, "Once upon a time").starts_with("not a safetensors file, or damaged"));
  CHECK(complaint(folder, std::string("\x00\xe1\xf5\x05\0\0\0\0{}", 10)) ==
        "cut short: 10 bytes, but the header alone is 100000008");
  CHECK(
      complaint(folder, std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)).starts_with("not a safetensors file"));
}

TEST_CASE("file: what is not wanted is passed over before its dtype is looked at") {
  const TemporaryDirectory folder;
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[3,7]},"mask":{"dtype":"BOOL","shape":[1,3],"data_offsets":[0,3]}})";
  const float one = 1;
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  bytes += header + "\1\1\1";
  bytes.append(reinterpret_cast<const char*>(&one), 4);
  write(folder / "x", bytes);
  CHECK_THROWS_AS(load_tensors(folder / "x"), Error);
  const auto wanted = [](const std::string& name) { return name != "mask"; };
  const NamedTensors tensors = load_tensors(folder / "x", default_backend(), wanted).tensors;
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].first == "a");
  CHECK(tensors[0].second.to_vector<float>() == std::vector<float>{1});
}

TEST_CASE("file: paths that are no files") {
  const TemporaryDirectory folder;
  const auto says = [](const std::string& path) -> std::string {
    try {
      load_tensors(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(says(folder / "missing") == "cannot read " + (folder / "missing") + ": No such file or directory");
  CHECK(says(folder.path) == "cannot read " + folder.path + ": it is not a file");
  CHECK(says("/dev/zero") == "cannot read /dev/zero: it is not a file");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(says(folder / "pipe") == "cannot read " + (folder / "pipe") + ": it is not a file");
  write(folder / "empty", "");
  CHECK(says(folder / "empty") == (folder / "empty") + ": 0 bytes are too few for a safetensors file");
}

TEST_CASE("file: writing that cannot succeed says so and leaves nothing") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x";
  const Tensor x = Tensor::zeros({3'000'000});  // 12 MB
  const auto says = [&](const std::string& to, const NamedTensors& tensors,
                        const std::string& key = "k") -> std::string {
    try {
      save_tensors(to, tensors, {{key, "v"}});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(says(folder / "missing/x", {{"x", x}}) ==
        "cannot write " + (folder / "missing/x") + ": No such file or directory");
  CHECK(says(folder.path, {{"x", x}}) == "cannot write " + folder.path + ": Is a directory");
  CHECK(says("/dev/full", {{"x", x}}) == "cannot write /dev/full: No space left on device");
  CHECK(fs::exists("/dev/full"));
  CHECK(says("/dev/null", {{"x", x}}) == "");

  // Misuse is found before the file is touched.
  write(path, "precious");
  CHECK(says(path, {{"x", x}, {"x", x}}) == path + ": not written: the name 'x' is taken");
  CHECK(says(path, {{"__metadata__", x}}) == path + ": not written: the name '__metadata__' is taken");
  CHECK(says(path, {{"\xff", x}}) == path + ": not written: a name or a text of its header is not UTF-8");
  CHECK(says(path, {{"x", x}}, "\xff") ==
        path + ": not written: a name or a text of its header is not UTF-8");
  CHECK(says(path, {{"x", Tensor()}}) == path + ": not written: 'x' is no tensor");
  CHECK(read(path) == "precious");

  // A disk that is full in the middle: the system's limit on file sizes stands in for it.
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{6'000'000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string text = says(folder / "y", {{"x", x}});
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(text == "cannot write " + (folder / "y") + ": File too large");
  CHECK(!fs::exists(folder / "y"));
  CHECK(!fs::exists(folder / "y.part"));
}

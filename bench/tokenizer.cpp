// What bench/rivals/tokenizer.py asks of Chapbook's tokenizer: ids to compare with, and times.
//   bench_tokenizer ids TOKENIZER FILE            one line of ids for each record of FILE (u32 length, bytes)
//   bench_tokenizer encode TOKENIZER FILE REPEATS seconds of each encoding of the whole FILE, on one thread
//   bench_tokenizer train FILE VOCABULARY THREADS DIRECTORY   seconds to learn; the tokenizer goes to
//   DIRECTORY
#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "data/bpe_train.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  check(stream.good(), "{}: cannot be read", path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

template <class Work>
double seconds(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void print_ids(const Tokenizer& tokenizer, std::string_view records) {
  while (!records.empty()) {
    uint32_t length = 0;
    check(records.size() >= sizeof length, "a record is cut off");
    std::memcpy(&length, records.data(), sizeof length);
    check(records.size() - sizeof length >= length, "a record is cut off");
    std::string line;
    for (const int32_t id :
         tokenizer.encode(records.substr(sizeof length, length), SpecialTokens::recognise)) {
      line += fmt::format("{} ", id);
    }
    fmt::print("{}\n", line);
    records.remove_prefix(sizeof length + length);
  }
}

void time_encoding(const Tokenizer& tokenizer, std::string_view text, int repeats) {
  for (int i = 0; i < repeats; ++i) {
    size_t tokens = 0;
    const double time = seconds([&] { tokens = tokenizer.encode(text, SpecialTokens::recognise).size(); });
    fmt::print("{} {}\n", time, tokens);
  }
}

int run(const std::vector<std::string>& arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (command == "ids" && arguments.size() == 3) {
    print_ids(load_tokenizer(arguments[1]), read_file(arguments[2]));
  } else if (command == "encode" && arguments.size() == 4) {
    time_encoding(load_tokenizer(arguments[1]), read_file(arguments[2]), std::stoi(arguments[3]));
  } else if (command == "train" && arguments.size() == 5) {
    const std::string text = read_file(arguments[1]);
    const auto learn = [&] { return train_bpe(text, std::stoi(arguments[2]), std::stoi(arguments[3])); };
    fmt::print("{}\n", seconds([&] { save_tokenizer(learn(), arguments[4]); }));
  } else {
    fail("bench_tokenizer ids|encode|train ...: see bench/tokenizer.cpp");
  }
  return 0;
}

}  // namespace
}  // namespace chapbook

int main(int count, char** arguments) try {
  return chapbook::run({arguments + 1, arguments + count});
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}

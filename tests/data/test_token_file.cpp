// Token files: round trips, streaming, and one clear error for everything that can be wrong with a file.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "data/token_file.h"
#include "tensor/check.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::vector<int32_t> to_vector(const TokenFile& file) { return {file.tokens().begin(), file.tokens().end()}; }

template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string open_error(const fs::path& path, int64_t vocabulary_size = 0) {
  return error_of([&] { TokenFile::open(path, vocabulary_size); });
}

TokenFileInfo info_of(int64_t vocabulary_size) {
  TokenFileInfo info;
  info.vocabulary_size = vocabulary_size;
  info.text = "built-in stories";
  info.tokenizer_hash = "0123456789abcdef";
  return info;
}

// Three tokens of a vocabulary of 300.
void write_small(const fs::path& path) {
  TokenFileWriter writer(path, info_of(300));
  writer.append(std::vector<int32_t>{7, 299, 0});
  writer.count_text(11, 2);
  writer.close();
}

std::string llmc_file(std::vector<uint16_t> tokens, int32_t version = 1, int32_t count = -1) {
  std::vector<int32_t> header(256, 0);
  header[0] = 20240520;
  header[1] = version;
  header[2] = count < 0 ? static_cast<int32_t>(tokens.size()) : count;
  std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
  return bytes.append(reinterpret_cast<const char*>(tokens.data()), 2 * tokens.size());
}

}  // namespace

TEST_CASE("token file: what is written is read, and the bytes are nanoGPT's") {
  const TemporaryDirectory folder;
  write_small(folder / "train.bin");
  CHECK(read_bytes(folder / "train.bin") == std::string("\x07\x00\x2B\x01\x00\x00", 6));
  const TokenFile file = TokenFile::open(folder / "train.bin", 300);
  CHECK(to_vector(file) == std::vector<int32_t>{7, 299, 0});
  CHECK(file.info() == TokenFileInfo{300, 3, 2, 11, "built-in stories", "0123456789abcdef"});
  CHECK_FALSE(fs::exists(folder / "train.bin.part"));
  CHECK_FALSE(fs::exists(folder / "train.json.part"));
}

TEST_CASE("token file: long texts in odd pieces, and the largest id") {
  const TemporaryDirectory folder;
  std::vector<int32_t> ids(200'003);
  std::iota(ids.begin(), ids.end(), 0);
  for (auto& id : ids) id %= 65536;
  TokenFileWriter writer(folder / "x.bin", info_of(65536));
  for (size_t begin = 0, size = 0; begin < ids.size(); begin += size++) {
    writer.append(
        std::span(ids).subspan(begin, std::min(size, ids.size() - begin)));  // 0, 1, 2, ... at a time
  }
  const TokenFileInfo info = writer.close();
  CHECK(info.tokens == static_cast<int64_t>(ids.size()));
  CHECK(to_vector(TokenFile::open(folder / "x.bin")) == ids);
}

TEST_CASE("token file: moving keeps the mapping") {
  const TemporaryDirectory folder;
  write_small(folder / "a.bin");
  TokenFile first = TokenFile::open(folder / "a.bin");
  TokenFile second = std::move(first);
  CHECK(to_vector(second) == std::vector<int32_t>{7, 299, 0});
  second = TokenFile::open(folder / "a.bin");
  CHECK(to_vector(second) == std::vector<int32_t>{7, 299, 0});
}

TEST_CASE("token file: without close nothing is left, and what was there stays") {
  const TemporaryDirectory folder;
  write_small(folder / "x.bin");
  {
    TokenFileWriter writer(folder / "x.bin", info_of(10));
    writer.append(std::vector<int32_t>{1});
    CHECK(fs::exists(folder / "x.bin.part"));
  }
  CHECK_FALSE(fs::exists(folder / "x.bin.part"));
  CHECK(TokenFile::open(folder / "x.bin").size() == 3);
}

TEST_CASE("token file: a new file replaces an old one") {
  const TemporaryDirectory folder;
  write_small(folder / "x.bin");
  TokenFileWriter writer(folder / "x.bin", info_of(10));
  writer.append(std::vector<int32_t>{1, 2});
  writer.close();
  CHECK(to_vector(TokenFile::open(folder / "x.bin", 10)) == std::vector<int32_t>{1, 2});
}

TEST_CASE("token file: errors of the writer") {
  const TemporaryDirectory folder;
  const auto path = [&](const char* name) { return folder / name; };
  CHECK(error_of([&] { TokenFileWriter(path("x.txt"), info_of(9)); }) ==
        "token file " + path("x.txt") + ": the name must end in .bin");
  CHECK(error_of([&] { TokenFileWriter(path("x.bin"), info_of(65537)); }) ==
        "token file " + path("x.bin") +
            ": a vocabulary of 65537 does not fit its u16 ids, which count to 65536");
  CHECK(error_of([&] { TokenFileWriter(path("no/x.bin"), info_of(9)); }) ==
        "cannot write " + path("no/x.bin") + ": No such file or directory");
  CHECK(error_of([&] { TokenFileWriter(path("x.bin"), info_of(9)).close(); }) ==
        "token file " + path("x.bin") + ": there are no tokens to write; is the text empty?");
  for (const int32_t id : {-1, 9}) {
    CHECK(error_of([&] { TokenFileWriter(path("x.bin"), info_of(9)).append(std::vector<int32_t>{id}); }) ==
          "token file " + path("x.bin") + ": the id " + std::to_string(id) +
              " is outside the vocabulary of 9");
  }
  fs::create_directory(path("d.bin"));
  CHECK(error_of([&] { TokenFileWriter(path("d.bin"), info_of(9)); }) ==
        "cannot write " + path("d.bin") + ": Is a directory");
  CHECK(fs::is_empty(path("d.bin")));
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) ==
        1);  // nothing half-written
}

TEST_CASE("token file: a full disk") {
  if (!fs::exists("/dev/full")) {
    MESSAGE("NOT TESTED: there is no /dev/full here");
    return;
  }
  const TemporaryDirectory folder;
  fs::create_symlink("/dev/full", folder / "x.bin.part");
  CHECK(error_of([&] {
          TokenFileWriter writer(folder / "x.bin", info_of(9));
          writer.append(std::vector<int32_t>(100'000, 1));
        }) == "cannot write " + (folder / "x.bin") + ": No space left on device");
  CHECK(fs::is_empty(folder.path));

  fs::create_symlink("/dev/full", folder / "x.json.part");
  CHECK(error_of([&] { write_small(folder / "x.bin"); }) ==
        "cannot write " + (folder / "x.json") + ": No space left on device");
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("token file: errors of opening") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin", name = "token file " + path + ": ";
  CHECK(open_error(path) == "cannot read " + path + ": No such file or directory");
  CHECK(open_error(folder.path) ==
        "token file " + folder.path + ": is a directory; give the .bin file in it");
  CHECK(open_error("/dev/null") == "cannot read /dev/null: it is not a file");
  write_bytes(path, "");
  CHECK(open_error(path) == "cannot read " + path + ": it is empty");
  write_bytes(path, "abcd");
  CHECK(open_error(path) == name + "x.json is not beside it, so its vocabulary size must be given");
  CHECK(open_error(path, 65537) ==
        name + "a vocabulary of 65537 does not fit its u16 ids, which count to 65536");
  CHECK(open_error(path, -1) == name + "a vocabulary of -1 does not fit its u16 ids, which count to 65536");
  write_bytes(path, "abc");
  CHECK(open_error(path, 65536) == name + "3 bytes are no whole number of 2-byte tokens: truncated?");

  write_small(path);
  CHECK(open_error(path, 301) == name + "was made for a vocabulary of 300, not 301");
  CHECK(open_error(folder / "x.json") ==
        "token file " + (folder / "x.json") + ": give the .bin file, not its .json");
  write_bytes(path, std::string("\x07\x00\x2C\x01\x2C\x01", 6));
  CHECK(open_error(path) == name + "token 1 is the id 300, outside the vocabulary of 300");
  write_bytes(path, std::string(8, '\0'));
  CHECK(open_error(path) == name +
                                "holds 8 bytes, but x.json says 3 tokens of 2 bytes: truncated? make it "
                                "again with `chapbook prepare`");
}

TEST_CASE("token file: errors of the JSON") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin", json = folder / "x.json", name = "token file " + json + ": ";
  const std::string again = "; make it again with `chapbook prepare`";
  write_small(path);
  const std::string good = read_bytes(json);
  const auto replaced = [&](const std::string& old_text, const std::string& new_text) {
    std::string text = good;
    REQUIRE(text.find(old_text) != text.npos);
    write_bytes(json, text.replace(text.find(old_text), old_text.size(), new_text));
    return open_error(path);
  };
  for (const char* bad : {"", "[]", "3", "{", "\xFF"}) {
    write_bytes(json, bad);
    CHECK(open_error(path) == name + "is not a JSON object" + again);
  }
  write_bytes(json, "{}");
  CHECK(open_error(path) == name + "\"vocabulary_size\" is not there or not a whole number" + again);
  for (const char* bad : {"-3", "3.5", "\"3\"", "null", "1e400", "9223372036854775808"}) {
    CHECK(replaced("\"tokens\": 3", std::string("\"tokens\": ") + bad).starts_with(name));
  }
  CHECK(replaced("\"tokens\": 3", "\"tokens\": 9223372036854775807").find("holds 6 bytes") !=
        std::string::npos);
  CHECK(replaced("\"built-in stories\"", "7") == name + "\"text\" is not there or not a string" + again);
  CHECK(replaced("300", "0") ==
        "token file " + path + ": a vocabulary of 0 does not fit its u16 ids, which count to 65536");
}

TEST_CASE("token file: truncated at every byte") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin", json = folder / "x.json";
  write_small(path);
  const std::string bytes = read_bytes(path), json_text = read_bytes(json);
  for (size_t size = 0; size < bytes.size(); ++size) {
    write_bytes(path, std::string_view(bytes).substr(0, size));
    CHECK_THROWS_AS(TokenFile::open(path), Error);
  }
  write_bytes(path, bytes);
  for (size_t size = 0; size + 1 < json_text.size(); ++size) {  // the last byte is only the line end
    write_bytes(json, std::string_view(json_text).substr(0, size));
    CHECK_THROWS_AS(TokenFile::open(path), Error);
  }
  write_bytes(json, json_text);
  CHECK(TokenFile::open(path).size() == 3);
}

TEST_CASE("token file: nanoGPT's and llm.c's files") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin", name = "token file " + path + ": ";
  write_bytes(path, std::string("\x07\x00\x2B\x01", 4));
  const TokenFile bare = TokenFile::open(path, 300);
  CHECK(to_vector(bare) == std::vector<int32_t>{7, 299});
  CHECK(bare.info() == TokenFileInfo{300, 2, 0, 0, "", ""});
  CHECK(open_error(path, 299) == name + "token 1 is the id 299, outside the vocabulary of 299");

  const std::string good = llmc_file({5, 50256});
  write_bytes(path, good);
  CHECK(to_vector(TokenFile::open(path, 50257)) == std::vector<int32_t>{5, 50256});
  CHECK(TokenFile::open(path, 50257).info().tokens == 2);
  CHECK(open_error(path) == name + "x.json is not beside it, so its vocabulary size must be given");
  write_bytes(path, llmc_file({5}, 2));
  CHECK(open_error(path, 50257) == name + "version 2 of llm.c's format is not known, only version 1");
  write_bytes(path, llmc_file({5}, 1, 2));
  CHECK(open_error(path, 50257) == name + "llm.c's header says 2 tokens, but 2 bytes follow it: truncated?");
  write_bytes(path, llmc_file({}));
  CHECK(open_error(path, 50257) == name + "holds no tokens");
  for (size_t size = 0; size < good.size(); ++size) {
    write_bytes(path, std::string_view(good).substr(0, size));
    CHECK_THROWS_AS(TokenFile::open(path, 50257), Error);
  }
}

TEST_CASE("token file: ids that are wider than 16 bits are refused, not read as twice as many") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin", name = "token file " + path + ": ";
  std::string wide;
  for (int32_t i = 0; i < 100; ++i) {
    const int32_t id = i % 10 == 9 ? 65600 + i : 300 + i;
    wide.append(reinterpret_cast<const char*>(&id), 4);
  }
  write_bytes(path, wide);
  CHECK(open_error(path, 65536).find("its ids seem to be of 32 bits or more") != std::string::npos);
  write_bytes(path, wide.substr(0, 28));  // too few to tell
  CHECK(TokenFile::open(path, 65536).size() == 14);
  std::string zeros;
  for (const int i : {1, 0, 2, 3})
    zeros += std::string(20, static_cast<char>(0)) + static_cast<char>(i) + '\0';
  write_bytes(path, zeros);  // a vocabulary of four
  CHECK(TokenFile::open(path, 4).size() == 44);

  std::string header = llmc_file({5, 6});
  const int32_t of_32_bits = 20240801;
  header.replace(0, 4, reinterpret_cast<const char*>(&of_32_bits), 4);
  write_bytes(path, header);
  CHECK(open_error(path, 50257) == name + "its llm.c header says ids of 32 bits; only 16 can be read");

  write_small(path);
  std::string json = read_bytes(folder / "x.json");
  json.replace(json.find("u16"), 3, "u32");
  write_bytes(folder / "x.json", json);
  CHECK(open_error(path).find("its format is \"u32 little-endian\", not u16 little-endian") !=
        std::string::npos);
}

TEST_CASE("token file: the hash is of the ids, all of them") {
  const TemporaryDirectory folder;
  std::set<std::string> hashes;
  std::vector<int32_t> ids = {1, 2, 3, 4, 5, 6, 7};
  const auto add = [&] {
    TokenFileWriter writer(folder / "x.bin", info_of(300));
    writer.append(ids);
    writer.close();
    const std::string hash = TokenFile::open(folder / "x.bin").hash();
    CHECK(hash == TokenFile::open(folder / "x.bin").hash());
    CHECK(hash.size() == 16);
    CHECK(hashes.insert(hash).second);
  };
  add();
  for (size_t i = 0; i < 7; ++i) {
    ++ids[i];
    add();
  }
  for (int i = 0; i < 5; ++i) {
    ids.push_back(0);
    add();
  }
}

TEST_CASE("token file: another tokenizer is noticed") {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.bin";
  write_small(path);
  const TokenFile file = TokenFile::open(path);
  CHECK_NOTHROW(check_same_tokenizer(file, "0123456789abcdef"));
  CHECK(error_of([&] { check_same_tokenizer(file, "feed"); }) ==
        "token file " + path +
            ": was made with the tokenizer 0123456789abcdef, but this one is feed; make it again with "
            "`chapbook prepare`");
  fs::remove(folder / "x.json");
  CHECK_NOTHROW(check_same_tokenizer(TokenFile::open(path, 300), "feed"));
}

// JSON, beside a library for it: the same texts are taken, the same values come out, the same text is
// written.
#include "tensor/json.h"

#include <doctest/doctest.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <random>

using namespace chapbook;
using Library = nlohmann::ordered_json;

TEST_CASE("JSON: texts are read and written as the library does") {
  for (const std::string text : {"null",
                                 "true",
                                 "false",
                                 "0",
                                 "-0",
                                 "-0.0",
                                 "17",
                                 "9223372036854775807",
                                 "-9223372036854775808",
                                 "9223372036854775808",
                                 "18446744073709551615",
                                 "18446744073709551616",
                                 "1.5",
                                 "1e3",
                                 "1E-3",
                                 "0.0001",
                                 "0.00001",
                                 "123456789012345.0",
                                 "1e15",
                                 "1e300",
                                 "-2.5e-310",
                                 "1e-400",
                                 "[]",
                                 "{}",
                                 " [ 1 , 2 ] ",
                                 "{\"a\":1,\"b\":{\"c\":[]},\"a\":2}",
                                 "\"\\u00e9\\ud83d\\ude00\\n\\\"\\\\\\/\"",
                                 "\"\x7f\xc3\xa9\"",
                                 "[[[1,2],{}],\"\"]",
                                 "\"\\u0001\"",
                                 "",
                                 " ",
                                 "nul",
                                 "truex",
                                 "01",
                                 "1.",
                                 ".5",
                                 "-",
                                 "+1",
                                 "1e",
                                 "[1,]",
                                 "[1 2]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{a:1}",
                                 "{\"a\":1,}",
                                 "\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\ud800\"",
                                 "\"\\ud800\\u0041\"",
                                 "\"\\udc00\"",
                                 "\"\xff\"",
                                 "\"\xed\xa0\x80\"",
                                 "\"\xc0\x80\"",
                                 "\"\xf4\x90\x80\x80\"",
                                 "\"\t\"",
                                 "1 2",
                                 "[",
                                 "{",
                                 "NaN",
                                 "1e999",
                                 "-1e999",
                                 "\xef\xbb\xbf[]x"}) {
    CAPTURE(text);
    const Library theirs = Library::parse(text, nullptr, false);
    const Json ours = Json::parse_or_nothing(text);
    REQUIRE(ours.is_discarded() == theirs.is_discarded());
    if (ours.is_discarded()) {
      CHECK_THROWS_AS(Json::parse(text), JsonError);
      continue;
    }
    CHECK(ours.dump() == theirs.dump());
    CHECK(ours.dump(2) == theirs.dump(2));
    CHECK(ours.dump(-1, true) == theirs.dump(-1, ' ', true));
    CHECK(Json::parse(ours.dump()) == ours);
  }
}

TEST_CASE("JSON: numbers come back with the same bits, written as the library writes them") {
  std::mt19937_64 bits(1);
  int alike = 0;
  for (int i = 0; i < 20000; ++i) {
    const double number =
        i % 2 ? std::bit_cast<double>(bits()) : static_cast<double>(bits() % 2'000'000) / 1000 - 1000;
    if (!std::isfinite(number)) continue;
    const std::string text = Json(number).dump();
    CHECK(std::bit_cast<uint64_t>(Json::parse(text).get<double>()) == std::bit_cast<uint64_t>(number));
    const std::string theirs = Library(number).dump();
    CHECK(text.size() <= theirs.size());  // its way to print is not always the shortest
    alike += text == theirs;
  }
  CHECK(alike > 19'900);
  CHECK(Json(std::nan("")).dump() == "null");
  CHECK(Json(INFINITY).dump() == "null");
}

TEST_CASE("JSON: bytes that are not UTF-8 are replaced as the library does") {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    static constexpr std::string_view pieces[] = {"a",    "\xc3", "\xa9", "\xe2", "\x82", "\xac",
                                                  "\xf0", "\x9f", "\x98", "\x80", "\xed", "\xff"};
    for (size_t n = random() % 7; n > 0; --n) text += pieces[random() % std::size(pieces)];
    CAPTURE(text);
    CHECK(Json(text).dump() == Library(text).dump(-1, ' ', false, Library::error_handler_t::replace));
  }
}

TEST_CASE("JSON: what is built, and what it is asked for") {
  Json json = {{"name", "x"}, {"sizes", {1, 2}}, {"pairs", {{"a", 1}, {"b", 2}}}, {"none", nullptr}};
  CHECK(json.dump() == R"({"name":"x","sizes":[1,2],"pairs":{"a":1,"b":2},"none":null})");
  json["more"]["inside"] = std::vector<double>{0.5, 1};
  json.update({{"name", "y"}});
  CHECK(json.erase("none"));
  CHECK(json.dump() == R"({"name":"y","sizes":[1,2],"pairs":{"a":1,"b":2},"more":{"inside":[0.5,1.0]}})");
  CHECK(json.at("more").at("inside").get<std::vector<double>>() == std::vector<double>{0.5, 1});
  CHECK(json.value("name", "z") == "y");
  CHECK(json.value("other", 3) == 3);
  CHECK(json.find("other") == json.end());
  CHECK(*json.find("name") == "y");
  CHECK(json["sizes"][1] == 2);
  CHECK(Json(1) == Json(1.0));
  CHECK(Json(uint64_t{1}) == Json(1));
  CHECK(Json(UINT64_MAX) != Json(-1));
  CHECK(Json(UINT64_MAX).get<uint64_t>() == UINT64_MAX);
  double sum = 0;
  for (const Json& each : json["sizes"]) sum += each.get<double>();
  CHECK(sum == 3);

  CHECK_THROWS_WITH_AS(json.at("other"), "\"other\" is missing", JsonError);
  CHECK_THROWS_WITH_AS(json["name"].get<double>(), "\"y\" is not a number", JsonError);
  CHECK_THROWS_WITH_AS(json["sizes"].get<std::string>(), "[1,2] is not a text", JsonError);
  CHECK_THROWS_WITH_AS(json["sizes"][2], "there is no element 2 of 2", JsonError);
  CHECK_THROWS_WITH_AS(Json(300).get<uint8_t>(), "300 is not a number that fits", JsonError);
  CHECK_THROWS_WITH_AS(Json(-1).get<uint64_t>(), "-1 is not a number that fits", JsonError);
  CHECK_THROWS_WITH_AS(Json(1e30).get<int64_t>(), "1e+30 is not a number that fits", JsonError);
  CHECK_THROWS_WITH_AS(json.push_back(1),
                       "{\"name\":\"y\",\"sizes\":[1,2],\"pairs\":{\"a\":1,\"b\":2},\"more\":{\"inside\":[0."
                       "5,1.0]}} is not a list",
                       JsonError);
}

TEST_CASE("JSON: what is refused says where and why") {
  CHECK_THROWS_WITH_AS(Json::parse("{\n  \"a\": 1,\n  b}"), "line 3, column 3: a name in quotes is expected",
                       JsonError);
  CHECK_THROWS_WITH_AS(Json::parse("[1, 2"), "line 1, column 6: the text ends too early", JsonError);
  CHECK_THROWS_WITH_AS(Json::parse("[1e999]"), "line 1, column 2: a number that is too large", JsonError);
  CHECK_THROWS_WITH_AS(Json::parse("{} x"), "line 1, column 4: more follows behind the value", JsonError);
  const auto nested = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  CHECK_NOTHROW(Json::parse(nested(100)));
  CHECK_THROWS_WITH_AS(Json::parse(nested(101)), "line 1, column 101: nested too deep", JsonError);
  CHECK(Json::parse_or_nothing(std::string(1'000'000, '{')).is_discarded());
}

TEST_CASE("JSON: an object, member by member") {
  std::string seen;
  const auto see = [&](const std::string& name, const Json& value) { seen += name + value.dump() + ' '; };
  each_member(" {\"a\": [1, 2], \"b\": {\"c\": []}} ", 2, 2, see);
  CHECK(seen == "a[1,2] b{\"c\":[]} ");
  for (const char* text :
       {"[]", "1", "{\"a\":[[[]]]}", "{\"a\":[1,2,3]}", "{\"a\":{\"b\":1,\"b\":2}}", "{} {}", "{"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(each_member(text, 2, 2, see), JsonError);
  }
}

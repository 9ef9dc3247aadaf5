// JSON as text (RFC 8259): how it is read and written.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "tensor/json.h"

namespace chapbook {
namespace {

// ---- UTF-8

// The character that bytes begin with: how many of them it has, and which it is. Where they begin with none,
// so many as could have been the beginning of one, at least 1.
struct Character {
  size_t bytes;
  char32_t code;
  bool valid;
};

Character first_of(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return {1, first, true};
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 1;
  // What the second byte may be: no longer form than is needed, no surrogates, nothing beyond U+10FFFF.
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  char32_t code = length == 1 ? 0 : first & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    const unsigned next = byte(i);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return {i, 0, false};
    code = code << 6 | (next & 0x3F);
  }
  return {length, code, length > 1};
}

void append(std::string& text, char32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

// ---- Reading

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json whole() {
    Json value = this->value(100);
    end();
    return value;
  }

  void each_member(int depth, size_t most,
                   const std::function<void(const std::string&, const Json&)>& visit) {
    most_ = most, names_once_ = true;
    if (next() != '{') refuse("an object is expected");
    members([&](const std::string& name) { visit(name, value(depth)); });
    end();
  }

 private:
  [[noreturn]] void refuse(std::string_view why) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t lines = std::count(before.begin(), before.end(), '\n');
    throw JsonError(fmt::format("line {}, column {}: {}", lines + 1, at_ - (before.rfind('\n') + 1) + 1,
                                at_ < text_.size() ? why : "the text ends too early"));
  }

  // The next character that is no space; 0 at the end.
  char next() {
    at_ = std::min(text_.find_first_not_of(" \t\n\r", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char letter) { return next() == letter && letter && ++at_; }
  void end() {
    if (next(); at_ < text_.size()) refuse("more follows behind the value");
  }

  Json value(int depth) {
    switch (next()) {
      case '{': {
        if (depth == 0) refuse("nested too deep");
        Json object = Json::object();
        std::unordered_map<std::string, size_t> places;
        members([&](const std::string& name) {
          Json::Members& all = object.items();
          const auto [place, is_new] = places.emplace(name, all.size());
          if (!is_new && names_once_) refuse("a name that stands twice");
          if (is_new) all.push_back({name, nullptr});
          object.items()[place->second].value = value(depth - 1);
        });
        return object;
      }
      case '[': {
        if (depth == 0) refuse("nested too deep");
        ++at_;
        Json list = Json::array();
        if (take(']')) return list;
        do {
          if (list.size() == most_) refuse("too many elements");
          list.push_back(value(depth - 1));
        } while (take(','));
        if (!take(']')) refuse("a comma or ] is expected");
        return list;
      }
      case '"':
        return string();
      case 't':
        return word("true", true);
      case 'f':
        return word("false", false);
      case 'n':
        return word("null", nullptr);
      default:
        return number();
    }
  }

  // After the name of each, visit(name) reads its value.
  template <class Visit>
  void members(const Visit& visit) {
    ++at_;
    if (take('}')) return;
    do {
      if (next() != '"') refuse("a name in quotes is expected");
      const std::string name = string();
      if (!take(':')) refuse("a colon is expected");
      visit(name);
    } while (take(','));
    if (!take('}')) refuse("a comma or } is expected");
  }

  Json word(std::string_view word, Json value) {
    for (const char letter : word) {
      if (at_ == text_.size() || text_[at_] != letter) refuse("neither a number nor true, false or null");
      ++at_;
    }
    return value;
  }

  Json number() {
    const size_t begin = at_;
    const auto digits = [&] {
      const size_t first = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      if (at_ == first) refuse("a value or a digit is expected");
    };
    const auto is = [&](std::string_view letters) {
      return at_ < text_.size() && letters.find(text_[at_]) != letters.npos;
    };
    bool real = false;
    if (is("-")) ++at_;
    if (is("0"))
      ++at_;
    else
      digits();
    if (is(".")) real = true, ++at_, digits();
    if (is("eE")) {
      real = true, ++at_;
      if (is("+-")) ++at_;
      digits();
    }
    const char *from = text_.data() + begin, *to = text_.data() + at_;
    int64_t whole = 0;
    uint64_t beyond = 0;
    if (!real && std::from_chars(from, to, whole).ec == std::errc()) return whole;
    if (!real && std::from_chars(from, to, beyond).ec == std::errc()) return beyond;
    const double number = std::strtod(std::string(from, to).c_str(), nullptr);
    if (std::isinf(number)) refuse_at(begin, "a number that is too large");
    return number;
  }

  [[noreturn]] void refuse_at(size_t at, std::string_view why) {
    at_ = at;
    refuse(why);
  }

  std::string string() {
    std::string text;
    for (++at_;;) {
      if (at_ == text_.size()) refuse("");
      const auto letter = static_cast<unsigned char>(text_[at_]);
      if (letter == '"') return ++at_, text;
      if (letter < ' ') refuse("a control character in a text");
      if (letter == '\\') {
        ++at_;
        escaped(text);
      } else if (letter < 0x80) {
        text += text_[at_++];
      } else {
        const Character character = first_of(text_.substr(at_));
        if (!character.valid) refuse("not UTF-8");
        text += text_.substr(at_, character.bytes);
        at_ += character.bytes;
      }
    }
  }

  void escaped(std::string& text) {
    static constexpr std::string_view letters = "\"\\/bfnrt", meaning = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) refuse("");
    const char letter = text_[at_];
    if (const size_t which = letters.find(letter); which != letters.npos) {
      ++at_;
      text += meaning[which];
      return;
    }
    const size_t begin = at_ - 1;
    if (letter != 'u') refuse("no such escape");
    char32_t code = four_digits();
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {  // the first half of one
      ++at_;
      const char32_t second = four_digits();
      if (second < 0xDC00 || second > 0xDFFF) refuse_at(begin, "half a character");
      code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
    }
    if (code >= 0xD800 && code <= 0xDFFF) refuse_at(begin, "half a character");
    append(text, code);
  }

  char32_t four_digits() {  // behind the u
    ++at_;
    uint32_t code = 0;
    const char* const from = text_.data() + at_;
    const char* const to = from + std::min<size_t>(4, text_.size() - at_);
    if (to - from < 4 || std::from_chars(from, to, code, 16).ptr != to || *from == '-')
      refuse("\\u wants four digits");
    at_ += 4;
    return code;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t most_ = SIZE_MAX;
  bool names_once_ = false;
};

// ---- Writing

// The fewest digits that read back as the same number; always with a point or an exponent.
void write(std::string& text, double number) {
  if (!std::isfinite(number)) {
    text += "null";
    return;
  }
  char buffer[32];
  const auto form = number == 0 || (std::fabs(number) >= 1e-4 && std::fabs(number) < 1e15)
                        ? std::chars_format::fixed
                        : std::chars_format::scientific;
  const std::string_view digits(buffer, std::to_chars(buffer, buffer + sizeof buffer, number, form).ptr);
  text += digits;
  if (digits.find_first_of(".e") == digits.npos) text += ".0";
}

void write(std::string& text, const std::string& value, bool ascii) {
  text += '"';
  for (size_t at = 0; at < value.size();) {
    const Character character = first_of(std::string_view(value).substr(at));
    const char32_t code = character.valid ? character.code : U'\uFFFD';
    static constexpr std::string_view letters = "\"\\bfnrt", meaning = "\"\\\b\f\n\r\t";
    if (const size_t which = code < 0x80 ? meaning.find(static_cast<char>(code)) : meaning.npos;
        which != meaning.npos)
      text += '\\', text += letters[which];
    else if (code < 0x20 || (ascii && code >= 0x7F && code < 0x10000))
      text += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    else if (ascii && code >= 0x10000)
      text += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + static_cast<uint32_t>(code >> 10),
                          0xDC00 + static_cast<uint32_t>(code & 0x3FF));
    else
      append(text, code);
    at += character.bytes;
  }
  text += '"';
}

void write(std::string& text, const Json& json, int indent, bool ascii, int level) {
  switch (json.kind()) {
    case Json::Kind::null:
      text += "null";
      return;
    case Json::Kind::boolean:
      text += json.get<bool>() ? "true" : "false";
      return;
    case Json::Kind::whole:
      text += std::to_string(json.get<int64_t>());
      return;
    case Json::Kind::beyond:
      text += std::to_string(json.get<uint64_t>());
      return;
    case Json::Kind::real:
      return write(text, json.get<double>());
    case Json::Kind::text:
      return write(text, json.text(), ascii);
    case Json::Kind::nothing:
      text += "<discarded>";
      return;
    default:
      break;
  }
  const bool object = json.is_object();
  const auto line = [&](int level) {
    if (indent >= 0) text.append(1, '\n').append(static_cast<size_t>(indent * level), ' ');
  };
  text += object ? '{' : '[';
  for (size_t i = 0; i < json.size(); ++i) {
    if (i > 0) text += ',';
    line(level + 1);
    if (object) {
      write(text, json.items()[i].name, ascii);
      text += indent >= 0 ? ": " : ":";
    }
    write(text, json.at(i), indent, ascii, level + 1);
  }
  if (!json.empty()) line(level);
  text += object ? '}' : ']';
}

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).whole(); }

Json Json::parse_or_nothing(std::string_view text) {
  try {
    return parse(text);
  } catch (const JsonError&) {
    Json nothing;
    nothing.value_ = Nothing();
    return nothing;
  }
}

std::string Json::dump(int indent, bool ascii) const {
  std::string text;
  write(text, *this, indent, ascii, 0);
  return text;
}

void each_member(std::string_view text, int depth, size_t most,
                 const std::function<void(const std::string&, const Json&)>& visit) {
  Parser(text).each_member(depth, most, visit);
}

}  // namespace chapbook

// JSON, ours and that of others. A library for it is thousands of lines of templates, which each of the sixty
// files that use it would compile again; this is a class of its own instead, with the names that library made
// familiar.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/check.h"

namespace chapbook {

// A text that is not JSON, a member that is not there, or a value of another kind than was asked for.
struct JsonError : Error {
  using Error::Error;
};

// One value. What is written as {{"a", 1}, {"b", {1, 2}}} is an object, as all in it are pairs that begin
// with a name; what is written otherwise, a list.
class Json {
 public:
  enum class Kind : uint8_t { null, boolean, whole, beyond, real, text, list, object, nothing };
  struct Member;
  using List = std::vector<Json>;
  using Members = std::vector<Member>;  // in the order in which they came
  template <class T>
  class Iterator;

  Json(std::nullptr_t = nullptr);
  Json(const char* text);
  Json(std::string text);
  Json(std::string_view text);
  Json(std::initializer_list<Json> values);
  template <class T>
  requires std::is_arithmetic_v<T> Json(T number) : Json(As(), widest(number)) {}
  template <class First, class Second>  // a list of two
  Json(const std::pair<First, Second>& pair) : Json(array({pair.first, pair.second})) {}
  template <class Range>  // a list of what can be values, but no map
  requires(
      !std::is_same_v<Range, Json> && !std::is_convertible_v<const Range&, std::string_view> &&
      requires(const Range& range) { *range.begin(); } && !requires { typename Range::mapped_type; })
      Json(const Range& range)
      : Json(array()) {
    for (const auto& each : range) push_back(each);
  }
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();
  static Json array(std::initializer_list<Json> values = {});
  static Json object(std::initializer_list<Json> members = {});

  // Text. Numbers come back with the same bits; what is not finite is written as null. Of a name that stands
  // twice the last counts. What is nested deeper than 100 levels is refused, as values are copied and
  // compared recursively.
  static Json parse(std::string_view text);             // throws JsonError, which says where
  static Json parse_or_nothing(std::string_view text);  // is_discarded() instead
  // One line, or with `indent` spaces a level; `ascii` escapes all else. Bytes that are not UTF-8 become
  // U+FFFD.
  std::string dump(int indent = -1, bool ascii = false) const;

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  std::string_view kind_name() const;  // as JSON calls it
  bool is_null() const { return kind() == Kind::null; }
  bool is_boolean() const { return kind() == Kind::boolean; }
  bool is_number() const { return is_number_integer() || kind() == Kind::real; }
  bool is_number_integer() const { return kind() == Kind::whole || kind() == Kind::beyond; }
  bool is_number_unsigned() const;                   // whole, and not negative
  bool is_whole(int64_t least, int64_t most) const;  // whole, and not outside of these
  bool is_string() const { return kind() == Kind::text; }
  bool is_array() const { return kind() == Kind::list; }
  bool is_object() const { return kind() == Kind::object; }
  bool is_discarded() const { return kind() == Kind::nothing; }

  // As bool, number, std::string or a vector of such. Throws for another kind, and for numbers that do not
  // fit.
  template <class T>
  T get() const {
    if constexpr (std::is_same_v<T, Json>) {
      return *this;
    } else if constexpr (std::is_same_v<T, bool>) {
      return boolean();
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(real());
    } else if constexpr (std::is_integral_v<T>) {
      return kind() == Kind::beyond ? fitting<T>(beyond()) : fitting<T>(whole());
    } else if constexpr (std::is_same_v<T, std::string>) {
      return text();
    } else {
      T values;
      for (const Json& each : list()) values.push_back(each.get<typename T::value_type>());
      return values;
    }
  }
  template <class T>
  requires((std::is_arithmetic_v<T> && !std::is_same_v<T, char>) || std::is_same_v<T, std::string> ||
           requires(T values) { values.emplace_back(); })
  operator T() const {
    return get<T>();
  }
  const std::string& text() const;

  // Members and elements. Without const, [] makes members that are not there, and an object of null.
  Json& operator[](std::string_view name);
  const Json& operator[](std::string_view name) const { return at(name); }
  Json& operator[](const char* name) { return (*this)[std::string_view(name)]; }
  const Json& operator[](const char* name) const { return at(name); }
  const Json& at(std::string_view name) const;
  Json& at(std::string_view name) { return const_cast<Json&>(std::as_const(*this).at(name)); }
  template <class Index>
  requires(std::is_integral_v<Index>) const Json& operator[](Index i) const { return at(i); }
  template <class Index>
  requires(std::is_integral_v<Index>) Json& operator[](Index i) { return at(i); }
  template <class Index>
  requires(std::is_integral_v<Index>) const Json& at(Index i) const {
    return element(static_cast<size_t>(i));
  }
  template <class Index>
  requires(std::is_integral_v<Index>) Json& at(Index i) {
    return const_cast<Json&>(element(static_cast<size_t>(i)));
  }
  bool contains(std::string_view name) const;
  template <class T>
  T value(std::string_view name, T otherwise) const {
    return contains(name) ? at(name).get<T>() : otherwise;
  }
  std::string value(std::string_view name, const char* otherwise) const {
    return value(name, std::string(otherwise));
  }

  size_t size() const;  // of a list or an object; of null 0, of all else 1
  bool empty() const { return size() == 0; }
  void push_back(Json value);  // to a list, or to null, which becomes one
  const Json& front() const { return element(0); }
  const Json& back() const { return element(size() - 1); }
  Json& back() { return const_cast<Json&>(element(size() - 1)); }
  void update(const Json& object);  // sets all of its members
  bool erase(std::string_view name);
  const Members& items() const;  // of an object, or of null
  Members& items();

  Iterator<const Json> begin() const;  // over the values of a list or an object
  Iterator<const Json> end() const;
  Iterator<Json> begin();
  Iterator<Json> end();
  Iterator<const Json> find(std::string_view name) const;
  Iterator<Json> find(std::string_view name);

  // Numbers are equal where their values are, lists and objects where all in them is, in the same order.
  friend bool operator==(const Json& a, const Json& b);
  template <class T>
  requires(!std::is_same_v<T, Json>) friend bool operator==(const Json& a, const T& b) {
    return a == Json(b);
  }

 private:
  struct Nothing {
    friend bool operator==(Nothing, Nothing) { return true; }
  };
  struct As {};
  Json(As, bool value);
  Json(As, int64_t number);
  Json(As, uint64_t number);
  Json(As, double number);
  static auto widest(auto number) {
    using T = decltype(number);
    if constexpr (std::is_same_v<T, bool>)
      return number;
    else if constexpr (std::is_floating_point_v<T>)
      return static_cast<double>(number);
    else if constexpr (std::is_signed_v<T>)
      return static_cast<int64_t>(number);
    else
      return static_cast<uint64_t>(number);
  }
  const Json& element(size_t i) const;  // in order
  size_t place(std::string_view name) const;
  bool boolean() const;
  int64_t whole() const;
  uint64_t beyond() const;
  double real() const;
  const List& list() const;
  [[noreturn]] void is_not(const char* kind) const;
  template <class T>
  T fitting(auto number) const {
    if (!std::in_range<T>(number)) is_not("a number that fits");
    return static_cast<T>(number);
  }

  // In the order of Kind. Whole numbers that a sign has no room for are `beyond`.
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, List, Members, Nothing> value_;
};

struct Json::Member {
  std::string name;
  Json value;
  friend bool operator==(const Member&, const Member&) = default;
};

template <class T>
class Json::Iterator {
 public:
  using value_type = Json;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using pointer = T*;
  using iterator_category = std::forward_iterator_tag;

  Iterator() = default;
  Iterator(T* all, size_t i) : all_(all), i_(i) {}
  T& operator*() const { return all_->at(i_); }
  T* operator->() const { return &**this; }
  Iterator& operator++() { return ++i_, *this; }
  Iterator operator++(int) { return {all_, i_++}; }
  friend bool operator==(const Iterator& a, const Iterator& b) { return a.i_ == b.i_; }

 private:
  T* all_ = nullptr;
  size_t i_ = 0;
};

inline Json::Iterator<const Json> Json::begin() const { return {this, 0}; }
inline Json::Iterator<Json> Json::begin() { return {this, 0}; }
inline Json::Iterator<const Json> Json::find(std::string_view name) const { return {this, place(name)}; }
inline Json::Iterator<Json> Json::find(std::string_view name) { return {this, place(name)}; }

// Takes the object that `text` is apart member by member, so that it never stands in memory as one tree; what
// is nested deeper than `depth` levels below a member, a list of more than `most` elements, and a name that
// stands twice are refused.
void each_member(std::string_view text, int depth, size_t most,
                 const std::function<void(const std::string& name, const Json& value)>& visit);

}  // namespace chapbook

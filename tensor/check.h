// How Chapbook says no: misuse and bad input throw Error with one clear line (what, where, what to do).
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <utility>

namespace chapbook {

// The program prints the message after "chapbook: " and exits with code 2.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) {
  throw Error(fmt::format(message, std::forward<Args>(args)...));
}

template <class... Args>
void check(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) fail(message, std::forward<Args>(args)...);
}

}  // namespace chapbook

// Faults: the n-th write, sync or rename goes wrong (see files.h). The same on every system.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tensor/check.h"
#include "tensor/os/files.h"

namespace chapbook::os {

static Faults read_faults() {
  Faults faults;
  const char* variable = std::getenv("CHAPBOOK_FAULT");
  for (std::string_view rest = variable ? variable : ""; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const size_t colon = word.find(':');
    const std::string_view name = word.substr(0, colon),
                           value = colon == word.npos ? "" : word.substr(colon + 1);
    int64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    if (name == "fail" && number > 0)
      faults.fail_at = number;
    else if (name == "kill" && number > 0)
      faults.kill_at = number;
    else if (name == "exchange" && (value == "EINVAL" || value == "ENOSYS" || value == "EXDEV"))
      faults.refuse_exchange = value == "EINVAL" ? EINVAL : value == "ENOSYS" ? ENOSYS : EXDEV;
    else if (word == "count")
      std::atexit([] {
        const Faults& f = os::faults();
        fmt::print(stderr, "files: {} writes, {} syncs, {} renames\n", f.writes, f.syncs, f.renames);
      });
    else
      fail("CHAPBOOK_FAULT cannot be \"{}\": fail:N, kill:N, exchange:EINVAL and count are known", word);
  }
  return faults;
}

Faults& faults() {
  static Faults faults = read_faults();
  return faults;
}

bool Faults::allow(int64_t Faults::*counter) {
  ++(this->*counter);
  if (calls() == kill_at) std::_Exit(137);  // at once, as SIGKILL ends it: nothing is written or cleaned up
  errno = EIO;
  return calls() != fail_at;
}

}  // namespace chapbook::os

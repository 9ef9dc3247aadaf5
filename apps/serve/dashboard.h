// What `./chapbook train --dashboard` is: the page of a run while it trains, from the files the run writes
// anyway. It asks nothing of the run, so no bit of that can change; and it looks at the files as seldom as
// looking at them is slow, so that a run with a page is as fast as one without.
//
//   GET /      the page
//   GET /run   what it shows, as JSON; with ?narrow its curves are drawn for a phone
#pragma once
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/serve/site.h"

namespace chapbook {

class Dashboard {
 public:
  // Listens from now on; throws where it cannot. `names` as in Site.
  Dashboard(const std::string& host, int port, std::vector<std::string> names = {});
  ~Dashboard();

  int port() const { return port_; }
  void show(const std::string& directory);  // that of the run, as soon as it has one

 private:
  using Clock = std::chrono::steady_clock;
  struct View {
    std::string json;
    Clock::time_point until;  // when it may be made anew
  };
  std::string look(bool narrow);

  std::mutex mutex_;
  std::string directory_;  // empty until there is one
  View views_[2];          // wide and narrow
  Site site_;
  int port_;
  std::thread thread_;
};

}  // namespace chapbook

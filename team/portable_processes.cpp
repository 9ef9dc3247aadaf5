// processes.h where there is nothing but C++: no teams of processes.
#include "team/processes.h"
#include "tensor/check.h"

namespace chapbook {

struct ProcessTeam::Pulse {};

[[noreturn]] static void none() { fail("--workers: several processes need Linux; this is a portable build"); }

void Place::to_environment() const { none(); }
bool Place::in_environment() { return false; }
Place Place::from_environment() { none(); }

ProcessTeam::ProcessTeam(const Place&) { none(); }
ProcessTeam::~ProcessTeam() = default;
const volatile std::sig_atomic_t& ProcessTeam::stop() const { none(); }
void ProcessTeam::say_why(const std::string&) { none(); }
void ProcessTeam::swap(int, std::span<const std::byte>, std::span<std::byte>) { none(); }

int run_processes(int, const std::function<int(const Place&)>&) { none(); }
void start_program_again(const Place&) { none(); }
int take_cores(const Team&, int threads) { return threads; }

}  // namespace chapbook

// Commands that several workers do together: this program started again as local processes, or what mpirun
// has started, or one worker alone.
#pragma once
#include <csignal>
#include <functional>

#include "team/team.h"

namespace chapbook {

// What a worker does, and whether it is done: else it was stopped, and the program ends with 130. Errors of
// all workers are one line.
using Workload = std::function<bool(Team& team, const volatile std::sig_atomic_t& stop)>;
void in_workers(int workers, const Workload& work);

// From now on Ctrl-C and SIGTERM set this, and a second one ends the program at once.
const volatile std::sig_atomic_t& listen_for_interrupts();
void stop_listening();

}  // namespace chapbook

// A team of processes that mpirun started, on one machine or on many. MPI is optional: what needs it is in
// team/mpi/, and only a program that is linked with that has it (the target chapbook_mpi).
#pragma once
#include <csignal>
#include <memory>
#include <string>

#include "team/team.h"

namespace chapbook {

class MpiTeam : public Team {
 public:
  // Says one line on standard error and ends all processes of the team, in all machines.
  [[noreturn]] virtual void end_all(const std::string& line) = 0;
};

bool started_by_mpirun();
// Once in a process. Throws where the program was built without MPI.
std::unique_ptr<MpiTeam> mpi_team();

}  // namespace chapbook

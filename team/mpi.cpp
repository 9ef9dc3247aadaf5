#include "team/mpi.h"

#include <cstdlib>

#include "tensor/check.h"

// team/mpi/mpi_team.cpp has it; elsewhere it is null.
extern "C" chapbook::MpiTeam* chapbook_mpi_team() __attribute__((weak));

namespace chapbook {

bool started_by_mpirun() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})  // of Open MPI and of MPICH
    if (std::getenv(variable)) return true;
  return false;
}

std::unique_ptr<MpiTeam> mpi_team() {
  check(chapbook_mpi_team != nullptr,
        "mpirun started this program, which is built without MPI: install libopenmpi-dev, and start "
        "./chapbook, which then builds chapbook_mpi");
  return std::unique_ptr<MpiTeam>(chapbook_mpi_team());
}

}  // namespace chapbook

// The engine between GPUs: an exchange is ncclSend and ncclRecv on a stream, and bytes may lie in a device's
// memory or in the host's. It is compiled and tested with a stand-in for NCCL where the headers of NCCL and
// CUDA are; it has not run on GPUs yet, and training does not use it: gradients in a device's memory are
// still to be added up there.
#pragma once
#include <memory>

#include "team/team.h"

namespace chapbook {

// The workers of a team that there is already, local processes or MPI's, each with the GPU of its rank, or of
// what remains of that where there are fewer. The team they meet in must outlive it.
std::unique_ptr<Team> nccl_team(Team& meeting);

}  // namespace chapbook

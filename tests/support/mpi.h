// mpirun, for tests: as root too, with more workers than there are cores, and under AddressSanitizer without
// a word on what Open MPI itself never gives back.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

namespace chapbook {

inline const std::string mpirun =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
    "OMPI_MCA_btl_vader_single_copy_mechanism=none ASAN_OPTIONS=detect_leaks=0 timeout 300 mpirun --bind-to "
    "none";

// Says so where it is not there, and fails where it has to be.
inline bool has_mpi() {
#ifdef CHAPBOOK_MPI_MEMBER
  if (std::system("mpirun --version >/dev/null 2>&1") == 0) return true;
#endif
  constexpr const char* missing =
      "NO MPI: nothing of it is tested; install openmpi-bin and libopenmpi-dev, configure again";
  if (std::getenv("REQUIRE_MPI")) FAIL(missing);
  MESSAGE(missing);
  return false;
}

}  // namespace chapbook

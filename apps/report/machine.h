// What a result was measured on: goes into every results file.
#pragma once
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/json.h"

namespace chapbook {

std::string processor_name();
// Sets of vector instructions the processor has, by their names in /proc/cpuinfo; empty where not known.
std::vector<std::string> vectors_of_processor();
std::string today();                             // "2026-01-31"
std::string describe_backend(Backend& backend);  // "cpu, 2 threads, products by OpenBLAS"
std::string describe_kernels(Backend& backend);  // on which bits depend, so without the threads

// processor, cores, threads, backend, compiler, commit, date.
Json machine_json();

}  // namespace chapbook

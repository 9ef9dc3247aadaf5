// Mistakes on purpose: what training looks like when a line is wrong. A fault is a backend that hands every
// call on to another one and computes something else in one of them, or a change of settings or of batches,
// which the trainer asks for: no model, layer or kernel knows that it is broken.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/run/settings.h"
#include "tensor/backend.h"

namespace chapbook {

struct Fault {
  const char* name;
  const char* what;  // is wrong
  const char* seen;  // and how one finds it
};
const std::vector<Fault>& faults();      // of attention, of layers, of the optimizer, of data
std::vector<std::string> fault_names();  // "none", and all of them

// Throws where that mistake cannot be made: in what the model or its optimizer has not.
void check_fault(const Settings& settings);
// `wrapped` with that mistake in it, or itself where the mistake is elsewhere. It lives as long as the
// program.
Backend& with_fault(Backend& wrapped, const std::string& name);
Backend& without_fault(Backend& backend);  // what it wraps, or itself
Settings with_fault(Settings settings);    // by their own setting `fault`
// What a training batch becomes.
void spoil_batch(const std::string& fault, std::span<int32_t> inputs, std::span<int32_t> targets,
                 int64_t vocabulary);

}  // namespace chapbook

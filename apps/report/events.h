// TensorBoard's event files: a record for each step, with the scalars of that step. The same numbers give the
// same bytes, and more steps only add bytes at the end.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chapbook {

// CRC-32C (Castagnoli; RFC 3720, B.4), the checksum of TFRecord files.
uint32_t crc32c(std::string_view bytes);

// What an event file begins with; then one event after another.
std::string first_event(double wall_time);
std::string scalar_event(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, double>>& values);

}  // namespace chapbook

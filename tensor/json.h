// JSON that others wrote.
#pragma once

namespace chapbook {

// For Json::parse(text, shallow): leaves out what is nested deeper than anything of ours. The library copies,
// compares and prints values recursively, and a file of brackets would take all of the stack.
inline constexpr auto shallow = [](int depth, auto /*event*/, auto& /*value*/) { return depth < 100; };

}  // namespace chapbook

// The pages, put into the program as they are. What two of them share is a file of its own, which stands in
// their text where a comment says "put: NAME".
#pragma once
#include <string>
#include <string_view>

namespace chapbook {

const std::string& page();            // of serve
const std::string& xray_file();       // of an x-ray, in which "put: data" is still to be filled in
const std::string& dashboard_page();  // of a run that trains

// `text` with `content` in the place of its one comment "put: NAME".
std::string put(std::string text, std::string_view name, std::string_view content);

}  // namespace chapbook

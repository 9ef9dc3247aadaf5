// An x-ray as the viewer in a browser reads it: numbers as JSON, and one HTML file that opens by itself.
#pragma once
#include <string>

#include "apps/run/xray.h"
#include "tensor/json.h"

namespace chapbook {

// What xray.js calls `data`. With surgery, `whole` is the x-ray of the same text without it, of which only
// the probabilities count.
Json xray_json(const XRay& seen, const Model& model, const std::vector<Cut>& cuts = {},
               const XRay* whole = nullptr);
Json way_back_json(const WayBack& way);

std::string xray_page(const Json& data);

}  // namespace chapbook

// Curves as SVG, in colours for light and dark pages. The same numbers always give the same bytes.
#pragma once
#include <string>
#include <vector>

#include "apps/report/svg.h"

namespace chapbook {

struct Line {
  std::string name;
  std::vector<double> x, y;      // of one length; points with a number that is not finite are left out
  bool faint = false;            // for a noisy line that others run over
  std::vector<double> low = {};  // if there are any: drawn as a band from low to y, not as a line
};

struct Plot {
  std::string title, x_label, y_label;
  bool log_x = false, log_y = false;  // a logarithmic axis leaves out what is not above 0
  std::vector<Line> lines;
  double width = 760, height = 420;  // pixels
};

// Where points are denser than the picture, those of one column of pixels are drawn as their mean. Throws if
// x and y differ in length.
std::string svg(const Plot& plot);

}  // namespace chapbook

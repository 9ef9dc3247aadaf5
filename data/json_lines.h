// JSON Lines: a file of one JSON object a line, and in each a story, named `text`, or else `story`.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace chapbook {

inline constexpr size_t max_json_line_bytes = size_t{16} << 20;  // a longer one is no story

class JsonLines {
 public:
  using Story = std::function<void(std::string_view text)>;
  JsonLines(std::string name, Story story) : name_(std::move(name)), story_(std::move(story)) {}

  // The next bytes of the file. Throws Error, which names file and line, for what is no such line.
  void add(std::string_view bytes);
  void finish();  // the last line may have no end

 private:
  void read_line(std::string_view line);

  std::string name_;
  Story story_;
  std::string pending_;  // of a line, its beginning
  int64_t lines_ = 0;
};

}  // namespace chapbook

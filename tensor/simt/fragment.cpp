#include "tensor/simt/fragment.h"

#include <bit>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/dtype.h"
#include "tensor/simt/block.h"
#include "tensor/simt/counters.h"
#include "tensor/simt/watch.h"

namespace chapbook::simt {

// The two numbers of a register.
static void unpack(bool brain, uint32_t pair, float& low, float& high) {
  const auto number = [&](uint32_t bits) {
    const auto half = static_cast<uint16_t>(bits);
    return brain ? static_cast<float>(std::bit_cast<bf16>(half))
                 : static_cast<float>(std::bit_cast<f16>(half));
  };
  low = number(pair);
  high = number(pair >> 16);
}

static const void* first(void* const* lanes) {
  while (!*lanes) ++lanes;
  return *lanes;
}
static void need_all(void* const* lanes, Line line) {
  for (int lane = 0; lane < warp_lanes; ++lane)
    if (!lanes[lane])
      block.fault([&] {
        return fmt::format("lane {} does not take part at {}, where all 32 must", lane, where(line));
      });
}

// The sum of a row and a column is exact but for double's rounding, and rounded once to f32.
void mma_16x8x16(bool brain, float* d, const uint32_t* a, const uint32_t* b, Line line) {
  line.code = __builtin_return_address(0);
  struct Fragments {
    bool brain;
    float* d;
    const uint32_t *a, *b;
    Line line;
  } mine{brain, d, a, b, line};
  meet(
      ~0u, &mine,
      [](void* const* lanes) {
        need_all(lanes, static_cast<const Fragments*>(first(lanes))->line);
        float a[16][16], b[8][16];  // b by columns
        for (int lane = 0; lane < 32; ++lane) {
          const int row = lane / 4, pair = lane % 4 * 2;
          const auto& each = *static_cast<const Fragments*>(lanes[lane]);
          for (int i = 0; i < 4; ++i) {
            float* to = &a[row + i % 2 * 8][pair + i / 2 * 8];
            unpack(each.brain, each.a[i], to[0], to[1]);
          }
          for (int i = 0; i < 2; ++i) {
            float* to = &b[row][pair + i * 8];
            unpack(each.brain, each.b[i], to[0], to[1]);
          }
        }
        for (int lane = 0; lane < 32; ++lane)
          for (int i = 0; i < 4; ++i) {
            float& d = static_cast<const Fragments*>(lanes[lane])->d[i];
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            double sum = d;
            for (int k = 0; k < 16; ++k) sum += static_cast<double>(a[row][k]) * b[column][k];
            d = static_cast<float>(sum);
          }
      },
      line);
}

void load_matrices(bool transposed, uint32_t* x, const void* row, Line line) {
  line.code = __builtin_return_address(0);
  watch(Access::read, row, 16, 16, line.code);
  struct Rows {
    bool transposed;
    uint32_t* x;
    const uint16_t* row;
    Line line;
  } mine{transposed, x, static_cast<const uint16_t*>(row), line};
  meet(
      ~0u, &mine,
      [](void* const* lanes) {
        need_all(lanes, static_cast<const Rows*>(first(lanes))->line);
        const auto at = [&](int matrix, int row, int column) -> uint32_t {
          return static_cast<const Rows*>(lanes[matrix * 8 + row])->row[column];
        };
        for (int lane = 0; lane < 32; ++lane) {
          const auto& each = *static_cast<const Rows*>(lanes[lane]);
          const int one = lane / 4, pair = lane % 4 * 2;
          for (int i = 0; i < 4; ++i)
            each.x[i] = each.transposed ? at(i, pair, one) | at(i, pair + 1, one) << 16
                                        : at(i, one, pair) | at(i, one, pair + 1) << 16;
        }
      },
      line);
}

constexpr size_t copied = 16;  // bytes

// Copies under way, by thread of the running block.
struct Copies {
  struct Copy {
    char* to;
    const void* from;  // null: zeros
    int group;
    const void* code;  // where it began
  };
  std::vector<Copy> copies;
  int groups = 0;  // ended
};
static std::map<int, Copies> under_way;

// What is to be overwritten counts as not written until the copy arrives.
void copy_later(void* to, const void* from, bool inside) {
  const void* const code = __builtin_return_address(0);
  if (inside) watch(Access::read, from, copied, copied, code);
  watch(Access::write, to, copied, copied, code);
  const Unwatched here;
  shared_memory().set_unwritten(to, copied);
  Copies& mine = under_way[block.running()];
  mine.copies.push_back({static_cast<char*>(to), inside ? from : nullptr, mine.groups, code});
}

void end_copies() {
  const Unwatched here;
  ++under_way[block.running()].groups;
}

// The copy arrives: a write, which was counted when it began. If something was written there meanwhile,
// nobody knows what a GPU would leave.
static void deliver(const Copies::Copy& copy, const void* code) {
  for (size_t byte = 0; checking && byte < copied; byte += 4)
    if (shared_memory().cell(copy.to + byte).write.written)
      block.fault([&] {
        return fmt::format(
            "{} waits at {} for its copy to {}, begun at {}, where something was written meanwhile",
            block.name(block.running()), where(code), describe(copy.to + byte).name, where(copy.code));
      });
  if (copy.from)
    std::memcpy(copy.to, copy.from, copied);
  else
    std::memset(copy.to, 0, copied);
  Counters* const counted = std::exchange(counting, nullptr);
  watch(Access::write, copy.to, copied, copied, code);
  counting = counted;
}

void wait_for_copies(int newest) {
  const void* const code = __builtin_return_address(0);
  const Unwatched here;
  Copies& mine = under_way[block.running()];
  std::erase_if(mine.copies, [&](const Copies::Copy& copy) {
    if (copy.group >= mine.groups - newest) return false;
    deliver(copy, code);
    return true;
  });
}

void forget_copies() { under_way.clear(); }

std::string copy_under_way(const void* address) {
  for (const auto& [thread, each] : under_way)
    for (const Copies::Copy& copy : each.copies)
      if (address >= copy.to && address < copy.to + copied)
        return fmt::format("the copy that {} began at {} {}", block.name(thread), where(copy.code),
                           copy.group < each.groups ? "was not waited for" : "is in a group that has no end");
  return "";
}

}  // namespace chapbook::simt

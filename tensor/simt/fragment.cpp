#include "tensor/simt/fragment.h"

#include <bit>
#include <cstring>
#include <map>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/simt/block.h"
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

// Copies under way, by thread of the running block.
struct Copies {
  struct Copy {
    void* to;
    const void* from;  // null: zeros
    int group;
  };
  std::vector<Copy> copies;
  int groups = 0;  // ended
};
static std::map<int, Copies> under_way;

// What is to be overwritten counts as not written until the copy arrives.
void copy_later(void* to, const void* from, bool inside) {
  const void* const code = __builtin_return_address(0);
  if (inside) watch(Access::read, from, 16, 16, code);
  watch(Access::write, to, 16, 16, code);
  const Unwatched here;
  shared_memory().set_unwritten(to, 16);
  Copies& mine = under_way[block.running()];
  mine.copies.push_back({to, inside ? from : nullptr, mine.groups});
}

void end_copies() {
  const Unwatched here;
  ++under_way[block.running()].groups;
}

void wait_for_copies(int newest) {
  const void* const code = __builtin_return_address(0);
  const Unwatched here;
  Copies& mine = under_way[block.running()];
  std::erase_if(mine.copies, [&](const Copies::Copy& copy) {
    if (copy.group >= mine.groups - newest) return false;
    if (copy.from)
      std::memcpy(copy.to, copy.from, 16);
    else
      std::memset(copy.to, 0, 16);
    watch(Access::write, copy.to, 16, 16, code);
    return true;
  });
}

void forget_copies() { under_way.clear(); }

}  // namespace chapbook::simt

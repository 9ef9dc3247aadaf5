// What the simt machine counts of two kernels that transpose a matrix; for chapter 6.
#include "docs/demo/transpose.h"

#include <fmt/format.h>

#include "tensor/ops.h"
#include "tensor/simt/counters.h"

using namespace chapbook;

// As transpose, but rows of the tile are 32 apart.
static __global__ void transpose_in_banks(const float* x, float* y, int rows, int columns) {
  CHAPBOOK_SHARED(float, tile, [32][32]);
  const int first_row = static_cast<int>(blockIdx.y * 32), first_column = static_cast<int>(blockIdx.x * 32),
            across = static_cast<int>(threadIdx.x);
  for (int i = static_cast<int>(threadIdx.y); i < 32; i += 8)
    tile[i][across] = x[(first_row + i) * columns + first_column + across];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.y); i < 32; i += 8)
    y[(first_column + i) * rows + first_row + across] = tile[across][i];
}

template <auto kernel>
static void count(const char* what) {
  constexpr int rows = 128, columns = 256;
  const Tensor x = Tensor::arange(rows * columns, DType::f32).to(backend("simt")),
               y = Tensor::empty({rows * columns}, DType::f32, backend("simt"));
  simt::start_counting();
  launch<kernel>(grid_of_tiles(rows, columns), x.view().as<float>(), y.view().as<float>(), rows, columns);
  simt::stop_counting();
  const simt::Counters& c = simt::counters().begin()->second;
  fmt::print("{:<30}{:>9}{:>9}{:>15.1f}{:>16}\n", what, c.global.requests, c.sectors, c.sectors_per_request(),
             c.bank_conflicts);
}

int main() {
  fmt::print("128 x 256, transposed          requests  sectors  a request has  bank conflicts\n");
  count<transpose_directly>("directly");
  count<transpose_in_banks>("through a tile, rows 32 apart");
  count<transpose>("through a tile, rows 33 apart");
}

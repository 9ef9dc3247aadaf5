// What tensor/cuda/fragment.h means on the simt machine.
#pragma once
#include "tensor/simt/machine.h"

namespace chapbook::simt {

void mma_16x8x16(bool brain, float* d, const uint32_t* a, const uint32_t* b, Line line = CHAPBOOK_THIS_LINE);
void load_matrices(bool transposed, uint32_t* x, const void* row, Line line = CHAPBOOK_THIS_LINE);

// A copy is delivered when it is waited for, and not before, so that a missing wait shows.
void copy_later(void* to, const void* from, bool inside);
void end_copies();
void wait_for_copies(int newest);
void forget_copies();  // a new block begins

}  // namespace chapbook::simt

// What tensor/cuda/fragment.h means on the simt machine.
#pragma once
#include <string>

#include "tensor/simt/machine.h"

namespace chapbook::simt {

void mma_16x8x16(bool brain, float* d, const uint32_t* a, const uint32_t* b, Line line = CHAPBOOK_THIS_LINE);
void load_matrices(bool transposed, uint32_t* x, const void* row, Line line = CHAPBOOK_THIS_LINE);

// A copy is delivered when its group is waited for, and not before, so that a missing wait shows: until then
// what it will overwrite counts as not written, and nobody may write there.
void copy_later(void* to, const void* from, bool inside);
void end_copies();
void wait_for_copies(int newest);
void forget_copies();  // a new block begins
// Whose copy to this address is under way, and what keeps it; empty if there is none.
std::string copy_under_way(const void* address);

}  // namespace chapbook::simt

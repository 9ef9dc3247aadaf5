// ReferenceBackend: the meaning of every kernel. Plain loops, all arithmetic in double, any dtype and
// strides. Chapters quote it, tests compare every other backend with it, and a backend computes with it what
// it has no kernel of its own for (fallback.cpp).
#pragma once
#include "tensor/host_backend.h"

namespace chapbook {

class ReferenceBackend : public HostBackend {
 public:
  std::string_view name() const override { return "reference"; }

#define KERNEL(name, parameters, ...) void name parameters override;
#include "tensor/kernels.inc"
#undef KERNEL
};

ReferenceBackend& reference_backend();  // the one that lives as long as the program

}  // namespace chapbook

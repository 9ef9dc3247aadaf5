#include "apps/run/weights.h"

#include <cstdlib>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed.h"

namespace chapbook {

std::string choose_weights(LanguageModel& model, std::string_view name) {
  check(name == "f32" || name == "bf16" || name == "int8", "--weights cannot be {}; allowed: f32, bf16, int8",
        name);
  const std::string_view backend = model.backend().name();
  const auto megabytes = [&] {
    return fmt::format("{:.1f} MB", static_cast<double>(model.weight_bytes()) / 1e6);
  };
  const std::string before = megabytes();
  const char* asked = std::getenv("CHAPBOOK_VECTORS");
  const std::string why = asked ? "as CHAPBOOK_VECTORS allows" : "the widest this processor has";
  if (name == "f32")
    return fmt::format("f32, {} read for a token; products on {}", before,
                       backend == "cpu" ? fmt::format("cpu by {}, {}", cpu::gemm_vectors(), why) : backend);
  check(backend == "cpu" || backend == "reference",
        "--weights {}: {} has no products with packed weights; use --backend cpu, or --weights f32", name,
        backend);
  model.pack_weights(name == "bf16" ? Packing::bf16 : Packing::int8);
  return fmt::format("{}, {} read for a token and not {}; products on {}",
                     name == "bf16" ? "bf16" : "int8 with an f32 for 32", megabytes(), before,
                     backend == "cpu" ? fmt::format("cpu by {}, {}", cpu::packed_vectors(), why) : backend);
}

}  // namespace chapbook

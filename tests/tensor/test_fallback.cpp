// A backend without kernels: what it lacks is computed by the reference through the host's memory, with the
// reference's bits, and is said.
#include <doctest/doctest.h>
#include <malloc.h>

#include <bit>
#include <set>

#include "tensor/profile/profile_backend.h"
#include "tensor/recycle.h"
#include "tensor/reference/reference_backend.h"
#include "tests/support/heap.h"
#include "tests/support/run_case.h"

namespace chapbook {
namespace {

// A device in the smallest sense: its memory cannot be touched from outside (the addresses it gives are no
// addresses), and it can copy and fill.
class FarBackend final : public Backend {
 public:
  ~FarBackend() override { blocks().trim(); }
  std::string_view name() const override { return "far"; }
  void* allocate(size_t bytes) override { return far(reference_backend().allocate(bytes)); }
  void release(void* block) noexcept override { reference_backend().release(far(block)); }
  void upload(const void* host, void* here, size_t bytes) override { std::memcpy(far(here), host, bytes); }
  void download(const void* here, void* host, size_t bytes) override {
    std::memcpy(host, far(const_cast<void*>(here)), bytes);
  }
  void fill(Out y, double value) override { reference_backend().fill(near(y), value); }
  void copy(In x, Out y) override { reference_backend().copy(near(x), near(y)); }

 private:
  static void* far(void* block) {
    return std::bit_cast<void*>(std::bit_cast<uintptr_t>(block) ^ (uintptr_t{1} << 62));
  }
  static View near(View x) {
    x.data = far(x.data);
    return x;
  }
};

bool same_bits(const Numbers64& a, const Numbers64& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) {
           return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y);
         });
}

}  // namespace

TEST_CASE("every op on a backend without kernels has the bits of the reference") {
  FarBackend far;
  Backend& reference = backend("reference");
  for (const OpCase& row : op_cases()) {
    const std::vector<Shape>& shapes = row.shapes.front();
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16})
      for (const Layout layout : all_layouts) {
        INFO(row.name, " ", name_of(dtype), " ", name_of(layout));
        std::vector<Tensor> here, there;
        for (const Shape& shape : shapes) {
          here.push_back(tensor_of(numbers_for(row.domain, shape, static_cast<int>(here.size())), shape,
                                   dtype, reference));
          there.push_back(here.back().to(far));
        }
        const Computed wanted = run(row, here, layout), got = run(row, there, layout);
        CHECK(same_bits(got.y, wanted.y));
        REQUIRE(got.gradients.size() == wanted.gradients.size());
        for (size_t i = 0; i < got.gradients.size(); ++i)
          CHECK(same_bits(got.gradients[i], wanted.gradients[i]));
      }
  }
  // Every kernel of the list is met by some row; a device has the first two itself.
  std::set<std::string_view> met{"fill", "copy"};
  for (const std::string_view kernel : far.fallbacks()) met.insert(kernel);
#define KERNEL(name, ...) CHECK_MESSAGE(met.count(#name) == 1, "no row of cases/op_cases.cpp calls ", #name);
#include "tensor/kernels.inc"
#undef KERNEL
}

TEST_CASE("results go back into views with gaps, and nothing else is written") {
  FarBackend far;
  for (const Layout layout : {Layout::contiguous, Layout::transposed, Layout::sliced, Layout::scattered}) {
    const auto placed = [&](int which) {
      return Placed(tensor_of(numbers_for({}, {6, 7}, which), {6, 7}, DType::f32, far), layout);
    };
    const Placed x = placed(0), table = placed(1), y = placed(2);
    const Numbers64 before = table.tensor().to_vector<double>(), rows = x.tensor().to_vector<double>();
    far.unary(Unary::neg, x.tensor().view(), y.tensor().view());
    const Tensor ids = Tensor::from(std::vector<int32_t>{0, 1, 2, 3, 4, 5}, {6}, far);
    far.scatter_add_rows(x.tensor().view(), ids.view(), table.tensor().view());
    const Numbers64 negative = y.tensor().to_vector<double>(), sums = table.tensor().to_vector<double>();
    for (size_t i = 0; i < rows.size(); ++i) {
      CHECK(negative[i] == -rows[i]);
      CHECK(sums[i] == doctest::Approx(before[i] + rows[i]));
    }
    CHECK(x.intact());
    CHECK(y.intact_around());
    CHECK(table.intact_around());
  }
}

#ifdef __GLIBC__
TEST_CASE("numbers on their way to a device and back leave no memory behind on the host") {
  if (!heap_is_counted()) return;  // a sanitizer's heap
  const auto in_use = [] {
    reference_backend().blocks().trim();
    return ::mallinfo2().hblkhd;  // in blocks of many pages
  };
  const size_t before = in_use();
  {
    FarBackend far;
    const Tensor x = Tensor::zeros({16 << 20}, DType::f32, reference_backend()).to(far);  // 64 MB
    const Tensor y = exp(x).to(reference_backend());
    CHECK(y.slice(0, 0, 1).item() == 1);
    // x, its exponentials, and these again on the host: nothing else.
    CHECK(::mallinfo2().hblkhd - before <= (3 * 64 + 16) << 20);
  }
  CHECK(in_use() <= before + (1 << 20));
}

// More blocks of a size than any other test has left.
TEST_CASE("of recycled memory only small blocks are kept") {
  if (!heap_is_counted()) return;
  const size_t bytes = 64 << 20, before = ::mallinfo2().hblkhd;
  void* blocks[8];
  for (void*& block : blocks) block = take_recycled(bytes);
  for (void* block : blocks) recycle(block, bytes);
  CHECK(::mallinfo2().hblkhd <= before + (1 << 20));
}
#endif

TEST_CASE("what a backend lacks is noted once, and the profile and the table of ops show it") {
  FarBackend far;
  const Tensor x = Tensor::zeros({2, 3}, DType::f32, far);
  CHECK(far.fallbacks().empty());  // a copy is its own
  softmax(x), softmax(x);
  CHECK(far.fallbacks() == std::vector<std::string_view>{"softmax"});
  ProfileBackend profiled(far);
  {
    const Tensor y = Tensor::zeros({2, 3}, DType::f32, profiled);
    profiled.take_calls();
    softmax(y.to(DType::f64));
    const auto calls = profiled.take_calls().calls;
    REQUIRE(calls.size() == 2);
    CHECK(calls[0].op == "copy f32 to f64");
    CHECK(calls[1].op == "softmax (reference)");
    CHECK(calls[1].cost.flops == 30);
  }
  Tally tally;
  tally.count(far, "softmax");
  CHECK(tally.to_string() == "far: 1 rows in 1 comparisons (by the reference: softmax)");
}

}  // namespace chapbook

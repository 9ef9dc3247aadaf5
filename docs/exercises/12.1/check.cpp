// A block, part by part: a branch whose last matrix is 0 adds nothing, so that the other can be seen alone.
#include "tests/nn/models.h"
#include "tests/support/show.h"

using namespace chapbook;

namespace {

const GPTConfig config{.layers = 1, .heads = 2, .width = 8, .context = 6, .vocabulary = 11};

Block some_block() {
  Block block(config, default_backend());
  scramble(block, 3);
  return block;
}
void silence(const Linear& last) {  // a layer that gives 0
  for (const Variable* each : {&last.weight, &last.bias})
    each->value().backend().fill(each->value().view(), 0);
}
Variable some_rows() {
  Random random{4};
  return normal({2, 6, 8}, random);
}

void check_equal(const std::string& what, const Variable& got, const Variable& wanted) {
  const double error = relative_error(got.value(), wanted.value());
  // Sums in another order differ by less than a millionth; a part that is missing or doubled by a tenth and
  // more.
  if (!(error <= 1e-5)) FAIL(what, ": off by ", error, " of its size");
}

}  // namespace

TEST_CASE("with both branches silent the stream passes through: y = x") {
  Block block = some_block();
  silence(block.attn.c_proj), silence(block.mlp.c_proj);
  const Variable x = some_rows();
  check_equal("y, which is to be x", block(x), x);
}

TEST_CASE("with the MLP silent: y = x + attention(norm(x))") {
  Block block = some_block();
  silence(block.mlp.c_proj);
  const Variable x = some_rows();
  check_equal("y, which is to be x + attn(ln_1(x))", block(x), x + block.attn(block.ln_1(x), {}));
}

TEST_CASE("with attention silent: y = x + mlp(norm(x))") {
  Block block = some_block();
  silence(block.attn.c_proj);
  const Variable x = some_rows();
  check_equal("y, which is to be x + mlp(ln_2(x))", block(x), x + block.mlp(block.ln_2(x), {}));
}

TEST_CASE("with both: the MLP reads, and is added to, what attention has added to") {
  Block block = some_block();
  const Variable x = some_rows(), seen = x + block.attn(block.ln_1(x), {});
  check_equal("y, which is to be a + mlp(ln_2(a)) with a = x + attn(ln_1(x))", block(x),
              seen + block.mlp(block.ln_2(seen), {}));
}

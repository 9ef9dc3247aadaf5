// SGD and AdamW against their formulas written out; their state; clipping.
#include <doctest/doctest.h>

#include "optim/clip.h"
#include "optim/optimizer.h"
#include "tests/nn/models.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

// A matrix, a vector, and a second matrix whose length fits no vector unit.
static std::vector<Parameter> some_parameters(DType dtype, Backend& device) {
  Random random{1};
  std::vector<Parameter> all;
  for (const auto& [name, shape] :
       {std::pair{"a.weight", Shape{3, 5}}, {"a.bias", Shape{5}}, {"b.weight", Shape{31, 7}}})
    all.push_back({name, Variable::parameter(normal(shape, random, dtype, device))});
  return all;
}

// Gives each parameter a gradient drawn for that step.
static void draw_gradients(const std::vector<Parameter>& parameters, int64_t step) {
  Random random{100 + static_cast<uint64_t>(step)};
  for (const Parameter& parameter : parameters) {
    Variable variable = parameter.variable;
    const Tensor& value = variable.value();
    variable.clear_gradient();
    backward(variable * 1.0, normal(value.shape(), random, value.dtype(), value.backend()));
  }
}

using Numbers = std::vector<double>;

TEST_CASE("AdamW follows its formula, with decay of matrices only") {
  const AdamWSettings settings{.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .decay = 0.2};
  for (const std::string_view name : backend_names()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(name);
      CAPTURE(name_of(dtype));
      const auto parameters = some_parameters(dtype, backend(name));
      AdamW optimizer(parameters, settings);
      std::vector<Numbers> weights, m, v;
      for (const Parameter& parameter : parameters) {
        weights.push_back(parameter.variable.value().to_vector<double>());
        m.emplace_back(weights.back().size(), 0.0);
        v.emplace_back(weights.back().size(), 0.0);
      }
      for (int64_t step = 1; step <= 20; ++step) {
        const double rate = 0.01 * static_cast<double>(step), scale = step % 2 ? 1 : 0.3;
        draw_gradients(parameters, step);
        for (size_t i = 0; i < parameters.size(); ++i) {
          const Numbers gradient = parameters[i].variable.gradient().to_vector<double>();
          const double decay = parameters[i].name == "a.bias" ? 0 : 0.2;
          for (size_t j = 0; j < gradient.size(); ++j) {
            const double g = scale * gradient[j];
            m[i][j] = 0.8 * m[i][j] + 0.2 * g;
            v[i][j] = 0.9 * v[i][j] + 0.1 * g * g;
            const double m_hat = m[i][j] / (1 - std::pow(0.8, step)),
                         v_hat = v[i][j] / (1 - std::pow(0.9, step));
            weights[i][j] *= 1 - rate * decay;
            weights[i][j] -= rate * m_hat / (std::sqrt(v_hat) + 1e-3);
          }
        }
        optimizer.step(rate, Tensor::full({}, scale, DType::f64, backend(name)));
      }
      CHECK(optimizer.steps() == 20);
      for (size_t i = 0; i < parameters.size(); ++i) {
        CAPTURE(parameters[i].name);
        const Tensor& value = parameters[i].variable.value();
        // Twenty steps, each rounded once or a few times.
        CHECK(relative_error(value, Tensor::from(weights[i], value.shape())) <=
              (dtype == DType::f64 ? 1e-14 : 1e-6));
      }
    }
  }
}

TEST_CASE("SGD follows its formula, with decay of matrices only") {
  for (const std::string_view name : backend_names()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(name);
      const auto parameters = some_parameters(dtype, backend(name));
      SGD optimizer(parameters, {.momentum = 0.7, .decay = 0.2});
      std::vector<Numbers> weights, velocity;
      for (const Parameter& parameter : parameters) {
        weights.push_back(parameter.variable.value().to_vector<double>());
        velocity.emplace_back(weights.back().size(), 0.0);
      }
      for (int64_t step = 1; step <= 20; ++step) {
        const double rate = 0.01 * static_cast<double>(step), scale = step % 2 ? 1 : 0.3;
        draw_gradients(parameters, step);
        for (size_t i = 0; i < parameters.size(); ++i) {
          const Numbers gradient = parameters[i].variable.gradient().to_vector<double>();
          const double decay = parameters[i].name == "a.bias" ? 0 : 0.2;
          for (size_t j = 0; j < gradient.size(); ++j) {
            velocity[i][j] = 0.7 * velocity[i][j] + scale * gradient[j] + decay * weights[i][j];
            weights[i][j] -= rate * velocity[i][j];
          }
        }
        optimizer.step(rate, Tensor::full({}, scale, DType::f64, backend(name)));
      }
      for (size_t i = 0; i < parameters.size(); ++i) {
        const Tensor& value = parameters[i].variable.value();
        CHECK(relative_error(value, Tensor::from(weights[i], value.shape())) <=
              (dtype == DType::f64 ? 1e-14 : 2e-6));
      }
    }
  }
}

// Both optimizers, made anew.
static std::unique_ptr<Optimizer> make(bool adamw, const std::vector<Parameter>& parameters) {
  if (adamw) return std::make_unique<AdamW>(parameters);
  return std::make_unique<SGD>(parameters, SGDSettings{.decay = 0.1});
}

TEST_CASE("a parameter without a gradient stays as it is") {
  for (const std::string_view name : backend_names()) {
    for (const bool adamw : {true, false}) {
      auto parameters = some_parameters(DType::f32, backend(name));
      const auto optimizer = make(adamw, parameters);
      draw_gradients(parameters, 1);
      parameters[0].variable.clear_gradient();
      const Tensor before = parameters[0].variable.value().contiguous_copy();
      const Tensor other = parameters[1].variable.value().contiguous_copy();
      optimizer->step(0.1);
      CHECK(same_bits(parameters[0].variable.value(), before));
      CHECK_FALSE(same_bits(parameters[1].variable.value(), other));
    }
  }
}

TEST_CASE("a scale that is not finite changes nothing but the count of steps") {
  for (const std::string_view name : backend_names()) {
    for (const bool adamw : {true, false}) {
      CAPTURE(name);
      CAPTURE(adamw);
      const auto parameters = some_parameters(DType::f32, backend(name));
      const auto optimizer = make(adamw, parameters);
      draw_gradients(parameters, 1);
      optimizer->step(0.1);
      std::vector<Tensor> before;
      for (const Parameter& parameter : parameters)
        before.push_back(parameter.variable.value().contiguous_copy());
      for (const auto& [what, tensor] : optimizer->state()) before.push_back(tensor.contiguous_copy());
      for (const double scale : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
        optimizer->step(0.1, Tensor::full({}, scale, DType::f64, backend(name)));
        size_t i = 0;
        for (const Parameter& parameter : parameters)
          CHECK(same_bits(parameter.variable.value(), before[i++]));
        for (const auto& [what, tensor] : optimizer->state()) CHECK(same_bits(tensor, before[i++]));
      }
      CHECK(optimizer->steps() == 4);
    }
  }
}

TEST_CASE("saved to a file and loaded, an optimizer goes on bit for bit") {
  const TemporaryDirectory directory;
  const std::string path = directory / "optimizer.safetensors";
  for (const std::string_view name : backend_names()) {
    for (const bool adamw : {true, false}) {
      CAPTURE(name);
      CAPTURE(adamw);
      const auto straight = some_parameters(DType::f32, backend(name));
      const auto first = some_parameters(DType::f32, backend(name));
      const auto second = some_parameters(DType::f32, backend(name));
      const auto train = [](Optimizer& optimizer, int64_t from, int64_t to) {
        for (int64_t step = from; step < to; ++step) {
          draw_gradients(optimizer.parameters(), step);
          optimizer.step(0.05);
        }
      };
      const auto whole = make(adamw, straight);
      train(*whole, 0, 10);
      const auto before = make(adamw, first);
      train(*before, 0, 6);
      save_tensors(path, before->state());
      const auto after = make(adamw, second);
      after->load(load_tensors(path, backend(name)).tensors, before->steps());
      CHECK(after->steps() == 6);
      for (size_t i = 0; i < second.size(); ++i)
        backend(name).copy(first[i].variable.value().view(), second[i].variable.value().view());
      train(*after, 6, 10);
      for (size_t i = 0; i < second.size(); ++i) {
        CHECK(same_bits(second[i].variable.value(), straight[i].variable.value()));
        CHECK_FALSE(same_bits(second[i].variable.value(), first[i].variable.value()));
      }
      for (size_t i = 0; i < whole->state().size(); ++i)
        CHECK(same_bits(after->state()[i].second, whole->state()[i].second));
    }
  }
}

TEST_CASE("state is named after the parameters, and loading is strict") {
  const auto parameters = some_parameters(DType::f32, default_backend());
  AdamW adamw(parameters);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : adamw.state()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"m.a.weight", "m.a.bias", "m.b.weight", "v.a.weight", "v.a.bias",
                                          "v.b.weight"});
  SGD sgd(parameters);
  CHECK(sgd.state()[1].first == "velocity.a.bias");

  NamedTensors saved = adamw.state();
  CHECK_THROWS_WITH_AS(sgd.load(saved, 1), "optimizer: the saved state has no 'velocity.a.weight'", Error);
  NamedTensors wrong = saved;
  wrong[1].second = Tensor::zeros({6});
  CHECK_THROWS_WITH_AS(adamw.load(wrong, 1), "optimizer: 'm.a.bias' is saved as (6,), the model has (5,)",
                       Error);
  wrong = saved;
  wrong.emplace_back("m.c", Tensor::zeros({6}));
  CHECK_THROWS_WITH_AS(adamw.load(wrong, 1), "optimizer: the saved state has 7 tensors, this optimizer 6",
                       Error);
  CHECK(adamw.steps() == 0);
}

TEST_CASE("clipping shortens the gradient of all parameters together, and only when it is longer") {
  for (const std::string_view name : backend_names()) {
    const auto scale = [&](double norm, double limit, double share) {
      return clip_scale(Tensor::full({}, norm, DType::f64, backend(name)), limit, share).item();
    };
    CHECK(scale(5, 2, 1) == 0.4);
    CHECK(scale(2, 2, 1) == 1);
    CHECK(scale(1, 2, 1) == 1);
    CHECK(scale(0, 2, 1) == 1);
    CHECK(scale(5, 0, 1) == 1);
    CHECK(scale(5, 2, 0.5) == 0.4);  // half of it is 2.5, and is shortened to 2
    CHECK(scale(5, 2, 0.25) == 0.25);
    for (const double limit : {0.0, 2.0})
      for (const double norm : {std::nan(""), HUGE_VAL}) CHECK(std::isnan(scale(norm, limit, 1)));
    const auto parameters = some_parameters(DType::f32, backend(name));
    draw_gradients(parameters, 1);
    double squares = 0;
    for (const Parameter& parameter : parameters)
      for (const double g : parameter.variable.gradient().to_vector<double>()) squares += g * g;
    CHECK(std::abs(gradient_norm(parameters).item() / std::sqrt(squares) - 1) <= 1e-12);
    Variable first = parameters[0].variable;
    for (const double g : first.gradient().to_vector<double>()) squares -= g * g;
    first.clear_gradient();
    CHECK(std::abs(gradient_norm(parameters).item() / std::sqrt(squares) - 1) <= 1e-12);
  }
}

TEST_CASE("optimizers say in one line how they were used wrongly") {
  for (const std::string_view name : backend_names()) {
    Backend &here = backend(name), &elsewhere = backend(name == "cpu" ? "reference" : "cpu");
    const auto make = [](const Shape& shape, DType dtype, Backend& on) {
      return Variable::parameter(Tensor::full(shape, 1, dtype, on));
    };
    const Parameter a{"a", make({2}, DType::f32, here)}, far{"far", make({2}, DType::f32, elsewhere)};
    CHECK_THROWS_WITH_AS(AdamW({a, far}),
                         fmt::format("optimizer: 'far' is on '{}' and 'a' on '{}'; one step moves them all",
                                     elsewhere.name(), name)
                             .c_str(),
                         Error);
    CHECK_THROWS_WITH_AS(SGD({{"ids", make({2}, DType::i32, here)}}),
                         "optimizer: 'ids' has i32, not floating-point numbers", Error);
    CHECK_THROWS_WITH_AS(SGD({{"fixed", Variable(a.variable.value())}}), "optimizer: 'fixed' is no parameter",
                         Error);
    CHECK_THROWS_WITH_AS(SGD({a}, {.momentum = 1}), "optimizer: momentum is 1; it must be 0 to below 1",
                         Error);
    CHECK_THROWS_WITH_AS(AdamW({a}, {.beta1 = -0.5}), "optimizer: beta1 is -0.5; it must be 0 to below 1",
                         Error);
    CHECK_THROWS_WITH_AS(AdamW({a}, {.beta2 = std::nan("")}),
                         "optimizer: beta2 is nan; it must be 0 to below 1", Error);
    CHECK_THROWS_WITH_AS(AdamW({a}, {.epsilon = -1}), "optimizer: epsilon is -1; it must be 0 or more",
                         Error);
    AdamW adamw({a});
    SGD sgd({a});
    for (Optimizer* optimizer : std::initializer_list<Optimizer*>{&adamw, &sgd}) {
      const std::string wrong = "optimizer: the gradient's scale is ",
                        wanted = fmt::format(", not one f64 on '{}'", name);
      CHECK_THROWS_WITH_AS(optimizer->step(1, Tensor::full({}, 1, DType::f32, here)),
                           (wrong + fmt::format("() of f32 on '{}'", name) + wanted).c_str(), Error);
      CHECK_THROWS_WITH_AS(optimizer->step(1, Tensor::full({3}, 1, DType::f64, here)),
                           (wrong + fmt::format("(3,) of f64 on '{}'", name) + wanted).c_str(), Error);
      CHECK_THROWS_WITH_AS(optimizer->step(1, Tensor::full({}, 1, DType::f64, elsewhere)),
                           (wrong + fmt::format("() of f64 on '{}'", elsewhere.name()) + wanted).c_str(),
                           Error);
      CHECK(optimizer->steps() == 0);  // nothing was done
    }
  }
}

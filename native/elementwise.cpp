// Activation functions by kernels of our own (oneDNN's lose NaN and digits), sums of arrays, reorders.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <unordered_map>

#include "bindings.h"
#include "primitive.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

Function function_named(const std::string& name) {
  static const std::unordered_map<std::string, Function> functions{
      {"relu", Function::relu},         {"leaky_relu", Function::leaky_relu}, {"relu6", Function::relu6},
      {"hardtanh", Function::hardtanh}, {"elu", Function::elu},               {"sigmoid", Function::sigmoid},
      {"tanh", Function::tanh},         {"silu", Function::silu},             {"hardswish", Function::hardswish},
      {"gelu", Function::gelu},         {"gelu_tanh", Function::gelu_tanh},   {"hardsigmoid", Function::hardsigmoid},
      {"mish", Function::mish},         {"softplus", Function::softplus},     {"clip", Function::clip},
      {"selu", Function::selu},         {"celu", Function::celu},             {"line", Function::line},
      {"absolute", Function::absolute}, {"power", Function::power},           {"exponential", Function::exponential},
      {"logarithm", Function::logarithm}, {"error_function", Function::error_function},
      {"thresholded", Function::thresholded},
  };
  const auto found = functions.find(name);
  if (found == functions.end()) throw std::invalid_argument("there is no elementwise function " + name);
  return found->second;
}

// Calls work(first, count) for stretches of `count` numbers, on all threads where there are many.
template <class Work>
void in_stretches(std::int64_t count, const Work& work) {
  constexpr std::int64_t stretch = 4096, few = 16384;
  const std::int64_t stretches = (count + stretch - 1) / stretch;
#pragma omp parallel for schedule(static) if (count > few)
  for (std::int64_t index = 0; index < stretches; ++index)
    work(index * stretch, std::min(stretch, count - index * stretch));
}

// y = f(x), number by number; in and out may be one array.
class Elementwise : public Kernel {
 public:
  Elementwise(std::string name, Numbers numbers, std::int64_t count)
      : Kernel({"src", "dst"}),
        name_(std::move(name)),
        function_(function_named(name_)),
        numbers_(numbers),
        count_(count) {}

  std::string name() const override { return name_; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* x = static_cast<const float*>(addresses[0]);
    auto* y = static_cast<float*>(addresses[1]);
    in_stretches(count_, [&](std::int64_t first, std::int64_t length) {
      vector_kernels().forward(function_, numbers_, x + first, y + first, length);
    });
  }

 private:
  std::string name_;
  Function function_;
  Numbers numbers_;
  std::int64_t count_;
};

// Times the derivative, from the function's output where that is enough, else from its input.
class ElementwiseBackward : public Kernel {
 public:
  ElementwiseBackward(std::string name, Numbers numbers, std::int64_t count)
      : Kernel({"known", "diff_dst", "diff_src"}),
        name_(std::move(name)),
        function_(function_named(name_)),
        numbers_(numbers),
        count_(count) {}

  std::string name() const override { return name_ + " backward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* known = static_cast<const float*>(addresses[0]);
    const auto* dy = static_cast<const float*>(addresses[1]);
    auto* dx = static_cast<float*>(addresses[2]);
    in_stretches(count_, [&](std::int64_t first, std::int64_t length) {
      vector_kernels().backward(function_, numbers_, known + first, dy + first, dx + first, length);
    });
  }

 private:
  std::string name_;
  Function function_;
  Numbers numbers_;
  std::int64_t count_;
};

std::shared_ptr<Primitive> reorder(const Description& source, const Description& target) {
  return Primitive::make<dnnl::reorder>(
      "reorder", dnnl::reorder::primitive_desc(cpu_engine(), source, cpu_engine(), target, attributes()));
}

// Adds arrays of one layout, number by number.
class Sum : public Kernel {
 public:
  Sum(std::int64_t count, std::size_t sources, bool relu)
      : Kernel(numbered_sources(sources)), count_(count), relu_(relu) {}

  std::string name() const override { return relu_ ? "sum, relu" : "sum"; }

  void execute(const Addresses& addresses, Run&) const override {
    auto* target = static_cast<float*>(addresses[0]);
    const auto* first = static_cast<const float*>(addresses[1]);
    if (addresses.size() == 3)
      add(target, first, static_cast<const float*>(addresses[2]), relu_);
    else
      for (std::size_t index = 2; index < addresses.size(); ++index)
        add(target, index == 2 ? first : target, static_cast<const float*>(addresses[index]),
            relu_ && index + 1 == addresses.size());
  }

 private:
  static std::vector<std::string> numbered_sources(std::size_t sources) {
    std::vector<std::string> names{"dst"};
    for (std::size_t index = 0; index < sources; ++index) names.push_back("src_" + std::to_string(index));
    return names;
  }

  void add(float* target, const float* left, const float* right, bool relu) const {
    if (relu) {
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = 0; index < count_; ++index) {
        const float sum = left[index] + right[index];
        target[index] = sum <= 0 ? 0 : sum;  // NaN stays
      }
    } else {
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = 0; index < count_; ++index) target[index] = left[index] + right[index];
    }
  }

  std::int64_t count_;
  bool relu_;
};

}  // namespace

void init_elementwise(nb::module_& module) {
  module.def(
      "elementwise",
      [](std::string kind, float alpha, float beta, std::int64_t count) -> std::shared_ptr<Operation> {
        return std::make_shared<Elementwise>(std::move(kind), Numbers{alpha, beta}, count);
      },
      nb::arg("kind"), nb::arg("alpha"), nb::arg("beta"), nb::arg("count"));
  module.def(
      "elementwise_backward",
      [](std::string kind, float alpha, float beta, std::int64_t count) -> std::shared_ptr<Operation> {
        return std::make_shared<ElementwiseBackward>(std::move(kind), Numbers{alpha, beta}, count);
      },
      nb::arg("kind"), nb::arg("alpha"), nb::arg("beta"), nb::arg("count"));
  module.def("reorder_operation", &reorder, nb::arg("source"), nb::arg("target"));
  module.def(
      "sum",
      [](std::int64_t count, std::size_t sources, bool relu) -> std::shared_ptr<Operation> {
        if (sources < 2) throw std::invalid_argument("a sum has two sources or more");
        return std::make_shared<Sum>(count, sources, relu);
      },
      nb::arg("count"), nb::arg("sources"), nb::arg("relu") = false);
}

}  // namespace foveate

// Activation functions, sums of arrays, reorders.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

dnnl::eltwise_forward::primitive_desc forward_description(const std::string& kind, const Description& source,
                                                          float alpha, float beta, bool training) {
  return dnnl::eltwise_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
      elementwise_algorithm(kind, training), source, source, alpha, beta, attributes());
}

std::shared_ptr<Primitive> elementwise_forward(const std::string& kind, const Description& source, float alpha,
                                               float beta, bool training) {
  return Primitive::make<dnnl::eltwise_forward>(kind, forward_description(kind, source, alpha, beta, training));
}

// The derivative from the output, where the function has one, so that the input need not be kept; else from the input.
std::shared_ptr<Primitive> elementwise_backward(const std::string& kind, const Description& gradient,
                                                const Description& output, float alpha, float beta) {
  return Primitive::make<dnnl::eltwise_backward>(
      kind + " backward",
      dnnl::eltwise_backward::primitive_desc(cpu_engine(), elementwise_algorithm(kind, true), gradient, gradient,
                                             output, alpha, beta,
                                             forward_description(kind, output, alpha, beta, true), attributes()));
}

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
      for (std::int64_t index = 0; index < count_; ++index) target[index] = std::max(left[index] + right[index], 0.0f);
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
  module.def("elementwise_forward", &elementwise_forward, nb::arg("kind"), nb::arg("source"), nb::arg("alpha"),
             nb::arg("beta"), nb::arg("training"));
  module.def("elementwise_backward", &elementwise_backward, nb::arg("kind"), nb::arg("gradient"), nb::arg("output"),
             nb::arg("alpha"), nb::arg("beta"));
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

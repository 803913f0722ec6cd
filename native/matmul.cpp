// Products of two matrices, neither of them weights: oneDNN's matmul over a batch of them.
#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

std::shared_ptr<Primitive> matmul(const Description& left, const Description& right, const Description& target) {
  return Primitive::make<dnnl::matmul>(
      "matmul", dnnl::matmul::primitive_desc(cpu_engine(), left, right, target, attributes()));
}

}  // namespace

void init_matmul(nb::module_& module) {
  module.def("matmul", &matmul, nb::arg("left"), nb::arg("right"), nb::arg("target"));
}

}  // namespace foveate

// Products of two arrays with broadcasting.
#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

std::shared_ptr<Primitive> multiply(const Description& left, const Description& right, const Description& target) {
  return Primitive::make<dnnl::binary>(
      "multiply", dnnl::binary::primitive_desc(cpu_engine(), dnnl::algorithm::binary_mul, left, right, target,
                                               attributes()));
}

}  // namespace

void init_binary(nb::module_& module) {
  module.def("multiply", &multiply, nb::arg("left"), nb::arg("right"), nb::arg("target"));
}

}  // namespace foveate

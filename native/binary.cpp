// Products of two arrays with broadcasting, and sums along axes.
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

std::shared_ptr<Primitive> sum_along(const Description& source, const Description& target) {
  return Primitive::make<dnnl::reduction>(
      "sum along axes", dnnl::reduction::primitive_desc(cpu_engine(), dnnl::algorithm::reduction_sum, source, target,
                                                        0.0f, 0.0f, attributes()));
}

}  // namespace

void init_binary(nb::module_& module) {
  module.def("multiply", &multiply, nb::arg("left"), nb::arg("right"), nb::arg("target"));
  module.def("sum_along", &sum_along, nb::arg("source"), nb::arg("target"));
}

}  // namespace foveate

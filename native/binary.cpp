// Products of two arrays with broadcasting, sums along axes, and the leaky rectifier with learned slopes.
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

dnnl::prelu_forward::primitive_desc prelu_description(const Description& source, const Description& weights,
                                                      bool training) {
  return dnnl::prelu_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, source, weights,
      source, attributes());
}

std::shared_ptr<Primitive> prelu_forward(const Description& source, const Description& weights, bool training) {
  return Primitive::make<dnnl::prelu_forward>("prelu", prelu_description(source, weights, training));
}

std::shared_ptr<Primitive> prelu_backward(const Description& source, const Description& weights) {
  return Primitive::make<dnnl::prelu_backward>(
      "prelu backward", dnnl::prelu_backward::primitive_desc(cpu_engine(), source, weights, source, weights, source,
                                                             prelu_description(source, weights, true), attributes()));
}

}  // namespace

void init_binary(nb::module_& module) {
  module.def("multiply", &multiply, nb::arg("left"), nb::arg("right"), nb::arg("target"));
  module.def("sum_along", &sum_along, nb::arg("source"), nb::arg("target"));
  module.def("prelu_forward", &prelu_forward, nb::arg("source"), nb::arg("weights"), nb::arg("training"));
  module.def("prelu_backward", &prelu_backward, nb::arg("source"), nb::arg("weights"));
}

}  // namespace foveate

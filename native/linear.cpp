// The fully connected layer: oneDNN's inner product, forward and backward.
#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

dnnl::inner_product_forward::primitive_desc hint(const Description& source, const Description& weights,
                                                 const Description& bias, const Description& target) {
  return dnnl::inner_product_forward::primitive_desc(cpu_engine(), dnnl::prop_kind::forward_training,
                                                     left_open(source), left_open(weights), left_open(bias),
                                                     left_open(target), attributes());
}

std::shared_ptr<Primitive> linear_forward(const Description& source, const Description& weights,
                                          const Description& bias, const Description& target, bool training,
                                          const std::vector<PostOperation>& post_operations) {
  return Primitive::make<dnnl::inner_product_forward>(
      "linear forward",
      dnnl::inner_product_forward::primitive_desc(
          cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, source,
          weights, bias, target, attributes(post_operations)));
}

std::shared_ptr<Primitive> linear_backward_data(const Description& source, const Description& weights,
                                                const Description& target) {
  return Primitive::make<dnnl::inner_product_backward_data>(
      "linear to data",
      dnnl::inner_product_backward_data::primitive_desc(cpu_engine(), source, weights, target,
                                                        hint(source, weights, Description(), target), attributes()));
}

std::shared_ptr<Primitive> linear_backward_weights(const Description& source, const Description& weights,
                                                   const Description& bias, const Description& target) {
  return Primitive::make<dnnl::inner_product_backward_weights>(
      "linear to weights",
      dnnl::inner_product_backward_weights::primitive_desc(cpu_engine(), source, weights, bias, target,
                                                           hint(source, weights, bias, target), attributes()));
}

}  // namespace

void init_linear(nb::module_& module) {
  module.def("linear_forward", &linear_forward, nb::arg("source"), nb::arg("weights"), nb::arg("bias"),
             nb::arg("target"), nb::arg("training"), nb::arg("post_operations"));
  module.def("linear_backward_data", &linear_backward_data, nb::arg("source"), nb::arg("weights"), nb::arg("target"));
  module.def("linear_backward_weights", &linear_backward_weights, nb::arg("source"), nb::arg("weights"),
             nb::arg("bias"), nb::arg("target"));
}

}  // namespace foveate

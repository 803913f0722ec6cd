// Softmax and its logarithm over the channels.
#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr int channel_axis = 1;

dnnl::softmax_forward::primitive_desc forward_description(const Description& source, bool logarithm, bool training) {
  return dnnl::softmax_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
      logarithm ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate, source, source, channel_axis,
      attributes());
}

std::shared_ptr<Primitive> softmax_forward(const Description& source, bool logarithm, bool training) {
  return Primitive::make<dnnl::softmax_forward>("softmax", forward_description(source, logarithm, training));
}

std::shared_ptr<Primitive> softmax_backward(const Description& output, bool logarithm) {
  return Primitive::make<dnnl::softmax_backward>(
      "softmax backward",
      dnnl::softmax_backward::primitive_desc(
          cpu_engine(), logarithm ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate, output, output,
          output, channel_axis, forward_description(output, logarithm, true), attributes()));
}

}  // namespace

void init_softmax(nb::module_& module) {
  module.def("softmax_forward", &softmax_forward, nb::arg("source"), nb::arg("logarithm"), nb::arg("training"));
  module.def("softmax_backward", &softmax_backward, nb::arg("output"), nb::arg("logarithm"));
}

}  // namespace foveate

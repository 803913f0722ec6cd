// Upsampling by (bi-, tri-)linear interpolation.
#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr auto linear = dnnl::algorithm::resampling_linear;

dnnl::resampling_forward::primitive_desc forward_description(const Description& source, const Description& target,
                                                             bool training) {
  return dnnl::resampling_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, linear, source,
      target, attributes());
}

std::shared_ptr<Primitive> resampling_forward(const Description& source, const Description& target, bool training) {
  return Primitive::make<dnnl::resampling_forward>("resampling forward", forward_description(source, target, training));
}

std::shared_ptr<Primitive> resampling_backward(const Description& source, const Description& target) {
  return Primitive::make<dnnl::resampling_backward>(
      "resampling backward",
      dnnl::resampling_backward::primitive_desc(cpu_engine(), linear, source, target,
                                                forward_description(source, target, true), attributes()));
}

}  // namespace

void init_resampling(nb::module_& module) {
  module.def("resampling_forward", &resampling_forward, nb::arg("source"), nb::arg("target"), nb::arg("training"));
  module.def("resampling_backward", &resampling_backward, nb::arg("source"), nb::arg("target"));
}

}  // namespace foveate

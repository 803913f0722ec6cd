// Pooling: maximum, and average with or without counting the padding.
#include <stdexcept>

#include "bindings.h"
#include "primitive.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

dnnl::algorithm algorithm(const std::string& kind) {
  if (kind == "max") return dnnl::algorithm::pooling_max;
  if (kind == "average") return dnnl::algorithm::pooling_avg_include_padding;
  if (kind == "average without padding") return dnnl::algorithm::pooling_avg_exclude_padding;
  throw std::invalid_argument("there is no pooling " + kind);
}

dnnl::pooling_forward::primitive_desc forward_description(const std::string& kind, const Description& source,
                                                          const Description& target, const Window& window,
                                                          bool training) {
  return dnnl::pooling_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
      algorithm(kind), source, target, window.stride, window.kernel_size, window.gaps(), window.padding_begin,
      window.padding_end, attributes());
}

std::shared_ptr<Primitive> pooling_forward(const std::string& kind, const Description& source,
                                           const Description& target, const Window& window, bool training) {
  return Primitive::make<dnnl::pooling_forward>("pooling forward",
                                                forward_description(kind, source, target, window, training));
}

std::shared_ptr<Primitive> pooling_backward(const std::string& kind, const Description& source,
                                            const Description& target, const Window& window) {
  return Primitive::make<dnnl::pooling_backward>(
      "pooling backward",
      dnnl::pooling_backward::primitive_desc(cpu_engine(), algorithm(kind), source, target, window.stride,
                                             window.kernel_size, window.gaps(), window.padding_begin,
                                             window.padding_end,
                                             forward_description(kind, source, target, window, true), attributes()));
}

}  // namespace

void init_pooling(nb::module_& module) {
  module.def("pooling_forward", &pooling_forward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"), nb::arg("training"));
  module.def("pooling_backward", &pooling_backward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"));
}

}  // namespace foveate

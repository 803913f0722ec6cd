// Transposed convolution (oneDNN's deconvolution): forward, and backward to the data and to the weights.
#include "bindings.h"
#include "primitive.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr auto direct = dnnl::algorithm::deconvolution_direct;

dnnl::deconvolution_forward::primitive_desc forward_description(const Description& source, const Description& weights,
                                                                const Description& bias, const Description& target,
                                                                const Window& window, bool training,
                                                                const std::vector<PostOperation>& post_operations) {
  return dnnl::deconvolution_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, direct, source,
      weights, bias, target, window.stride, window.gaps(), window.padding_begin, window.padding_end,
      attributes(post_operations));
}

dnnl::deconvolution_forward::primitive_desc hint(const Description& source, const Description& weights,
                                                 const Description& bias, const Description& target,
                                                 const Window& window) {
  return forward_description(left_open(source), left_open(weights), left_open(bias), left_open(target), window, true,
                             {});
}

std::shared_ptr<Primitive> transposed_forward(const Description& source, const Description& weights,
                                              const Description& bias, const Description& target, const Window& window,
                                              bool training, const std::vector<PostOperation>& post_operations) {
  return Primitive::make<dnnl::deconvolution_forward>(
      "transposed forward",
      forward_description(source, weights, bias, target, window, training, post_operations));
}

std::shared_ptr<Primitive> transposed_backward_data(const Description& source, const Description& weights,
                                                    const Description& target, const Window& window) {
  return Primitive::make<dnnl::deconvolution_backward_data>(
      "transposed to data",
      dnnl::deconvolution_backward_data::primitive_desc(
          cpu_engine(), direct, source, weights, target, window.stride, window.gaps(), window.padding_begin,
          window.padding_end, hint(source, weights, Description(), target, window), attributes()));
}

std::shared_ptr<Primitive> transposed_backward_weights(const Description& source, const Description& weights,
                                                       const Description& bias, const Description& target,
                                                       const Window& window) {
  return Primitive::make<dnnl::deconvolution_backward_weights>(
      "transposed to weights",
      dnnl::deconvolution_backward_weights::primitive_desc(
          cpu_engine(), direct, source, weights, bias, target, window.stride, window.gaps(), window.padding_begin,
          window.padding_end, hint(source, weights, bias, target, window), attributes()));
}

}  // namespace

void init_transposed(nb::module_& module) {
  module.def("transposed_forward", &transposed_forward, nb::arg("source"), nb::arg("weights"), nb::arg("bias"),
             nb::arg("target"), nb::arg("window"), nb::arg("training"), nb::arg("post_operations"));
  module.def("transposed_backward_data", &transposed_backward_data, nb::arg("source"), nb::arg("weights"),
             nb::arg("target"), nb::arg("window"));
  module.def("transposed_backward_weights", &transposed_backward_weights, nb::arg("source"), nb::arg("weights"),
             nb::arg("bias"), nb::arg("target"), nb::arg("window"));
}

}  // namespace foveate

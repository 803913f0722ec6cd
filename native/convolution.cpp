// Convolution: forward, and backward to the data and to the weights. Layouts of Layout.any are oneDNN's choice.
#include "bindings.h"
#include "primitive.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr auto direct = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_description(const Description& source, const Description& weights,
                                                              const Description& bias, const Description& target,
                                                              const Window& window, bool training,
                                                              const std::vector<PostOperation>& post_operations) {
  return dnnl::convolution_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, direct, source,
      weights, bias, target, window.stride, window.gaps(), window.padding_begin, window.padding_end,
      attributes(post_operations));
}

// Backward primitives take a forward one as a hint, here with layouts left open.
dnnl::convolution_forward::primitive_desc hint(const Description& source, const Description& weights,
                                               const Description& bias, const Description& target,
                                               const Window& window) {
  return forward_description(left_open(source), left_open(weights), left_open(bias), left_open(target), window, true,
                             {});
}

std::shared_ptr<Primitive> convolution_forward(const Description& source, const Description& weights,
                                               const Description& bias, const Description& target, const Window& window,
                                               bool training, const std::vector<PostOperation>& post_operations) {
  return Primitive::make<dnnl::convolution_forward>(
      "convolution forward",
      forward_description(source, weights, bias, target, window, training, post_operations));
}

std::shared_ptr<Primitive> convolution_backward_data(const Description& source, const Description& weights,
                                                     const Description& target, const Window& window) {
  return Primitive::make<dnnl::convolution_backward_data>(
      "convolution to data",
      dnnl::convolution_backward_data::primitive_desc(
          cpu_engine(), direct, source, weights, target, window.stride, window.gaps(), window.padding_begin,
          window.padding_end, hint(source, weights, Description(), target, window), attributes()));
}

std::shared_ptr<Primitive> convolution_backward_weights(const Description& source, const Description& weights,
                                                        const Description& bias, const Description& target,
                                                        const Window& window) {
  return Primitive::make<dnnl::convolution_backward_weights>(
      "convolution to weights",
      dnnl::convolution_backward_weights::primitive_desc(
          cpu_engine(), direct, source, weights, bias, target, window.stride, window.gaps(), window.padding_begin,
          window.padding_end, hint(source, weights, bias, target, window), attributes()));
}

}  // namespace

void init_convolution(nb::module_& module) {
  nb::class_<Window>(module, "Window", "Kernel, stride, dilation and padding, one of each for an axis.")
      .def(nb::init<Dims, Dims, Dims, Dims, Dims>(), nb::arg("kernel_size"), nb::arg("stride"), nb::arg("dilation"),
           nb::arg("padding_begin"), nb::arg("padding_end"));
  module.def("convolution_forward", &convolution_forward, nb::arg("source"), nb::arg("weights"), nb::arg("bias"),
             nb::arg("target"), nb::arg("window"), nb::arg("training"), nb::arg("post_operations"));
  module.def("convolution_backward_data", &convolution_backward_data, nb::arg("source"), nb::arg("weights"),
             nb::arg("target"), nb::arg("window"));
  module.def("convolution_backward_weights", &convolution_backward_weights, nb::arg("source"), nb::arg("weights"),
             nb::arg("bias"), nb::arg("target"), nb::arg("window"));
}

}  // namespace foveate

// The Python module foveate.engines.native._native: its table of contents.
#include "bindings.h"

namespace nb = nanobind;

NB_MODULE(_native, module) {
  // At exit a daemon thread may still hold objects; that is no leak, and nothing that a user should read of.
  nb::set_leak_warnings(false);
  module.doc() = "oneDNN primitives and kernels of our own, and the program that runs a list of them in one call.";
  foveate::init_memory(module);
  foveate::init_primitive(module);
  foveate::init_convolution(module);
  foveate::init_depthwise(module);
  foveate::init_filter_gradient(module);
  foveate::init_linear(module);
  foveate::init_matmul(module);
  foveate::init_pooling(module);
  foveate::init_normalization(module);
  foveate::init_elementwise(module);
  foveate::init_shares(module);
  foveate::init_structure(module);
  foveate::init_dropout(module);
  foveate::init_binary(module);
  foveate::init_boxes(module);
  foveate::init_box_channels(module);
  foveate::init_combining(module);
  foveate::init_moving(module);
  foveate::init_reduction(module);
  foveate::init_taps(module);
  foveate::init_gather(module);
  foveate::init_group_normalization(module);
  foveate::init_batch_normalization(module);
  foveate::init_channel_normalization(module);
  foveate::init_softmax(module);
  foveate::init_summing(module);
  foveate::init_transposed(module);
  foveate::init_loss(module);
  foveate::init_cross_entropy(module);
  foveate::init_dice(module);
  foveate::init_number_losses(module);
  foveate::init_optimizers(module);
  foveate::init_callback(module);
  foveate::init_prelu(module);
  foveate::init_program(module);
  foveate::init_threads(module);
  foveate::init_winograd(module);
  module.def("warn_of_leaks", &nb::set_leak_warnings, nb::arg("warn"), "Tell at exit which objects are still there.");
}

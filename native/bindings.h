// The parts of the Python module, one for each topic; module.cpp is their table of contents.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace foveate {

void init_memory(nanobind::module_& module);
void init_primitive(nanobind::module_& module);
void init_convolution(nanobind::module_& module);
void init_depthwise(nanobind::module_& module);
void init_filter_gradient(nanobind::module_& module);
void init_linear(nanobind::module_& module);
void init_matmul(nanobind::module_& module);
void init_pooling(nanobind::module_& module);
void init_normalization(nanobind::module_& module);
void init_elementwise(nanobind::module_& module);
void init_shares(nanobind::module_& module);
void init_structure(nanobind::module_& module);
void init_dropout(nanobind::module_& module);
void init_binary(nanobind::module_& module);
void init_boxes(nanobind::module_& module);
void init_box_channels(nanobind::module_& module);
void init_combining(nanobind::module_& module);
void init_moving(nanobind::module_& module);
void init_reduction(nanobind::module_& module);
void init_taps(nanobind::module_& module);
void init_gather(nanobind::module_& module);
void init_group_normalization(nanobind::module_& module);
void init_batch_normalization(nanobind::module_& module);
void init_channel_normalization(nanobind::module_& module);
void init_softmax(nanobind::module_& module);
void init_summing(nanobind::module_& module);
void init_transposed(nanobind::module_& module);
void init_loss(nanobind::module_& module);
void init_cross_entropy(nanobind::module_& module);
void init_dice(nanobind::module_& module);
void init_number_losses(nanobind::module_& module);
void init_optimizers(nanobind::module_& module);
void init_callback(nanobind::module_& module);
void init_prelu(nanobind::module_& module);
void init_program(nanobind::module_& module);
void init_threads(nanobind::module_& module);
void init_winograd(nanobind::module_& module);

}  // namespace foveate

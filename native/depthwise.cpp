// Depthwise convolution forward by a kernel of our own, with rectifiers before and behind it.
#include <omp.h>

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "bindings.h"
#include "operation.h"
#include "vector_kernels.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Of (N, C, H, W) in blocks of channels or with channels last.
ChannelPlaces places(const Description& array) {
  const Dims strides = array.get_strides(), blocks = array.get_inner_blks();
  const std::int64_t block = blocks.empty() && strides[1] == 1 ? array.get_dims()[1] : blocks.empty() ? 1 : blocks[0];
  if (block < vector_kernels().lanes) throw std::invalid_argument("a vector must fit into a block of channels");
  return {block, strides[0], strides[1], strides[2], strides[3]};
}

DepthwiseShape shape_of(const Description& source, const Description& target, const Window& window,
                        const std::pair<float, float>& before, const std::pair<float, float>& after) {
  const Dims from = source.get_dims(), to = target.get_dims();
  if (from.size() != 4 || from[1] != to[1]) throw std::invalid_argument("not such a convolution");
  DepthwiseShape shape{from[1], {}, {}, {}, {}, {}, places(source), places(target), {before.first, before.second},
                       {after.first, after.second}};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    shape.size[axis] = from[axis + 2];
    shape.outputs[axis] = to[axis + 2];
    shape.kernel[axis] = window.kernel_size[axis];
    shape.stride[axis] = window.stride[axis];
    shape.begin[axis] = window.padding_begin[axis];
  }
  return shape;
}

class Depthwise : public Kernel {
 public:
  Depthwise(const DepthwiseShape& shape, std::int64_t samples)
      : Kernel({"src", "weights", "bias?", "dst"}), shape_(shape), samples_(samples) {}
  std::string name() const override { return "depthwise"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* weights = static_cast<const float*>(addresses[1]);
    const auto* bias = static_cast<const float*>(addresses[2]);
    auto* target = static_cast<float*>(addresses[3]);
    const std::int64_t rows = shape_.outputs[0];
#pragma omp parallel for schedule(static)
    for (std::int64_t index = 0; index < samples_ * rows; ++index) {
      const std::int64_t sample = index / rows;
      vector_kernels().depthwise_row(shape_, source + sample * shape_.source.sample, weights, bias,
                                     target + sample * shape_.target.sample, index % rows);
    }
  }

 private:
  DepthwiseShape shape_;
  std::int64_t samples_;
};

}  // namespace

void init_depthwise(nb::module_& module) {
  module.def(
      "depthwise",
      [](const Description& source, const Description& target, const Window& window, std::pair<float, float> before,
         std::pair<float, float> after) -> std::shared_ptr<Operation> {
        return std::make_shared<Depthwise>(shape_of(source, target, window, before, after), source.get_dims()[0]);
      },
      nb::arg("source"), nb::arg("target"), nb::arg("window"), nb::arg("before"), nb::arg("after"));
  module.def("vector_lanes", [] { return vector_kernels().lanes; }, "Numbers in a vector of our kernels.");
}

}  // namespace foveate

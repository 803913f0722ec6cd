// Padding (and cropping) of any axis, in plain and in channel-blocked layouts; concatenation.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Where number (n, c, d, h, w) lies: channels in blocks of `block`, which is 1 in the plain layout.
struct Positions {
  std::int64_t stride[5] = {0, 0, 0, 0, 0};
  std::int64_t block = 1;

  explicit Positions(const Description& layout) {
    const Dims strides = layout.get_strides(), blocks = layout.get_inner_blks(), axes = layout.get_inner_idxs();
    if (blocks.size() > 1 || (blocks.size() == 1 && axes[0] != 1))
      throw std::invalid_argument("padding knows the plain layout and blocks of channels, not " + layout_name(layout));
    if (!blocks.empty()) block = blocks[0];
    for (std::size_t axis = 0; axis < strides.size(); ++axis) stride[slot(axis, strides.size())] = strides[axis];
  }

  // Spatial axes stand at the end, so that a 2-D image has depth 1.
  static std::size_t slot(std::size_t axis, std::size_t axes) { return axis < 2 ? axis : axis + 5 - axes; }

  std::int64_t channel(std::int64_t c) const { return c / block * stride[1] + c % block; }
};

// target[i + begin] = source[i] where both exist, zero elsewhere.
class Pad : public Kernel {
 public:
  Pad(const Description& source, const Description& target, const Dims& begin)
      : Kernel({"src", "dst"}), source_(source), target_(target), bytes_(target.get_size()) {
    const Dims from = source.get_dims(), to = target.get_dims();
    for (std::size_t axis = 0; axis < from.size(); ++axis) {
      const std::size_t slot = Positions::slot(axis, from.size());
      begin_[slot] = begin[axis];
      first_[slot] = std::max<std::int64_t>(0, begin[axis]);
      last_[slot] = std::min<std::int64_t>(to[axis], from[axis] + begin[axis]);
    }
  }

  std::string name() const override { return "pad"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    std::memset(target, 0, bytes_);
#pragma omp parallel for collapse(2) schedule(static)
    for (std::int64_t n = first_[0]; n < last_[0]; ++n)
      for (std::int64_t d = first_[2]; d < last_[2]; ++d)
        for (std::int64_t h = first_[3]; h < last_[3]; ++h)
          copy_row(source + n * source_.stride[0] + (d - begin_[2]) * source_.stride[2] +
                       (h - begin_[3]) * source_.stride[3],
                   target + n * target_.stride[0] + d * target_.stride[2] + h * target_.stride[3]);
  }

 private:
  // All channels and the last axis; runs of channels that are contiguous on both sides are copied at once.
  void copy_row(const float* source, float* target) const {
    for (std::int64_t c = first_[1]; c < last_[1];) {
      const std::int64_t from = c - begin_[1];
      const std::int64_t run =
          std::min({last_[1] - c, target_.block - c % target_.block, source_.block - from % source_.block});
      for (std::int64_t w = first_[4]; w < last_[4]; ++w)
        std::memcpy(target + target_.channel(c) + w * target_.stride[4],
                    source + source_.channel(from) + (w - begin_[4]) * source_.stride[4], run * sizeof(float));
      c += run;
    }
  }

  Positions source_, target_;
  std::size_t bytes_;
  std::int64_t begin_[5] = {0, 0, 0, 0, 0}, first_[5] = {0, 0, 0, 0, 0}, last_[5] = {1, 1, 1, 1, 1};
};

std::shared_ptr<Primitive> concatenation(const std::vector<Description>& sources, const Description& target,
                                         int axis) {
  return Primitive::make<dnnl::concat>(
      "concatenation", dnnl::concat::primitive_desc(cpu_engine(), target, axis, sources, attributes()));
}

}  // namespace

void init_structure(nb::module_& module) {
  module.def(
      "pad",
      [](const Description& source, const Description& target, const Dims& begin) -> std::shared_ptr<Operation> {
        return std::make_shared<Pad>(source, target, begin);
      },
      nb::arg("source"), nb::arg("target"), nb::arg("begin"));
  module.def("concatenation", &concatenation, nb::arg("sources"), nb::arg("target"), nb::arg("axis") = 1);
}

}  // namespace foveate

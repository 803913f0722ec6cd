// The gradient of the filters and the bias of a convolution over two axes in groups of as many outputs as inputs, at most
// as many as a vector has numbers. For these oneDNN has only general products of matrices that are far too small.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "memory.h"
#include "operation.h"
#include "vector_kernels.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// The layouts' channels, in blocks of whole vectors.
std::int64_t block_of(const Description& source, const Description& target) {
  const Dims blocks = source.get_inner_blks();
  const bool known = blocks.size() == 1 && source == channel_blocked(source.get_dims(), blocks[0]) &&
                     target == channel_blocked(target.get_dims(), blocks[0]);
  if (!known || blocks[0] % vector_kernels().lanes || source.get_dims().size() != 4)
    throw std::invalid_argument("channels lie in blocks of whole vectors, on both sides");
  return blocks[0];
}

class FilterGradient : public Kernel {
 public:
  FilterGradient(const Description& source, const Description& target, const Window& window, std::int64_t members)
      : Kernel({"src", "diff_dst", "diff_weights", "diff_bias?"}) {
    const Dims from = source.get_dims(), to = target.get_dims();
    const std::int64_t lanes = vector_kernels().lanes;
    if (from[1] != to[1] || from[1] % members || lanes % members) throw std::invalid_argument("not such groups");
    shape_.members = members;
    shape_.pitch = block_of(source, target);
    for (std::size_t axis = 0; axis < 2; ++axis) {
      shape_.size[axis] = from[axis + 2];
      shape_.outputs[axis] = to[axis + 2];
      shape_.kernel[axis] = window.kernel_size[axis];
      shape_.stride[axis] = window.stride[axis];
      shape_.dilation[axis] = window.dilation[axis];
      shape_.begin[axis] = window.padding_begin[axis];
    }
    samples_ = from[0];
    channels_ = from[1];
    blocks_ = (channels_ + shape_.pitch - 1) / shape_.pitch;
    strips_ = blocks_ * (shape_.pitch / lanes);
    // Enough shares for many threads, whose number does not change the result.
    shares_ = std::clamp<std::int64_t>(64 / strips_, 1, samples_);
  }
  std::string name() const override { return "gradient of filters"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* gradient = static_cast<const float*>(addresses[1]);
    std::vector<double> sums(shares_ * strips_ * numbers());
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t task = 0; task < shares_ * strips_; ++task) {
      const std::int64_t strip = task % strips_, share = task / strips_;
      for (std::int64_t sample = samples_ * share / shares_; sample < samples_ * (share + 1) / shares_; ++sample)
        vector_kernels().filter_gradient(shape_, source + place(sample, strip, shape_.size),
                                         gradient + place(sample, strip, shape_.outputs),
                                         sums.data() + task * numbers());
    }
    write(sums, static_cast<float*>(addresses[2]), static_cast<float*>(addresses[3]));
  }

 private:
  std::int64_t taps() const { return shape_.kernel[0] * shape_.kernel[1]; }
  // Of a strip's sums: one for each member and tap, and one for the bias, of every lane.
  std::int64_t numbers() const { return (shape_.members * taps() + 1) * vector_kernels().lanes; }

  std::int64_t place(std::int64_t sample, std::int64_t strip, const std::int64_t* size) const {
    const std::int64_t vectors = shape_.pitch / vector_kernels().lanes;
    return (sample * blocks_ + strip / vectors) * size[0] * size[1] * shape_.pitch +
           strip % vectors * vector_kernels().lanes;
  }

  void write(const std::vector<double>& sums, float* filters, float* bias) const {
    const std::int64_t lanes = vector_kernels().lanes, members = shape_.members;
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      const double* const first = sums.data() + channel / lanes * numbers() + channel % lanes;
      for (std::int64_t k = 0; k < members; ++k) {
        const std::int64_t output = channel / members * members + k;
        for (std::int64_t tap = 0; tap < taps(); ++tap)
          filters[(output * members + channel % members) * taps() + tap] = total(first + (k * taps() + tap) * lanes);
      }
      if (bias) bias[channel] = total(first + members * taps() * lanes);
    }
  }

  float total(const double* first) const {
    double sum = 0;
    for (std::int64_t share = 0; share < shares_; ++share) sum += first[share * strips_ * numbers()];
    return static_cast<float>(sum);
  }

  FilterShape shape_;
  std::int64_t samples_, channels_, blocks_, strips_, shares_;
};

}  // namespace

void init_filter_gradient(nb::module_& module) {
  module.def(
      "filter_gradient",
      [](const Description& source, const Description& target, const Window& window,
         std::int64_t members) -> std::shared_ptr<Operation> {
        return std::make_shared<FilterGradient>(source, target, window, members);
      },
      nb::arg("source"), nb::arg("target"), nb::arg("window"), nb::arg("members"));
}

}  // namespace foveate

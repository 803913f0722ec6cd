// Batch normalisation by the batch's own statistics where channels lie in blocks, with a rectifier inside where one
// follows. Threads meet only where a loop ends: inside oneDNN's kernels they wait for each other by spinning, which costs
// whole slices of time once other processes use the cores too. The number of threads changes no bit.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "channel_moments.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr std::int64_t fewest_numbers = 16384;  // from which on threads are worth waking

// Samples of channels in `rows` blocks; the last block may have places that no channel has, which hold zeros.
struct Batch {
  std::int64_t samples, channels, positions, block, rows;
  double eps;
  bool rectified;

  Batch(const Description& layout, double eps, bool rectified) : eps(eps), rectified(rectified) {
    const Dims dims = layout.get_dims(), blocks = layout.get_inner_blks();
    if (blocks.size() != 1 || layout != channel_blocked(dims, blocks[0]))
      throw std::invalid_argument("blocks of channels are normalised");
    samples = dims[0];
    channels = dims[1];
    positions = positions_of(dims);
    block = blocks[0];
    rows = (channels + block - 1) / block;
  }

  std::int64_t width() const { return rows * block; }
  double count() const { return static_cast<double>(samples * positions); }
  ChannelStrip strip() const { return {block, positions, block}; }
};

// A number of each kind for each channel, and sums for each channel of each sample.
struct Numbers {
  std::vector<double> mean, inverse;
  std::vector<float> scale, shift;
  std::vector<Sums> sums;

  Numbers(const Batch& shape, const float* scales, const float* shifts)
      : mean(shape.width()), inverse(shape.width()), scale(shape.width()), shift(shape.width()),
        sums(shape.samples * shape.width()) {
    for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
      scale[channel] = scales ? scales[channel] : 1;
      shift[channel] = shifts ? shifts[channel] : 0;
    }
  }

  // What is stored has fewer digits, and the way back knows nothing else.
  void set(std::int64_t channel, float of_mean, float of_variance, double eps) {
    mean[channel] = of_mean;
    inverse[channel] = 1 / std::sqrt(of_variance + eps);
  }

  ChannelScales at(std::int64_t channel, bool rectified) const {
    return {mean.data() + channel, inverse.data() + channel, scale.data() + channel, shift.data() + channel, rectified};
  }
};

class Normalization : public Kernel {
 public:
  Normalization(std::vector<std::string> operands, const Batch& shape) : Kernel(std::move(operands)), shape_(shape) {}
  std::string implementation() const override { return vector_kernels().implementation; }

 protected:
  // Calls first(channel, sums, where) for each block of each sample, then between(channel) for each channel, then
  // last(channel, where) for each block again.
  template <class First, class Between, class Last>
  void in_turn(const First& first, const Between& between, const Last& last) const {
    const std::int64_t stretch = shape_.positions * shape_.block, width = shape_.width();
    const std::int64_t units = shape_.samples * shape_.rows;
#pragma omp parallel if (units * stretch > fewest_numbers)
    {
#pragma omp for schedule(static)
      for (std::int64_t unit = 0; unit < units; ++unit)
        first(unit % shape_.rows * shape_.block, unit * shape_.block, unit * stretch);
#pragma omp for schedule(static)
      for (std::int64_t channel = 0; channel < width; ++channel)
        if (channel < shape_.channels) between(channel);
#pragma omp for schedule(static)
      for (std::int64_t unit = 0; unit < units; ++unit) last(unit % shape_.rows * shape_.block, unit * stretch);
    }
  }

  Batch shape_;
};

class Forward : public Normalization {
 public:
  explicit Forward(const Batch& shape)
      : Normalization({"src", "mean", "variance", "scale?", "shift?", "dst"}, shape) {}
  std::string name() const override { return "batch norm forward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* means = static_cast<float*>(addresses[1]);
    auto* variances = static_cast<float*>(addresses[2]);
    auto* target = static_cast<float*>(addresses[5]);
    Numbers numbers(shape_, static_cast<const float*>(addresses[3]), static_cast<const float*>(addresses[4]));
    const ChannelStrip strip = shape_.strip();
    in_turn(
        [&](std::int64_t, std::int64_t sums, std::int64_t at) {
          vector_kernels().channel_moments(strip, source + at, numbers.sums.data() + sums);
          for (std::int64_t k = 0; k < shape_.block; ++k)
            numbers.sums[sums + k] = moments_of(numbers.sums[sums + k], source[at + k], shape_.positions);
        },
        [&](std::int64_t channel) {
          const Sums all =
              joined_moments(numbers.sums.data() + channel, shape_.samples, shape_.width(), shape_.positions);
          means[channel] = static_cast<float>(all.plain);
          variances[channel] = static_cast<float>(all.weighted / shape_.count());
          numbers.set(channel, means[channel], variances[channel], shape_.eps);
        },
        [&](std::int64_t channel, std::int64_t at) {
          vector_kernels().normalize_channels(strip, numbers.at(channel, shape_.rectified), source + at, target + at);
        });
  }
};

class Backward : public Normalization {
 public:
  explicit Backward(const Batch& shape)
      : Normalization({"src", "mean", "variance", "diff_dst", "scale?", "shift?", "diff_scale?", "diff_shift?", "diff_src"},
                      shape) {}
  std::string name() const override { return "batch norm backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* means = static_cast<const float*>(addresses[1]);
    const auto* variances = static_cast<const float*>(addresses[2]);
    const auto* gradient = static_cast<const float*>(addresses[3]);
    auto* scale_gradient = static_cast<float*>(addresses[6]);
    auto* shift_gradient = static_cast<float*>(addresses[7]);
    auto* result = static_cast<float*>(addresses[8]);
    Numbers numbers(shape_, static_cast<const float*>(addresses[4]), static_cast<const float*>(addresses[5]));
    for (std::int64_t channel = 0; channel < shape_.channels; ++channel)
      numbers.set(channel, means[channel], variances[channel], shape_.eps);
    const ChannelStrip strip = shape_.strip();
    std::vector<Sums> levels(shape_.width());
    in_turn(
        [&](std::int64_t channel, std::int64_t sums, std::int64_t at) {
          vector_kernels().channel_gradient_sums(strip, numbers.at(channel, shape_.rectified), source + at,
                                                 gradient + at, numbers.sums.data() + sums);
        },
        [&](std::int64_t channel) {
          Sums all{0, 0};
          for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
            const Sums& own = numbers.sums[sample * shape_.width() + channel];
            all = {all.plain + own.plain, all.weighted + own.weighted};
          }
          if (scale_gradient) scale_gradient[channel] = static_cast<float>(all.weighted);
          if (shift_gradient) shift_gradient[channel] = static_cast<float>(all.plain);
          const double scale = numbers.scale[channel] / shape_.count();
          levels[channel] = {scale * all.plain, scale * all.weighted};
        },
        [&](std::int64_t channel, std::int64_t at) {
          vector_kernels().channel_gradients(strip, numbers.at(channel, shape_.rectified), levels.data() + channel,
                                             source + at, gradient + at, result + at);
        });
  }
};

}  // namespace

void init_batch_normalization(nb::module_& module) {
  module.def(
      "batch_normalization_in_blocks",
      [](const Description& layout, double eps, bool relu) -> std::shared_ptr<Operation> {
        return std::make_shared<Forward>(Batch(layout, eps, relu));
      },
      nb::arg("layout"), nb::arg("eps"), nb::arg("relu"));
  module.def(
      "batch_normalization_in_blocks_backward",
      [](const Description& layout, double eps, bool relu) -> std::shared_ptr<Operation> {
        return std::make_shared<Backward>(Batch(layout, eps, relu));
      },
      nb::arg("layout"), nb::arg("eps"), nb::arg("relu"));
}

}  // namespace foveate

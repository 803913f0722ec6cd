// Group and instance normalisation of channels that lie in blocks: each group of channels of a sample is centred and
// scaled by its own mean and variance, then each channel is scaled and shifted. Nothing is brought into another layout.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <numeric>
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

// Samples of `channels` in `groups`, in blocks of `block`. A unit is the fewest blocks that no group reaches beyond.
struct Groups {
  std::int64_t samples, channels, positions, groups, block;
  double eps;
  bool affine;

  Groups(const Description& layout, std::int64_t groups, double eps, bool affine)
      : groups(groups), eps(eps), affine(affine) {
    const Dims dims = layout.get_dims(), blocks = layout.get_inner_blks();
    if (blocks.size() != 1 || layout != channel_blocked(dims, blocks[0]) || dims[1] % blocks[0] || dims[1] % groups)
      throw std::invalid_argument("whole blocks and whole groups of channels are normalised");
    samples = dims[0];
    channels = dims[1];
    positions = positions_of(dims);
    block = blocks[0];
  }

  std::int64_t members() const { return channels / groups; }
  std::int64_t unit() const { return std::lcm(members(), block); }
  std::int64_t units() const { return samples * channels / unit(); }
  std::int64_t numbers() const { return samples * channels * positions; }
  double count() const { return static_cast<double>(members() * positions); }
  ChannelStrip strip() const { return {block, positions, block}; }
};

// What a thread needs for one unit, a number for each channel.
struct Unit {
  std::vector<double> mean, inverse;
  std::vector<float> scale, shift;
  std::vector<Sums> sums;

  explicit Unit(std::int64_t channels)
      : mean(channels), inverse(channels), scale(channels, 1), shift(channels), sums(channels) {}

  ChannelScales at(std::int64_t channel) const {
    return {mean.data() + channel, inverse.data() + channel, scale.data() + channel, shift.data() + channel};
  }
};

class Normalization : public Kernel {
 public:
  Normalization(std::vector<std::string> operands, const Groups& shape) : Kernel(std::move(operands)), shape_(shape) {}
  std::string implementation() const override { return vector_kernels().implementation; }

 protected:
  // Calls work(unit, first channel of all samples, first channel of its sample) for each unit.
  template <class Work>
  void each_unit(const float* scale, const float* shift, const Work& work) const {
    const std::int64_t size = shape_.unit();
#pragma omp parallel if (shape_.numbers() > fewest_numbers)
    {
      Unit unit(size);
#pragma omp for schedule(static)
      for (std::int64_t number = 0; number < shape_.units(); ++number) {
        const std::int64_t first = number * size, own = first % shape_.channels;
        for (std::int64_t channel = 0; channel < size; ++channel) {
          if (scale) unit.scale[channel] = scale[own + channel];
          if (shift) unit.shift[channel] = shift[own + channel];
        }
        work(unit, first);
      }
    }
  }

  // Calls work(first channel of the unit, first of all numbers) for each block of a unit that begins at `channel`.
  template <class Work>
  void each_block(std::int64_t channel, const Work& work) const {
    for (std::int64_t first = 0; first < shape_.unit(); first += shape_.block)
      work(first, (channel + first) * shape_.positions);
  }

  Groups shape_;
};

class Forward : public Normalization {
 public:
  explicit Forward(const Groups& shape) : Normalization({"src", "dst", "mean", "inverse", "scale?", "shift?"}, shape) {}
  std::string name() const override { return "channel norm forward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* means = static_cast<float*>(addresses[2]);
    auto* inverses = static_cast<float*>(addresses[3]);
    const ChannelStrip strip = shape_.strip();
    each_unit(static_cast<const float*>(addresses[4]), static_cast<const float*>(addresses[5]),
              [&](Unit& unit, std::int64_t first) {
                each_block(first, [&](std::int64_t channel, std::int64_t at) {
                  vector_kernels().channel_moments(strip, source + at, unit.sums.data() + channel);
                  for (std::int64_t k = channel; k < channel + shape_.block; ++k)
                    unit.sums[k] = moments_of(unit.sums[k], source[at + k - channel], shape_.positions);
                });
                for (std::int64_t group = 0; group < shape_.unit(); group += shape_.members()) {
                  const Normalizer by = joined(unit, group);
                  const std::int64_t row = (first + group) / shape_.members();
                  means[row] = static_cast<float>(by.mean);
                  inverses[row] = static_cast<float>(by.inverse);
                }
                each_block(first, [&](std::int64_t channel, std::int64_t at) {
                  vector_kernels().normalize_channels(strip, unit.at(channel), source + at, target + at);
                });
              });
  }

 private:
  // What is known of its channels makes the group's mean and deviation.
  Normalizer joined(Unit& unit, std::int64_t group) const {
    const Sums all = joined_moments(unit.sums.data() + group, shape_.members(), 1, shape_.positions);
    const Normalizer by{all.plain, 1 / std::sqrt(all.weighted / shape_.count() + shape_.eps)};
    for (std::int64_t k = group; k < group + shape_.members(); ++k) {
      unit.mean[k] = by.mean;
      unit.inverse[k] = by.inverse;
    }
    return by;
  }
};

class Backward : public Normalization {
 public:
  explicit Backward(const Groups& shape)
      : Normalization({"src", "mean", "inverse", "diff_dst", "diff_src", "scale?", "diff_scale?", "diff_shift?"}, shape) {}
  std::string name() const override { return "channel norm backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* means = static_cast<const float*>(addresses[1]);
    const auto* inverses = static_cast<const float*>(addresses[2]);
    const auto* gradient = static_cast<const float*>(addresses[3]);
    auto* result = static_cast<float*>(addresses[4]);
    const ChannelStrip strip = shape_.strip();
    std::vector<Sums> kept(shape_.affine ? shape_.samples * shape_.channels : 0);
    each_unit(static_cast<const float*>(addresses[5]), nullptr, [&](Unit& unit, std::int64_t first) {
      for (std::int64_t k = 0; k < shape_.unit(); ++k) {
        unit.mean[k] = means[(first + k) / shape_.members()];
        unit.inverse[k] = inverses[(first + k) / shape_.members()];
      }
      each_block(first, [&](std::int64_t channel, std::int64_t at) {
        vector_kernels().channel_gradient_sums(strip, unit.at(channel), source + at, gradient + at,
                                               unit.sums.data() + channel);
      });
      if (shape_.affine) std::copy(unit.sums.begin(), unit.sums.end(), kept.begin() + first);
      for (std::int64_t group = 0; group < shape_.unit(); group += shape_.members()) join(unit, group);
      each_block(first, [&](std::int64_t channel, std::int64_t at) {
        vector_kernels().channel_gradients(strip, unit.at(channel), unit.sums.data() + channel, source + at,
                                           gradient + at, result + at);
      });
    });
    if (shape_.affine) finish(kept, static_cast<float*>(addresses[6]), static_cast<float*>(addresses[7]));
  }

 private:
  void join(Unit& unit, std::int64_t group) const {
    const std::int64_t last = group + shape_.members();
    Sums all{0, 0};
    for (std::int64_t k = group; k < last; ++k) {
      all.plain += unit.scale[k] * unit.sums[k].plain;
      all.weighted += unit.scale[k] * unit.sums[k].weighted;
    }
    const Sums means{all.plain / shape_.count(), all.weighted / shape_.count()};
    for (std::int64_t k = group; k < last; ++k) unit.sums[k] = means;
  }

  // Each channel sums its own over the samples in order, so that the result does not depend on the threads.
  void finish(const std::vector<Sums>& kept, float* scale_gradient, float* shift_gradient) const {
    for (std::int64_t channel = 0; channel < shape_.channels; ++channel) {
      Sums all{0, 0};
      for (std::int64_t at = channel; at < shape_.samples * shape_.channels; at += shape_.channels) {
        all.plain += kept[at].plain;
        all.weighted += kept[at].weighted;
      }
      scale_gradient[channel] = static_cast<float>(all.weighted);
      shift_gradient[channel] = static_cast<float>(all.plain);
    }
  }
};

}  // namespace

void init_channel_normalization(nb::module_& module) {
  module.def(
      "channel_normalization_forward",
      [](const Description& layout, std::int64_t groups, double eps, bool affine) -> std::shared_ptr<Operation> {
        return std::make_shared<Forward>(Groups(layout, groups, eps, affine));
      },
      nb::arg("layout"), nb::arg("groups"), nb::arg("eps"), nb::arg("affine"));
  module.def(
      "channel_normalization_backward",
      [](const Description& layout, std::int64_t groups, double eps, bool affine) -> std::shared_ptr<Operation> {
        return std::make_shared<Backward>(Groups(layout, groups, eps, affine));
      },
      nb::arg("layout"), nb::arg("groups"), nb::arg("eps"), nb::arg("affine"));
}

}  // namespace foveate

// Dice: how little the probabilities of each class overlap with the positions where it is wanted.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "loss.h"
#include "loss_tile.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// A weighted mean over the samples. Targets are class indices (int64), negative where they are ignored.
class Dice : public Loss {
 public:
  Dice(const LossShape& shape, double smooth)
      : Loss(shape, {"outputs", "classes", "sample_weight", "gradient"}),
        tiling_{shape.channels, shape.positions},
        smooth_(smooth) {}

  std::string name() const override { return "dice"; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* logits = static_cast<const float*>(addresses[0]);
    const auto* classes = static_cast<const std::int64_t*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* gradient = static_cast<float*>(addresses[3]);
    double total = 0;
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
      const std::int64_t* targets = classes + sample * shape_.positions;
      if (std::any_of(targets, targets + shape_.positions, [](std::int64_t target) { return target >= 0; }))
        total += weights[sample];
    }
    std::vector<RunResult> each(shape_.samples);
#pragma omp parallel for schedule(static) if (shape_.is_large())
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample)
      each[sample] = one_sample(logits + sample * shape_.outputs(), classes + sample * shape_.positions,
                                total > 0 ? weights[sample] / total : 0, gradient + sample * shape_.outputs());
    write(run, each);
  }

 private:
  // Of each class: twice the overlap, and the sum of what was found and wanted.
  struct Overlap {
    std::vector<double> above, below;
  };

  RunResult one_sample(const float* logits, const std::int64_t* classes, double share, float* gradient) const {
    std::vector<float> read(tiling_.size()), written(tiling_.size());
    Overlap overlap{std::vector<double>(shape_.channels, smooth_), std::vector<double>(shape_.channels, smooth_)};
    RunResult result;
    for (std::int64_t tile = 0; tile < tiling_.tiles(); ++tile) {
      const float* from = tiling_.read(logits, tile, read);
      float* to = tiling_.target(gradient, written);
      for (std::int64_t i = 0; i < tiling_.count(tile); ++i)
        find(from + i * shape_.channels, classes[tiling_.first(tile) + i], to + i * shape_.channels, overlap, result);
      tiling_.write(written, tile, gradient);
    }
    if (result.counted == 0) return result;
    for (std::int64_t k = 0; k < shape_.channels; ++k)
      result.loss += share * (1 - overlap.above[k] / overlap.below[k]) / shape_.channels;
    for (std::int64_t tile = 0; tile < tiling_.tiles(); ++tile) {
      const float* from = tiling_.read(gradient, tile, read);
      float* to = tiling_.target(gradient, written);
      for (std::int64_t i = 0; i < tiling_.count(tile); ++i)
        go_back(from + i * shape_.channels, classes[tiling_.first(tile) + i], share, overlap, to + i * shape_.channels);
      tiling_.write(written, tile, gradient);
    }
    return result;
  }

  // The probabilities of one position, zero where it is ignored, and what they add to the overlap.
  void find(const float* logits, std::int64_t target, float* found, Overlap& overlap, RunResult& result) const {
    const std::int64_t classes = shape_.channels;
    if (target < 0) {
      std::fill_n(found, classes, 0.0f);
      return;
    }
    const std::int64_t largest = std::max_element(logits, logits + classes) - logits;
    const float highest = logits[largest];
    double exponentials = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
      found[k] = std::exp(logits[k] - highest);
      exponentials += found[k];
    }
    for (std::int64_t k = 0; k < classes; ++k) {
      found[k] = static_cast<float>(found[k] / exponentials);
      overlap.below[k] += found[k];
    }
    overlap.above[target] += 2 * found[target];
    overlap.below[target] += 1;
    result.correct += largest == target;
    result.counted += 1;
  }

  // From one position's probabilities to the gradient of its logits, which may lie in the same place.
  void go_back(const float* found, std::int64_t target, double share, const Overlap& overlap, float* gradient) const {
    const std::int64_t classes = shape_.channels;
    const auto slope = [&](std::int64_t k) {
      return (overlap.above[k] / overlap.below[k] - (k == target ? 2 : 0)) / overlap.below[k] / classes;
    };
    double mean = 0;
    for (std::int64_t k = 0; k < classes; ++k) mean += found[k] * slope(k);
    for (std::int64_t k = 0; k < classes; ++k)
      gradient[k] = static_cast<float>(shape_.weight * share * found[k] * (slope(k) - mean));
  }

  Tiling tiling_;
  double smooth_;
};

}  // namespace

void init_dice(nb::module_& module) {
  module.def(
      "dice",
      [](const LossShape& shape, double smooth) -> std::shared_ptr<Operation> {
        return std::make_shared<Dice>(shape, smooth);
      },
      nb::arg("shape"), nb::arg("smooth"));
}

}  // namespace foveate

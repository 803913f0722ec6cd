// Cross-entropy of softmax(logits) against a class, or the share of each class, at every position.
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

// A weighted mean over samples and positions. Targets are class indices (int64, negative where they are ignored), or
// numbers of the outputs' shape; one of the two operands is null.
class CrossEntropy : public Loss {
 public:
  CrossEntropy(const LossShape& shape, double smoothing, std::vector<double> class_weights)
      : Loss(shape, {"outputs", "classes", "numbers", "sample_weight", "gradient"}),
        tiling_{shape.channels, shape.positions},
        smoothing_(smoothing),
        class_weights_(std::move(class_weights)) {}

  std::string name() const override { return "cross-entropy"; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* logits = static_cast<const float*>(addresses[0]);
    const auto* classes = static_cast<const std::int64_t*>(addresses[1]);
    const auto* numbers = static_cast<const float*>(addresses[2]);
    const auto* weights = static_cast<const float*>(addresses[3]);
    auto* gradient = static_cast<float*>(addresses[4]);
    const double total = sum_of_weights(weights, classes);
    const std::int64_t tiles = tiling_.tiles(), all = shape_.samples * tiles;
    std::vector<RunResult> each(all);
#pragma omp parallel if (shape_.is_large())
    {
      std::vector<float> read(tiling_.size()), wanted(numbers == nullptr ? 0 : tiling_.size()), written(tiling_.size());
#pragma omp for schedule(static)
      for (std::int64_t index = 0; index < all; ++index) {
        const std::int64_t sample = index / tiles, tile = index % tiles, begin = sample * shape_.outputs();
        const double share = total > 0 ? weights[sample] / total : 0;
        const float* tile_logits = tiling_.read(logits + begin, tile, read);
        const float* tile_wanted = numbers == nullptr ? nullptr : tiling_.read(numbers + begin, tile, wanted);
        const std::int64_t* tile_classes =
            classes == nullptr ? nullptr : classes + sample * shape_.positions + tiling_.first(tile);
        float* target = tiling_.target(gradient + begin, written);
        for (std::int64_t i = 0; i < tiling_.count(tile); ++i) {
          const std::int64_t at = i * shape_.channels;
          const RunResult one = numbers == nullptr
                                    ? against_class(tile_logits + at, tile_classes[i], share, target + at)
                                    : against_shares(tile_logits + at, tile_wanted + at, share, target + at);
          each[index].loss += one.loss;
          each[index].correct += one.correct;
          each[index].counted += one.counted;
        }
        tiling_.write(written, tile, gradient + begin);
      }
    }
    write(run, each);
  }

 private:
  // Of the samples, times those of the targets' classes; ignored targets weigh nothing.
  double sum_of_weights(const float* weights, const std::int64_t* classes) const {
    double total = 0;
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
      double of_sample = 0;
      for (std::int64_t p = 0; p < shape_.positions; ++p) {
        const std::int64_t target = classes == nullptr ? 0 : classes[sample * shape_.positions + p];
        if (target >= 0) of_sample += classes == nullptr ? 1 : class_weight(target);
      }
      total += weights[sample] * of_sample;
    }
    return total;
  }

  double class_weight(std::int64_t k) const { return class_weights_.empty() ? 1 : class_weights_[k]; }

  RunResult against_class(const float* logits, std::int64_t target, double share, float* gradient) const {
    const std::int64_t classes = shape_.channels;
    const double spread = smoothing_ / classes;
    if (target < 0) {
      std::fill_n(gradient, classes, 0.0f);
      return {};
    }
    const std::int64_t largest = std::max_element(logits, logits + classes) - logits;
    const auto plain = [&](std::int64_t k) { return spread + (k == target ? 1 - smoothing_ : 0.0); };
    if (class_weights_.empty()) return {against(logits, largest, share, plain, 1, gradient), largest == target, 1};
    const auto weighted = [&](std::int64_t k) { return class_weights_[k] * plain(k); };
    return {against(logits, largest, share, weighted, sum(weighted), gradient), largest == target, 1};
  }

  RunResult against_shares(const float* logits, const float* shares, double share, float* gradient) const {
    const std::int64_t classes = shape_.channels;
    const double spread = smoothing_ / classes;
    const auto wanted = [&](std::int64_t k) { return class_weight(k) * (spread + (1 - smoothing_) * shares[k]); };
    const std::int64_t largest = std::max_element(logits, logits + classes) - logits;
    const std::int64_t target = std::max_element(shares, shares + classes) - shares;
    return {against(logits, largest, share, wanted, sum(wanted), gradient), largest == target, 1};
  }

  template <class Wanted>
  double sum(const Wanted& wanted) const {
    double total = 0;
    for (std::int64_t k = 0; k < shape_.channels; ++k) total += wanted(k);
    return total;
  }

  // The share of one position in the loss, and its gradient; `mass` is the sum of what is wanted of each class.
  template <class Wanted>
  double against(const float* logits, std::int64_t largest, double share, const Wanted& wanted, double mass,
                 float* gradient) const {
    const std::int64_t classes = shape_.channels;
    if (share == 0) {
      std::fill_n(gradient, classes, 0.0f);
      return 0;
    }
    double exponentials = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
      gradient[k] = std::exp(logits[k] - logits[largest]);
      exponentials += gradient[k];
    }
    const double log_sum = std::log(exponentials);
    double loss = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
      const double of_class = wanted(k);
      if (of_class > 0) loss -= of_class * (logits[k] - logits[largest] - log_sum);
      gradient[k] = static_cast<float>(shape_.weight * share * (mass * (gradient[k] / exponentials) - of_class));
    }
    return share * loss;
  }

  Tiling tiling_;
  double smoothing_;
  std::vector<double> class_weights_;
};

}  // namespace

void init_cross_entropy(nb::module_& module) {
  module.def(
      "cross_entropy",
      [](const LossShape& shape, double smoothing, std::vector<double> class_weights) -> std::shared_ptr<Operation> {
        return std::make_shared<CrossEntropy>(shape, smoothing, std::move(class_weights));
      },
      nb::arg("shape"), nb::arg("label_smoothing"), nb::arg("class_weights"));
}

}  // namespace foveate

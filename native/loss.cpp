// Losses: their value, and the gradient that starts the backward pass.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "operation.h"
#include "scalars.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Cross-entropy of softmax(logits) against class indices, a weighted mean over the samples.
// Operands: logits, targets (int64), sample weights, results, gradient.
class CrossEntropy : public Kernel {
 public:
  CrossEntropy(std::int64_t samples, std::int64_t classes, double smoothing)
      : samples_(samples), classes_(classes), smoothing_(smoothing), losses_(samples), correct_(samples) {}

  std::string name() const override { return "cross-entropy"; }

  void execute(const std::vector<void*>& addresses) const override {
    const auto* logits = static_cast<const float*>(addresses[0]);
    const auto* targets = static_cast<const std::int64_t*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* results = static_cast<RunResults*>(addresses[3]);
    auto* gradient = static_cast<float*>(addresses[4]);
    double total = 0;
    for (std::int64_t sample = 0; sample < samples_; ++sample) total += weights[sample];
#pragma omp parallel for schedule(static) if (samples_ * classes_ > 16384)
    for (std::int64_t sample = 0; sample < samples_; ++sample)
      one_sample(sample, logits + sample * classes_, targets[sample], weights[sample] / total,
                 gradient + sample * classes_);
    // Summed in order, so that the loss does not depend on the number of threads.
    results->loss = 0;
    results->correct = 0;
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      results->loss += losses_[sample];
      results->correct += correct_[sample];
    }
  }

 private:
  void one_sample(std::int64_t sample, const float* logits, std::int64_t target, double share, float* gradient) const {
    const float* largest = std::max_element(logits, logits + classes_);
    correct_[sample] = largest - logits == target;
    double exponentials = 0;
    for (std::int64_t k = 0; k < classes_; ++k) {
      gradient[k] = std::exp(logits[k] - *largest);
      exponentials += gradient[k];
    }
    const double log_sum = std::log(exponentials), spread = smoothing_ / classes_;
    double loss = 0;
    for (std::int64_t k = 0; k < classes_; ++k) {
      const double wanted = spread + (k == target ? 1 - smoothing_ : 0.0);
      if (wanted > 0) loss -= wanted * (logits[k] - *largest - log_sum);
      gradient[k] = static_cast<float>(share * (gradient[k] / exponentials - wanted));
    }
    losses_[sample] = share * loss;
  }

  std::int64_t samples_, classes_;
  double smoothing_;
  // One program runs at a time, so that these may be written while it does.
  mutable std::vector<double> losses_;
  mutable std::vector<std::int64_t> correct_;
};

// Losses that compare each output with a target of its own, averaged over a sample's outputs, then over the samples by
// weight. Operands: outputs, targets (float), sample weights, results, gradient.
class Elementwise : public Kernel {
 public:
  Elementwise(std::int64_t samples, std::int64_t outputs) : samples_(samples), outputs_(outputs) {}

  void execute(const std::vector<void*>& addresses) const override {
    const auto* outputs = static_cast<const float*>(addresses[0]);
    const auto* targets = static_cast<const float*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* results = static_cast<RunResults*>(addresses[3]);
    auto* gradient = static_cast<float*>(addresses[4]);
    double total = 0;
    for (std::int64_t sample = 0; sample < samples_; ++sample) total += weights[sample];
    results->loss = 0;
    results->correct = 0;
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      const double share = weights[sample] / total / outputs_;
      double loss = 0;
      bool correct = counts_correct();
      for (std::int64_t i = sample * outputs_; i < (sample + 1) * outputs_; ++i) {
        double slope = 0;
        loss += one(outputs[i], targets[i], slope);
        gradient[i] = static_cast<float>(share * slope);
        correct = correct && (outputs[i] > 0) == (targets[i] > 0.5f);
      }
      results->loss += share * loss;
      results->correct += correct;
    }
  }

 protected:
  virtual bool counts_correct() const = 0;
  // The loss of one output, and its derivative.
  virtual double one(double output, double target, double& slope) const = 0;

 private:
  std::int64_t samples_, outputs_;
};

class BinaryCrossEntropy : public Elementwise {
 public:
  using Elementwise::Elementwise;
  std::string name() const override { return "binary cross-entropy"; }

 protected:
  bool counts_correct() const override { return true; }
  double one(double x, double target, double& slope) const override {
    const double small = std::exp(-std::abs(x));
    slope = (x >= 0 ? 1 : small) / (1 + small) - target;
    return std::max(x, 0.0) - x * target + std::log1p(small);
  }
};

class MeanSquaredError : public Elementwise {
 public:
  using Elementwise::Elementwise;
  std::string name() const override { return "mean squared error"; }

 protected:
  bool counts_correct() const override { return false; }
  double one(double x, double target, double& slope) const override {
    slope = 2 * (x - target);
    return (x - target) * (x - target);
  }
};

}  // namespace

void init_loss(nb::module_& module) {
  module.def(
      "cross_entropy",
      [](std::int64_t samples, std::int64_t classes, double smoothing) -> std::shared_ptr<Operation> {
        return std::make_shared<CrossEntropy>(samples, classes, smoothing);
      },
      nb::arg("samples"), nb::arg("classes"), nb::arg("label_smoothing"));
  module.def(
      "binary_cross_entropy",
      [](std::int64_t samples, std::int64_t outputs) -> std::shared_ptr<Operation> {
        return std::make_shared<BinaryCrossEntropy>(samples, outputs);
      },
      nb::arg("samples"), nb::arg("outputs"));
  module.def(
      "mean_squared_error",
      [](std::int64_t samples, std::int64_t outputs) -> std::shared_ptr<Operation> {
        return std::make_shared<MeanSquaredError>(samples, outputs);
      },
      nb::arg("samples"), nb::arg("outputs"));
}

}  // namespace foveate

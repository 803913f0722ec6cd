// Losses: their value, and the gradient that starts the backward pass.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Which of the run's results a loss writes, over how many samples of how many outputs, and its weight in the sum of losses.
struct LossShape {
  std::size_t result;
  std::int64_t samples, outputs;
  double weight;
};

// What all losses share: the network's outputs, targets, a weight for each sample, and the gradient of the outputs.
class Loss : public Kernel {
 public:
  explicit Loss(const LossShape& shape) : Kernel({"outputs", "targets", "sample_weight", "gradient"}), shape_(shape) {}

 protected:
  static double sum(const float* weights, std::int64_t count) {
    double total = 0;
    for (std::int64_t sample = 0; sample < count; ++sample) total += weights[sample];
    return total;
  }

  LossShape shape_;
};

// Cross-entropy of softmax(logits) against class indices (int64), a weighted mean over the samples.
class CrossEntropy : public Loss {
 public:
  CrossEntropy(const LossShape& shape, double smoothing) : Loss(shape), smoothing_(smoothing) {}

  std::string name() const override { return "cross-entropy"; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* logits = static_cast<const float*>(addresses[0]);
    const auto* targets = static_cast<const std::int64_t*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* gradient = static_cast<float*>(addresses[3]);
    const std::int64_t samples = shape_.samples, classes = shape_.outputs;
    const double total = sum(weights, samples);
    std::vector<RunResult> each(samples);
#pragma omp parallel for schedule(static) if (samples * classes > 16384)
    for (std::int64_t sample = 0; sample < samples; ++sample)
      each[sample] = one_sample(logits + sample * classes, targets[sample], weights[sample] / total,
                                gradient + sample * classes);
    // Summed in order, so that the loss does not depend on the number of threads.
    RunResult result;
    for (const RunResult& sample : each) {
      result.loss += sample.loss;
      result.correct += sample.correct;
    }
    run.results[shape_.result] = result;
  }

 private:
  RunResult one_sample(const float* logits, std::int64_t target, double share, float* gradient) const {
    const std::int64_t classes = shape_.outputs;
    const float* largest = std::max_element(logits, logits + classes);
    double exponentials = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
      gradient[k] = std::exp(logits[k] - *largest);
      exponentials += gradient[k];
    }
    const double log_sum = std::log(exponentials), spread = smoothing_ / classes;
    double loss = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
      const double wanted = spread + (k == target ? 1 - smoothing_ : 0.0);
      if (wanted > 0) loss -= wanted * (logits[k] - *largest - log_sum);
      gradient[k] = static_cast<float>(shape_.weight * share * (gradient[k] / exponentials - wanted));
    }
    return {share * loss, largest - logits == target};
  }

  double smoothing_;
};

// Losses that compare each output with a target of its own, averaged over a sample's outputs, then over the samples by
// weight.
class Elementwise : public Loss {
 public:
  using Loss::Loss;

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* outputs = static_cast<const float*>(addresses[0]);
    const auto* targets = static_cast<const float*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* gradient = static_cast<float*>(addresses[3]);
    const double total = sum(weights, shape_.samples);
    RunResult result;
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
      const double share = weights[sample] / total / shape_.outputs;
      double loss = 0;
      bool correct = counts_correct();
      for (std::int64_t i = sample * shape_.outputs; i < (sample + 1) * shape_.outputs; ++i) {
        double slope = 0;
        loss += one(outputs[i], targets[i], slope);
        gradient[i] = static_cast<float>(shape_.weight * share * slope);
        correct = correct && (outputs[i] > 0) == (targets[i] > 0.5f);
      }
      result.loss += share * loss;
      result.correct += correct;
    }
    run.results[shape_.result] = result;
  }

 protected:
  virtual bool counts_correct() const = 0;
  // The loss of one output, and its derivative.
  virtual double one(double output, double target, double& slope) const = 0;
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
  nb::class_<LossShape>(module, "LossShape", "Which result a loss writes, its samples, a sample's outputs, its weight.")
      .def(
          "__init__",
          [](LossShape* self, std::size_t result, std::int64_t samples, std::int64_t outputs, double weight) {
            new (self) LossShape{result, samples, outputs, weight};
          },
          nb::arg("result"), nb::arg("samples"), nb::arg("outputs"), nb::arg("weight"));
  module.def(
      "cross_entropy",
      [](const LossShape& shape, double smoothing) -> std::shared_ptr<Operation> {
        return std::make_shared<CrossEntropy>(shape, smoothing);
      },
      nb::arg("shape"), nb::arg("label_smoothing"));
  module.def(
      "binary_cross_entropy",
      [](const LossShape& shape) -> std::shared_ptr<Operation> { return std::make_shared<BinaryCrossEntropy>(shape); },
      nb::arg("shape"));
  module.def(
      "mean_squared_error",
      [](const LossShape& shape) -> std::shared_ptr<Operation> { return std::make_shared<MeanSquaredError>(shape); },
      nb::arg("shape"));
}

}  // namespace foveate

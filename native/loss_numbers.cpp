// Losses that compare each output with a number of its own.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "bindings.h"
#include "loss.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// A loss and its slope.
struct Sloped {
  double loss, slope;
};

// The mean over a sample's outputs, then over the samples by weight. A rule says what one output loses; where it asks
// for yes or no, a sample is correct when each of its outputs is on its target's side of 0.
template <class Rule>
class NumberLoss : public Loss {
 public:
  NumberLoss(const LossShape& shape, Rule rule)
      : Loss(shape, {"outputs", "numbers", "sample_weight", "gradient"}), rule_(std::move(rule)) {}

  std::string name() const override { return Rule::name; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* outputs = static_cast<const float*>(addresses[0]);
    const auto* targets = static_cast<const float*>(addresses[1]);
    const auto* weights = static_cast<const float*>(addresses[2]);
    auto* gradient = static_cast<float*>(addresses[3]);
    double total = 0;
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample) total += weights[sample];
    std::vector<RunResult> each(shape_.samples);
#pragma omp parallel for schedule(static) if (shape_.is_large())
    for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
      const std::int64_t begin = sample * shape_.outputs();
      const double share = weights[sample] / total / shape_.outputs();
      each[sample] = one_sample(outputs + begin, targets + begin, share, gradient + begin);
    }
    write(run, each);
  }

 private:
  RunResult one_sample(const float* outputs, const float* targets, double share, float* gradient) const {
    double loss = 0;
    bool correct = Rule::asks_yes_or_no;
    std::int64_t i = 0;
    for (std::int64_t channel = 0; channel < shape_.channels; ++channel)
      for (const std::int64_t end = i + shape_.positions; i < end; ++i) {
        const Sloped one = rule_(outputs[i], targets[i], channel);
        loss += one.loss;
        gradient[i] = static_cast<float>(shape_.weight * share * one.slope);
        correct = correct && (outputs[i] > 0) == (targets[i] > 0.5f);
      }
    return {share * loss, correct, Rule::asks_yes_or_no};
  }

  Rule rule_;
};

// The sigmoid of a logit, that of its negative, and minus the logarithms of both, without overflow.
struct Sigmoids {
  explicit Sigmoids(double x) {
    const double small = std::exp(-std::abs(x)), large_side = 1 / (1 + small), small_side = small / (1 + small);
    yes = x >= 0 ? large_side : small_side;
    no = x >= 0 ? small_side : large_side;
    const double rest = std::log1p(small);
    loss_of_yes = std::max(-x, 0.0) + rest;
    loss_of_no = std::max(x, 0.0) + rest;
  }

  double yes, no, loss_of_yes, loss_of_no;
};

// 0 times anything is 0: what does not count may be infinite.
double times(double coefficient, double value) { return coefficient == 0 ? 0 : coefficient * value; }

struct BinaryCrossEntropy {
  static constexpr const char* name = "binary cross-entropy";
  static constexpr bool asks_yes_or_no = true;
  std::vector<double> pos_weight;  // of each channel

  Sloped operator()(double x, double target, std::int64_t channel) const {
    const Sigmoids s(x);
    const double yes = pos_weight[channel] * target, no = 1 - target;
    return {times(yes, s.loss_of_yes) + times(no, s.loss_of_no), no * s.yes - yes * s.no};
  }
};

struct Focal {
  static constexpr const char* name = "focal";
  static constexpr bool asks_yes_or_no = true;
  double gamma;
  std::optional<double> alpha;

  Sloped operator()(double x, double target, std::int64_t) const {
    const Sigmoids s(x);
    const double loss = times(target, s.loss_of_yes) + times(1 - target, s.loss_of_no);
    const double slope = (1 - target) * s.yes - target * s.no;
    const double wrong = target * s.no + (1 - target) * s.yes, power = std::pow(wrong, gamma);
    // An answer that is right to the last digit has no slope, whatever the exponent.
    const double slope_of_power =
        wrong == 0 || gamma == 0 ? 0 : gamma * std::pow(wrong, gamma - 1) * (1 - 2 * target) * s.yes * s.no;
    const double weight = alpha ? target * *alpha + (1 - target) * (1 - *alpha) : 1;
    return {weight * times(power, loss), weight * (power * slope + times(slope_of_power, loss))};
  }
};

struct MeanSquaredError {
  static constexpr const char* name = "mean squared error";
  static constexpr bool asks_yes_or_no = false;

  Sloped operator()(double x, double target, std::int64_t) const {
    return {(x - target) * (x - target), 2 * (x - target)};
  }
};

struct AbsoluteError {
  static constexpr const char* name = "absolute error";
  static constexpr bool asks_yes_or_no = false;

  Sloped operator()(double x, double target, std::int64_t) const {
    const double difference = x - target;
    // The last case is 0, or NaN.
    return {std::abs(difference), difference > 0 ? 1 : difference < 0 ? -1 : difference};
  }
};

struct Huber {
  static constexpr const char* name = "huber";
  static constexpr bool asks_yes_or_no = false;
  double delta;

  Sloped operator()(double x, double target, std::int64_t) const {
    const double difference = x - target, slope = std::clamp(difference, -delta, delta);
    return {slope * (difference - slope / 2), slope};
  }
};

template <class Rule>
std::shared_ptr<Operation> make(const LossShape& shape, Rule rule) {
  return std::make_shared<NumberLoss<Rule>>(shape, std::move(rule));
}

}  // namespace

void init_number_losses(nb::module_& module) {
  module.def(
      "binary_cross_entropy",
      [](const LossShape& shape, std::vector<double> pos_weight) {
        return make(shape, BinaryCrossEntropy{std::move(pos_weight)});
      },
      nb::arg("shape"), nb::arg("pos_weight"));
  module.def(
      "focal",
      [](const LossShape& shape, double gamma, std::optional<double> alpha) { return make(shape, Focal{gamma, alpha}); },
      nb::arg("shape"), nb::arg("gamma"), nb::arg("alpha").none());
  module.def(
      "mean_squared_error", [](const LossShape& shape) { return make(shape, MeanSquaredError{}); }, nb::arg("shape"));
  module.def("absolute_error", [](const LossShape& shape) { return make(shape, AbsoluteError{}); }, nb::arg("shape"));
  module.def(
      "huber", [](const LossShape& shape, double delta) { return make(shape, Huber{delta}); }, nb::arg("shape"),
      nb::arg("delta"));
}

}  // namespace foveate

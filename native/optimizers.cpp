// Optimisers over the packed parameters, stretch by stretch: what lies outside of every stretch does not learn.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Neighbouring numbers that learn, whether they feel weight decay, and their factor on the learning rate.
struct Stretch {
  std::int64_t begin, end;
  bool decays;
  double factor;
};

class Sgd : public Kernel {
 public:
  Sgd(std::vector<Stretch> stretches, bool nesterov, float weight_decay)
      : Kernel({"parameters", "gradients", "momentum"}),
        stretches_(std::move(stretches)),
        nesterov_(nesterov),
        weight_decay_(weight_decay) {}

  std::string name() const override { return "sgd"; }

  void execute(const Addresses& addresses, Run& run) const override {
    for (const Stretch& stretch : stretches_) update(addresses, stretch, run.scalars);
  }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* velocity = static_cast<float*>(addresses[2]);
    const float rate = static_cast<float>(stretch.factor * scalars.learning_rate);
    const float kept = static_cast<float>(scalars.momentum);
    const float ahead = nesterov_ ? 1.0f : 0.0f, along = nesterov_ ? kept : 1.0f;
    const float decay = stretch.decays ? weight_decay_ : 0.0f;
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = stretch.begin; index < stretch.end; ++index) {
      const float gradient = gradients[index] + decay * parameters[index];
      velocity[index] = kept * velocity[index] + gradient;
      parameters[index] -= rate * (ahead * gradient + along * velocity[index]);
    }
  }

  std::vector<Stretch> stretches_;
  bool nesterov_;
  float weight_decay_;
};

class AdamW : public Kernel {
 public:
  AdamW(std::vector<Stretch> stretches, double second_momentum, float eps, double weight_decay)
      : Kernel({"parameters", "gradients", "mean", "mean_square"}),
        stretches_(std::move(stretches)),
        second_(second_momentum),
        eps_(eps),
        weight_decay_(weight_decay) {}

  std::string name() const override { return "adamw"; }

  void execute(const Addresses& addresses, Run& run) const override {
    for (const Stretch& stretch : stretches_) update(addresses, stretch, run.scalars);
  }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* mean = static_cast<float*>(addresses[2]);
    auto* square = static_cast<float*>(addresses[3]);
    const double count = static_cast<double>(scalars.step + 1), decay = stretch.decays ? weight_decay_ : 0.0;
    const double rate = stretch.factor * scalars.learning_rate;
    const float first = static_cast<float>(scalars.momentum), second = static_cast<float>(second_);
    const float step = static_cast<float>(rate / (1 - std::pow(scalars.momentum, count)));
    const float root = static_cast<float>(1 / std::sqrt(1 - std::pow(second_, count)));
    const float shrink = static_cast<float>(1 - rate * decay), eps = eps_;
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = stretch.begin; index < stretch.end; ++index) {
      const float gradient = gradients[index];
      mean[index] = first * mean[index] + (1 - first) * gradient;
      square[index] = second * square[index] + (1 - second) * gradient * gradient;
      parameters[index] = shrink * parameters[index] - step * mean[index] / (std::sqrt(square[index]) * root + eps);
    }
  }

  std::vector<Stretch> stretches_;
  double second_;
  float eps_;
  double weight_decay_;
};

}  // namespace

void init_optimizers(nb::module_& module) {
  nb::class_<Stretch>(module, "Stretch", "Neighbouring numbers that learn: weight decay, factor of the rate.")
      .def(
          "__init__",
          [](Stretch* self, std::int64_t begin, std::int64_t end, bool decays, double factor) {
            new (self) Stretch{begin, end, decays, factor};
          },
          nb::arg("begin"), nb::arg("end"), nb::arg("decays"), nb::arg("factor"));
  module.def(
      "sgd",
      [](std::vector<Stretch> stretches, bool nesterov, float weight_decay) -> std::shared_ptr<Operation> {
        return std::make_shared<Sgd>(std::move(stretches), nesterov, weight_decay);
      },
      nb::arg("stretches"), nb::arg("nesterov"), nb::arg("weight_decay"));
  module.def(
      "adamw",
      [](std::vector<Stretch> stretches, double second_momentum, float eps,
         double weight_decay) -> std::shared_ptr<Operation> {
        return std::make_shared<AdamW>(std::move(stretches), second_momentum, eps, weight_decay);
      },
      nb::arg("stretches"), nb::arg("second_momentum"), nb::arg("eps"), nb::arg("weight_decay"));
}

}  // namespace foveate

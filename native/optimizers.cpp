// Optimisers over the packed parameters: the first `decayed` numbers feel weight decay, those up to `trained` do not,
// and what lies behind is left alone.
#include <omp.h>

#include <cmath>
#include <cstdint>

#include "bindings.h"
#include "operation.h"
#include "scalars.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Operands: parameters, gradients, momentum, scalars.
class Sgd : public Kernel {
 public:
  Sgd(std::int64_t decayed, std::int64_t trained, bool nesterov, float weight_decay)
      : decayed_(decayed), trained_(trained), nesterov_(nesterov), weight_decay_(weight_decay) {}

  std::string name() const override { return "sgd"; }

  void execute(const std::vector<void*>& addresses) const override {
    const auto* scalars = static_cast<const RunScalars*>(addresses[3]);
    update(addresses, 0, decayed_, weight_decay_, *scalars);
    update(addresses, decayed_, trained_, 0, *scalars);
  }

 private:
  void update(const std::vector<void*>& addresses, std::int64_t begin, std::int64_t end, float decay,
              const RunScalars& scalars) const {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* velocity = static_cast<float*>(addresses[2]);
    const float rate = static_cast<float>(scalars.learning_rate), kept = static_cast<float>(scalars.momentum);
    const float ahead = nesterov_ ? 1.0f : 0.0f, along = nesterov_ ? kept : 1.0f;
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = begin; index < end; ++index) {
      const float gradient = gradients[index] + decay * parameters[index];
      velocity[index] = kept * velocity[index] + gradient;
      parameters[index] -= rate * (ahead * gradient + along * velocity[index]);
    }
  }

  std::int64_t decayed_, trained_;
  bool nesterov_;
  float weight_decay_;
};

// Operands: parameters, gradients, mean, mean square, scalars.
class AdamW : public Kernel {
 public:
  AdamW(std::int64_t decayed, std::int64_t trained, double second_momentum, float eps, double weight_decay)
      : decayed_(decayed), trained_(trained), second_(second_momentum), eps_(eps), weight_decay_(weight_decay) {}

  std::string name() const override { return "adamw"; }

  void execute(const std::vector<void*>& addresses) const override {
    const auto* scalars = static_cast<const RunScalars*>(addresses[4]);
    update(addresses, 0, decayed_, weight_decay_, *scalars);
    update(addresses, decayed_, trained_, 0, *scalars);
  }

 private:
  void update(const std::vector<void*>& addresses, std::int64_t begin, std::int64_t end, double decay,
              const RunScalars& scalars) const {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* mean = static_cast<float*>(addresses[2]);
    auto* square = static_cast<float*>(addresses[3]);
    const double count = static_cast<double>(scalars.step + 1);
    const float first = static_cast<float>(scalars.momentum), second = static_cast<float>(second_);
    const float step = static_cast<float>(scalars.learning_rate / (1 - std::pow(scalars.momentum, count)));
    const float root = static_cast<float>(1 / std::sqrt(1 - std::pow(second_, count)));
    const float shrink = static_cast<float>(1 - scalars.learning_rate * decay), eps = eps_;
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = begin; index < end; ++index) {
      const float gradient = gradients[index];
      mean[index] = first * mean[index] + (1 - first) * gradient;
      square[index] = second * square[index] + (1 - second) * gradient * gradient;
      parameters[index] = shrink * parameters[index] - step * mean[index] / (std::sqrt(square[index]) * root + eps);
    }
  }

  std::int64_t decayed_, trained_;
  double second_;
  float eps_;
  double weight_decay_;
};

}  // namespace

void init_optimizers(nb::module_& module) {
  module.def(
      "sgd",
      [](std::int64_t decayed, std::int64_t trained, bool nesterov, float weight_decay) -> std::shared_ptr<Operation> {
        return std::make_shared<Sgd>(decayed, trained, nesterov, weight_decay);
      },
      nb::arg("decayed"), nb::arg("trained"), nb::arg("nesterov"), nb::arg("weight_decay"));
  module.def(
      "adamw",
      [](std::int64_t decayed, std::int64_t trained, double second_momentum, float eps,
         double weight_decay) -> std::shared_ptr<Operation> {
        return std::make_shared<AdamW>(decayed, trained, second_momentum, eps, weight_decay);
      },
      nb::arg("decayed"), nb::arg("trained"), nb::arg("second_momentum"), nb::arg("eps"), nb::arg("weight_decay"));
}

}  // namespace foveate

// Optimisers over the packed parameters, stretch by stretch: what lies outside of every stretch does not learn.
#include <nanobind/ndarray.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "operation.h"
#include "threads.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Neighbouring numbers that learn, whether they feel weight decay, and their factor on the learning rate.
struct Stretch {
  std::int64_t begin, end;
  bool decays;
  double factor;
};

// Something done to every stretch.
class OverStretches : public Kernel {
 public:
  OverStretches(std::vector<std::string> operands, std::vector<Stretch> stretches)
      : Kernel(std::move(operands)), stretches_(std::move(stretches)) {}

  void execute(const Addresses& addresses, Run& run) const override {
    for (const Stretch& stretch : stretches_) update(addresses, stretch, run.scalars);
  }

 protected:
  virtual void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const = 0;

  std::vector<Stretch> stretches_;
};

class Sgd : public OverStretches {
 public:
  Sgd(std::vector<Stretch> stretches, bool nesterov, float weight_decay)
      : OverStretches({"parameters", "gradients", "momentum"}, std::move(stretches)),
        nesterov_(nesterov),
        weight_decay_(weight_decay) {}

  std::string name() const override { return "sgd"; }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const override {
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

  bool nesterov_;
  float weight_decay_;
};

class AdamW : public OverStretches {
 public:
  AdamW(std::vector<Stretch> stretches, double second_momentum, float eps, double weight_decay)
      : OverStretches({"parameters", "gradients", "mean", "mean_square"}, std::move(stretches)),
        second_(second_momentum),
        eps_(eps),
        weight_decay_(weight_decay) {}

  std::string name() const override { return "adamw"; }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const override {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* mean = static_cast<float*>(addresses[2]);
    auto* square = static_cast<float*>(addresses[3]);
    const double count = static_cast<double>(scalars.update + 1), decay = stretch.decays ? weight_decay_ : 0.0;
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

  double second_;
  float eps_;
  double weight_decay_;
};

class Lion : public OverStretches {
 public:
  Lion(std::vector<Stretch> stretches, double second_momentum, double weight_decay)
      : OverStretches({"parameters", "gradients", "mean"}, std::move(stretches)),
        second_(static_cast<float>(second_momentum)),
        weight_decay_(weight_decay) {}

  std::string name() const override { return "lion"; }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const override {
    auto* parameters = static_cast<float*>(addresses[0]);
    const auto* gradients = static_cast<const float*>(addresses[1]);
    auto* mean = static_cast<float*>(addresses[2]);
    const double wide = stretch.factor * scalars.learning_rate;
    const float rate = static_cast<float>(wide), first = static_cast<float>(scalars.momentum), second = second_;
    const float shrink = static_cast<float>(1 - wide * (stretch.decays ? weight_decay_ : 0.0));
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = stretch.begin; index < stretch.end; ++index) {
      const float gradient = gradients[index];
      const float ahead = first * mean[index] + (1 - first) * gradient;
      const float sign = ahead > 0 ? 1.0f : ahead < 0 ? -1.0f : ahead;  // that of NaN is NaN
      mean[index] = second * mean[index] + (1 - second) * gradient;
      parameters[index] = shrink * parameters[index] - rate * sign;
    }
  }

  float second_;
  double weight_decay_;
};

// Adds up the gradients of several batches, each with its share; the sum takes the place of the last one's gradients.
class Accumulate : public OverStretches {
 public:
  explicit Accumulate(std::vector<Stretch> stretches)
      : OverStretches({"gradients", "accumulated"}, std::move(stretches)) {}

  std::string name() const override { return "accumulate"; }

  void execute(const Addresses& addresses, Run& run) const override {
    if (run.scalars.first && run.scalars.last) return;
    OverStretches::execute(addresses, run);
  }

 private:
  void update(const Addresses& addresses, const Stretch& stretch, const RunScalars& scalars) const override {
    auto* gradients = static_cast<float*>(addresses[0]);
    auto* accumulated = static_cast<float*>(addresses[1]);
    const float share = static_cast<float>(scalars.share);
    if (scalars.first) {
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = stretch.begin; index < stretch.end; ++index)
        accumulated[index] = share * gradients[index];
    } else if (!scalars.last) {
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = stretch.begin; index < stretch.end; ++index)
        accumulated[index] += share * gradients[index];
    } else {
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = stretch.begin; index < stretch.end; ++index)
        gradients[index] = accumulated[index] + share * gradients[index];
    }
  }
};

// Scales the gradients of all that learns, so that their norm is at most `most`; the norm before is a result. One that is
// no finite number stops the run.
class ClipNorm : public Kernel {
 public:
  ClipNorm(std::vector<Stretch> stretches, double most, std::size_t result)
      : Kernel({"gradients"}), stretches_(std::move(stretches)), most_(most), result_(result) {}

  std::string name() const override { return "clip_norm"; }

  void execute(const Addresses& addresses, Run& run) const override {
    auto* gradients = static_cast<float*>(addresses[0]);
    double squares = 0;
    for (const Stretch& stretch : stretches_) squares += squares_of(gradients, stretch);
    const double norm = std::sqrt(squares);
    run.results[result_].loss = norm;
    if (!std::isfinite(norm)) {
      run.stop = true;
      return;
    }
    const double factor = most_ / (norm + 1e-6);
    if (factor >= 1) return;
    for (const Stretch& stretch : stretches_) {
      const float scale = static_cast<float>(factor);
#pragma omp parallel for simd schedule(static)
      for (std::int64_t index = stretch.begin; index < stretch.end; ++index) gradients[index] *= scale;
    }
  }

 private:
  // Summed in blocks of one size, so that the sum does not depend on the number of threads.
  static double squares_of(const float* gradients, const Stretch& stretch) {
    constexpr std::int64_t block = 8192;
    const std::int64_t blocks = (stretch.end - stretch.begin + block - 1) / block;
    std::vector<double> sums(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static)
    for (std::int64_t number = 0; number < blocks; ++number) {
      const std::int64_t begin = stretch.begin + number * block, end = std::min(begin + block, stretch.end);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t index = begin; index < end; ++index) {
        const double value = gradients[index];
        sum += value * value;
      }
      sums[static_cast<std::size_t>(number)] = sum;
    }
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
  }

  std::vector<Stretch> stretches_;
  double most_;
  std::size_t result_;
};

using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using GivenFloats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Moves the numbers of `target` towards those of `source` by `share` of the way.
void move_towards(Floats target, GivenFloats source, double share) {
  if (target.shape(0) != source.shape(0)) throw std::invalid_argument("the arrays differ in size");
  float* to = target.data();
  const float* from = source.data();
  const auto count = static_cast<std::int64_t>(target.shape(0));
  const auto part = static_cast<float>(share);
  const WithoutGil without_gil;
  run_with_threads(thread_count(), [&] {
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = 0; index < count; ++index) to[index] += part * (from[index] - to[index]);
  });
}

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
  module.def(
      "lion",
      [](std::vector<Stretch> stretches, double second_momentum, double weight_decay) -> std::shared_ptr<Operation> {
        return std::make_shared<Lion>(std::move(stretches), second_momentum, weight_decay);
      },
      nb::arg("stretches"), nb::arg("second_momentum"), nb::arg("weight_decay"));
  module.def(
      "accumulate",
      [](std::vector<Stretch> stretches) -> std::shared_ptr<Operation> {
        return std::make_shared<Accumulate>(std::move(stretches));
      },
      nb::arg("stretches"));
  module.def(
      "clip_norm",
      [](std::vector<Stretch> stretches, double most, std::size_t result) -> std::shared_ptr<Operation> {
        return std::make_shared<ClipNorm>(std::move(stretches), most, result);
      },
      nb::arg("stretches"), nb::arg("most"), nb::arg("result"));
  module.def("move_towards", &move_towards, nb::arg("target"), nb::arg("source"), nb::arg("share"),
             nb::sig("def move_towards(target: NDArray[numpy.float32], source: NDArray[numpy.float32], share: float) "
                     "-> None"));
}

}  // namespace foveate

// Sums, means, products, maxima and minima over any axes of each sample, in the plain layout.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

enum class Kind { sum, mean, prod, max, min };

Kind kind_named(const std::string& name) {
  if (name == "sum") return Kind::sum;
  if (name == "mean") return Kind::mean;
  if (name == "prod") return Kind::prod;
  if (name == "max") return Kind::max;
  if (name == "min") return Kind::min;
  throw std::invalid_argument("there is no reduction by " + name);
}

// Which numbers of a sample each output is made of: those at `outputs[o] + taps[t]`.
struct Reduced {
  Kind kind;
  std::int64_t samples, numbers;
  Indices outputs, taps;

  std::int64_t total() const { return samples * static_cast<std::int64_t>(outputs.size()); }
  std::int64_t start(std::int64_t output) const {
    const auto count = static_cast<std::int64_t>(outputs.size());
    return output / count * numbers + outputs[output % count];
  }
};

class Reduction : public Kernel {
 public:
  explicit Reduction(Reduced shape) : Kernel({"src", "dst"}), shape_(std::move(shape)) {}
  std::string name() const override { return "reduction"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
#pragma omp parallel for schedule(static)
    for (std::int64_t output = 0; output < shape_.total(); ++output) target[output] = of(source + shape_.start(output));
  }

 private:
  float of(const float* x) const {
    if (shape_.kind == Kind::sum || shape_.kind == Kind::mean) {
      double sum = 0;
      for (const std::int64_t tap : shape_.taps) sum += x[tap];
      return static_cast<float>(shape_.kind == Kind::sum ? sum : sum / shape_.taps.size());
    }
    if (shape_.kind == Kind::prod) {
      double product = 1;
      for (const std::int64_t tap : shape_.taps) product *= x[tap];
      return static_cast<float>(product);
    }
    float best = x[shape_.taps[0]];
    for (const std::int64_t tap : shape_.taps) {
      const float other = x[tap];
      const bool better = shape_.kind == Kind::max ? other > best : other < best;
      if (better || std::isnan(other)) best = other;
      if (std::isnan(best)) return best;
    }
    return best;
  }

  Reduced shape_;
};

// Equal maxima share their gradient.
class ReductionBackward : public Kernel {
 public:
  explicit ReductionBackward(Reduced shape)
      : Kernel({"diff_dst", "diff_src", "src?", "dst?"}), shape_(std::move(shape)) {}
  std::string name() const override { return "reduction backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    auto* result = static_cast<float*>(addresses[1]);
    const auto* source = static_cast<const float*>(addresses[2]);
    const auto* target = static_cast<const float*>(addresses[3]);
    const bool extreme = shape_.kind == Kind::max || shape_.kind == Kind::min;
#pragma omp parallel for schedule(static)
    for (std::int64_t output = 0; output < shape_.total(); ++output) {
      const std::int64_t start = shape_.start(output);
      const float dy = gradient[output];
      float* dx = result + start;
      if (shape_.kind == Kind::prod) {
        to_factors(source + start, dy, dx);
      } else if (extreme) {
        to_equals(source + start, target[output], dy, dx);
      } else {
        const float share = shape_.kind == Kind::sum ? dy : dy / static_cast<float>(shape_.taps.size());
        for (const std::int64_t tap : shape_.taps) dx[tap] = share;
      }
    }
  }

 private:
  // Where the result is NaN nothing is equal to it, and what comes back is 0 / 0, as in PyTorch.
  void to_equals(const float* x, float y, float dy, float* dx) const {
    float count = 0;
    for (const std::int64_t tap : shape_.taps) count += x[tap] == y ? 1.0f : 0.0f;
    for (const std::int64_t tap : shape_.taps) dx[tap] = (x[tap] == y ? dy : 0.0f) / count;
  }

  // To each factor the product of the others: of those before it, and of those behind it.
  void to_factors(const float* x, float dy, float* dx) const {
    double before = dy, behind = 1;
    for (const std::int64_t tap : shape_.taps) {
      dx[tap] = static_cast<float>(before);
      before *= x[tap];
    }
    for (auto tap = shape_.taps.rbegin(); tap != shape_.taps.rend(); ++tap) {
      dx[*tap] = static_cast<float>(dx[*tap] * behind);
      behind *= x[*tap];
    }
  }

  Reduced shape_;
};

}  // namespace

void init_reduction(nb::module_& module) {
  module.def(
      "reduction",
      [](const std::string& kind, std::int64_t samples, std::int64_t numbers, Indices outputs,
         Indices taps) -> std::shared_ptr<Operation> {
        return std::make_shared<Reduction>(
            Reduced{kind_named(kind), samples, numbers, std::move(outputs), std::move(taps)});
      },
      nb::arg("kind"), nb::arg("samples"), nb::arg("numbers"), nb::arg("outputs"), nb::arg("taps"));
  module.def(
      "reduction_backward",
      [](const std::string& kind, std::int64_t samples, std::int64_t numbers, Indices outputs,
         Indices taps) -> std::shared_ptr<Operation> {
        return std::make_shared<ReductionBackward>(
            Reduced{kind_named(kind), samples, numbers, std::move(outputs), std::move(taps)});
      },
      nb::arg("kind"), nb::arg("samples"), nb::arg("numbers"), nb::arg("outputs"), nb::arg("taps"));
}

}  // namespace foveate

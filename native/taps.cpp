// Resizing along one axis: every output is a weighted sum of neighbouring positions. Plain layout.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;
using Weights = std::vector<std::vector<float>>;

// An array of (outer, size, inner). Output o is the sum of weights[o][k] times position starts[o] + k.
struct Taps {
  std::int64_t outer, size, inner;
  Indices starts;
  Weights weights;

  std::int64_t outputs() const { return static_cast<std::int64_t>(starts.size()); }
};

class Resizing : public Kernel {
 public:
  explicit Resizing(Taps taps) : Kernel({"src", "dst"}), taps_(std::move(taps)) {}
  std::string name() const override { return "resize"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    const std::int64_t inner = taps_.inner, outputs = taps_.outputs();
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < taps_.outer * outputs; ++row) {
      const std::int64_t output = row % outputs;
      const std::vector<float>& weights = taps_.weights[output];
      const float* x = source + (row / outputs * taps_.size + taps_.starts[output]) * inner;
      float* y = target + row * inner;
      if (inner == 1) {
        float sum = 0;
        for (std::size_t tap = 0; tap < weights.size(); ++tap) sum += weights[tap] * x[tap];
        *y = sum;
        continue;
      }
      for (std::size_t tap = 0; tap < weights.size(); ++tap) {
        const float weight = weights[tap];
        const float* from = x + tap * inner;
        if (tap == 0) {
#pragma omp simd
          for (std::int64_t i = 0; i < inner; ++i) y[i] = weight * from[i];
        } else {
#pragma omp simd
          for (std::int64_t i = 0; i < inner; ++i) y[i] += weight * from[i];
        }
      }
    }
  }

 private:
  Taps taps_;
};

class ResizingBackward : public Kernel {
 public:
  explicit ResizingBackward(Taps taps) : Kernel({"diff_dst", "diff_src"}), taps_(std::move(taps)) {}
  std::string name() const override { return "resize backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    auto* result = static_cast<float*>(addresses[1]);
    const std::int64_t inner = taps_.inner, outputs = taps_.outputs();
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < taps_.outer; ++plane) {
      float* dx = result + plane * taps_.size * inner;
      std::fill_n(dx, taps_.size * inner, 0.0f);
      for (std::int64_t output = 0; output < outputs; ++output) {
        const float* dy = gradient + (plane * outputs + output) * inner;
        const std::vector<float>& weights = taps_.weights[output];
        for (std::size_t tap = 0; tap < weights.size(); ++tap) {
          float* to = dx + (taps_.starts[output] + static_cast<std::int64_t>(tap)) * inner;
          const float weight = weights[tap];
#pragma omp simd
          for (std::int64_t i = 0; i < inner; ++i) to[i] += weight * dy[i];
        }
      }
    }
  }

 private:
  Taps taps_;
};

Taps checked(std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts, Weights weights) {
  if (starts.size() != weights.size()) throw std::invalid_argument("every output has a start and weights");
  for (std::size_t output = 0; output < starts.size(); ++output)
    if (weights[output].empty() || starts[output] < 0 ||
        starts[output] + static_cast<std::int64_t>(weights[output].size()) > size)
      throw std::out_of_range("a tap lies outside");
  return {outer, size, inner, std::move(starts), std::move(weights)};
}

}  // namespace

void init_taps(nb::module_& module) {
  module.def(
      "resizing",
      [](std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts,
         Weights weights) -> std::shared_ptr<Operation> {
        return std::make_shared<Resizing>(checked(outer, size, inner, std::move(starts), std::move(weights)));
      },
      nb::arg("outer"), nb::arg("size"), nb::arg("inner"), nb::arg("starts"), nb::arg("weights"));
  module.def(
      "resizing_backward",
      [](std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts,
         Weights weights) -> std::shared_ptr<Operation> {
        return std::make_shared<ResizingBackward>(checked(outer, size, inner, std::move(starts), std::move(weights)));
      },
      nb::arg("outer"), nb::arg("size"), nb::arg("inner"), nb::arg("starts"), nb::arg("weights"));
}

}  // namespace foveate

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

// An array of (outer, size, inner). Output o is the sum of weights[o * most + k] times position starts[o] + k, for k
// below counts[o].
struct Taps {
  std::int64_t outer, size, inner, most;
  Indices starts, counts;
  std::vector<float> weights;

  std::int64_t outputs() const { return static_cast<std::int64_t>(starts.size()); }
};

class Resizing : public Kernel {
 public:
  explicit Resizing(Taps taps) : Kernel({"src", "dst"}), taps_(std::move(taps)) {}
  std::string name() const override { return "resize"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    if (taps_.inner > 1)
      along_rows(source, target);
    else if (taps_.most <= 2)
      between_neighbors(source, target);
    else
      along_a_row(source, target);
  }

 private:
  void along_rows(const float* source, float* target) const {
    const std::int64_t inner = taps_.inner, outputs = taps_.outputs();
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < taps_.outer * outputs; ++row) {
      const std::int64_t output = row % outputs, count = taps_.counts[output];
      const float* weights = taps_.weights.data() + output * taps_.most;
      const float* x = source + (row / outputs * taps_.size + taps_.starts[output]) * inner;
      float* y = target + row * inner;
      const float first = weights[0], second = weights[count > 1];
      if (count == 2) {
#pragma omp simd
        for (std::int64_t i = 0; i < inner; ++i) y[i] = first * x[i] + second * x[inner + i];
        continue;
      }
#pragma omp simd
      for (std::int64_t i = 0; i < inner; ++i) y[i] = first * x[i];
      for (std::int64_t tap = 1; tap < count; ++tap) {
        const float weight = weights[tap];
#pragma omp simd
        for (std::int64_t i = 0; i < inner; ++i) y[i] += weight * x[tap * inner + i];
      }
    }
  }

  void between_neighbors(const float* source, float* target) const {
    const std::int64_t outputs = taps_.outputs();
    const std::int64_t* starts = taps_.starts.data();
    const std::int64_t* counts = taps_.counts.data();
    const float* weights = taps_.weights.data();
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < taps_.outer; ++row) {
      const float* x = source + row * taps_.size;
      float* y = target + row * outputs;
      for (std::int64_t o = 0; o < outputs; ++o) {
        const float* at = x + starts[o];
        const float* weight = weights + o * taps_.most;
        y[o] = counts[o] == 1 ? weight[0] * at[0] : weight[0] * at[0] + weight[1] * at[1];
      }
    }
  }

  void along_a_row(const float* source, float* target) const {
    const std::int64_t outputs = taps_.outputs();
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < taps_.outer; ++row)
      for (std::int64_t output = 0; output < outputs; ++output) {
        const float* x = source + row * taps_.size + taps_.starts[output];
        float sum = 0;
        for (std::int64_t tap = 0; tap < taps_.counts[output]; ++tap)
          sum += taps_.weights[output * taps_.most + tap] * x[tap];
        target[row * outputs + output] = sum;
      }
  }

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
        const float* weights = taps_.weights.data() + output * taps_.most;
        for (std::int64_t tap = 0; tap < taps_.counts[output]; ++tap) {
          float* to = dx + (taps_.starts[output] + tap) * inner;
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

Taps checked(std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts, const Weights& weights) {
  if (starts.size() != weights.size()) throw std::invalid_argument("every output has a start and weights");
  Taps taps{outer, size, inner, 0, std::move(starts), {}, {}};
  for (std::int64_t output = 0; output < taps.outputs(); ++output) {
    const auto count = static_cast<std::int64_t>(weights[output].size());
    if (!count || taps.starts[output] < 0 || taps.starts[output] + count > size)
      throw std::out_of_range("a tap lies outside");
    taps.counts.push_back(count);
    taps.most = std::max(taps.most, count);
  }
  for (const std::vector<float>& each : weights) {
    taps.weights.insert(taps.weights.end(), each.begin(), each.end());
    taps.weights.resize(taps.weights.size() + taps.most - each.size());
  }
  return taps;
}

}  // namespace

void init_taps(nb::module_& module) {
  module.def(
      "resizing",
      [](std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts,
         Weights weights) -> std::shared_ptr<Operation> {
        return std::make_shared<Resizing>(checked(outer, size, inner, std::move(starts), weights));
      },
      nb::arg("outer"), nb::arg("size"), nb::arg("inner"), nb::arg("starts"), nb::arg("weights"));
  module.def(
      "resizing_backward",
      [](std::int64_t outer, std::int64_t size, std::int64_t inner, Indices starts,
         Weights weights) -> std::shared_ptr<Operation> {
        return std::make_shared<ResizingBackward>(checked(outer, size, inner, std::move(starts), weights));
      },
      nb::arg("outer"), nb::arg("size"), nb::arg("inner"), nb::arg("starts"), nb::arg("weights"));
}

}  // namespace foveate

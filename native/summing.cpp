// Sums of an array along any of its axes, in the plain layout: what flows back to numbers that were repeated. In float64,
// in an order that does not depend on the threads.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "memory.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Axes of one kind, kept or summed: their sizes, and how far neighbours lie apart.
struct Axes {
  std::vector<std::int64_t> sizes, strides;

  std::int64_t count() const {
    std::int64_t total = 1;
    for (std::int64_t size : sizes) total *= size;
    return total;
  }
  std::int64_t offset(std::int64_t number) const {
    std::int64_t place = 0;
    for (std::size_t axis = sizes.size(); axis-- > 0; number /= sizes[axis]) place += number % sizes[axis] * strides[axis];
    return place;
  }
};

// Whether numbers lie in the order of the axes; strides of axes with one position say nothing.
bool lies_plain(const Description& array) {
  const Dims dims = array.get_dims(), strides = array.get_strides();
  std::int64_t expected = 1;
  for (std::size_t axis = dims.size(); axis-- > 0; expected *= dims[axis])
    if (dims[axis] != 1 && strides[axis] != expected) return false;
  return array.get_inner_blks().empty();
}

class SumAlong : public Kernel {
 public:
  SumAlong(const Description& source, const Description& target) : Kernel({"src", "dst"}) {
    const Dims from = source.get_dims(), to = target.get_dims();
    if (from.size() != to.size() || !lies_plain(source) || !lies_plain(target))
      throw std::invalid_argument("sums are of plain arrays with as many axes");
    std::int64_t stride = 1;
    bool kept_before = false;
    for (std::size_t axis = from.size(); axis-- > 0;) {
      if (to[axis] != from[axis] && to[axis] != 1) throw std::invalid_argument("an axis is kept or summed to one number");
      if (from[axis] == 1) continue;
      const bool kept = to[axis] == from[axis];
      if (stride == 1) {
        row_ = from[axis];
        row_kept_ = kept;
      } else if (kept == kept_before && summed_.sizes.empty() && kept_.sizes.empty()) {
        row_ *= from[axis];  // the row goes on
      } else {
        Axes& axes = kept ? kept_ : summed_;
        axes.sizes.insert(axes.sizes.begin(), from[axis]);
        axes.strides.insert(axes.strides.begin(), stride);
      }
      kept_before = kept;
      stride *= from[axis];
    }
    // Where few numbers are made, the terms of each are summed in parts.
    parts_ = std::clamp<std::int64_t>(64 / tasks(), 1, summed_.count());
  }
  std::string name() const override { return "sum along axes"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    const std::int64_t outputs = kept_.count() * (row_kept_ ? row_ : 1), terms = summed_.count();
    std::vector<double> sums(parts_ * outputs);
#pragma omp parallel for schedule(static) if (outputs * terms * (row_kept_ ? 1 : row_) > 16384)
    for (std::int64_t task = 0; task < tasks() * parts_; ++task) {
      const std::int64_t part = task / tasks(), made = task % tasks() / stretches(), stretch = task % stretches();
      double* const to = sums.data() + part * outputs + (row_kept_ ? made * row_ + stretch * width : made);
      const float* const from = source + kept_.offset(made) + stretch * width;
      for (std::int64_t term = terms * part / parts_; term < terms * (part + 1) / parts_; ++term)
        add(from + summed_.offset(term), to, std::min(width, row_ - stretch * width));
    }
    for (std::int64_t output = 0; output < outputs; ++output) {
      double sum = 0;
      for (std::int64_t part = 0; part < parts_; ++part) sum += sums[part * outputs + output];
      target[output] = static_cast<float>(sum);
    }
  }

 private:
  static constexpr std::int64_t width = 1024;  // numbers of a row that one task sums beside each other

  std::int64_t stretches() const { return row_kept_ ? (row_ + width - 1) / width : 1; }
  std::int64_t tasks() const { return kept_.count() * stretches(); }

  void add(const float* from, double* to, std::int64_t count) const {
    if (!row_kept_) {
      *to += vector_kernels().moments(from, row_, 0).plain;
      return;
    }
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
  }

  Axes kept_, summed_;
  std::int64_t row_ = 1, parts_ = 1;
  bool row_kept_ = true;
};

}  // namespace

void init_summing(nb::module_& module) {
  module.def(
      "sum_along",
      [](const Description& source, const Description& target) -> std::shared_ptr<Operation> {
        return std::make_shared<SumAlong>(source, target);
      },
      nb::arg("source"), nb::arg("target"));
}

}  // namespace foveate

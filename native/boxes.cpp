// Pooling over boxes of any sizes, in the plain layout: maxima, and norms in float64, whose powers of small numbers would
// be lost in float32.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

// Along one axis: how many positions there are, and where the box of each output begins and ends.
struct Axis {
  std::int64_t size;
  Indices begins, ends;

  std::int64_t outputs() const { return static_cast<std::int64_t>(begins.size()); }
};

// Boxes over three axes, of which the first may have a single position.
struct Boxes {
  std::int64_t planes;
  std::vector<Axis> axes;

  std::int64_t positions() const { return axes[0].size * axes[1].size * axes[2].size; }
  std::int64_t outputs() const { return axes[0].outputs() * axes[1].outputs() * axes[2].outputs(); }

  // Calls work(output) for each box of a plane in turn, and inside it visit(position) for each position of the box.
  template <class Work>
  void each(const Work& work) const {
    std::int64_t output = 0;
    for (std::int64_t d = 0; d < axes[0].outputs(); ++d)
      for (std::int64_t h = 0; h < axes[1].outputs(); ++h)
        for (std::int64_t w = 0; w < axes[2].outputs(); ++w, ++output)
          work(output, [this, d, h, w](const auto& visit) {
            for (std::int64_t i = axes[0].begins[d]; i < axes[0].ends[d]; ++i)
              for (std::int64_t j = axes[1].begins[h]; j < axes[1].ends[h]; ++j) {
                const std::int64_t row = (i * axes[1].size + j) * axes[2].size;
                for (std::int64_t k = axes[2].begins[w]; k < axes[2].ends[w]; ++k) visit(row + k);
              }
          });
  }
};

class BoxKernel : public Kernel {
 public:
  BoxKernel(std::vector<std::string> operands, Boxes boxes) : Kernel(std::move(operands)), boxes_(std::move(boxes)) {}

 protected:
  // Calls work(first position, first output) for each plane.
  template <class Work>
  void each_plane(const Work& work) const {
#pragma omp parallel for schedule(static) if (boxes_.planes * boxes_.positions() > 16384)
    for (std::int64_t plane = 0; plane < boxes_.planes; ++plane)
      work(plane * boxes_.positions(), plane * boxes_.outputs());
  }

  Boxes boxes_;
};

class Maximum : public BoxKernel {
 public:
  explicit Maximum(Boxes boxes) : BoxKernel({"src", "dst", "winners?"}, std::move(boxes)) {}
  std::string name() const override { return "maximum of boxes"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* winners = static_cast<std::int32_t*>(addresses[2]);
    each_plane([&](std::int64_t first, std::int64_t made) {
      const float* x = source + first;
      boxes_.each([&](std::int64_t output, const auto& visit_box) {
        std::int64_t winner = -1;
        visit_box([&](std::int64_t at) {
          // The first NaN wins.
          if (winner < 0 || x[at] > x[winner] || (x[at] != x[at] && x[winner] == x[winner])) winner = at;
        });
        target[made + output] = x[winner];
        if (winners) winners[made + output] = static_cast<std::int32_t>(winner);
      });
    });
  }
};

class MaximumBackward : public BoxKernel {
 public:
  explicit MaximumBackward(Boxes boxes) : BoxKernel({"diff_dst", "winners", "diff_src"}, std::move(boxes)) {}
  std::string name() const override { return "maximum of boxes backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    const auto* winners = static_cast<const std::int32_t*>(addresses[1]);
    auto* result = static_cast<float*>(addresses[2]);
    each_plane([&](std::int64_t first, std::int64_t made) {
      std::fill_n(result + first, boxes_.positions(), 0.0f);
      for (std::int64_t output = made; output < made + boxes_.outputs(); ++output)
        result[first + winners[output]] += gradient[output];
    });
  }
};

// |x|^exponent; the common exponents without std::pow.
double power(double size, double exponent) {
  if (exponent == 2) return size * size;
  if (exponent == 1) return size;
  if (exponent == 0.5) return std::sqrt(size);
  if (exponent == 0) return 1;
  return std::pow(size, exponent);
}

class Norm : public BoxKernel {
 public:
  Norm(Boxes boxes, double norm) : BoxKernel({"src", "dst"}, std::move(boxes)), norm_(norm) {}
  std::string name() const override { return "norm of boxes"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    each_plane([&](std::int64_t first, std::int64_t made) {
      boxes_.each([&](std::int64_t output, const auto& visit_box) {
        double sum = 0;
        visit_box([&](std::int64_t at) { sum += power(std::fabs(static_cast<double>(source[first + at])), norm_); });
        target[made + output] = static_cast<float>(power(sum, 1 / norm_));
      });
    });
  }

 private:
  double norm_;
};

// dx = sum over boxes of dy y^(1 - p) * sign(x) |x|^(p - 1); a box of zeros has no slope.
class NormBackward : public BoxKernel {
 public:
  NormBackward(Boxes boxes, double norm)
      : BoxKernel({"src", "dst", "diff_dst", "diff_src"}, std::move(boxes)), norm_(norm) {}
  std::string name() const override { return "norm of boxes backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* norms = static_cast<const float*>(addresses[1]);
    const auto* gradient = static_cast<const float*>(addresses[2]);
    auto* result = static_cast<float*>(addresses[3]);
    each_plane([&](std::int64_t first, std::int64_t made) {
      thread_local std::vector<double> sums;
      sums.assign(boxes_.positions(), 0);
      boxes_.each([&](std::int64_t output, const auto& visit_box) {
        const double norm = norms[made + output];
        const double share = norm == 0 ? 0 : gradient[made + output] / power(norm, norm_ - 1);
        visit_box([&](std::int64_t at) { sums[at] += share; });
      });
      for (std::int64_t at = 0; at < boxes_.positions(); ++at) {
        const double x = source[first + at], slope = x == 0 ? 0 : power(std::fabs(x), norm_ - 1);
        result[first + at] = static_cast<float>(sums[at] * (x < 0 ? -slope : x != x ? x : slope));
      }
    });
  }

 private:
  double norm_;
};

Boxes checked(std::int64_t planes, const Indices& sizes, std::vector<Indices> begins, std::vector<Indices> ends) {
  Boxes boxes{planes, {}};
  if (sizes.size() != 3 || begins.size() != 3 || ends.size() != 3) throw std::invalid_argument("there are three axes");
  for (int axis = 0; axis < 3; ++axis) {
    if (begins[axis].size() != ends[axis].size()) throw std::invalid_argument("every box begins and ends");
    for (std::size_t box = 0; box < begins[axis].size(); ++box)
      if (begins[axis][box] < 0 || begins[axis][box] >= ends[axis][box] || ends[axis][box] > sizes[axis])
        throw std::out_of_range("a box is empty or lies outside");
    boxes.axes.push_back({sizes[axis], std::move(begins[axis]), std::move(ends[axis])});
  }
  if (boxes.positions() > 0x7fffffff) throw std::invalid_argument("a plane has more positions than winners can name");
  return boxes;
}

}  // namespace

void init_boxes(nb::module_& module) {
  nb::class_<Boxes>(module, "Boxes", "Boxes over three axes of every plane, one for each output.")
      .def(
          "__init__",
          [](Boxes* self, std::int64_t planes, const Indices& sizes, std::vector<Indices> begins,
             std::vector<Indices> ends) { new (self) Boxes(checked(planes, sizes, std::move(begins), std::move(ends))); },
          nb::arg("planes"), nb::arg("sizes"), nb::arg("begins"), nb::arg("ends"));
  module.def(
      "box_maximum", [](const Boxes& boxes) -> std::shared_ptr<Operation> { return std::make_shared<Maximum>(boxes); },
      nb::arg("boxes"));
  module.def(
      "box_maximum_backward",
      [](const Boxes& boxes) -> std::shared_ptr<Operation> { return std::make_shared<MaximumBackward>(boxes); },
      nb::arg("boxes"));
  module.def(
      "box_norm",
      [](const Boxes& boxes, double norm) -> std::shared_ptr<Operation> { return std::make_shared<Norm>(boxes, norm); },
      nb::arg("boxes"), nb::arg("norm"));
  module.def(
      "box_norm_backward",
      [](const Boxes& boxes, double norm) -> std::shared_ptr<Operation> {
        return std::make_shared<NormBackward>(boxes, norm);
      },
      nb::arg("boxes"), nb::arg("norm"));
}

}  // namespace foveate

// Layer, group and instance normalisation in the plain layout: each row of consecutive numbers is centred and scaled
// by its own mean and variance, then scaled and shifted by numbers that repeat from row to row.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr std::int64_t fewest_numbers = 16384;  // from which on threads are worth waking

// `rows` rows of `length` numbers. A row takes `affine_length` scales from a table of `tables` such stretches, in turn:
// each scale serves length / affine_length consecutive numbers. No scales where affine_length is 0. Rows that are not
// centred keep their mean, and are divided by the root of their mean square.
struct Rows {
  std::int64_t rows, length, affine_length, tables;
  double eps;
  bool centred;

  std::int64_t numbers() const { return rows * length; }
  // How many numbers in a row have one scale.
  std::int64_t repeats() const { return affine_length ? length / affine_length : length; }
  // Stretches of a row that have one scale each.
  std::int64_t stretches() const { return affine_length ? affine_length : 1; }
  // Whether every number of a row has its own scale.
  bool each() const { return tables == 1 && affine_length > 1 && affine_length == length; }
  std::int64_t first_scale(std::int64_t row) const { return row % tables * affine_length; }
};

class Forward : public Kernel {
 public:
  explicit Forward(const Rows& shape)
      : Kernel({"src", "dst", "mean", "inverse", "scale?", "shift?"}), shape_(shape) {}
  std::string name() const override { return "group norm forward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* means = static_cast<float*>(addresses[2]);
    auto* inverses = static_cast<float*>(addresses[3]);
    const auto* scale = shape_.affine_length ? static_cast<const float*>(addresses[4]) : nullptr;
    const auto* shift = shape_.affine_length ? static_cast<const float*>(addresses[5]) : nullptr;
#pragma omp parallel for schedule(static) if (shape_.numbers() > fewest_numbers)
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const float* x = source + row * shape_.length;
      const Normalizer by = measured(x);
      means[row] = static_cast<float>(by.mean);
      inverses[row] = static_cast<float>(by.inverse);
      write(by, row, x, target + row * shape_.length, scale, shift);
    }
  }

 private:
  // What is far from its first number leaves few digits of a difference of squares, so that is subtracted before.
  Normalizer measured(const float* x) const {
    const double from = shape_.centred ? x[0] : 0, count = static_cast<double>(shape_.length);
    const Sums sums = vector_kernels().moments(x, shape_.length, from);
    const double away = shape_.centred ? sums.plain / count : 0;
    const double variance = sums.weighted / count - away * away;
    return {from + away, 1 / std::sqrt((variance < 0 ? 0 : variance) + shape_.eps)};
  }

  void write(const Normalizer& by, std::int64_t row, const float* x, float* y, const float* scale, const float* shift) const {
    const VectorKernels& kernels = vector_kernels();
    if (shape_.each()) return kernels.normalize_each(by, x, y, shape_.length, scale, shift);
    const std::int64_t repeats = shape_.repeats();
    for (std::int64_t stretch = 0; stretch < shape_.stretches(); ++stretch) {
      const std::int64_t at = shape_.first_scale(row) + stretch, first = stretch * repeats;
      kernels.normalize(by, x + first, y + first, repeats, scale ? scale[at] : 1, shift ? shift[at] : 0);
    }
  }

  Rows shape_;
};

class Backward : public Kernel {
 public:
  explicit Backward(const Rows& shape)
      : Kernel({"src", "mean", "inverse", "diff_dst", "diff_src", "scale?", "diff_scale?", "diff_shift?"}),
        shape_(shape) {}
  std::string name() const override { return "group norm backward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const Operands of{static_cast<const float*>(addresses[0]), static_cast<const float*>(addresses[1]),
                      static_cast<const float*>(addresses[2]), static_cast<const float*>(addresses[3]),
                      shape_.affine_length ? static_cast<const float*>(addresses[5]) : nullptr};
    auto* result = static_cast<float*>(addresses[4]);
    std::vector<Sums> sums(shape_.each() ? 0 : shape_.rows * shape_.stretches());
#pragma omp parallel for schedule(static) if (shape_.numbers() > fewest_numbers)
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      if (shape_.each())
        by_numbers(of, row, result + row * shape_.length);
      else
        by_stretches(of, row, result + row * shape_.length, sums.data() + row * shape_.stretches());
    }
    if (!of.scale) return;
    auto* scale_gradient = static_cast<float*>(addresses[6]);
    auto* shift_gradient = static_cast<float*>(addresses[7]);
    if (shape_.each())
      of_columns(of, scale_gradient, shift_gradient);
    else
      of_stretches(sums, scale_gradient, shift_gradient);
  }

 private:
  struct Operands {
    const float *source, *means, *inverses, *gradient, *scale;

    Normalizer row(std::int64_t number) const { return {means[number], inverses[number]}; }
  };

  Sums means_of(const Sums& sums) const {
    const double count = static_cast<double>(shape_.length);
    return {shape_.centred ? sums.plain / count : 0, sums.weighted / count};
  }

  void by_numbers(const Operands& of, std::int64_t row, float* dx) const {
    const float *x = of.source + row * shape_.length, *dy = of.gradient + row * shape_.length;
    const Normalizer by = of.row(row);
    const Sums means = means_of(vector_kernels().gradient_sums(by, x, dy, shape_.length, of.scale));
    vector_kernels().gradient_to_source(by, means, x, dy, dx, shape_.length, of.scale, 1);
  }

  void by_stretches(const Operands& of, std::int64_t row, float* dx, Sums* sums) const {
    const float *x = of.source + row * shape_.length, *dy = of.gradient + row * shape_.length;
    const std::int64_t repeats = shape_.repeats(), count = shape_.stretches();
    const float* scale = of.scale ? of.scale + shape_.first_scale(row) : nullptr;
    const Normalizer by = of.row(row);
    Sums all{0, 0};
    for (std::int64_t stretch = 0; stretch < count; ++stretch) {
      const std::int64_t first = stretch * repeats;
      const double factor = scale ? scale[stretch] : 1;
      sums[stretch] = vector_kernels().gradient_sums(by, x + first, dy + first, repeats, nullptr);
      all.plain += factor * sums[stretch].plain;
      all.weighted += factor * sums[stretch].weighted;
    }
    const Sums means = means_of(all);
    for (std::int64_t stretch = 0; stretch < count; ++stretch) {
      const std::int64_t first = stretch * repeats;
      vector_kernels().gradient_to_source(by, means, x + first, dy + first, dx + first, repeats, nullptr,
                                          scale ? scale[stretch] : 1);
    }
  }

  // Each scale sums its own numbers over all rows in order, so that the result does not depend on the threads.
  void of_stretches(const std::vector<Sums>& sums, float* scale_gradient, float* shift_gradient) const {
    const std::int64_t count = shape_.affine_length;
    for (std::int64_t at = 0; at < count * shape_.tables; ++at) {
      Sums all{0, 0};
      for (std::int64_t row = at / count; row < shape_.rows; row += shape_.tables) {
        all.plain += sums[row * count + at % count].plain;
        all.weighted += sums[row * count + at % count].weighted;
      }
      finish(all, at, scale_gradient, shift_gradient);
    }
  }

  // As above, of bands of rows and stretches of columns side by side, whose number does not depend on the threads.
  void of_columns(const Operands& of, float* scale_gradient, float* shift_gradient) const {
    constexpr std::int64_t width = 512, height = 1024;
    const std::int64_t length = shape_.length, across = (length + width - 1) / width;
    const std::int64_t bands = (shape_.rows + height - 1) / height;
    std::vector<Sums> sums(bands > 1 ? bands * length : 0);
#pragma omp parallel for schedule(static) if (shape_.numbers() > fewest_numbers)
    for (std::int64_t task = 0; task < bands * across; ++task) {
      const std::int64_t band = task / across, first = task % across * width;
      const std::int64_t count = std::min(width, length - first);
      double along[width] = {}, sum[width] = {};
      for (std::int64_t row = band * height; row < std::min(shape_.rows, (band + 1) * height); ++row)
        vector_kernels().gradient_to_columns(of.row(row), of.source + row * length + first,
                                             of.gradient + row * length + first, count, along, sum);
      for (std::int64_t at = 0; at < count; ++at) {
        if (bands > 1)
          sums[band * length + first + at] = {sum[at], along[at]};
        else
          finish({sum[at], along[at]}, first + at, scale_gradient, shift_gradient);
      }
    }
    for (std::int64_t at = 0; bands > 1 && at < length; ++at) {
      Sums all{0, 0};
      for (std::int64_t band = 0; band < bands; ++band) {
        all.plain += sums[band * length + at].plain;
        all.weighted += sums[band * length + at].weighted;
      }
      finish(all, at, scale_gradient, shift_gradient);
    }
  }

  static void finish(const Sums& sums, std::int64_t at, float* scale_gradient, float* shift_gradient) {
    scale_gradient[at] = static_cast<float>(sums.weighted);
    if (shift_gradient) shift_gradient[at] = static_cast<float>(sums.plain);
  }

  Rows shape_;
};

}  // namespace

void init_group_normalization(nb::module_& module) {
  nb::class_<Rows>(module, "Rows", "Rows of numbers that are normalised apart, and how scales repeat in them.")
      .def(
          "__init__",
          [](Rows* self, std::int64_t rows, std::int64_t length, std::int64_t affine_length, std::int64_t tables,
             double eps, bool centred) { new (self) Rows{rows, length, affine_length, tables, eps, centred}; },
          nb::arg("rows"), nb::arg("length"), nb::arg("affine_length"), nb::arg("tables"), nb::arg("eps"),
          nb::arg("centred") = true);
  module.def(
      "group_normalization_forward",
      [](const Rows& shape) -> std::shared_ptr<Operation> { return std::make_shared<Forward>(shape); },
      nb::arg("shape"));
  module.def(
      "group_normalization_backward",
      [](const Rows& shape) -> std::shared_ptr<Operation> { return std::make_shared<Backward>(shape); },
      nb::arg("shape"));
}

}  // namespace foveate

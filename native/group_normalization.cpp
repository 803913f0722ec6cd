// Layer, group and instance normalisation in the plain layout: each row of consecutive numbers is centred and scaled
// by its own mean and variance, then scaled and shifted by numbers that repeat from row to row.
#include <omp.h>

#include <cmath>
#include <cstdint>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// `rows` rows of `length` numbers. A row takes `affine_length` scales from a table of `tables` such stretches, in turn:
// each scale serves length / affine_length consecutive numbers. No scales where affine_length is 0. Rows that are not
// centred keep their mean, and are divided by the root of their mean square.
struct Rows {
  std::int64_t rows, length, affine_length, tables;
  double eps;
  bool centred;

  std::int64_t repeats() const { return length / affine_length; }
  std::int64_t scale(std::int64_t row, std::int64_t index) const {
    return row % tables * affine_length + index / repeats();
  }
};

class Forward : public Kernel {
 public:
  explicit Forward(const Rows& shape)
      : Kernel({"src", "dst", "mean", "inverse", "scale?", "shift?"}), shape_(shape) {}
  std::string name() const override { return "group norm forward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* means = static_cast<float*>(addresses[2]);
    auto* inverses = static_cast<float*>(addresses[3]);
    const auto* scale = shape_.affine_length ? static_cast<const float*>(addresses[4]) : nullptr;
    const auto* shift = shape_.affine_length ? static_cast<const float*>(addresses[5]) : nullptr;
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const float* x = source + row * shape_.length;
      float* y = target + row * shape_.length;
      double sum = 0, squares = 0;
      for (std::int64_t i = 0; i < shape_.length; ++i) sum += x[i];
      const double mean = shape_.centred ? sum / shape_.length : 0;
      for (std::int64_t i = 0; i < shape_.length; ++i) squares += (x[i] - mean) * (x[i] - mean);
      const double inverse = 1 / std::sqrt(squares / shape_.length + shape_.eps);
      means[row] = static_cast<float>(mean);
      inverses[row] = static_cast<float>(inverse);
      for (std::int64_t i = 0; i < shape_.length; ++i) {
        const float normalized = static_cast<float>((x[i] - mean) * inverse);
        const std::int64_t at = scale ? shape_.scale(row, i) : 0;
        y[i] = scale ? normalized * scale[at] + (shift ? shift[at] : 0) : normalized;
      }
    }
  }

 private:
  Rows shape_;
};

class Backward : public Kernel {
 public:
  explicit Backward(const Rows& shape)
      : Kernel({"src", "mean", "inverse", "diff_dst", "diff_src", "scale?", "diff_scale?", "diff_shift?"}),
        shape_(shape) {}
  std::string name() const override { return "group norm backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* means = static_cast<const float*>(addresses[1]);
    const auto* inverses = static_cast<const float*>(addresses[2]);
    const auto* gradient = static_cast<const float*>(addresses[3]);
    auto* result = static_cast<float*>(addresses[4]);
    const auto* scale = shape_.affine_length ? static_cast<const float*>(addresses[5]) : nullptr;
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const std::int64_t start = row * shape_.length;
      to_source(row, source + start, means[row], inverses[row], gradient + start, scale, result + start);
    }
    if (scale)
      to_scale(source, means, inverses, gradient, static_cast<float*>(addresses[6]), static_cast<float*>(addresses[7]));
  }

 private:
  void to_source(std::int64_t row, const float* x, double mean, double inverse, const float* dy, const float* scale,
                 float* dx) const {
    double sum = 0, along = 0;
    for (std::int64_t i = 0; i < shape_.length; ++i) {
      const double g = scale ? dy[i] * scale[shape_.scale(row, i)] : dy[i];
      sum += g;
      along += g * (x[i] - mean) * inverse;
    }
    sum = shape_.centred ? sum / shape_.length : 0;
    along /= shape_.length;
    for (std::int64_t i = 0; i < shape_.length; ++i) {
      const double g = scale ? dy[i] * scale[shape_.scale(row, i)] : dy[i];
      dx[i] = static_cast<float>((g - sum - (x[i] - mean) * inverse * along) * inverse);
    }
  }

  // Each scale sums its own numbers over all rows in order, so that the result does not depend on the threads.
  void to_scale(const float* source, const float* means, const float* inverses, const float* gradient,
                float* scale_gradient, float* shift_gradient) const {
    const std::int64_t repeats = shape_.repeats();
#pragma omp parallel for schedule(static)
    for (std::int64_t at = 0; at < shape_.affine_length * shape_.tables; ++at) {
      double along = 0, sum = 0;
      for (std::int64_t row = at / shape_.affine_length; row < shape_.rows; row += shape_.tables) {
        const std::int64_t first = row * shape_.length + at % shape_.affine_length * repeats;
        for (std::int64_t i = first; i < first + repeats; ++i) {
          sum += gradient[i];
          along += static_cast<double>(gradient[i]) * (source[i] - means[row]) * inverses[row];
        }
      }
      scale_gradient[at] = static_cast<float>(along);
      if (shift_gradient) shift_gradient[at] = static_cast<float>(sum);
    }
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

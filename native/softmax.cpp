// Softmax and its logarithm along an axis, whose numbers lie equally far apart. A NaN makes its whole row NaN, as an infinity does.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bindings.h"
#include "loss_tile.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// `samples` of (channels, positions); the channels of a position are a row.
class Rows : public Kernel {
 public:
  Rows(std::vector<std::string> operands, std::int64_t samples, const Tiling& tiling, bool logarithm)
      : Kernel(std::move(operands)), samples_(samples), tiling_(tiling), logarithm_(logarithm) {}
  std::string implementation() const override { return vector_kernels().implementation; }

 protected:
  // Calls work(first, second, result) for each row: of two arrays that are read, and of one that is written.
  template <class Work>
  void each_row(const float* first, const float* second, float* result, const Work& work) const {
    const std::int64_t tiles = tiling_.tiles(), of_sample = tiling_.channels * tiling_.positions;
#pragma omp parallel if (samples_ * of_sample > 16384)
    {
      std::vector<float> one(tiling_.size()), two(tiling_.size()), written(tiling_.size());
#pragma omp for schedule(static)
      for (std::int64_t index = 0; index < samples_ * tiles; ++index) {
        const std::int64_t begin = index / tiles * of_sample, tile = index % tiles;
        const float* from = tiling_.read(first + begin, tile, one);
        const float* other = tiling_.read(second + begin, tile, two);
        float* to = tiling_.target(result + begin, written);
        for (std::int64_t i = 0; i < tiling_.count(tile) * tiling_.channels; i += tiling_.channels)
          work(from + i, other + i, to + i);
        tiling_.write(written, tile, result + begin);
      }
    }
  }

  // Whether rows that lie beside each other fill vectors, each a lane.
  bool in_columns() const { return tiling_.positions >= vector_kernels().lanes; }

  // Calls work(first number, columns) for some columns of a sample at a time.
  template <class Work>
  void each_columns(const Work& work) const {
    constexpr std::int64_t together = 128;
    const std::int64_t parts = std::max<std::int64_t>(1, tiling_.positions / together);
#pragma omp parallel for schedule(static) if (samples_ * tiling_.channels * tiling_.positions > 16384)
    for (std::int64_t task = 0; task < samples_ * parts; ++task) {
      const std::int64_t begin = task % parts * together;
      const std::int64_t end = task % parts + 1 == parts ? tiling_.positions : begin + together;
      work(task / parts * tiling_.channels * tiling_.positions + begin, end - begin);
    }
  }

  std::int64_t samples_;
  Tiling tiling_;
  bool logarithm_;
};

class Softmax : public Rows {
 public:
  Softmax(std::int64_t samples, const Tiling& tiling, bool logarithm)
      : Rows({"src", "dst"}, samples, tiling, logarithm) {}
  std::string name() const override { return "softmax"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    if (in_columns())
      return each_columns([&](std::int64_t first, std::int64_t width) {
        vector_kernels().softmax_columns(source + first, target + first, tiling_.channels, tiling_.positions, width,
                                         logarithm_);
      });
    each_row(source, source, target,
             [this](const float* x, const float*, float* y) { (logarithm_ ? logarithm(x, y) : shares(x, y)); });
  }

 private:
  void shares(const float* x, float* y) const {
    const double sum = vector_kernels().exponentials(x, x[largest(x)], y, tiling_.channels);
    for (std::int64_t k = 0; k < tiling_.channels; ++k) y[k] = static_cast<float>(y[k] / sum);
  }

  // The largest one's own share in the sum is 1, so that log1p keeps what the others add.
  void logarithm(const float* x, float* y) const {
    const std::int64_t at = largest(x);
    const double sum = vector_kernels().exponentials(x, x[at], y, tiling_.channels), rest = std::log1p(sum - y[at]);
    for (std::int64_t k = 0; k < tiling_.channels; ++k)
      y[k] = static_cast<float>((static_cast<double>(x[k]) - x[at]) - rest);
  }

  std::int64_t largest(const float* x) const {
    std::int64_t found = 0;
    for (std::int64_t k = 1; k < tiling_.channels; ++k)
      if (x[k] > x[found]) found = k;
    return found;
  }
};

class SoftmaxBackward : public Rows {
 public:
  SoftmaxBackward(std::int64_t samples, const Tiling& tiling, bool logarithm)
      : Rows({"dst", "diff_dst", "diff_src"}, samples, tiling, logarithm) {}
  std::string name() const override { return "softmax backward"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* known = static_cast<const float*>(addresses[0]);
    const auto* gradient = static_cast<const float*>(addresses[1]);
    auto* result = static_cast<float*>(addresses[2]);
    if (in_columns())
      return each_columns([&](std::int64_t first, std::int64_t width) {
        vector_kernels().softmax_columns_backward(known + first, gradient + first, result + first, tiling_.channels,
                                                  tiling_.positions, width, logarithm_);
      });
    each_row(known, gradient, result, [this](const float* y, const float* dy, float* dx) { row(y, dy, dx); });
  }

 private:
  void row(const float* y, const float* dy, float* dx) const {
    double sum = 0;
    if (logarithm_) {
      vector_kernels().exponentials(y, 0, dx, tiling_.channels);
      for (std::int64_t k = 0; k < tiling_.channels; ++k) sum += dy[k];
      for (std::int64_t k = 0; k < tiling_.channels; ++k) dx[k] = static_cast<float>(dy[k] - dx[k] * sum);
    } else {
      for (std::int64_t k = 0; k < tiling_.channels; ++k) sum += static_cast<double>(dy[k]) * y[k];
      for (std::int64_t k = 0; k < tiling_.channels; ++k) dx[k] = static_cast<float>(y[k] * (dy[k] - sum));
    }
  }
};

}  // namespace

void init_softmax(nb::module_& module) {
  module.def(
      "softmax",
      [](std::int64_t samples, std::int64_t channels, std::int64_t positions,
         bool logarithm) -> std::shared_ptr<Operation> {
        return std::make_shared<Softmax>(samples, Tiling{channels, positions}, logarithm);
      },
      nb::arg("samples"), nb::arg("channels"), nb::arg("positions"), nb::arg("logarithm"));
  module.def(
      "softmax_backward",
      [](std::int64_t samples, std::int64_t channels, std::int64_t positions,
         bool logarithm) -> std::shared_ptr<Operation> {
        return std::make_shared<SoftmaxBackward>(samples, Tiling{channels, positions}, logarithm);
      },
      nb::arg("samples"), nb::arg("channels"), nb::arg("positions"), nb::arg("logarithm"));
}

}  // namespace foveate

// The leaky rectifier with learned slopes, one for all channels or one for each, in the plain layout. (oneDNN's loses NaN
// on the way back.)
#include <omp.h>

#include <cstdint>
#include <vector>

#include "bindings.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// An array of (samples, channels, positions), whose planes are rectified one by one.
struct Slopes {
  std::int64_t samples, channels, positions;
  bool shared;

  std::int64_t planes() const { return samples * channels; }
  float of(const float* slopes, std::int64_t channel) const { return slopes[shared ? 0 : channel]; }
};

class PReLU : public Kernel {
 public:
  explicit PReLU(const Slopes& shape) : Kernel({"src", "weights", "dst"}), shape_(shape) {}
  std::string name() const override { return "prelu"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* x = static_cast<const float*>(addresses[0]);
    const auto* slopes = static_cast<const float*>(addresses[1]);
    auto* y = static_cast<float*>(addresses[2]);
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < shape_.planes(); ++plane) {
      const float slope = shape_.of(slopes, plane % shape_.channels);
      const std::int64_t first = plane * shape_.positions;
      vector_kernels().forward(Function::leaky_relu, {slope, 0}, x + first, y + first, shape_.positions);
    }
  }

 private:
  Slopes shape_;
};

class PReLUBackward : public Kernel {
 public:
  explicit PReLUBackward(const Slopes& shape)
      : Kernel({"src", "weights", "diff_dst", "diff_src", "diff_weights"}), shape_(shape) {}
  std::string name() const override { return "prelu backward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* x = static_cast<const float*>(addresses[0]);
    const auto* slopes = static_cast<const float*>(addresses[1]);
    const auto* dy = static_cast<const float*>(addresses[2]);
    auto* dx = static_cast<float*>(addresses[3]);
    auto* to_slopes = static_cast<float*>(addresses[4]);
    std::vector<double> sums(shape_.channels);
#pragma omp parallel for schedule(static)
    for (std::int64_t channel = 0; channel < shape_.channels; ++channel)
      for (std::int64_t sample = 0; sample < shape_.samples; ++sample) {
        const std::int64_t first = (sample * shape_.channels + channel) * shape_.positions;
        vector_kernels().backward(Function::leaky_relu, {shape_.of(slopes, channel), 0}, x + first, dy + first, dx + first,
                                  shape_.positions);
        sums[channel] += below(x + first, dy + first);
      }
    if (!shape_.shared) {
      for (std::int64_t channel = 0; channel < shape_.channels; ++channel)
        to_slopes[channel] = static_cast<float>(sums[channel]);
      return;
    }
    double total = 0;
    for (const double sum : sums) total += sum;
    to_slopes[0] = static_cast<float>(total);
  }

 private:
  // The sum of x dy over what was multiplied with the slope: a few at a time in float32, which is fast.
  double below(const float* x, const float* dy) const {
    constexpr std::int64_t few = 512;
    double total = 0;
    for (std::int64_t begin = 0; begin < shape_.positions; begin += few) {
      const std::int64_t end = begin + few < shape_.positions ? begin + few : shape_.positions;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = begin; i < end; ++i) sum += x[i] > 0 ? 0 : x[i] * dy[i];
      total += sum;
    }
    return total;
  }

  Slopes shape_;
};

}  // namespace

void init_prelu(nb::module_& module) {
  nb::class_<Slopes>(module, "Slopes", "What is rectified: samples, channels, positions, and if one slope is for all.")
      .def(nb::init<std::int64_t, std::int64_t, std::int64_t, bool>(), nb::arg("samples"), nb::arg("channels"),
           nb::arg("positions"), nb::arg("shared"));
  module.def(
      "prelu", [](const Slopes& shape) -> std::shared_ptr<Operation> { return std::make_shared<PReLU>(shape); },
      nb::arg("shape"));
  module.def(
      "prelu_backward",
      [](const Slopes& shape) -> std::shared_ptr<Operation> { return std::make_shared<PReLUBackward>(shape); },
      nb::arg("shape"));
}

}  // namespace foveate

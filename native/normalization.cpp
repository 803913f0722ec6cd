// Batch normalisation, with ReLU inside where it follows, and the running statistics.
#include <cmath>
#include <cstdint>

#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

dnnl::normalization_flags flags(bool affine, bool use_running, bool relu) {
  auto flags = dnnl::normalization_flags::none;
  if (affine) flags |= dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
  if (use_running) flags |= dnnl::normalization_flags::use_global_stats;
  if (relu) flags |= dnnl::normalization_flags::fuse_norm_relu;
  return flags;
}

dnnl::batch_normalization_forward::primitive_desc forward_description(const Description& source, float eps, bool affine,
                                                                      bool use_running, bool relu, bool training) {
  return dnnl::batch_normalization_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, source, source,
      eps, flags(affine, use_running, relu), attributes());
}

std::shared_ptr<Primitive> batch_normalization_forward(const Description& source, float eps, bool affine,
                                                       bool use_running, bool relu, bool training) {
  return Primitive::make<dnnl::batch_normalization_forward>(
      "batch norm forward", forward_description(source, eps, affine, use_running, relu, training));
}

std::shared_ptr<Primitive> batch_normalization_backward(const Description& gradient, const Description& source,
                                                        float eps, bool affine, bool use_running, bool relu) {
  auto kind = affine ? dnnl::prop_kind::backward : dnnl::prop_kind::backward_data;
  return Primitive::make<dnnl::batch_normalization_backward>(
      "batch norm backward",
      dnnl::batch_normalization_backward::primitive_desc(
          cpu_engine(), kind, gradient, gradient, source, eps, flags(affine, use_running, relu),
          forward_description(source, eps, affine, use_running, relu, true), attributes()));
}

dnnl::lrn_forward::primitive_desc lrn_description(const Description& source, std::int64_t size, float alpha, float beta,
                                                  float k, bool training) {
  return dnnl::lrn_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
      dnnl::algorithm::lrn_across_channels, source, source, size, alpha, beta, k, attributes());
}

std::shared_ptr<Primitive> local_response_forward(const Description& source, std::int64_t size, float alpha, float beta,
                                                  float k, bool training) {
  return Primitive::make<dnnl::lrn_forward>("local response norm",
                                            lrn_description(source, size, alpha, beta, k, training));
}

std::shared_ptr<Primitive> local_response_backward(const Description& source, std::int64_t size, float alpha,
                                                   float beta, float k) {
  return Primitive::make<dnnl::lrn_backward>(
      "local response norm backward",
      dnnl::lrn_backward::primitive_desc(cpu_engine(), dnnl::algorithm::lrn_across_channels, source, source, source,
                                         size, alpha, beta, k, lrn_description(source, size, alpha, beta, k, true),
                                         attributes()));
}

// running = (1 - momentum) running + momentum batch, the variance made unbiased.
class RunningStatistics : public Kernel {
 public:
  RunningStatistics(std::int64_t channels, float momentum, float unbiased)
      : Kernel({"mean", "variance", "running_mean", "running_variance"}),
        channels_(channels),
        momentum_(momentum),
        unbiased_(unbiased) {}

  std::string name() const override { return "running statistics"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* mean = static_cast<const float*>(addresses[0]);
    const auto* variance = static_cast<const float*>(addresses[1]);
    auto* running_mean = static_cast<float*>(addresses[2]);
    auto* running_variance = static_cast<float*>(addresses[3]);
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      running_mean[channel] += momentum_ * (mean[channel] - running_mean[channel]);
      running_variance[channel] += momentum_ * (variance[channel] * unbiased_ - running_variance[channel]);
    }
  }

 private:
  std::int64_t channels_;
  float momentum_, unbiased_;
};

// The rectifier inside oneDNN's batch normalisation makes 0 of NaN. In training a channel has NaN only where its mean,
// its variance or what scales it is not finite: such channels are computed again. `block` channels lie side by side.
class Repair : public Kernel {
 public:
  Repair(const Description& layout, float eps)
      : Kernel({"src", "mean", "variance", "scale?", "shift?", "dst"}), eps_(eps) {
    const Dims dims = layout.get_dims(), blocks = layout.get_inner_blks();
    block_ = blocks.empty() ? 1 : blocks[0];
    samples_ = dims[0];
    channels_ = dims[1];
    for (std::size_t axis = 2; axis < dims.size(); ++axis) positions_ *= dims[axis];
  }
  std::string name() const override { return "infinite channels"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto number = [&](std::size_t operand, std::int64_t channel, float absent) {
      return addresses[operand] == nullptr ? absent : static_cast<const float*>(addresses[operand])[channel];
    };
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      const float mean = number(1, channel, 0), variance = number(2, channel, 0), scale = number(3, channel, 1),
                  shift = number(4, channel, 0);
      if (std::isfinite(mean) && std::isfinite(variance) && std::isfinite(scale) && std::isfinite(shift)) continue;
      compute(static_cast<const float*>(addresses[0]), static_cast<float*>(addresses[5]), channel, mean,
              1 / std::sqrt(variance + eps_), scale, shift);
    }
  }

 private:
  void compute(const float* source, float* target, std::int64_t channel, float mean, float inverse, float scale,
               float shift) const {
    const std::int64_t rows = (channels_ + block_ - 1) / block_;
    for (std::int64_t sample = 0; sample < samples_; ++sample)
      for (std::int64_t position = 0; position < positions_; ++position) {
        const std::int64_t at =
            ((sample * rows + channel / block_) * positions_ + position) * block_ + channel % block_;
        const float value = (source[at] - mean) * inverse * scale + shift;
        target[at] = value <= 0 ? 0 : value;
      }
  }

  std::int64_t samples_, channels_, positions_ = 1, block_;
  float eps_;
};

}  // namespace

void init_normalization(nb::module_& module) {
  module.def("batch_normalization_forward", &batch_normalization_forward, nb::arg("source"), nb::arg("eps"),
             nb::arg("affine"), nb::arg("use_running"), nb::arg("relu"), nb::arg("training"));
  module.def("batch_normalization_backward", &batch_normalization_backward, nb::arg("gradient"), nb::arg("source"),
             nb::arg("eps"), nb::arg("affine"), nb::arg("use_running"), nb::arg("relu"));
  module.def(
      "repair_channels",
      [](const Description& layout, float eps) -> std::shared_ptr<Operation> {
        return std::make_shared<Repair>(layout, eps);
      },
      nb::arg("layout"), nb::arg("eps"));
  module.def("local_response_forward", &local_response_forward, nb::arg("source"), nb::arg("size"), nb::arg("alpha"),
             nb::arg("beta"), nb::arg("k"), nb::arg("training"));
  module.def("local_response_backward", &local_response_backward, nb::arg("source"), nb::arg("size"),
             nb::arg("alpha"), nb::arg("beta"), nb::arg("k"));
  module.def(
      "running_statistics",
      [](std::int64_t channels, float momentum, float unbiased) -> std::shared_ptr<Operation> {
        return std::make_shared<RunningStatistics>(channels, momentum, unbiased);
      },
      nb::arg("channels"), nb::arg("momentum"), nb::arg("unbiased"));
}

}  // namespace foveate

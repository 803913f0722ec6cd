// Batch normalisation, with ReLU inside where it follows, and the running statistics.
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

}  // namespace

void init_normalization(nb::module_& module) {
  module.def("batch_normalization_forward", &batch_normalization_forward, nb::arg("source"), nb::arg("eps"),
             nb::arg("affine"), nb::arg("use_running"), nb::arg("relu"), nb::arg("training"));
  module.def("batch_normalization_backward", &batch_normalization_backward, nb::arg("gradient"), nb::arg("source"),
             nb::arg("eps"), nb::arg("affine"), nb::arg("use_running"), nb::arg("relu"));
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

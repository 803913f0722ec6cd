// What a loss compares, as Python describes it.
#include "loss.h"

#include <cmath>

#include "bindings.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Stops the run where an output is NaN or a loss no finite number, before anything learns from it.
class StopAtDivergence : public Kernel {
 public:
  explicit StopAtDivergence(std::int64_t count) : Kernel({"src"}), count_(count) {}
  std::string name() const override { return "stop at divergence"; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    int found = 0;
    for (std::int64_t index = 0; index < count_; ++index) found |= source[index] != source[index];
    for (const RunResult& result : run.results) found |= !std::isfinite(result.loss);
    if (found || run.diverged) run.stop = true;
  }

 private:
  std::int64_t count_;
};

}  // namespace

void init_loss(nb::module_& module) {
  module.def(
      "stop_at_divergence",
      [](std::int64_t count) -> std::shared_ptr<Operation> { return std::make_shared<StopAtDivergence>(count); },
      nb::arg("count"));
  nb::class_<LossShape>(module, "LossShape", "Which result a loss writes, of what outputs, and its weight.")
      .def(
          "__init__",
          [](LossShape* self, std::size_t result, std::int64_t samples, std::int64_t channels, std::int64_t positions,
             double weight) { new (self) LossShape{result, samples, channels, positions, weight}; },
          nb::arg("result"), nb::arg("samples"), nb::arg("channels"), nb::arg("positions"), nb::arg("weight"))
      .def_ro("channels", &LossShape::channels);
}

}  // namespace foveate

// What a loss compares, as Python describes it.
#include "loss.h"

#include "bindings.h"

namespace nb = nanobind;

namespace foveate {

void init_loss(nb::module_& module) {
  nb::class_<LossShape>(module, "LossShape", "Which result a loss writes, of what outputs, and its weight.")
      .def(
          "__init__",
          [](LossShape* self, std::size_t result, std::int64_t samples, std::int64_t channels, std::int64_t positions,
             double weight) { new (self) LossShape{result, samples, channels, positions, weight}; },
          nb::arg("result"), nb::arg("samples"), nb::arg("channels"), nb::arg("positions"), nb::arg("weight"))
      .def_ro("channels", &LossShape::channels);
}

}  // namespace foveate

// Numbers copied from places to places that lie a step apart along each axis: slices, crops, parts joined.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

// Where numbers lie: the first one, and the distance of neighbours along each axis, which may be negative.
struct Steps {
  std::int64_t first;
  Indices strides;

  std::int64_t start(const Indices& sizes, std::int64_t row) const {
    std::int64_t offset = first;
    for (std::size_t axis = sizes.size() - 1; axis-- > 0; row /= sizes[axis]) offset += row % sizes[axis] * strides[axis];
    return offset;
  }
};

// Copies `sizes` numbers. A target of which only a part is written is filled with `filler` before, where there is one.
class Moving : public Kernel {
 public:
  Moving(Indices sizes, Steps source, Steps target, std::int64_t target_numbers, std::optional<float> filler)
      : Kernel({"src", "dst"}),
        sizes_(std::move(sizes)),
        source_(std::move(source)),
        target_(std::move(target)),
        target_numbers_(target_numbers),
        filler_(filler) {
    if (sizes_.empty() || source_.strides.size() != sizes_.size() || target_.strides.size() != sizes_.size())
      throw std::invalid_argument("sizes and both strides have one number for each axis");
  }
  std::string name() const override { return "move"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    constexpr std::int64_t few = 16384;
    if (filler_) {
#pragma omp parallel for simd schedule(static) if (target_numbers_ > few)
      for (std::int64_t index = 0; index < target_numbers_; ++index) target[index] = *filler_;
    }
    std::int64_t rows = 1;
    for (std::size_t axis = 0; axis + 1 < sizes_.size(); ++axis) rows *= sizes_[axis];
    const std::int64_t length = sizes_.back(), from_step = source_.strides.back(), to_step = target_.strides.back();
#pragma omp parallel for schedule(static) if (rows * length > few)
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* from = source + source_.start(sizes_, row);
      float* to = target + target_.start(sizes_, row);
      if (from_step == 1 && to_step == 1)
        std::copy_n(from, length, to);
      else
        for (std::int64_t index = 0; index < length; ++index) to[index * to_step] = from[index * from_step];
    }
  }

 private:
  Indices sizes_;
  Steps source_, target_;
  std::int64_t target_numbers_;
  std::optional<float> filler_;
};

}  // namespace

void init_moving(nb::module_& module) {
  module.def(
      "moving",
      [](Indices sizes, std::int64_t source_first, Indices source_strides, std::int64_t target_first,
         Indices target_strides, std::int64_t target_numbers,
         std::optional<float> filler) -> std::shared_ptr<Operation> {
        return std::make_shared<Moving>(std::move(sizes), Steps{source_first, std::move(source_strides)},
                                        Steps{target_first, std::move(target_strides)}, target_numbers, filler);
      },
      nb::arg("sizes"), nb::arg("source_first"), nb::arg("source_strides"), nb::arg("target_first"),
      nb::arg("target_strides"), nb::arg("target_numbers"), nb::arg("filler") = nb::none());
}

}  // namespace foveate

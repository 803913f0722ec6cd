// Dropout in the plain layout; which elements fall is decided by (seed, node, step, element) alone.
// Whole stretches of `span` numbers may fall together: the channels of spatial dropout.
#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "bindings.h"
#include "operation.h"
#include "philox.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// `factor` is 0 or 1 / (1 - rate), kept for the backward pass.
class Dropout : public Kernel {
 public:
  Dropout(std::int64_t groups, std::int64_t span, double rate, std::uint64_t key)
      : Kernel({"src", "dst", "factor"}),
        groups_(groups),
        span_(span),
        threshold_(static_cast<std::uint64_t>(rate * (1 << 24) + 0.5)),
        scale_(static_cast<float>(1 / (1 - rate))),
        key_(key) {}

  std::string name() const override { return "dropout"; }

  void execute(const Addresses& addresses, Run& run) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* factor = static_cast<float*>(addresses[2]);
    const std::int64_t blocks = (groups_ + 3) / 4;
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks; ++block) {
      const auto bits = philox({static_cast<std::uint64_t>(block) + 1, static_cast<std::uint64_t>(run.scalars.step), 0, 0},
                               run.scalars.seed, key_);
      const std::int64_t end = std::min<std::int64_t>(groups_, block * 4 + 4);
      for (std::int64_t group = block * 4; group < end; ++group) {
        const float kept = (bits[group % 4] >> 40) >= threshold_ ? scale_ : 0.0f;
        for (std::int64_t index = group * span_; index < (group + 1) * span_; ++index) {
          factor[index] = kept;
          target[index] = source[index] * kept;
        }
      }
    }
  }

 private:
  std::int64_t groups_, span_;
  std::uint64_t threshold_;
  float scale_;
  std::uint64_t key_;
};

// target = left * right, number by number.
class Product : public Kernel {
 public:
  explicit Product(std::int64_t count) : Kernel({"src", "second_src", "dst"}), count_(count) {}
  std::string name() const override { return "product"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* left = static_cast<const float*>(addresses[0]);
    const auto* right = static_cast<const float*>(addresses[1]);
    auto* target = static_cast<float*>(addresses[2]);
#pragma omp parallel for simd schedule(static)
    for (std::int64_t index = 0; index < count_; ++index) target[index] = left[index] * right[index];
  }

 private:
  std::int64_t count_;
};

}  // namespace

void init_dropout(nb::module_& module) {
  module.def(
      "dropout",
      [](std::int64_t groups, std::int64_t span, double rate, std::uint64_t key) -> std::shared_ptr<Operation> {
        return std::make_shared<Dropout>(groups, span, rate, key);
      },
      nb::arg("groups"), nb::arg("span"), nb::arg("rate"), nb::arg("key"));
  module.def(
      "product", [](std::int64_t count) -> std::shared_ptr<Operation> { return std::make_shared<Product>(count); },
      nb::arg("count"));
}

}  // namespace foveate

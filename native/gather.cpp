// Arrays whose every element is a copy of one element of another, axis by axis: padding by reflection, replication or
// around the edge, and upsampling to the nearest. Plain layout.
#include <omp.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

// `planes` planes with three axes; sources[axis][i] is where position i of the target comes from.
struct Copies {
  std::int64_t planes;
  Indices sizes;  // of a plane of the source
  std::vector<Indices> sources;

  std::int64_t source_plane() const { return sizes[0] * sizes[1] * sizes[2]; }
  std::int64_t target_plane() const {
    return static_cast<std::int64_t>(sources[0].size() * sources[1].size() * sources[2].size());
  }

  // Calls visit(source index, target index) for every element of a plane, in order.
  template <class Visit>
  void each(Visit visit) const {
    std::int64_t target = 0;
    for (std::int64_t d : sources[0])
      for (std::int64_t h : sources[1])
        for (std::int64_t w : sources[2]) visit((d * sizes[1] + h) * sizes[2] + w, target++);
  }
};

class Gather : public Kernel {
 public:
  explicit Gather(Copies copies) : Kernel({"src", "dst"}), copies_(std::move(copies)) {}
  std::string name() const override { return "gather"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < copies_.planes; ++plane) {
      const float* from = source + plane * copies_.source_plane();
      float* to = target + plane * copies_.target_plane();
      copies_.each([&](std::int64_t s, std::int64_t t) { to[t] = from[s]; });
    }
  }

 private:
  Copies copies_;
};

// The way back: each source element gets the sum of its copies' gradients.
class Scatter : public Kernel {
 public:
  explicit Scatter(Copies copies) : Kernel({"diff_dst", "diff_src"}), copies_(std::move(copies)) {}
  std::string name() const override { return "scatter"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    auto* result = static_cast<float*>(addresses[1]);
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < copies_.planes; ++plane) {
      const float* from = gradient + plane * copies_.target_plane();
      float* to = result + plane * copies_.source_plane();
      for (std::int64_t index = 0; index < copies_.source_plane(); ++index) to[index] = 0;
      copies_.each([&](std::int64_t s, std::int64_t t) { to[s] += from[t]; });
    }
  }

 private:
  Copies copies_;
};

Copies checked(std::int64_t planes, const Indices& sizes, const std::vector<Indices>& sources) {
  if (sizes.size() != 3 || sources.size() != 3) throw std::invalid_argument("a plane has three axes");
  for (std::size_t axis = 0; axis < 3; ++axis)
    for (std::int64_t index : sources[axis])
      if (index < 0 || index >= sizes[axis]) throw std::out_of_range("a copy's source lies outside");
  return {planes, sizes, sources};
}

}  // namespace

void init_gather(nb::module_& module) {
  module.def(
      "gather",
      [](std::int64_t planes, const Indices& sizes, const std::vector<Indices>& sources) -> std::shared_ptr<Operation> {
        return std::make_shared<Gather>(checked(planes, sizes, sources));
      },
      nb::arg("planes"), nb::arg("sizes"), nb::arg("sources"));
  module.def(
      "scatter",
      [](std::int64_t planes, const Indices& sizes, const std::vector<Indices>& sources) -> std::shared_ptr<Operation> {
        return std::make_shared<Scatter>(checked(planes, sizes, sources));
      },
      nb::arg("planes"), nb::arg("sizes"), nb::arg("sources"));
}

}  // namespace foveate

// Pooling: oneDNN's average, with or without counting the padding, and a maximum of our own, which NaN wins.
#include <omp.h>

#include <cstdint>
#include <stdexcept>

#include "bindings.h"
#include "primitive.h"
#include "vector_kernels.h"
#include "window.h"

namespace nb = nanobind;

namespace foveate {

namespace {

dnnl::algorithm algorithm(const std::string& kind) {
  if (kind == "average") return dnnl::algorithm::pooling_avg_include_padding;
  if (kind == "average without padding") return dnnl::algorithm::pooling_avg_exclude_padding;
  throw std::invalid_argument("there is no pooling " + kind);
}

dnnl::pooling_forward::primitive_desc forward_description(const std::string& kind, const Description& source,
                                                          const Description& target, const Window& window,
                                                          bool training) {
  return dnnl::pooling_forward::primitive_desc(
      cpu_engine(), training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
      algorithm(kind), source, target, window.stride, window.kernel_size, window.gaps(), window.padding_begin,
      window.padding_end, attributes());
}

std::shared_ptr<Primitive> pooling_forward(const std::string& kind, const Description& source,
                                           const Description& target, const Window& window, bool training) {
  return Primitive::make<dnnl::pooling_forward>("pooling forward",
                                                forward_description(kind, source, target, window, training));
}

std::shared_ptr<Primitive> pooling_backward(const std::string& kind, const Description& source,
                                            const Description& target, const Window& window) {
  return Primitive::make<dnnl::pooling_backward>(
      "pooling backward",
      dnnl::pooling_backward::primitive_desc(cpu_engine(), algorithm(kind), source, target, window.stride,
                                             window.kernel_size, window.gaps(), window.padding_begin,
                                             window.padding_end,
                                             forward_description(kind, source, target, window, true), attributes()));
}

// All planes of an array: those of a sample's channels, of which `block` lie side by side.
struct Planes {
  std::int64_t count;
  MaximumShape shape;

  Planes(const Description& source, const Description& target, const Window& window) : count(0), shape{} {
    const Dims from = source.get_dims(), to = target.get_dims(), blocks = source.get_inner_blks();
    if (blocks != target.get_inner_blks()) throw std::invalid_argument("a maximum keeps the layout");
    shape.block = blocks.empty() ? 1 : blocks[0];
    count = from[0] * ((from[1] + shape.block - 1) / shape.block);
    const std::size_t missing = 5 - from.size();
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const bool there = axis >= missing;
      const std::size_t own = there ? axis - missing : 0;
      shape.size[axis] = there ? from[own + 2] : 1;
      shape.outputs[axis] = there ? to[own + 2] : 1;
      shape.kernel[axis] = there ? window.kernel_size[own] : 1;
      shape.stride[axis] = there ? window.stride[own] : 1;
      shape.dilation[axis] = there ? window.dilation[own] : 1;
      shape.begin[axis] = there ? window.padding_begin[own] : 0;
    }
  }

  // Whether the number of a tap, and one for none, fit into a byte.
  bool is_narrow() const { return shape.taps() <= 255; }
  std::int64_t winner_bytes() const {
    return count * shape.target_plane() * (is_narrow() ? sizeof(Winner) : sizeof(WideWinner));
  }
};

std::string our_implementation() { return std::string("foveate:") + vector_kernels().name; }

class Maximum : public Kernel {
 public:
  explicit Maximum(const Planes& planes) : Kernel({"src", "dst", "winners?"}), planes_(planes) {}
  std::string name() const override { return "maximum"; }
  std::string implementation() const override { return our_implementation(); }

  void execute(const Addresses& addresses, Run&) const override {
    if (planes_.is_narrow())
      each_plane(vector_kernels().maximum, addresses, static_cast<Winner*>(addresses[2]));
    else
      each_plane(vector_kernels().wide_maximum, addresses, static_cast<WideWinner*>(addresses[2]));
  }

 private:
  template <class Function, class W>
  void each_plane(Function function, const Addresses& addresses, W* winners) const {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    const std::int64_t from = planes_.shape.source_plane(), to = planes_.shape.target_plane();
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < planes_.count; ++plane)
      function(planes_.shape, source + plane * from, target + plane * to,
               winners == nullptr ? nullptr : winners + plane * to);
  }

  Planes planes_;
};

class ToWinners : public Kernel {
 public:
  explicit ToWinners(const Planes& planes) : Kernel({"diff_dst", "winners", "diff_src"}), planes_(planes) {}
  std::string name() const override { return "maximum backward"; }
  std::string implementation() const override { return our_implementation(); }

  void execute(const Addresses& addresses, Run&) const override {
    if (planes_.is_narrow())
      each_plane(vector_kernels().to_winners, addresses, static_cast<const Winner*>(addresses[1]));
    else
      each_plane(vector_kernels().to_wide_winners, addresses, static_cast<const WideWinner*>(addresses[1]));
  }

 private:
  template <class Function, class W>
  void each_plane(Function function, const Addresses& addresses, const W* winners) const {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    auto* result = static_cast<float*>(addresses[2]);
    const std::int64_t from = planes_.shape.target_plane(), to = planes_.shape.source_plane();
#pragma omp parallel for schedule(static)
    for (std::int64_t plane = 0; plane < planes_.count; ++plane)
      function(planes_.shape, gradient + plane * from, winners + plane * from, result + plane * to);
  }

  Planes planes_;
};

}  // namespace

void init_pooling(nb::module_& module) {
  module.def("pooling_forward", &pooling_forward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"), nb::arg("training"));
  module.def("pooling_backward", &pooling_backward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"));
  nb::class_<Planes>(module, "Planes", "What a maximum pooling reads and writes, plane by plane; plain or in blocks.")
      .def(nb::init<Description, Description, Window>(), nb::arg("source"), nb::arg("target"), nb::arg("window"))
      .def_prop_ro("winner_bytes", &Planes::winner_bytes);
  module.def(
      "maximum", [](const Planes& planes) -> std::shared_ptr<Operation> { return std::make_shared<Maximum>(planes); },
      nb::arg("planes"));
  module.def(
      "maximum_backward",
      [](const Planes& planes) -> std::shared_ptr<Operation> { return std::make_shared<ToWinners>(planes); },
      nb::arg("planes"));
}

}  // namespace foveate

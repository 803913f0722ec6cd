// Memory layouts, and copies between layouts outside of programs.
#include "memory.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using FloatArray = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using ConstFloatArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

Dims plain_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (int axis = static_cast<int>(dims.size()) - 2; axis >= 0; --axis)
    strides[axis] = strides[axis + 1] * std::max<dnnl::memory::dim>(dims[axis + 1], 1);
  return strides;
}

template <class Array>
void check_room(const Array& array, const Description& description, const char* which) {
  if (array.nbytes() < description.get_size())
    throw std::invalid_argument(std::string("the ") + which + " array has " + std::to_string(array.nbytes()) +
                                " bytes, but its layout needs " + std::to_string(description.get_size()));
}

void reorder(ConstFloatArray source, const Description& from, FloatArray target, const Description& to) {
  check_room(source, from, "source");
  check_room(target, to, "target");
  nb::gil_scoped_release release;
  dnnl::memory input(from, cpu_engine(), const_cast<float*>(source.data())), output(to, cpu_engine(), target.data());
  dnnl::reorder(input, output).execute(cpu_stream(), input, output);
  cpu_stream().wait();
}

std::optional<Description> reshaped(const Description& description, const Dims& dims) {
  Description result = description.reshape(dims, /*allow_empty=*/true);
  if (result.get(/*allow_empty=*/true) == nullptr) return std::nullopt;
  return result;
}

std::optional<Description> part(const Description& description, const Dims& dims, const Dims& offsets) {
  Description result = description.submemory_desc(dims, offsets, /*allow_empty=*/true);
  if (result.get(/*allow_empty=*/true) == nullptr) return std::nullopt;
  return result;
}

}  // namespace

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& cpu_stream() {
  static dnnl::stream stream(cpu_engine());
  return stream;
}

Description plain(const Dims& dims) { return Description(dims, dnnl::memory::data_type::f32, plain_strides(dims)); }

Description any_layout(const Dims& dims) {
  return Description(dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
}

Description left_open(const Description& description) {
  return description.get_ndims() ? any_layout(description.get_dims()) : Description();
}

Description channel_blocked(const Dims& dims, dnnl::memory::dim block) {
  using tag = dnnl::memory::format_tag;
  const std::size_t axes = dims.size();
  if (axes < 3 || axes > 5 || (block != 8 && block != 16))
    throw std::invalid_argument("channels come in blocks of 8 or 16, in arrays of 3 to 5 axes");
  static const tag tags[3][2] = {{tag::nCw8c, tag::nCw16c}, {tag::nChw8c, tag::nChw16c}, {tag::nCdhw8c, tag::nCdhw16c}};
  return Description(dims, dnnl::memory::data_type::f32, tags[axes - 3][block == 16]);
}

std::string layout_name(const Description& description) {
  if (description.get_format_kind() != dnnl::memory::format_kind::blocked) return "opaque";
  const Dims strides = description.get_strides(), blocks = description.get_inner_blks(), axes = description.get_inner_idxs();
  std::vector<int> order(strides.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return strides[a] > strides[b]; });
  std::string name;
  for (int axis : order) {
    bool blocked = std::find(axes.begin(), axes.end(), axis) != axes.end();
    name += static_cast<char>((blocked ? 'A' : 'a') + axis);
  }
  for (std::size_t block = 0; block < blocks.size(); ++block)
    name += std::to_string(blocks[block]) + static_cast<char>('a' + axes[block]);
  return name;
}

void init_memory(nb::module_& module) {
  nb::class_<Description>(module, "Layout", "The order of an array's numbers in memory (float32).")
      .def_static("plain", &plain, nb::arg("dims"), "First axis outermost.")
      .def_static("any", &any_layout, nb::arg("dims"), "Whatever a primitive likes best.")
      .def_static(
          "strided",
          [](const Dims& dims, const Dims& strides) {
            return Description(dims, dnnl::memory::data_type::f32, strides);
          },
          nb::arg("dims"), nb::arg("strides"), "Any distance between neighbours along each axis.")
      .def_static("none", [] { return Description(); }, "No array.")
      .def_static("channel_blocked", &channel_blocked, nb::arg("dims"), nb::arg("block"), "Channels in blocks.")
      .def_prop_ro("dims", [](const Description& self) { return self.get_dims(); })
      .def_prop_ro("bytes", [](const Description& self) { return self.get_size(); })
      .def_prop_ro("name", &layout_name)
      .def_prop_ro("is_plain", [](const Description& self) { return self == plain(self.get_dims()); })
      .def_prop_ro("strides", [](const Description& self) { return self.get_strides(); })
      .def_prop_ro("inner_blocks", [](const Description& self) { return self.get_inner_blks(); })
      .def_prop_ro("inner_axes", [](const Description& self) { return self.get_inner_idxs(); })
      .def("reshaped", &reshaped, nb::arg("dims"), nb::sig("def reshaped(self, dims: list[int]) -> Layout | None"),
           "The same bytes with other axes, or None where the layout does not allow it.")
      .def("part", &part, nb::arg("dims"), nb::arg("offsets"),
           nb::sig("def part(self, dims: list[int], offsets: list[int]) -> Layout | None"),
           "A box inside, or None where the layout's blocks do not allow it.")
      .def(
          "__eq__", [](const Description& self, const Description& other) { return self == other; },
          nb::is_operator(), nb::sig("def __eq__(self, other: object, /) -> bool"));
  module.def("reorder", &reorder, nb::arg("source"), nb::arg("source_layout"), nb::arg("target"),
             nb::arg("target_layout"), "Copy an array from one layout to another.");
}

}  // namespace foveate

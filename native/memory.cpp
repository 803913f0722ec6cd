// Memory: layouts, arrays at good addresses, and single operations outside of programs.
#include "memory.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <stdexcept>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "bindings.h"
#include "operation.h"
#include "threads.h"

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

class NoCallbacks : public Callbacks {
 public:
  bool call(std::size_t, const std::vector<void*>&) override { throw std::logic_error("nothing can be called here"); }
};

void reorder(ConstFloatArray source, const Description& from, FloatArray target, const Description& to) {
  check_room(source, from, "source");
  check_room(target, to, "target");
  const WithoutGil without_gil;
  dnnl::memory input(from, cpu_engine(), const_cast<float*>(source.data())), output(to, cpu_engine(), target.data());
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(input, output).execute(stream, input, output);
  stream.wait();
}

// Equal layouts have equal hashes; layouts that differ in their padding alone may share one.
std::size_t hash(const Description& description) {
  std::size_t result = description.get_size();
  if (description.get_format_kind() != dnnl::memory::format_kind::blocked) return result;
  for (const Dims& numbers : {description.get_dims(), description.get_strides(), description.get_inner_blks()})
    for (const dnnl::memory::dim number : numbers) result = result * 1000003 + static_cast<std::size_t>(number);
  return result;
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

// Zeroed float32 numbers at an address that suits vector loads and, where there are many, huge pages.
nb::ndarray<nb::numpy, float, nb::ndim<1>> aligned_zeros(std::size_t count) {
  constexpr std::size_t huge_page = std::size_t{1} << 21;
  const std::size_t alignment = count * sizeof(float) >= huge_page ? huge_page : 64;
  const std::size_t bytes = (std::max<std::size_t>(count, 1) * sizeof(float) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (alignment == huge_page) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::fill_n(static_cast<float*>(memory), bytes / sizeof(float), 0.0f);
  nb::capsule owner(memory, [](void* pointer) noexcept { std::free(pointer); });
  return {memory, {count}, owner};
}

// Runs one operation by itself, outside of any program.
void execute(const Operation& operation, const std::vector<std::tuple<std::string, Description, FloatArray>>& operands) {
  std::vector<Operand> named;
  for (const auto& [name, description, array] : operands) {
    check_room(array, description, name.c_str());
    named.push_back({name, description});
  }
  const auto bound = operation.bind(named);
  for (std::size_t index = 0; index < operands.size(); ++index)
    bound->set_address(index, std::get<2>(operands[index]).data());
  const WithoutGil without_gil;
  run_with_threads(thread_count(), [&] {
    dnnl::stream stream(cpu_engine());
    const RunScalars scalars;
    std::vector<RunResult> results;
    NoCallbacks callbacks;
    Run run{stream, scalars, results, callbacks};
    bound->run(run);
  });
}

}  // namespace

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
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
          nb::is_operator(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", &hash);
  module.def("reorder", &reorder, nb::arg("source"), nb::arg("source_layout"), nb::arg("target"),
             nb::arg("target_layout"), "Copy an array from one layout to another.");
  module.def("execute", &execute, nb::arg("operation"), nb::arg("operands"), "Run one operation outside of a program.");
  module.def("aligned_zeros", &aligned_zeros, nb::arg("count"));
}

}  // namespace foveate

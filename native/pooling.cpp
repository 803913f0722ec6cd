// Pooling: oneDNN's average, with or without counting the padding, and of our own that of long windows, and a maximum,
// which NaN wins.
#include <omp.h>

#include <algorithm>
#include <array>
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

// All planes of an array: those of a sample's channels, of which `block` lie side by side. With channels last all lie
// side by side, and are taken 16 at a time.
struct Planes {
  std::int64_t samples, of_sample;
  PoolingShape shape;

  Planes(const Description& source, const Description& target, const Window& window) : shape{} {
    const Dims from = source.get_dims(), to = target.get_dims(), blocks = source.get_inner_blks();
    if (blocks != target.get_inner_blks()) throw std::invalid_argument("our poolings keep the layout");
    const bool side_by_side = source.get_strides()[1] == 1 && target.get_strides()[1] == 1;
    const bool last = blocks.empty() && side_by_side && from[1] % 16 == 0;
    shape.block = last ? 16 : blocks.empty() ? 1 : blocks[0];
    shape.pitch = last ? from[1] : shape.block;
    samples = from[0];
    of_sample = (from[1] + shape.block - 1) / shape.block;
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
    const std::int64_t numbers = samples * of_sample * shape.target_positions() * shape.block;
    return numbers * (is_narrow() ? sizeof(Winner) : sizeof(WideWinner));
  }

  // Where a plane begins in an array of so many positions.
  std::int64_t begin(std::int64_t plane, std::int64_t positions) const {
    const std::int64_t sample = plane / of_sample, own = plane % of_sample;
    const std::int64_t apart = shape.pitch == shape.block ? positions * shape.block : shape.block;
    return sample * of_sample * positions * shape.block + own * apart;
  }
};

// Calls work(the plane's first number in the source, and in the target) for each plane, over the threads.
template <class Work>
void each_plane(const Planes& planes, const Work& work) {
  const std::int64_t from = planes.shape.source_positions(), to = planes.shape.target_positions();
#pragma omp parallel for schedule(static)
  for (std::int64_t plane = 0; plane < planes.samples * planes.of_sample; ++plane)
    work(planes.begin(plane, from), planes.begin(plane, to));
}

class Maximum : public Kernel {
 public:
  explicit Maximum(const Planes& planes) : Kernel({"src", "dst", "winners?"}), planes_(planes) {}
  std::string name() const override { return "maximum"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    if (planes_.is_narrow())
      pool<Winner>(vector_kernels().maximum, addresses);
    else
      pool<WideWinner>(vector_kernels().wide_maximum, addresses);
  }

 private:
  template <class W, class Function>
  void pool(Function function, const Addresses& addresses) const {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    auto* winners = static_cast<W*>(addresses[2]);
    each_plane(planes_, [&](std::int64_t from, std::int64_t to) {
      function(planes_.shape, source + from, target + to, winners == nullptr ? nullptr : winners + to);
    });
  }

  Planes planes_;
};

class ToWinners : public Kernel {
 public:
  explicit ToWinners(const Planes& planes) : Kernel({"diff_dst", "winners", "diff_src"}), planes_(planes) {}
  std::string name() const override { return "maximum backward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    if (planes_.is_narrow())
      give<Winner>(vector_kernels().to_winners, addresses);
    else
      give<WideWinner>(vector_kernels().to_wide_winners, addresses);
  }

 private:
  template <class W, class Function>
  void give(Function function, const Addresses& addresses) const {
    const auto* gradient = static_cast<const float*>(addresses[0]);
    const auto* winners = static_cast<const W*>(addresses[1]);
    auto* result = static_cast<float*>(addresses[2]);
    each_plane(planes_, [&](std::int64_t to, std::int64_t from) {
      function(planes_.shape, gradient + from, winners + from, result + to);
    });
  }

  Planes planes_;
};

// Averages of long windows: oneDNN sums a window in one float32, which loses a digit where it has thousands of numbers.
class Average : public Kernel {
 public:
  Average(const Planes& planes, bool counts_padding)
      : Kernel({"src", "dst"}), planes_(planes), counts_padding_(counts_padding) {}
  std::string name() const override { return "average"; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    const std::int64_t* outputs = planes_.shape.outputs;
    each_plane(planes_, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = 0; i < outputs[0]; ++i)
        for (std::int64_t j = 0; j < outputs[1]; ++j)
          for (std::int64_t k = 0; k < outputs[2]; ++k, to += planes_.shape.pitch)
            average(source + from, {range(0, i), range(1, j), range(2, k)}, target + to);
    });
  }

 private:
  static constexpr std::int64_t places = 16;  // neighbours that are summed apart; a multiple of every block

  // Where a window lies in the input.
  struct Range {
    std::int64_t begin, end;
    std::int64_t length() const { return end - begin; }
  };

  Range range(int axis, std::int64_t output) const {
    const PoolingShape& shape = planes_.shape;
    const std::int64_t begin = output * shape.stride[axis] - shape.begin[axis];
    return {std::max<std::int64_t>(begin, 0), std::min(begin + shape.kernel[axis], shape.size[axis])};
  }

  void average(const float* plane, const std::array<Range, 3>& window, float* result) const {
    const PoolingShape& shape = planes_.shape;
    const auto& [d, h, w] = window;
    // Rows that are read from end to end follow each other without a gap.
    const std::int64_t rows = w.length() == shape.size[2] ? h.length() : 1;
    double sums[places] = {};
    for (std::int64_t i = d.begin; i < d.end; ++i)
      for (std::int64_t j = h.begin; j < h.end; j += rows)
        add(plane + ((i * shape.size[1] + j) * shape.size[2] + w.begin) * shape.block,
            rows * w.length() * shape.block, sums);
    const std::int64_t inside = d.length() * h.length() * w.length();
    for (std::int64_t lane = 0; lane < shape.block; ++lane) {
      double sum = 0;
      for (std::int64_t place = lane; place < places; place += shape.block) sum += sums[place];
      result[lane] = static_cast<float>(sum / (counts_padding_ ? shape.taps() : inside));
    }
  }

  // Adds a row of `count` numbers: a few to each other in float32, which is fast, and these to the sums.
  static void add(const float* row, std::int64_t count, double* sums) {
    constexpr std::int64_t few = 8 * places;
    const std::int64_t whole = count / places * places;
    for (std::int64_t begin = 0; begin < whole; begin += few) {
      float parts[places] = {};
      for (std::int64_t i = begin; i < std::min(begin + few, whole); i += places)
        for (std::int64_t place = 0; place < places; ++place) parts[place] += row[i + place];
      for (std::int64_t place = 0; place < places; ++place) sums[place] += parts[place];
    }
    for (std::int64_t i = whole; i < count; ++i) sums[i - whole] += row[i];
  }

  Planes planes_;
  bool counts_padding_;
};

}  // namespace

void init_pooling(nb::module_& module) {
  module.def("pooling_forward", &pooling_forward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"), nb::arg("training"));
  module.def("pooling_backward", &pooling_backward, nb::arg("kind"), nb::arg("source"), nb::arg("target"),
             nb::arg("window"));
  nb::class_<Planes>(module, "Planes", "What a pooling reads and writes, plane by plane; plain or in blocks.")
      .def(nb::init<Description, Description, Window>(), nb::arg("source"), nb::arg("target"), nb::arg("window"))
      .def_prop_ro("winner_bytes", &Planes::winner_bytes);
  module.def(
      "maximum", [](const Planes& planes) -> std::shared_ptr<Operation> { return std::make_shared<Maximum>(planes); },
      nb::arg("planes"));
  module.def(
      "average",
      [](const Planes& planes, bool counts_padding) -> std::shared_ptr<Operation> {
        return std::make_shared<Average>(planes, counts_padding);
      },
      nb::arg("planes"), nb::arg("counts_padding"));
  module.def(
      "maximum_backward",
      [](const Planes& planes) -> std::shared_ptr<Operation> { return std::make_shared<ToWinners>(planes); },
      nb::arg("planes"));
}

}  // namespace foveate

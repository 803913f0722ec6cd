// Winograd's convolution as operations: weights once for each run, then blocks of tiles over the threads.
#include <omp.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "bindings.h"
#include "instruction_set.h"
#include "memory.h"
#include "operation.h"
#include "winograd.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using winograd::Shape;

bool available() {
#if defined(FOVEATE_WINOGRAD) && defined(__x86_64__)
  static const bool avx512 = std::string_view(FOVEATE_WINOGRAD) == "avx512f";
  return instruction_set() >= (avx512 ? InstructionSet::avx512 : InstructionSet::avx2);
#else
  return false;
#endif
}

void check(const Shape& shape) {
  if (!available()) throw std::runtime_error("the Winograd kernels need more instructions than may be used here");
  if (shape.tile != 2 && shape.tile != 4) throw std::invalid_argument("a tile has 2 or 4 outputs along an axis");
}

std::string described(const Shape& shape) {
  return "foveate:winograd F(" + std::to_string(shape.tile) + "x" + std::to_string(shape.tile) + ", 3x3)";
}

std::int64_t sum_numbers(const Shape& shape) {
  return (shape.tile + 2) * (shape.tile + 2) * shape.channels * shape.filters;
}

#if defined(FOVEATE_WINOGRAD)
std::int64_t block_count(const Shape& shape) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t tiles = shape.samples * up(shape.output_height, shape.tile) * up(shape.output_width, shape.tile);
  return up(tiles, winograd::tiles_in_block(shape));
}
#endif

class TransformWeights : public Kernel {
 public:
  TransformWeights(const Shape& shape, bool flipped)
      : Kernel({"weights", "transformed"}), shape_(shape), flipped_(flipped) {
    check(shape);
  }
  std::string name() const override { return "filter transform"; }
  std::string implementation() const override { return described(shape_); }

  void execute(const Addresses& addresses, Run&) const override {
#if defined(FOVEATE_WINOGRAD)
    winograd::transform_weights(shape_, flipped_, static_cast<const float*>(addresses[0]),
                                static_cast<float*>(addresses[1]));
#else
    (void)addresses;
#endif
  }

 private:
  Shape shape_;
  bool flipped_;
};

class Convolve : public Kernel {
 public:
  Convolve(const Shape& shape, bool relu, int threads)
      : Kernel({"src", "transformed", "scratch", "dst", "bias?"}), shape_(shape), relu_(relu), threads_(threads) {
    check(shape);
  }
  std::string name() const override { return "convolution"; }
  std::string implementation() const override { return described(shape_); }

  void execute(const Addresses& addresses, Run&) const override {
#if defined(FOVEATE_WINOGRAD)
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* weights = static_cast<const float*>(addresses[1]);
    auto* scratch = static_cast<float*>(addresses[2]);
    auto* target = static_cast<float*>(addresses[3]);
    const auto* bias = static_cast<const float*>(addresses[4]);
    const std::int64_t blocks = block_count(shape_);
    // Each block writes outputs of its own, so that the order of blocks does not matter.
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
    for (std::int64_t block = 0; block < blocks; ++block)
      winograd::convolve_block(shape_, block, source, weights, bias, relu_, target,
                               scratch + omp_get_thread_num() * winograd::scratch_numbers(shape_));
#else
    (void)addresses;
#endif
  }

 private:
  Shape shape_;
  bool relu_;
  int threads_;
};

// `sums` and `scratch` have one stretch for each thread.
class WeightGradient : public Kernel {
 public:
  WeightGradient(const Shape& shape, int threads)
      : Kernel({"src", "diff_dst", "sums", "scratch", "diff_weights"}), shape_(shape), threads_(threads) {
    check(shape);
  }
  std::string name() const override { return "convolution to weights"; }
  std::string implementation() const override { return described(shape_); }

  void execute(const Addresses& addresses, Run&) const override {
#if defined(FOVEATE_WINOGRAD)
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* gradient = static_cast<const float*>(addresses[1]);
    auto* sums = static_cast<float*>(addresses[2]);
    auto* scratch = static_cast<float*>(addresses[3]);
    auto* weights = static_cast<float*>(addresses[4]);
    const std::int64_t blocks = block_count(shape_), numbers = sum_numbers(shape_);
    // Share by share in a fixed order, so that the sums depend on the number of threads alone.
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
    for (int share = 0; share < threads_; ++share) {
      std::fill_n(sums + share * numbers, numbers, 0.0f);
      for (std::int64_t block = share; block < blocks; block += threads_)
        winograd::accumulate_gradient(shape_, block, source, gradient, sums + share * numbers,
                                      scratch + share * winograd::scratch_numbers(shape_));
    }
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (std::int64_t channel = 0; channel < shape_.channels; ++channel)
      winograd::finish_gradient(shape_, channel, sums, threads_, weights);
#else
    (void)addresses;
#endif
  }

 private:
  Shape shape_;
  int threads_;
};

Description blocked_weights(const Dims& dims, bool flipped) {
  return Description(dims, dnnl::memory::data_type::f32,
                     flipped ? dnnl::memory::format_tag::OIhw16o16i : dnnl::memory::format_tag::OIhw16i16o);
}

}  // namespace

void init_winograd(nb::module_& module) {
  nb::class_<Shape>(module, "WinogradShape", "Sizes of a 3x3 convolution with stride 1, and of its tiles.")
      .def(
          "__init__",
          [](Shape* self, const Dims& source, const Dims& target, const Dims& padding_begin, int tile) {
            const auto whole = [](std::int64_t channels) { return (channels + 15) / 16 * 16; };
            new (self) Shape{source.at(0), whole(source.at(1)), whole(target.at(1)), source.at(2),
                             source.at(3), target.at(2),        target.at(3),        padding_begin.at(0),
                             padding_begin.at(1), tile,         target.at(1)};
          },
          nb::arg("source"), nb::arg("target"), nb::arg("padding_begin"), nb::arg("tile"))
#if defined(FOVEATE_WINOGRAD)
      .def_prop_ro("scratch_numbers", &winograd::scratch_numbers)
#else
      .def_prop_ro("scratch_numbers", [](const Shape&) { return std::int64_t{0}; })
#endif
      .def_prop_ro("weight_numbers", &sum_numbers);
  module.def("winograd_available", &available, "Whether the Winograd kernels run here, within the limit of instructions.");
  module.def("winograd_weight_layout", &blocked_weights, nb::arg("dims"), nb::arg("flipped"));
  module.def(
      "winograd_transform",
      [](const Shape& shape, bool flipped) -> std::shared_ptr<Operation> {
        return std::make_shared<TransformWeights>(shape, flipped);
      },
      nb::arg("shape"), nb::arg("flipped"));
  module.def(
      "winograd_convolution",
      [](const Shape& shape, bool relu, int threads) -> std::shared_ptr<Operation> {
        return std::make_shared<Convolve>(shape, relu, threads);
      },
      nb::arg("shape"), nb::arg("relu"), nb::arg("threads"));
  module.def(
      "winograd_weight_gradient",
      [](const Shape& shape, int threads) -> std::shared_ptr<Operation> {
        return std::make_shared<WeightGradient>(shape, threads);
      },
      nb::arg("shape"), nb::arg("threads"));
}

}  // namespace foveate

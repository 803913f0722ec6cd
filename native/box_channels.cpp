// Means and norms of boxes of any sizes, of channels where they lie in blocks.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings.h"
#include "operation.h"
#include "vector_kernels.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

// Boxes over three axes, and which of them hold each position: those from the first to before the last.
struct Boxes {
  std::int64_t planes, block;
  Indices sizes;
  std::vector<Indices> begins, ends, firsts, lasts;
  std::vector<double> factors;

  Boxes(std::int64_t planes, std::int64_t block, const Indices& sizes, const std::vector<Indices>& begins,
        const std::vector<Indices>& ends, const std::vector<std::vector<double>>& weights)
      : planes(planes), block(block), sizes(sizes), begins(begins), ends(ends) {
    if (sizes.size() != 3 || begins.size() != 3 || ends.size() != 3) throw std::invalid_argument("there are three axes");
    for (int axis = 0; axis < 3; ++axis) find_boxes(axis);
    if (!weights.empty()) {
      if (weights.size() != 3) throw std::invalid_argument("there are three axes");
      for (double one : weights[0])
        for (double two : weights[1])
          for (double three : weights[2]) factors.push_back(one * two * three);
      if (static_cast<std::int64_t>(factors.size()) != outputs()) throw std::invalid_argument("every box has a weight");
    }
  }

  std::int64_t positions() const { return sizes[0] * sizes[1] * sizes[2]; }
  std::int64_t outputs() const {
    return static_cast<std::int64_t>(begins[0].size() * begins[1].size() * begins[2].size());
  }

  BoxShape shape() const {
    BoxShape shape{};
    shape.channels = block;
    shape.factors = factors.data();
    for (int axis = 0; axis < 3; ++axis) {
      shape.size[axis] = sizes[axis];
      shape.outputs[axis] = static_cast<std::int64_t>(begins[axis].size());
      shape.begins[axis] = begins[axis].data();
      shape.ends[axis] = ends[axis].data();
      shape.firsts[axis] = firsts[axis].data();
      shape.lasts[axis] = lasts[axis].data();
    }
    return shape;
  }

 private:
  void find_boxes(int axis) {
    const Indices &begin = begins[axis], &end = ends[axis];
    const auto count = static_cast<std::int64_t>(begin.size());
    if (begin.size() != end.size()) throw std::invalid_argument("every box begins and ends");
    Indices first(sizes[axis], count), last(sizes[axis], 0);
    for (std::int64_t box = 0; box < count; ++box) {
      if (begin[box] < 0 || begin[box] >= end[box] || end[box] > sizes[axis])
        throw std::out_of_range("a box is empty or lies outside");
      if (box && (begin[box] < begin[box - 1] || end[box] < end[box - 1]))
        throw std::invalid_argument("boxes come in order");
      for (std::int64_t at = begin[box]; at < end[box]; ++at) {
        first[at] = std::min(first[at], box);
        last[at] = std::max(last[at], box + 1);
      }
    }
    firsts.push_back(std::move(first));
    lasts.push_back(std::move(last));
  }
};

// Means where the norm is 0.
class Forward : public Kernel {
 public:
  Forward(Boxes boxes, double norm) : Kernel({"src", "dst"}), boxes_(std::move(boxes)), norm_(norm) {}
  std::string name() const override { return norm_ ? "norm of boxes" : "mean of boxes"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    auto* target = static_cast<float*>(addresses[1]);
    const BoxShape shape = boxes_.shape();
    const std::int64_t from = boxes_.positions() * boxes_.block, to = boxes_.outputs() * boxes_.block;
#pragma omp parallel for schedule(static) if (boxes_.planes * from > 16384)
    for (std::int64_t plane = 0; plane < boxes_.planes; ++plane) {
      if (norm_)
        vector_kernels().box_norms(shape, norm_, source + plane * from, target + plane * to);
      else
        vector_kernels().box_means(shape, source + plane * from, target + plane * to);
    }
  }

 private:
  Boxes boxes_;
  double norm_;
};

class Backward : public Kernel {
 public:
  Backward(Boxes boxes, double norm)
      : Kernel({"src?", "dst?", "diff_dst", "diff_src"}), boxes_(std::move(boxes)), norm_(norm) {}
  std::string name() const override { return norm_ ? "norm of boxes backward" : "mean of boxes backward"; }
  std::string implementation() const override { return vector_kernels().implementation; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* source = static_cast<const float*>(addresses[0]);
    const auto* norms = static_cast<const float*>(addresses[1]);
    const auto* gradient = static_cast<const float*>(addresses[2]);
    auto* result = static_cast<float*>(addresses[3]);
    const BoxShape shape = boxes_.shape();
    const std::int64_t from = boxes_.positions() * boxes_.block, to = boxes_.outputs() * boxes_.block;
#pragma omp parallel if (boxes_.planes * from > 16384)
    {
      std::vector<double> shares(to);
#pragma omp for schedule(static)
      for (std::int64_t plane = 0; plane < boxes_.planes; ++plane) {
        if (norm_)
          vector_kernels().box_norms_backward(shape, norm_, source + plane * from, norms + plane * to,
                                              gradient + plane * to, result + plane * from, shares.data());
        else
          vector_kernels().box_means_backward(shape, gradient + plane * to, result + plane * from, shares.data());
      }
    }
  }

 private:
  Boxes boxes_;
  double norm_;
};

template <class Made>
std::shared_ptr<Operation> made(std::int64_t planes, std::int64_t block, const Indices& sizes,
                                const std::vector<Indices>& begins, const std::vector<Indices>& ends,
                                const std::vector<std::vector<double>>& weights, double norm) {
  return std::make_shared<Made>(Boxes(planes, block, sizes, begins, ends, weights), norm);
}

}  // namespace

void init_box_channels(nb::module_& module) {
  const auto define = [&](const char* name, auto* function) {
    module.def(name, function, nb::arg("planes"), nb::arg("block"), nb::arg("sizes"), nb::arg("begins"), nb::arg("ends"),
               nb::arg("weights"), nb::arg("norm"));
  };
  define("channel_boxes", &made<Forward>);
  define("channel_boxes_backward", &made<Backward>);
}

}  // namespace foveate

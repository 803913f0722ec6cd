// Maximum pooling of one plane. NaN wins over all numbers, and of several the last, as in PyTorch; among equals the
// first does. Compiled once for each set of instructions.
#include <limits>

#include "vector_kernels.h"
#include "vector_math.h"

namespace foveate {
namespace {

// Taps of one axis that lie inside the input, for one output position.
struct Taps {
  std::int64_t first, last, origin, dilation;

  Taps(const PoolingShape& shape, int axis, std::int64_t output)
      : first(0),
        last(shape.kernel[axis]),
        origin(output * shape.stride[axis] - shape.begin[axis]),
        dilation(shape.dilation[axis]) {
    while (first < last && origin + first * dilation < 0) ++first;
    while (last > first && origin + (last - 1) * dilation >= shape.size[axis]) --last;
  }

  std::int64_t at(std::int64_t tap) const { return origin + tap * dilation; }
};

// Calls visit(number of the tap, position in the input) for each tap of one output position.
template <class Visit>
inline void each_tap(const PoolingShape& shape, const Taps& d, const Taps& h, const Taps& w, const Visit& visit) {
  for (std::int64_t i = d.first; i < d.last; ++i)
    for (std::int64_t j = h.first; j < h.last; ++j)
      for (std::int64_t k = w.first; k < w.last; ++k)
        visit((i * shape.kernel[1] + j) * shape.kernel[2] + k,
              (d.at(i) * shape.size[1] + h.at(j)) * shape.size[2] + w.at(k));
}

// Calls visit(output position, taps of each axis) for each position of a plane.
template <class Visit>
inline void each_output(const PoolingShape& shape, const Visit& visit) {
  std::int64_t position = 0;
  for (std::int64_t i = 0; i < shape.outputs[0]; ++i) {
    const Taps d(shape, 0, i);
    for (std::int64_t j = 0; j < shape.outputs[1]; ++j) {
      const Taps h(shape, 1, j);
      for (std::int64_t k = 0; k < shape.outputs[2]; ++k) visit(position++, d, h, Taps(shape, 2, k));
    }
  }
}

template <class W>
struct WinnersOf {
  using Type = Integers;
};
template <>
struct WinnersOf<Winner> {
  using Type = Winner __attribute__((vector_size(lanes), aligned(1), may_alias));
};
template <class W>
using Winners = typename WinnersOf<W>::Type;

// Without winners only the maximum is kept, and whether there was NaN.
void only_maximum_of_vectors(const PoolingShape& shape, const float* source, float* target) {
  each_output(shape, [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
      Vector best = all(-std::numeric_limits<float>::infinity());
      Integers unordered = {};
      each_tap(shape, d, h, w, [&](std::int64_t, std::int64_t from) {
        const Vector value = load(source + from * shape.pitch + lane);
        best = value > best ? value : best;
        unordered |= value != value;
      });
      store(target + position * shape.pitch + lane, unordered ? all(std::numeric_limits<float>::quiet_NaN()) : best);
    }
  });
}

template <class W>
void maximum_of_vectors(const PoolingShape& shape, const float* source, float* target, W* winners) {
  if (winners == nullptr) return only_maximum_of_vectors(shape, source, target);
  each_output(shape, [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
      Vector best = all(-std::numeric_limits<float>::infinity());
      Integers winner = Integers{} - 1;
      each_tap(shape, d, h, w, [&](std::int64_t tap, std::int64_t from) {
        const Vector value = load(source + from * shape.pitch + lane);
        const Integers wins = (value > best) | (value != value) | (winner < 0);
        best = wins ? value : best;
        winner = wins ? Integers{} + static_cast<std::int32_t>(tap) : winner;
      });
      store(target + position * shape.pitch + lane, best);
      *reinterpret_cast<Winners<W>*>(winners + position * shape.pitch + lane) =
          __builtin_convertvector(winner, Winners<W>);
    }
  });
}

template <class W>
void maximum_of_numbers(const PoolingShape& shape, const float* source, float* target, W* winners) {
  each_output(shape, [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; ++lane) {
      float best = -std::numeric_limits<float>::infinity();
      std::int64_t winner = -1;
      each_tap(shape, d, h, w, [&](std::int64_t tap, std::int64_t from) {
        const float value = source[from * shape.pitch + lane];
        const bool wins = (value > best) | (value != value) | (winner < 0);
        best = wins ? value : best;
        winner = wins ? tap : winner;
      });
      target[position * shape.pitch + lane] = best;
      if (winners != nullptr) winners[position * shape.pitch + lane] = static_cast<W>(winner);
    }
  });
}

constexpr std::int64_t few_taps = 32;  // up to here each is compared with the winner, a vector at a time

template <class W>
void to_winners_of_vectors(const PoolingShape& shape, const float* gradient, const W* winners, float* result) {
  each_output(shape, [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
      const std::int64_t at = position * shape.pitch + lane;
      const Vector arriving = load(gradient + at);
      const Integers winner =
          __builtin_convertvector(*reinterpret_cast<const Winners<W>*>(winners + at), Integers);
      each_tap(shape, d, h, w, [&](std::int64_t tap, std::int64_t to) {
        float* place = result + to * shape.pitch + lane;
        store(place, load(place) + (winner == static_cast<std::int32_t>(tap) ? arriving : Vector{}));
      });
    }
  });
}

template <class W>
void to_winners_of_numbers(const PoolingShape& shape, const float* gradient, const W* winners, float* result) {
  each_output(shape, [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; ++lane) {
      const std::int64_t at = position * shape.pitch + lane;
      if (winners[at] == static_cast<W>(-1)) continue;
      const std::int64_t tap = winners[at], of_row = tap / shape.kernel[2];
      const std::int64_t i = of_row / shape.kernel[1], j = of_row % shape.kernel[1], k = tap % shape.kernel[2];
      result[((d.at(i) * shape.size[1] + h.at(j)) * shape.size[2] + w.at(k)) * shape.pitch + lane] += gradient[at];
    }
  });
}

}  // namespace

namespace FOVEATE_ISA {

template <class W>
void maximum(const PoolingShape& shape, const float* source, float* target, W* winners) {
  (shape.block % lanes ? maximum_of_numbers<W> : maximum_of_vectors<W>)(shape, source, target, winners);
}

template <class W>
void to_winners(const PoolingShape& shape, const float* gradient, const W* winners, float* result) {
  const std::int64_t together = shape.pitch == shape.block ? shape.source_positions() : 1;
  for (std::int64_t position = 0; position < shape.source_positions(); position += together)
    std::memset(result + position * shape.pitch, 0, together * shape.block * sizeof(float));
  const bool apart = shape.block % lanes || shape.taps() > few_taps;
  (apart ? to_winners_of_numbers<W> : to_winners_of_vectors<W>)(shape, gradient, winners, result);
}

template void maximum(const PoolingShape&, const float*, float*, Winner*);
template void maximum(const PoolingShape&, const float*, float*, WideWinner*);
template void to_winners(const PoolingShape&, const float*, const Winner*, float*);
template void to_winners(const PoolingShape&, const float*, const WideWinner*, float*);

}  // namespace FOVEATE_ISA

}  // namespace foveate

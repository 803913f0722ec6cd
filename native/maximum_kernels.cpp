// Maximum pooling of one plane. NaN wins over all numbers, and of several the last, as in PyTorch; among equals the
// first does. Compiled once for each set of instructions.
#include <algorithm>
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

// Outputs of one row: the number of the first, and which planes and rows of the input they see.
struct Row {
  std::int64_t position;
  Taps d, h;
};

template <class Visit>
inline void each_row(const PoolingShape& shape, const Visit& visit) {
  std::int64_t position = 0;
  for (std::int64_t i = 0; i < shape.outputs[0]; ++i) {
    const Taps d(shape, 0, i);
    for (std::int64_t j = 0; j < shape.outputs[1]; ++j, position += shape.outputs[2])
      visit(Row{position, d, Taps(shape, 1, j)});
  }
}

// Calls visit(output position, taps of each axis) for the outputs of a row from `begin` to `end`.
template <class Visit>
inline void each_output(const PoolingShape& shape, const Row& row, std::int64_t begin, std::int64_t end,
                        const Visit& visit) {
  for (std::int64_t k = begin; k < end; ++k) visit(row.position + k, row.d, row.h, Taps(shape, 2, k));
}

template <class Visit>
inline void each_output(const PoolingShape& shape, const Visit& visit) {
  each_row(shape, [&](const Row& row) { each_output(shape, row, 0, shape.outputs[2], visit); });
}

// Calls visit(row, begin, end) for each row with the outputs whose windows lie inside the input; there may be none.
template <class Visit>
inline void each_inside(const PoolingShape& shape, const Visit& visit) {
  const std::int64_t stride = shape.stride[2], free = shape.size[2] - shape.kernel[2] + shape.begin[2];
  const std::int64_t first = std::min((shape.begin[2] + stride - 1) / stride, shape.outputs[2]);
  const std::int64_t last = free < 0 ? first : std::max(first, std::min(free / stride + 1, shape.outputs[2]));
  each_row(shape, [&](const Row& row) {
    const bool whole = row.h.last - row.h.first == shape.kernel[1] && row.d.last > row.d.first;
    visit(row, whole ? first : 0, whole ? last : 0);
  });
}

// Calls work(side as a constant) for windows of 2x2 or 3x3 neighbours, on which most networks pool; else returns false.
template <class Work>
inline bool small_square(const PoolingShape& shape, const Work& work) {
  if (shape.kernel[0] != 1 || shape.dilation[1] != 1 || shape.dilation[2] != 1) return false;
  if (shape.kernel[1] == 2 && shape.kernel[2] == 2) return work(std::integral_constant<int, 2>()), true;
  if (shape.kernel[1] == 3 && shape.kernel[2] == 3) return work(std::integral_constant<int, 3>()), true;
  return false;
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

// The largest of what is added to it.
struct OnlyLargest {
  Vector best = all(-std::numeric_limits<float>::infinity());
  Integers unordered = {};

  void add(std::int64_t, Vector value) {
    best = at_least_of(best, value);
    unordered |= value != value;
  }
  Vector value() const { return unordered ? all(std::numeric_limits<float>::quiet_NaN()) : best; }

 private:
  static Vector at_least_of(Vector best, Vector value) { return value > best ? value : best; }
};

// The largest, and which it was.
struct Largest {
  Vector best = all(-std::numeric_limits<float>::infinity());
  Integers winner = Integers{} - 1;

  void add(std::int64_t tap, Vector value) {
    const Integers wins = (value > best) | (value != value) | (winner < 0);
    best = wins ? value : best;
    winner = wins ? Integers{} + static_cast<std::int32_t>(tap) : winner;
  }
  Vector value() const { return best; }
};

// Calls done(output position and lane, the largest of its window) for each vector of outputs.
template <class Kept, class Done>
void each_largest(const PoolingShape& shape, const float* source, const Done& done) {
  const auto one_by_one = [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
      Kept kept;
      each_tap(shape, d, h, w,
               [&](std::int64_t tap, std::int64_t from) { kept.add(tap, load(source + from * shape.pitch + lane)); });
      done(position * shape.pitch + lane, kept);
    }
  };
  const bool small = small_square(shape, [&](auto side) {
    each_inside(shape, [&](const Row& row, std::int64_t begin, std::int64_t end) {
      each_output(shape, row, 0, begin, one_by_one);
      const float* const lines = source + (row.d.at(0) * shape.size[1] + row.h.at(0)) * shape.size[2] * shape.pitch;
      for (std::int64_t k = begin; k < end; ++k) {
        const float* const window = lines + (k * shape.stride[2] - shape.begin[2]) * shape.pitch;
        for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
          Kept kept;
          unrolled<side * side>([&](auto tap) {
            kept.add(tap, load(window + (tap / side * shape.size[2] + tap % side) * shape.pitch + lane));
          });
          done((row.position + k) * shape.pitch + lane, kept);
        }
      }
      each_output(shape, row, end, shape.outputs[2], one_by_one);
    });
  });
  if (!small) each_output(shape, one_by_one);
}

template <class W>
void maximum_of_vectors(const PoolingShape& shape, const float* source, float* target, W* winners) {
  if (winners == nullptr)
    return each_largest<OnlyLargest>(
        shape, source, [&](std::int64_t at, const OnlyLargest& kept) { store(target + at, kept.value()); });
  each_largest<Largest>(shape, source, [&](std::int64_t at, const Largest& kept) {
    store(target + at, kept.value());
    *reinterpret_cast<Winners<W>*>(winners + at) = __builtin_convertvector(kept.winner, Winners<W>);
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

// Whether each position is in one window exactly, so that its gradient can be written instead of added.
bool tiled(const PoolingShape& shape) {
  for (int axis = 0; axis < 3; ++axis)
    if (shape.stride[axis] != shape.kernel[axis] || shape.begin[axis] != 0 || shape.dilation[axis] != 1 ||
        shape.outputs[axis] * shape.kernel[axis] != shape.size[axis])
      return false;
  return true;
}

// What arrived at one vector of outputs, and the taps that won there.
template <class W>
struct Arrived {
  Vector gradient;
  Integers winner;

  Arrived(const float* gradient, const W* winners)
      : gradient(load(gradient)),
        winner(__builtin_convertvector(*reinterpret_cast<const Winners<W>*>(winners), Integers)) {}

  Vector share(std::int64_t tap) const { return winner == static_cast<std::int32_t>(tap) ? gradient : Vector{}; }
};

template <class W>
void to_winners_of_vectors(const PoolingShape& shape, const float* gradient, const W* winners, float* result) {
  const auto one_by_one = [&](std::int64_t position, const Taps& d, const Taps& h, const Taps& w) {
    for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
      const std::int64_t at = position * shape.pitch + lane;
      const Arrived<W> arrived(gradient + at, winners + at);
      each_tap(shape, d, h, w, [&](std::int64_t tap, std::int64_t to) {
        float* const place = result + to * shape.pitch + lane;
        store(place, load(place) + arrived.share(tap));
      });
    }
  };
  const bool write = tiled(shape);
  const bool small = small_square(shape, [&](auto side) {
    each_inside(shape, [&](const Row& row, std::int64_t begin, std::int64_t end) {
      each_output(shape, row, 0, begin, one_by_one);
      float* const lines = result + (row.d.at(0) * shape.size[1] + row.h.at(0)) * shape.size[2] * shape.pitch;
      for (std::int64_t k = begin; k < end; ++k) {
        float* const window = lines + (k * shape.stride[2] - shape.begin[2]) * shape.pitch;
        for (std::int64_t lane = 0; lane < shape.block; lane += lanes) {
          const std::int64_t at = (row.position + k) * shape.pitch + lane;
          const Arrived<W> arrived(gradient + at, winners + at);
          unrolled<side * side>([&](auto tap) {
            float* const place = window + (tap / side * shape.size[2] + tap % side) * shape.pitch + lane;
            store(place, write ? arrived.share(tap) : load(place) + arrived.share(tap));
          });
        }
      }
      each_output(shape, row, end, shape.outputs[2], one_by_one);
    });
  });
  if (!small) each_output(shape, one_by_one);
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
  const bool apart = shape.block % lanes || shape.taps() > few_taps;
  const bool written = !apart && tiled(shape) && small_square(shape, [](auto) {});
  const std::int64_t together = shape.pitch == shape.block ? shape.source_positions() : 1;
  for (std::int64_t position = 0; !written && position < shape.source_positions(); position += together)
    std::memset(result + position * shape.pitch, 0, together * shape.block * sizeof(float));
  (apart ? to_winners_of_numbers<W> : to_winners_of_vectors<W>)(shape, gradient, winners, result);
}

template void maximum(const PoolingShape&, const float*, float*, Winner*);
template void maximum(const PoolingShape&, const float*, float*, WideWinner*);
template void to_winners(const PoolingShape&, const float*, const Winner*, float*);
template void to_winners(const PoolingShape&, const float*, const WideWinner*, float*);

}  // namespace FOVEATE_ISA

}  // namespace foveate

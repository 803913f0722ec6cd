// Depthwise convolution of one row of outputs: a filter of its own for each channel. Inputs are clipped as they are read
// and outputs as they are written, so that a rectifier on either side costs no pass. Compiled once for each set of
// instructions.
#include <algorithm>

#include "vector_kernels.h"
#include "vector_math.h"

namespace foveate {
namespace {

inline Vector clipped(Vector x, const Bounds& bounds) { return at_most(at_least(x, bounds.low), bounds.high); }

// What the outputs of one row have in common: which rows of the input they see.
struct Row {
  const DepthwiseShape& shape;
  const float *source, *weights, *bias;
  float* target;
  std::int64_t first, last, begin;

  Row(const DepthwiseShape& shape, const float* source, const float* weights, const float* bias, float* target,
      std::int64_t output)
      : shape(shape), source(source), weights(weights), bias(bias), target(target + output * shape.target.row) {
    begin = output * shape.stride[0] - shape.begin[0];
    first = std::max<std::int64_t>(0, -begin);
    last = std::min(shape.kernel[0], shape.size[0] - begin);
  }

  Vector bias_of(std::int64_t channel) const { return bias == nullptr ? Vector{} : load(bias + channel); }
  const float* line(std::int64_t tap, std::int64_t channel) const {
    return source + shape.source.at(channel) + (begin + tap) * shape.source.row;
  }
};

// Fetches what the `Count` outputs behind these will read of rows that no output has read before, in the order in which
// it lies: processors foresee no other. (Inlined, since compilers drop a function that only fetches.)
template <int Width, int Stride, int Count>
__attribute__((always_inline)) inline void fetch_ahead(const Row& row, std::int64_t output) {
  const std::int64_t pitch = row.shape.source.position, numbers = Count * Stride * pitch;
  const std::int64_t column = (output + Count) * Stride - row.shape.begin[1] + Width - Stride;
  for (std::int64_t fresh = std::max(row.first, row.last - Stride); fresh < row.last; ++fresh) {
    const float* const next = row.line(fresh, 0) + column * pitch;
    for (std::int64_t k = 0; k < numbers; k += 16) __builtin_prefetch(next + k, 0, 1);
  }
}

// `Count` outputs from `output` on, which share what they read, for `Vectors` vectors of channels at a time; at a border
// some of what they would read lies outside.
template <int Width, int Stride, int Count, int Vectors, bool Border>
void together(const Row& row, std::int64_t output) {
  const DepthwiseShape& shape = row.shape;
  const std::int64_t column = output * Stride - shape.begin[1], pitch = shape.source.position;
  for (std::int64_t step = 0; step < shape.channels; step += lanes * Vectors) {
    const std::int64_t channel = std::min(step, shape.channels - lanes * Vectors);  // the last ones may overlap
    Vector sums[Count][Vectors], filter[Width][Vectors];
    unrolled<Vectors>([&](auto v) {
      const Vector bias = row.bias_of(channel + v * lanes);
      unrolled<Count>([&](auto k) { sums[k][v] = bias; });
    });
    for (std::int64_t i = row.first; i < row.last; ++i) {
      const float* const line = row.line(i, channel) + column * pitch;
      const float* const weights = row.weights + i * Width * shape.channels + channel;
      unrolled<Width>([&](auto tap) {
        unrolled<Vectors>([&](auto v) { filter[tap][v] = load(weights + tap * shape.channels + v * lanes); });
      });
      unrolled<(Count - 1) * Stride + Width>([&](auto at) {
        if (Border && (column + at < 0 || column + at >= shape.size[1])) return;
        unrolled<Vectors>([&](auto v) {
          const Vector x = clipped(load(line + at * pitch + v * lanes), shape.before);
          unrolled<Width>([&](auto tap) {
            constexpr int distance = at - tap;
            if constexpr (distance >= 0 && distance % Stride == 0 && distance / Stride < Count)
              sums[distance / Stride][v] += x * filter[tap][v];
          });
        });
      });
    }
    float* const to = row.target + shape.target.at(channel) + output * shape.target.position;
    unrolled<Count>([&](auto k) {
      unrolled<Vectors>([&](auto v) {
        store(to + k * shape.target.position + v * lanes, clipped(sums[k][v], shape.after));
      });
    });
  }
}

// One output of a window of any width.
void alone(const Row& row, std::int64_t output) {
  const DepthwiseShape& shape = row.shape;
  const std::int64_t column = output * shape.stride[1] - shape.begin[1], pitch = shape.source.position;
  const std::int64_t first = std::max<std::int64_t>(0, -column);
  const std::int64_t last = std::min(shape.kernel[1], shape.size[1] - column);
  for (std::int64_t step = 0; step < shape.channels; step += lanes) {
    const std::int64_t channel = std::min(step, shape.channels - lanes);
    Vector sum = row.bias_of(channel);
    for (std::int64_t i = row.first; i < row.last; ++i) {
      const float* const line = row.line(i, channel) + column * pitch;
      const float* const weights = row.weights + i * shape.kernel[1] * shape.channels + channel;
      for (std::int64_t tap = first; tap < last; ++tap)
        sum += clipped(load(line + tap * pitch), shape.before) * load(weights + tap * shape.channels);
    }
    store(row.target + shape.target.at(channel) + output * shape.target.position, clipped(sum, shape.after));
  }
}

// `Count` outputs at a time; a shorter rest begins earlier, and gives what it covers twice the same result.
template <int Width, int Stride, int Count, int Vectors>
void in_tiles(const Row& row) {
  const DepthwiseShape& shape = row.shape;
  const bool channels_last = shape.source.block == shape.channels;
  const std::int64_t outputs = shape.outputs[1], size = shape.size[1] + shape.begin[1];
  if constexpr (Count > 1)
    if (outputs < Count) return in_tiles<Width, Stride, Count / 2, Vectors>(row);
  for (std::int64_t tile = 0; tile < outputs; tile += Count) {
    const std::int64_t output = std::min(tile, outputs - Count), column = output * Stride;
    if (channels_last) fetch_ahead<Width, Stride, Count>(row, output);
    if (column < shape.begin[1] || column + (Count - 1) * Stride + Width > size)
      together<Width, Stride, Count, Vectors, true>(row, output);
    else
      together<Width, Stride, Count, Vectors, false>(row, output);
  }
}

template <int Width, int Stride>
void of_width(const Row& row) {
  constexpr int count = 7;  // divides the sides of most pictures' feature maps, and leaves registers for the filter
  const DepthwiseShape& shape = row.shape;
  // Two vectors side by side are two cache lines, which processors fetch together; with few registers it does not pay.
  if (lanes == 16 && std::min({shape.channels, shape.source.block, shape.target.block}) >= 2 * lanes)
    in_tiles<Width, Stride, count, lanes == 16 ? 2 : 1>(row);
  else
    in_tiles<Width, Stride, count, 1>(row);
}

}  // namespace

namespace FOVEATE_ISA {

void depthwise_row(const DepthwiseShape& shape, const float* source, const float* weights, const float* bias,
                   float* target, std::int64_t output) {
  const Row row(shape, source, weights, bias, target, output);
  const std::int64_t width = shape.kernel[1], stride = shape.stride[1];
  if (width == 3 && stride == 1) return of_width<3, 1>(row);
  if (width == 3 && stride == 2) return of_width<3, 2>(row);
  if (width == 5 && stride == 1) return of_width<5, 1>(row);
  if (width == 5 && stride == 2) return of_width<5, 2>(row);
  if (width == 7 && stride == 1) return of_width<7, 1>(row);
  if (width == 7 && stride == 2) return of_width<7, 2>(row);
  for (std::int64_t column = 0; column < shape.outputs[1]; ++column) alone(row, column);
}

}  // namespace FOVEATE_ISA
}  // namespace foveate

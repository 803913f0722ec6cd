// Winograd's convolution, block by block: transform the input tiles, multiply them point by point with the transformed
// filters, transform back. Compiled for AVX-512; winograd_operation.cpp asks the processor before it calls this.
#include "winograd_blocks.h"

#include <limits>

namespace foveate::winograd {

namespace {

// NaN stays.
inline Vector rectified(Vector value, bool relu) { return relu ? (value <= 0 ? Vector{} : value) : value; }

// A^T m A for 16 filters of one tile, with bias and ReLU; what lies outside the output is left out. Returns 0, or NaN
// in the lanes where an output is not finite.
template <int M>
Vector transform_output(const Shape& shape, const TilePlace& place, const float* products, std::int64_t point_stride,
                        Vector bias, bool relu, float* plane) {
  constexpr int size = Tile<M>::size;
  Vector m[size * size], half[M * size], doubt{};
  for (int point = 0; point < size * size; ++point) m[point] = load(products + point * point_stride);
  for (int j = 0; j < size; ++j) {
    Vector column[M];
    Tile<M>::output(m + j, size, column);
    for (int i = 0; i < M; ++i) half[i * size + j] = column[i];
  }
  for (int i = 0; i < M && place.top + i < shape.output_height; ++i) {
    Vector row[M];
    Tile<M>::output(half + i * size, 1, row);
    for (int j = 0; j < M && place.left + j < shape.output_width; ++j) {
      const Vector value = row[j] + bias;
      doubt += value - value;
      store(plane + ((place.top + i) * shape.output_width + place.left + j) * lanes, rectified(value, relu));
    }
  }
  return doubt;
}

bool is_zero(Vector value) {
  for (int lane = 0; lane < lanes; ++lane)
    if (value[lane] != 0) return false;
  return true;
}

// The filters that were transformed, or left as they were, 16 of one channel.
template <int M>
void recover_taps(const float* transformed, std::int64_t point_stride, Vector* taps) {
  constexpr int size = Tile<M>::size;
  const auto point = [&](int number) { return load(transformed + number * point_stride); };
  Vector half[3 * size];
  for (int across = 0; across < size; ++across) {
    Vector u[size], column[3];
    for (int down = 0; down < size; ++down) u[down] = point(down * size + across);
    Tile<M>::taps(u, 1, column);
    for (int i = 0; i < 3; ++i) half[i * size + across] = column[i];
  }
  for (int i = 0; i < 3; ++i) Tile<M>::taps(half + i * size, 1, taps + i * 3);
  const Vector last = point(size * size - 1);
  for (int tap = 0; tap < 9; ++tap) taps[tap] = last != last ? point(tap) : taps[tap];
}

// One tile for 16 filters by the definition, for tiles where the transforms met infinity: there the sums of inputs have
// overflowed, or spread an infinity over the tile, or a filter was not transformed.
template <int M>
void convolve_tile(const Shape& shape, const TilePlace& place, const float* source, const float* transformed,
                   std::int64_t filter, Vector bias, bool relu, float* plane) {
  Vector sums[M * M];
  for (Vector& sum : sums) sum = bias;
  for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
    Vector taps[9];
    recover_taps<M>(transformed + channel * shape.filters + filter, shape.channels * shape.filters, taps);
    const std::int64_t block = place.sample * shape.channels / lanes + channel / lanes;
    const float* from = source + block * lanes * shape.height * shape.width;
    for (int i = 0; i < M * M; ++i)
      for (int tap = 0; tap < 9; ++tap) {
        const std::int64_t top = place.top + i / M + tap / 3 - shape.padding_top;
        const std::int64_t left = place.left + i % M + tap % 3 - shape.padding_left;
        if (top >= 0 && top < shape.height && left >= 0 && left < shape.width)
          sums[i] += from[(top * shape.width + left) * lanes + channel % lanes] * taps[tap];
      }
  }
  for (int i = 0; i < M * M; ++i) {
    // What fills the last block stays zero, though infinity times its filters of zeros is NaN.
    for (int lane = 0; lane < lanes; ++lane)
      if (filter + lane >= shape.present) sums[i][lane] = 0;
    const std::int64_t top = place.top + i / M, left = place.left + i % M;
    if (top < shape.output_height && left < shape.output_width)
      store(plane + (top * shape.output_width + left) * lanes, rectified(sums[i], relu));
  }
}

// products[tile][filter] = sum over channels of inputs[tile][channel] * weights[channel][filter], for `Rows` tiles and
// `Width` vectors of filters.
template <int Rows, int Width>
void multiply(std::int64_t channels, const float* inputs, std::int64_t input_pitch, const float* weights,
              std::int64_t weight_pitch, float* products, std::int64_t product_pitch) {
  Vector sums[Rows][Width] = {};
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    Vector filters[Width];
    for (int k = 0; k < Width; ++k) filters[k] = load(weights + channel * weight_pitch + k * lanes);
#pragma GCC unroll 16
    for (int row = 0; row < Rows; ++row) {
      const float value = inputs[row * input_pitch + channel];
      for (int k = 0; k < Width; ++k) sums[row][k] += value * filters[k];
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row)
    for (int k = 0; k < Width; ++k) store(products + row * product_pitch + k * lanes, sums[row][k]);
}

// All tiles of a block at one point.
void multiply_point(const Shape& shape, std::int64_t tiles, const float* inputs, const float* weights,
                    float* products) {
  const std::int64_t input_pitch = pitch(shape.channels), product_pitch = pitch(shape.filters);
  for (std::int64_t filter = 0; filter < shape.filters;) {
    const bool pair = shape.filters - filter >= 2 * lanes;
    for (std::int64_t tile = 0; tile < tiles; tile += rows) {
      const auto kernel = pair ? multiply<rows, 2> : multiply<rows, 1>;
      kernel(shape.channels, inputs + tile * input_pitch, input_pitch, weights + filter, shape.filters,
             products + tile * product_pitch + filter, product_pitch);
    }
    filter += pair ? 2 * lanes : lanes;
  }
}

template <int M>
void convolve(const Shape& shape, std::int64_t block, const float* source, const float* transformed, const float* bias,
              bool relu, float* target, float* scratch) {
  const TileGrid grid(shape);
  const std::int64_t capacity = tiles_in_block(shape), first = block * capacity;
  const std::int64_t tiles = grid.total - first < capacity ? grid.total - first : capacity;
  const std::int64_t input_stride = capacity * pitch(shape.channels), product_stride = capacity * pitch(shape.filters);
  float* inputs = scratch;
  float* products = scratch + points(shape) * input_stride;
  transform_inputs<M>(shape, grid, first, tiles, source, inputs, input_stride);
  for (std::int64_t point = 0; point < points(shape); ++point)
    multiply_point(shape, tiles, inputs + point * input_stride, transformed + point * shape.channels * shape.filters,
                   products + point * product_stride);
  const auto for_all_outputs = [&](auto&& handle) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const TilePlace place(shape, grid, first + tile);
      for (std::int64_t filter = 0; filter < shape.filters; filter += lanes) {
        const Vector shift = bias ? load(bias + filter) : Vector{};
        float* plane = target + (place.sample * shape.filters + filter) * shape.output_height * shape.output_width;
        const float* from = products + tile * pitch(shape.filters) + filter;
        handle(place, filter, shift, plane,
               transform_output<M>(shape, place, from, product_stride, shift, relu, plane));
      }
    }
  };
  Vector any_doubt{};
  for_all_outputs([&](const TilePlace&, std::int64_t, Vector, float*, Vector doubt) { any_doubt += doubt; });
  if (is_zero(any_doubt)) return;
  // Asking each tile costs as much as a tenth of its transform, so it is done only where one of the block is in doubt.
  for_all_outputs([&](const TilePlace& place, std::int64_t filter, Vector shift, float* plane, Vector doubt) {
    if (!is_zero(doubt)) convolve_tile<M>(shape, place, source, transformed, filter, shift, relu, plane);
  });
}

template <int M>
void transform_filter(const float* taps, bool flipped, float* transformed, std::int64_t point_stride) {
  constexpr int size = Tile<M>::size;
  const auto tap = [&](int number) { return load(taps + (flipped ? 8 - number : number) * lanes * lanes); };
  Vector half[size][3], doubt{};
  for (int point = 0; point < size; ++point)
    for (int j = 0; j < 3; ++j) {
      half[point][j] = Vector{};
      for (int i = 0; i < 3; ++i) half[point][j] += Tile<M>::filter[point][i] * tap(i * 3 + j);
    }
  for (int down = 0; down < size; ++down)
    for (int across = 0; across < size; ++across) {
      Vector value{};
      for (int j = 0; j < 3; ++j) value += Tile<M>::filter[across][j] * half[down][j];
      doubt += value - value;
      store(transformed + (down * size + across) * point_stride, value);
    }
  if (is_zero(doubt)) return;
  // A filter with infinity, or whose sums overflow, cannot be recovered from its transform. It stays as it is, and NaN
  // at the other points sends each of its tiles to the definition.
  for (int number = 0; number < size * size; ++number) {
    float* place = transformed + number * point_stride;
    const Vector nan = Vector{} + std::numeric_limits<float>::quiet_NaN();
    store(place, doubt != doubt ? (number < 9 ? tap(number) : nan) : load(place));
  }
}

}  // namespace

std::int64_t tiles_in_block(const Shape& shape) {
  const std::int64_t one = points(shape) * (pitch(shape.channels) + pitch(shape.filters)) * sizeof(float);
  const std::int64_t fitting = cache / one / rows;
  return (fitting < 1 ? 1 : fitting > 6 ? 6 : fitting) * rows;
}

std::int64_t scratch_numbers(const Shape& shape) {
  return points(shape) * tiles_in_block(shape) * (pitch(shape.channels) + pitch(shape.filters));
}

void transform_weights(const Shape& shape, bool flipped, const float* weights, float* transformed) {
  const std::int64_t channel_blocks = shape.channels / lanes;
  for (std::int64_t filter = 0; filter < shape.filters; filter += lanes)
    for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
      // oneDNN's order of blocks: the weights' first axis outermost, which is this convolution's channels if flipped.
      const std::int64_t block = flipped ? channel / lanes * (shape.filters / lanes) + filter / lanes
                                         : filter / lanes * channel_blocks + channel / lanes;
      const float* taps = weights + block * 9 * lanes * lanes + channel % lanes * lanes;
      float* to = transformed + channel * shape.filters + filter;
      if (shape.tile == 2)
        transform_filter<2>(taps, flipped, to, shape.channels * shape.filters);
      else
        transform_filter<4>(taps, flipped, to, shape.channels * shape.filters);
    }
}

void convolve_block(const Shape& shape, std::int64_t block, const float* source, const float* transformed,
                    const float* bias, bool relu, float* target, float* scratch) {
  if (shape.tile == 2)
    convolve<2>(shape, block, source, transformed, bias, relu, target, scratch);
  else
    convolve<4>(shape, block, source, transformed, bias, relu, target, scratch);
}

}  // namespace foveate::winograd

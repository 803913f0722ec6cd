// Winograd's convolution, block by block: transform the input tiles, multiply them point by point with the transformed
// filters, transform back. Compiled for AVX-512; winograd_operation.cpp asks the processor before it calls this.
#include "winograd_blocks.h"

namespace foveate::winograd {

namespace {

// A^T m A for 16 filters of one tile, with bias and ReLU; what lies outside the output is left out.
template <int M>
void transform_output(const Shape& shape, const TilePlace& place, const float* products, std::int64_t point_stride,
                      Vector bias, bool relu, float* plane) {
  constexpr int size = Tile<M>::size;
  Vector m[size * size], half[M * size];
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
      Vector value = row[j] + bias;
      if (relu) value = value > 0 ? value : Vector{};
      store(plane + ((place.top + i) * shape.output_width + place.left + j) * lanes, value);
    }
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
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const TilePlace place(shape, grid, first + tile);
    for (std::int64_t filter = 0; filter < shape.filters; filter += lanes)
      transform_output<M>(
          shape, place, products + tile * pitch(shape.filters) + filter, product_stride,
          bias ? load(bias + filter) : Vector{}, relu,
          target + (place.sample * shape.filters + filter) * shape.output_height * shape.output_width);
  }
}

template <int M>
void transform_filter(const float* taps, bool flipped, float* transformed, std::int64_t point_stride) {
  constexpr int size = Tile<M>::size;
  Vector half[size][3];
  for (int point = 0; point < size; ++point)
    for (int j = 0; j < 3; ++j) {
      half[point][j] = Vector{};
      for (int i = 0; i < 3; ++i) {
        const int tap = flipped ? 8 - (i * 3 + j) : i * 3 + j;
        half[point][j] += Tile<M>::filter[point][i] * load(taps + tap * lanes * lanes);
      }
    }
  for (int down = 0; down < size; ++down)
    for (int across = 0; across < size; ++across) {
      Vector value{};
      for (int j = 0; j < 3; ++j) value += Tile<M>::filter[across][j] * half[down][j];
      store(transformed + (down * size + across) * point_stride, value);
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

// The gradient of the weights of Winograd's convolution: G^T [sum over tiles of (B^T d B) * (A dy A^T)] G. Compiled for
// AVX-512, as winograd.cpp.
#include "winograd_blocks.h"

namespace foveate::winograd {

namespace {

constexpr int channel_rows = 8;  // channels whose sums stay in registers while tiles are walked

// A dy A^T for 16 filters of one tile; what lies outside the output is zero.
template <int M>
void transform_gradient(const Shape& shape, const TilePlace& place, const float* plane, float* transformed,
                        std::int64_t point_stride) {
  constexpr int size = Tile<M>::size;
  Vector y[M * M], half[size * M];
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < M; ++j) {
      const bool inside = place.top + i < shape.output_height && place.left + j < shape.output_width;
      y[i * M + j] =
          inside ? load(plane + ((place.top + i) * shape.output_width + place.left + j) * lanes) : Vector{};
    }
  for (int j = 0; j < M; ++j) {
    Vector column[size];
    Tile<M>::gradient(y + j, M, column);
    for (int i = 0; i < size; ++i) half[i * M + j] = column[i];
  }
  for (int i = 0; i < size; ++i) {
    Vector row[size];
    Tile<M>::gradient(half + i * M, 1, row);
    for (int j = 0; j < size; ++j) store(transformed + (i * size + j) * point_stride, row[j]);
  }
}

// sums[channel][filter] += sum over tiles of inputs[tile][channel] * gradients[tile][filter], for a few channels and
// `Width` vectors of filters.
template <int Width>
void add_products(std::int64_t tiles, const float* inputs, std::int64_t input_pitch, const float* gradients,
                  std::int64_t gradient_pitch, float* sums, std::int64_t filters) {
  Vector total[channel_rows][Width];
#pragma GCC unroll 8
  for (int row = 0; row < channel_rows; ++row)
    for (int k = 0; k < Width; ++k) total[row][k] = load(sums + row * filters + k * lanes);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    Vector values[Width];
    for (int k = 0; k < Width; ++k) values[k] = load(gradients + tile * gradient_pitch + k * lanes);
#pragma GCC unroll 8
    for (int row = 0; row < channel_rows; ++row) {
      const float input = inputs[tile * input_pitch + row];
      for (int k = 0; k < Width; ++k) total[row][k] += input * values[k];
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < channel_rows; ++row)
    for (int k = 0; k < Width; ++k) store(sums + row * filters + k * lanes, total[row][k]);
}

// All channels and filters at one point.
void add_point(const Shape& shape, std::int64_t tiles, const float* inputs, const float* gradients, float* sums) {
  for (std::int64_t filter = 0; filter < shape.filters;) {
    const bool pair = shape.filters - filter >= 2 * lanes;
    const auto kernel = pair ? add_products<2> : add_products<1>;
    for (std::int64_t channel = 0; channel < shape.channels; channel += channel_rows)
      kernel(tiles, inputs + channel, pitch(shape.channels), gradients + filter, pitch(shape.filters),
             sums + channel * shape.filters + filter, shape.filters);
    filter += pair ? 2 * lanes : lanes;
  }
}

template <int M>
void accumulate(const Shape& shape, std::int64_t block, const float* source, const float* gradient, float* sums,
                float* scratch) {
  const TileGrid grid(shape);
  const std::int64_t capacity = tiles_in_block(shape), first = block * capacity;
  const std::int64_t tiles = grid.total - first < capacity ? grid.total - first : capacity;
  const std::int64_t input_stride = capacity * pitch(shape.channels), gradient_stride = capacity * pitch(shape.filters);
  float* inputs = scratch;
  float* gradients = scratch + points(shape) * input_stride;
  transform_inputs<M>(shape, grid, first, tiles, source, inputs, input_stride);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const TilePlace place(shape, grid, first + tile);
    for (std::int64_t filter = 0; filter < shape.filters; filter += lanes)
      transform_gradient<M>(
          shape, place,
          gradient + (place.sample * shape.filters + filter) * shape.output_height * shape.output_width,
          gradients + tile * pitch(shape.filters) + filter, gradient_stride);
  }
  for (std::int64_t point = 0; point < points(shape); ++point)
    add_point(shape, tiles, inputs + point * input_stride, gradients + point * gradient_stride,
              sums + point * shape.channels * shape.filters);
}

// G^T u G for 16 filters of one channel.
template <int M>
void finish_filters(const Vector* u, float* taps) {
  constexpr int size = Tile<M>::size;
  Vector half[3][size];
  for (int i = 0; i < 3; ++i)
    for (int across = 0; across < size; ++across) {
      half[i][across] = Vector{};
      for (int down = 0; down < size; ++down) half[i][across] += Tile<M>::filter[down][i] * u[down * size + across];
    }
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      Vector tap{};
      for (int across = 0; across < size; ++across) tap += Tile<M>::filter[across][j] * half[i][across];
      store(taps + (i * 3 + j) * lanes * lanes, tap);
    }
}

}  // namespace

void accumulate_gradient(const Shape& shape, std::int64_t block, const float* source, const float* gradient,
                         float* sums, float* scratch) {
  if (shape.tile == 2)
    accumulate<2>(shape, block, source, gradient, sums, scratch);
  else
    accumulate<4>(shape, block, source, gradient, sums, scratch);
}

void finish_gradient(const Shape& shape, std::int64_t channel, const float* sums, int threads, float* weights) {
  const std::int64_t matrix = shape.channels * shape.filters, all = points(shape) * matrix;
  for (std::int64_t filter = 0; filter < shape.filters; filter += lanes) {
    Vector u[36];
    for (std::int64_t point = 0; point < points(shape); ++point) {
      const float* first = sums + point * matrix + channel * shape.filters + filter;
      u[point] = load(first);
      for (int thread = 1; thread < threads; ++thread) u[point] += load(first + thread * all);
    }
    const std::int64_t block = filter / lanes * (shape.channels / lanes) + channel / lanes;
    float* taps = weights + block * 9 * lanes * lanes + channel % lanes * lanes;
    if (shape.tile == 2)
      finish_filters<2>(u, taps);
    else
      finish_filters<4>(u, taps);
  }
}

}  // namespace foveate::winograd

// What Winograd's forward convolution and its weights' gradient share: blocks of tiles, and the input's transform.
// Only for files compiled for AVX-512.
#pragma once

#include "winograd.h"
#include "winograd_tiles.h"

namespace foveate::winograd {

constexpr std::int64_t rows = 14;           // tiles whose sums stay in registers while channels are walked
constexpr std::int64_t cache = 640 * 1024;  // bytes of one core's cache that a block may fill

inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

inline std::int64_t points(const Shape& shape) { return (shape.tile + 2) * (shape.tile + 2); }

// Rows are a little longer than their numbers, so that points do not fall on the same cache sets.
inline std::int64_t pitch(std::int64_t channels) { return channels + lanes; }

struct TileGrid {
  std::int64_t across, down, total;
  explicit TileGrid(const Shape& shape)
      : across(divide_up(shape.output_width, shape.tile)),
        down(divide_up(shape.output_height, shape.tile)),
        total(shape.samples * across * down) {}
};

struct TilePlace {
  std::int64_t sample, top, left;
  TilePlace(const Shape& shape, const TileGrid& grid, std::int64_t tile)
      : sample(tile / (grid.across * grid.down)),
        top(tile / grid.across % grid.down * shape.tile),
        left(tile % grid.across * shape.tile) {}
};

// B^T d B for 16 channels of one tile; what lies outside the input is zero.
template <int M>
void transform_input(const Shape& shape, const TilePlace& place, const float* plane, float* transformed,
                     std::int64_t point_stride) {
  constexpr int size = Tile<M>::size;
  const std::int64_t top = place.top - shape.padding_top, left = place.left - shape.padding_left;
  Vector d[size * size], half[size * size];
  if (top >= 0 && left >= 0 && top + size <= shape.height && left + size <= shape.width) {
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) d[i * size + j] = load(plane + ((top + i) * shape.width + left + j) * lanes);
  } else {
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) {
        const bool inside = top + i >= 0 && top + i < shape.height && left + j >= 0 && left + j < shape.width;
        d[i * size + j] = inside ? load(plane + ((top + i) * shape.width + left + j) * lanes) : Vector{};
      }
  }
  for (int j = 0; j < size; ++j) {
    Vector column[size];
    Tile<M>::input(d + j, size, column);
    for (int i = 0; i < size; ++i) half[i * size + j] = column[i];
  }
  for (int i = 0; i < size; ++i) {
    Vector row[size];
    Tile<M>::input(half + i * size, 1, row);
    for (int j = 0; j < size; ++j) store(transformed + (i * size + j) * point_stride, row[j]);
  }
}

// The input tiles of one block, transformed: inputs[point][tile][channel].
template <int M>
void transform_inputs(const Shape& shape, const TileGrid& grid, std::int64_t first, std::int64_t tiles,
                      const float* source, float* inputs, std::int64_t point_stride) {
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const TilePlace place(shape, grid, first + tile);
    for (std::int64_t channel = 0; channel < shape.channels; channel += lanes)
      transform_input<M>(shape, place, source + (place.sample * shape.channels + channel) * shape.height * shape.width,
                         inputs + tile * pitch(shape.channels) + channel, point_stride);
  }
}

}  // namespace foveate::winograd

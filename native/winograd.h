// Winograd's convolution for 3x3 filters with stride 1, in arrays with channels in blocks of 16. Of the last block there
// may be fewer; what fills it holds zeros.
#pragma once

#include <cstdint>

namespace foveate::winograd {

struct Shape {
  std::int64_t samples, channels, filters;  // whole blocks
  std::int64_t height, width, output_height, output_width;
  std::int64_t padding_top, padding_left;
  int tile;              // outputs of a tile along one axis: 2 or 4
  std::int64_t present;  // filters without those that fill the last block
};

// Tiles that one thread transforms and multiplies together: what it holds must fit its cache.
std::int64_t tiles_in_block(const Shape& shape);

// Numbers of scratch memory for one thread.
std::int64_t scratch_numbers(const Shape& shape);

// weights: blocks of (16 channels, 16 filters), as oneDNN's OIhw16i16o; flipped turns each filter by half a turn.
// transformed: [point][channel][filter].
void transform_weights(const Shape& shape, bool flipped, const float* weights, float* transformed);

// One block of tiles of target = convolution(source); bias may be null.
void convolve_block(const Shape& shape, std::int64_t block, const float* source, const float* transformed,
                    const float* bias, bool relu, float* target, float* scratch);

// The gradient of the weights: each thread adds its blocks to sums of its own, [point][channel][filter], which start at
// zero; `scratch` is as for convolve_block.
void accumulate_gradient(const Shape& shape, std::int64_t block, const float* source, const float* gradient,
                         float* sums, float* scratch);

// All threads' sums, transformed back for one channel, into blocks of (16 channels, 16 filters).
void finish_gradient(const Shape& shape, std::int64_t channel, const float* sums, int threads, float* weights);

}  // namespace foveate::winograd

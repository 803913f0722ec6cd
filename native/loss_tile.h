// Channels lie far from each other where an output has several positions. A tile is a few neighbouring positions of one
// sample, copied so that the channels of each lie side by side; every cache line is then read once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace foveate {

constexpr std::int64_t tile_positions = 16;  // a cache line of numbers

struct Tiling {
  std::int64_t channels, positions;

  std::int64_t tiles() const { return (positions + tile_positions - 1) / tile_positions; }
  std::int64_t first(std::int64_t tile) const { return tile * tile_positions; }
  std::int64_t count(std::int64_t tile) const { return std::min(tile_positions, positions - first(tile)); }
  // Numbers that a copied tile needs: none where a position's channels lie side by side already.
  std::int64_t size() const { return positions == 1 ? 0 : tile_positions * channels; }

  // The tile of a sample, position after position: in place where it lies so, else copied to `buffer`.
  const float* read(const float* sample, std::int64_t tile, std::vector<float>& buffer) const {
    if (positions == 1) return sample;
    const std::int64_t begin = first(tile), length = count(tile);
    for (std::int64_t k = 0; k < channels; ++k)
      for (std::int64_t i = 0; i < length; ++i) buffer[i * channels + k] = sample[k * positions + begin + i];
    return buffer.data();
  }

  // Where to write a tile before `write` brings it to the sample.
  float* target(float* sample, std::vector<float>& buffer) const { return positions == 1 ? sample : buffer.data(); }

  void write(const std::vector<float>& buffer, std::int64_t tile, float* sample) const {
    if (positions == 1) return;
    const std::int64_t begin = first(tile), length = count(tile);
    for (std::int64_t k = 0; k < channels; ++k)
      for (std::int64_t i = 0; i < length; ++i) sample[k * positions + begin + i] = buffer[i * channels + k];
  }
};

}  // namespace foveate

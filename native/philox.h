// Philox 4x64 with ten rounds, as NumPy's bit generator runs it: four 64-bit numbers for each counter.
// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, 2011.
#pragma once

#include <array>
#include <cstdint>

namespace foveate {

inline std::array<std::uint64_t, 4> philox(std::array<std::uint64_t, 4> counter, std::uint64_t key0,
                                           std::uint64_t key1) {
  using Wide = unsigned __int128;
  for (int round = 0; round < 10; ++round) {
    const Wide left = static_cast<Wide>(0xD2E7470EE14C6C93ULL) * counter[0];
    const Wide right = static_cast<Wide>(0xCA5A826395121157ULL) * counter[2];
    counter = {static_cast<std::uint64_t>(right >> 64) ^ counter[1] ^ key0, static_cast<std::uint64_t>(right),
               static_cast<std::uint64_t>(left >> 64) ^ counter[3] ^ key1, static_cast<std::uint64_t>(left)};
    key0 += 0x9E3779B97F4A7C15ULL;
    key1 += 0xBB67AE8584CAA73BULL;
  }
  return counter;
}

}  // namespace foveate

// Means and spreads of channels that lie in blocks, for group and batch normalisation alike. In these `plain` is a mean and
// `weighted` the sum of the squared differences from it.
#pragma once

#include <functional>
#include <numeric>

#include "memory.h"
#include "vector_kernels.h"

namespace foveate {

// Of `count` numbers, of which are known the sums of their differences from one of them and of the squares of these.
inline Sums moments_of(const Sums& sums, double from, std::int64_t count) {
  const double away = sums.plain / static_cast<double>(count);
  const double spread = sums.weighted - away * sums.plain;
  return {from + away, spread < 0 ? 0 : spread};
}

// Of `parts` with `count` numbers each, whose moments lie `stride` apart.
inline Sums joined_moments(const Sums* moments, std::int64_t parts, std::int64_t stride, std::int64_t count) {
  double mean = 0, spread = 0;
  for (std::int64_t part = 0; part < parts; ++part) mean += moments[part * stride].plain;
  mean /= static_cast<double>(parts);
  for (std::int64_t part = 0; part < parts; ++part) {
    const Sums& own = moments[part * stride];
    const double away = own.plain - mean;
    spread += own.weighted + static_cast<double>(count) * (away * away);
  }
  return {mean, spread};
}

// How many positions images or volumes have.
inline std::int64_t positions_of(const Dims& dims) {
  return std::accumulate(dims.begin() + 2, dims.end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace foveate

// Vectors of float64 made from half a vector of float32, for sums and differences that would lose digits in float32. For
// files that are compiled once for each set of instructions: all names have internal linkage.
#pragma once

#include "vector_math.h"

namespace foveate {
namespace {

constexpr int half = lanes / 2;

using Halves = float __attribute__((vector_size(half * sizeof(float)), aligned(4), may_alias));
using Doubles = double __attribute__((vector_size(half * sizeof(double)), aligned(8), may_alias));

inline Doubles wide(const float* from) {
  return __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Doubles);
}
inline void store(float* to, Doubles values) {
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(values, Halves);
}
inline Doubles load(const double* from) { return *reinterpret_cast<const Doubles*>(from); }
inline void store(double* to, Doubles values) { *reinterpret_cast<Doubles*>(to) = values; }

inline double total(Doubles values) {
  double sum = 0;
  for (int lane = 0; lane < half; ++lane) sum += values[lane];
  return sum;
}

}  // namespace
}  // namespace foveate

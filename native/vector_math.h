// Functions of vectors of float32, accurate to a few units in the last place, tails included. For files that are
// compiled once for each set of instructions: all names have internal linkage, so that no copy takes another's place.
//
// Denormal numbers are flushed, so exp(x) is 0 below -87; where a product with it is wanted, `times` multiplies first.
#pragma once

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace foveate {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

using Vector = float __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));
using Integers = std::int32_t __attribute__((vector_size(lanes * sizeof(std::int32_t)), aligned(4), may_alias));

inline Vector all(float value) { return Vector{} + value; }
inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
inline Vector absolute(Vector x) { return (Vector)((Integers)x & 0x7fffffff); }
// NaN passes through both: these instructions give their second operand where either is NaN.
#if defined(__AVX512F__)
inline Vector at_least(Vector x, float low) { return _mm512_max_ps(all(low), x); }
inline Vector at_most(Vector x, float high) { return _mm512_min_ps(all(high), x); }
#elif defined(__AVX2__)
inline Vector at_least(Vector x, float low) { return _mm256_max_ps(all(low), x); }
inline Vector at_most(Vector x, float high) { return _mm256_min_ps(all(high), x); }
#elif defined(__SSE4_1__)
inline Vector at_least(Vector x, float low) { return _mm_max_ps(all(low), x); }
inline Vector at_most(Vector x, float high) { return _mm_min_ps(all(high), x); }
#else
inline Vector at_least(Vector x, float low) { return x < low ? all(low) : x; }
inline Vector at_most(Vector x, float high) { return x > high ? all(high) : x; }
#endif

// Calls work(constant) for 0 to Count - 1, so that what is indexed by it stays in registers.
template <class Work, int... Index>
inline void unrolled(const Work& work, std::integer_sequence<int, Index...>) {
  (work(std::integral_constant<int, Index>()), ...);
}
template <int Count, class Work>
inline void unrolled(const Work& work) {
  unrolled(work, std::make_integer_sequence<int, Count>());
}

// exp(x) = part * low * high, for x between -104 and 89, where the powers of two are in range.
struct Exponential {
  Vector part, low, high;

  // Of `x` + `correction`, the second far smaller.
  explicit Exponential(Vector x, Vector correction = Vector{}) {
    constexpr float to_even = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    x = at_least(at_most(x, 89.0f), -104.0f);
    Vector n = x * 1.44269504f + to_even;
    n -= to_even;
    Vector r = x - n * 0.693359375f;
    r -= n * -2.12194440e-4f;
    r += correction;
    const Vector higher = 1 / 24.0f + r * (1 / 120.0f + r * (1 / 720.0f + r * (1 / 5040.0f)));
    part = 1 + r * (1 + r * (0.5f + r * (1 / 6.0f + r * higher)));
    const Integers exponent = __builtin_convertvector(n, Integers), half = exponent >> 1;
    low = (Vector)((half + 127) << 23);
    high = (Vector)((exponent - half + 127) << 23);
  }

  Vector value() const { return part * low * high; }
  Vector times(Vector factor) const { return part * factor * low * high; }
};

// exp(x) - 1 for x <= 0.
inline Vector exp_minus_one(Vector x) {
  const Vector higher = 1 + x * 0.2f * (1 + x * (1 / 6.0f) * (1 + x * (1 / 7.0f)));
  const Vector near = x * (1 + x * 0.5f * (1 + x * (1 / 3.0f) * (1 + x * 0.25f * higher)));
  return x > -0.35f ? near : Exponential(x).value() - 1;
}

// log(1 + x) for x from 0 to 1, by the series of the inverse hyperbolic tangent.
inline Vector log_of_one_and(Vector x) {
  const Vector s = x / (2 + x), q = s * s;
  const Vector higher = 1 / 9.0f + q * (1 / 11.0f + q * (1 / 13.0f + q * (1 / 15.0f)));
  return 2 * s * (1 + q * (1 / 3.0f + q * (0.2f + q * (1 / 7.0f + q * higher))));
}

// log(x), the power of two taken out so that the rest is between the root of 1/2 and that of 2.
inline Vector logarithm(Vector x) {
  const Integers bits = (Integers)x;
  Integers exponent = (bits >> 23) - 127;
  Vector part = (Vector)((bits & 0x7fffff) | 0x3f800000);
  const Integers large = part > 1.41421356f;  // -1 where it is
  part = large ? part * 0.5f : part;
  exponent -= large;
  const Vector n = __builtin_convertvector(exponent, Vector);
  const Vector near = n * 0.693359375f + (n * -2.12194440e-4f + log_of_one_and(part - 1));
  const float infinity = __builtin_inff();
  const Vector finite = x == infinity ? x : near;
  return x > 0 ? finite : x == 0 ? all(-infinity) : all(__builtin_nanf(""));
}

// exp(-|x|), and the sigmoid that follows from it; a factor is multiplied before what is tiny is flushed.
struct Logistic {
  Exponential small;
  Vector x, e;

  explicit Logistic(Vector argument) : small(-absolute(argument)), x(argument), e(small.value()) {}

  Vector times(Vector factor) const {
    const Vector below = x < -104 ? factor * 0.0f : small.times(factor);
    return (x >= 0 ? factor : below) / (1 + e);
  }
  Vector of_opposite() const { return (x >= 0 ? e : all(1)) / (1 + e); }
};

// factor * (the normal distribution's share below x), and its density: 1/2 erfc(a / sqrt 2) = exp(-a^2 / 2) t P(t) with
// t = 1 / (1 + a / 4), P fitted to 1.3e-8. The square is split, for its rounding would be multiplied by the exponent.
struct Normal {
  Vector x, tail;
  Exponential density;

  explicit Normal(Vector argument)
      : x(argument), tail(share(at_most(absolute(argument), 20))), density(bell(at_most(absolute(argument), 20))) {}

  Vector below(Vector factor) const {
    const Vector small = x < -20 ? factor * 0.0f : density.times(factor * tail);
    return x > 0 ? factor * (1 - density.times(tail)) : small;
  }
  // 1/2 erfc(|x| / sqrt 2).
  Vector beyond() const { return density.times(tail); }
  Vector times_density(Vector factor) const { return density.times(factor * 0.398942280f); }

 private:
  static Vector share(Vector a) {
    constexpr float fitted[] = {0.099738497f, 0.099672694f,   0.0940405017f, 0.0787875866f,  0.0672844022f,
                                0.048339793f, -0.0138785444f, 0.0830158304f, -0.0759847088f, 0.0189839547f};
    const Vector t = 1 / (1 + 0.25f * a);
    Vector sum = all(fitted[9]);
    for (int power = 8; power >= 0; --power) sum = sum * t + fitted[power];
    return sum * t;
  }
  static Exponential bell(Vector a) {
    const Vector coarse = (Vector)((Integers)a & ~0xfff);
    return Exponential(coarse * coarse * -0.5f, (a - coarse) * (a + coarse) * -0.5f);
  }
};

// erf(x): near 0 its series, elsewhere what the normal distribution leaves.
inline Vector error_function(Vector x) {
  const Vector q = x * x;
  const Vector higher = 1 / 216.0f + q * (-1 / 1320.0f + q * (1 / 9360.0f));
  const Vector near = 1.12837917f * x * (1 + q * (-1 / 3.0f + q * (0.1f + q * (-1 / 42.0f + q * higher))));
  const Vector size = 1 - 2 * Normal(1.41421356f * x).beyond();
  return absolute(x) < 0.5f ? near : x < 0 ? -size : size;
}

}  // namespace
}  // namespace foveate

// Softmax, its logarithm and the way back along columns: the numbers that belong together lie `stride` apart, those of
// the next column beside them, and every lane of a vector is a column. Compiled once for each set of instructions.
#include <algorithm>
#include <cmath>

#include "vector_doubles.h"
#include "vector_kernels.h"

namespace foveate {
namespace {

// Two cache lines at a time, where there are two.
template <class Work>
inline void each_strip(std::int64_t width, const Work& work) {
  std::int64_t first = 0;
  for (; first + 2 * lanes <= width; first += 2 * lanes) work(std::integral_constant<int, 2>(), first);
  // The last vector may overlap: what it covers twice gets the same result.
  for (; first < width; first += lanes)
    work(std::integral_constant<int, 1>(), std::min(first, width - lanes));
}

template <int Parts>
inline void add(Doubles* sums, const float* from) {
  for (int part = 0; part < 2 * Parts; ++part) sums[part] += wide(from + part * half);
}

template <int Parts>
void forward(const float* x, float* y, std::int64_t count, std::int64_t stride, bool logarithm) {
  Vector most[Parts];
  for (int part = 0; part < Parts; ++part) most[part] = load(x + part * lanes);
  for (std::int64_t k = 1; k < count; ++k)
    for (int part = 0; part < Parts; ++part) {
      const Vector each = load(x + k * stride + part * lanes);
      most[part] = each > most[part] ? each : most[part];
    }
  Doubles sums[2 * Parts] = {};
  for (std::int64_t k = 0; k < count; ++k) {
    for (int part = 0; part < Parts; ++part)
      store(y + k * stride + part * lanes, Exponential(load(x + k * stride + part * lanes) - most[part]).value());
    add<Parts>(sums, y + k * stride);
  }
  float shift[Parts * lanes];
  for (int part = 0; part < Parts; ++part) store(shift + part * lanes, most[part]);
  // The largest one's own share in the sum is 1, so that log1p keeps what the others add.
  if (logarithm)
    for (Doubles& sum : sums)
      for (int lane = 0; lane < half; ++lane) sum[lane] = std::log1p(sum[lane] - 1);
  else
    for (Doubles& sum : sums) sum = 1 / sum;
  for (std::int64_t k = 0; k < count; ++k)
    for (int part = 0; part < 2 * Parts; ++part) {
      const std::int64_t at = k * stride + part * half;
      store(y + at, logarithm ? wide(x + at) - wide(shift + part * half) - sums[part] : wide(y + at) * sums[part]);
    }
}

template <int Parts>
void backward(const float* y, const float* dy, float* dx, std::int64_t count, std::int64_t stride, bool logarithm) {
  Doubles sums[2 * Parts] = {};
  for (std::int64_t k = 0; k < count; ++k) {
    if (logarithm)
      add<Parts>(sums, dy + k * stride);
    else
      for (int part = 0; part < 2 * Parts; ++part) {
        const std::int64_t at = k * stride + part * half;
        sums[part] += wide(dy + at) * wide(y + at);
      }
  }
  for (std::int64_t k = 0; k < count; ++k) {
    float shares[Parts * lanes];
    if (logarithm)
      for (int part = 0; part < Parts; ++part)
        store(shares + part * lanes, Exponential(load(y + k * stride + part * lanes)).value());
    for (int part = 0; part < 2 * Parts; ++part) {
      const std::int64_t at = k * stride + part * half;
      const Doubles arriving = wide(dy + at);
      store(dx + at, logarithm ? arriving - wide(shares + part * half) * sums[part]
                               : wide(y + at) * (arriving - sums[part]));
    }
  }
}

}  // namespace

namespace FOVEATE_ISA {

void softmax_columns(const float* x, float* y, std::int64_t count, std::int64_t stride, std::int64_t width,
                     bool logarithm) {
  each_strip(width, [&](auto parts, std::int64_t first) {
    forward<decltype(parts)::value>(x + first, y + first, count, stride, logarithm);
  });
}

void softmax_columns_backward(const float* y, const float* dy, float* dx, std::int64_t count, std::int64_t stride,
                              std::int64_t width, bool logarithm) {
  each_strip(width, [&](auto parts, std::int64_t first) {
    backward<decltype(parts)::value>(y + first, dy + first, dx + first, count, stride, logarithm);
  });
}

}  // namespace FOVEATE_ISA
}  // namespace foveate

// Rows of numbers normalised by their own mean and variance, and the way back. Sums are of float64, as are differences
// from the mean. Compiled once for each set of instructions.
#include "vector_doubles.h"
#include "vector_kernels.h"

namespace foveate {
namespace FOVEATE_ISA {

Sums moments(const float* x, std::int64_t count, double shift) {
  Doubles sum[2] = {}, squares[2] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int part = 0; part < 2; ++part) {
      const Doubles away = wide(x + i + part * half) - shift;
      sum[part] += away;
      squares[part] += away * away;
    }
  if (i + half <= count) {
    const Doubles away = wide(x + i) - shift;
    sum[0] += away;
    squares[0] += away * away;
    i += half;
  }
  Sums result{total(sum[0] + sum[1]), total(squares[0] + squares[1])};
  for (; i < count; ++i) {
    const double away = x[i] - shift;
    result.plain += away;
    result.weighted += away * away;
  }
  return result;
}

void normalize(const Normalizer& by, const float* x, float* y, std::int64_t count, float scale, float shift) {
  std::int64_t i = 0;
  for (; i + half <= count; i += half) {
    const Halves normalized = __builtin_convertvector((wide(x + i) - by.mean) * by.inverse, Halves);
    *reinterpret_cast<Halves*>(y + i) = normalized * scale + shift;
  }
  for (; i < count; ++i) y[i] = static_cast<float>((x[i] - by.mean) * by.inverse) * scale + shift;
}

void normalize_each(const Normalizer& by, const float* x, float* y, std::int64_t count, const float* scale,
                    const float* shift) {
  std::int64_t i = 0;
  for (; i + half <= count; i += half) {
    const Halves normalized = __builtin_convertvector((wide(x + i) - by.mean) * by.inverse, Halves);
    const Halves product = normalized * *reinterpret_cast<const Halves*>(scale + i);
    *reinterpret_cast<Halves*>(y + i) = shift ? product + *reinterpret_cast<const Halves*>(shift + i) : product;
  }
  for (; i < count; ++i)
    y[i] = static_cast<float>((x[i] - by.mean) * by.inverse) * scale[i] + (shift ? shift[i] : 0);
}

Sums gradient_sums(const Normalizer& by, const float* x, const float* dy, std::int64_t count, const float* scale) {
  Doubles sum{}, along{};
  std::int64_t i = 0;
  for (; i + half <= count; i += half) {
    const Doubles g = scale ? wide(dy + i) * wide(scale + i) : wide(dy + i);
    sum += g;
    along += g * (wide(x + i) - by.mean);
  }
  Sums result{total(sum), total(along)};
  for (; i < count; ++i) {
    const double g = scale ? static_cast<double>(dy[i]) * scale[i] : dy[i];
    result.plain += g;
    result.weighted += g * (x[i] - by.mean);
  }
  result.weighted *= by.inverse;
  return result;
}

void gradient_to_source(const Normalizer& by, const Sums& means, const float* x, const float* dy, float* dx,
                        std::int64_t count, const float* scale, float factor) {
  const double slope = by.inverse * means.weighted;
  std::int64_t i = 0;
  for (; i + half <= count; i += half) {
    const Doubles g = scale ? wide(dy + i) * wide(scale + i) : wide(dy + i) * static_cast<double>(factor);
    store(dx + i, (g - means.plain - (wide(x + i) - by.mean) * slope) * by.inverse);
  }
  for (; i < count; ++i) {
    const double g = static_cast<double>(dy[i]) * (scale ? scale[i] : factor);
    dx[i] = static_cast<float>((g - means.plain - (x[i] - by.mean) * slope) * by.inverse);
  }
}

void gradient_to_columns(const Normalizer& by, const float* x, const float* dy, std::int64_t count, double* along,
                         double* sum) {
  std::int64_t i = 0;
  for (; i + half <= count; i += half) {
    const Doubles g = wide(dy + i);
    store(sum + i, load(sum + i) + g);
    store(along + i, load(along + i) + g * ((wide(x + i) - by.mean) * by.inverse));
  }
  for (; i < count; ++i) {
    sum[i] += dy[i];
    along[i] += dy[i] * ((x[i] - by.mean) * by.inverse);
  }
}

}  // namespace FOVEATE_ISA
}  // namespace foveate

// Means and norms of boxes, for channels side by side in blocks: every lane of a vector is a channel. Sums are of
// float64. Compiled once for each set of instructions.
#include <cmath>

#include "vector_doubles.h"
#include "vector_kernels.h"

namespace foveate {
namespace {

// Calls work(power), which takes numbers that are not negative to `exponent`; the common ones without std::pow.
template <class Work>
inline void with_power(double exponent, const Work& work) {
  if (exponent == 2) return work([](Doubles x) { return x * x; });
  if (exponent == 1) return work([](Doubles x) { return x; });
  if (exponent == 0) return work([](Doubles) { return Doubles{} + 1; });
  if (exponent == 0.5)
    return work([](Doubles x) {
      for (int lane = 0; lane < half; ++lane) x[lane] = std::sqrt(x[lane]);
      return x;
    });
  work([exponent](Doubles x) {
    for (int lane = 0; lane < half; ++lane) x[lane] = std::pow(x[lane], exponent);
    return x;
  });
}

inline Doubles size_of(Doubles x) { return x < 0 ? -x : x; }

// Where a box begins and ends on each of three axes.
struct Ranges {
  std::int64_t begin[3], end[3];
};

// Calls work(number, ranges) for each place of three axes in order.
template <class Work>
inline void each_place(const std::int64_t* count, const std::int64_t* const* begins, const std::int64_t* const* ends,
                       const Work& work) {
  std::int64_t number = 0;
  for (std::int64_t d = 0; d < count[0]; ++d)
    for (std::int64_t h = 0; h < count[1]; ++h)
      for (std::int64_t w = 0; w < count[2]; ++w, ++number)
        work(number, Ranges{{begins[0][d], begins[1][h], begins[2][w]}, {ends[0][d], ends[1][h], ends[2][w]}});
}

// The sums of term(pointer) over a box, of as many halves of vectors as are side by side.
template <int Parts, class Number, class Term>
inline void sum_box(const Ranges& box, std::int64_t height, std::int64_t width, std::int64_t pitch, const Number* from,
                    Doubles (&sums)[Parts], const Term& term) {
  const std::int64_t count = box.end[2] - box.begin[2];
  for (std::int64_t i = box.begin[0]; i < box.end[0]; ++i)
    for (std::int64_t j = box.begin[1]; j < box.end[1]; ++j) {
      const Number* at = from + ((i * height + j) * width + box.begin[2]) * pitch;
      for (std::int64_t k = 0; k < count; ++k, at += pitch)
        unrolled<Parts>([&](auto part) { sums[part] += term(at + part * half); });
    }
}

// Calls work(constant) with the halves of vectors that are computed together.
template <class Work>
inline void with_parts(std::int64_t channels, const Work& work) {
  if (channels % lanes == 0) return work(std::integral_constant<int, 2>());
  work(std::integral_constant<int, 1>());
}

// Of each box the sum of term(x), made into its output by result(sum, output).
template <class Term, class Result>
inline void each_box(const BoxShape& boxes, const float* x, float* y, const Term& term, const Result& result) {
  const std::int64_t pitch = boxes.channels, height = boxes.size[1], width = boxes.size[2];
  with_parts(pitch, [&](auto parts) {
    constexpr int count = decltype(parts)::value;
    each_place(boxes.outputs, boxes.begins, boxes.ends, [&](std::int64_t output, const Ranges& box) {
      for (std::int64_t channel = 0; channel < pitch; channel += count * half) {
        Doubles sums[count] = {};
        sum_box<count>(box, height, width, pitch, x + channel, sums,
                       [&](const float* from) { return term(wide(from)); });
        for (int part = 0; part < count; ++part)
          store(y + output * pitch + channel + part * half, result(sums[part], output));
      }
    });
  });
}

// For each position the sum of its boxes' shares, times slope(x).
template <class Slope>
inline void to_positions(const BoxShape& boxes, const double* shares, const float* x, float* dx, const Slope& slope) {
  const std::int64_t pitch = boxes.channels, height = boxes.outputs[1], width = boxes.outputs[2];
  with_parts(pitch, [&](auto parts) {
    constexpr int count = decltype(parts)::value;
    each_place(boxes.size, boxes.firsts, boxes.lasts, [&](std::int64_t position, const Ranges& range) {
      for (std::int64_t channel = 0; channel < pitch; channel += count * half) {
        Doubles sums[count] = {};
        sum_box<count>(range, height, width, pitch, shares + channel, sums,
                       [](const double* from) { return load(from); });
        for (int part = 0; part < count; ++part) {
          const std::int64_t at = position * pitch + channel + part * half;
          store(dx + at, sums[part] * slope(x + at));
        }
      }
    });
  });
}

}  // namespace

namespace FOVEATE_ISA {

void box_means(const BoxShape& boxes, const float* x, float* y) {
  each_box(
      boxes, x, y, [](Doubles each) { return each; },
      [&](Doubles sum, std::int64_t output) { return sum * boxes.factors[output]; });
}

void box_means_backward(const BoxShape& boxes, const float* dy, float* dx, double* shares) {
  const std::int64_t outputs = boxes.outputs[0] * boxes.outputs[1] * boxes.outputs[2];
  for (std::int64_t output = 0; output < outputs; ++output)
    for (std::int64_t at = output * boxes.channels; at < (output + 1) * boxes.channels; at += half)
      store(shares + at, wide(dy + at) * boxes.factors[output]);
  to_positions(boxes, shares, dx, dx, [](const float*) { return Doubles{} + 1; });
}

void box_norms(const BoxShape& boxes, double norm, const float* x, float* y) {
  with_power(norm, [&](const auto& power) {
    with_power(1 / norm, [&](const auto& root) {
      each_box(
          boxes, x, y, [&](Doubles each) { return power(size_of(each)); },
          [&](Doubles sum, std::int64_t) { return root(sum); });
    });
  });
}

// dx = sum over boxes of dy y^(1 - p) * sign(x) |x|^(p - 1); a box of zeros has no slope.
void box_norms_backward(const BoxShape& boxes, double norm, const float* x, const float* y, const float* dy, float* dx,
                        double* shares) {
  const std::int64_t numbers = boxes.outputs[0] * boxes.outputs[1] * boxes.outputs[2] * boxes.channels;
  with_power(norm - 1, [&](const auto& power) {
    for (std::int64_t at = 0; at < numbers; at += half) {
      const Doubles size = wide(y + at);
      store(shares + at, size == 0 ? Doubles{} : wide(dy + at) / power(size));
    }
    to_positions(boxes, shares, x, dx, [&](const float* from) {
      const Doubles each = wide(from), slope = power(size_of(each));
      return each == 0 ? Doubles{} : each < 0 ? -slope : each > 0 ? slope : each;
    });
  });
}

}  // namespace FOVEATE_ISA
}  // namespace foveate

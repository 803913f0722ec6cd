// The gradient of the filters of a convolution in groups of few channels, for channels in blocks: every lane of a vector
// is a channel of the input. Compiled once for each set of instructions.
#include <algorithm>

#include "vector_doubles.h"
#include "vector_kernels.h"

namespace foveate {
namespace {

// The lanes of `x` in the order of `from`.
inline Vector permuted(Vector x, Integers from) {
#if defined(__AVX512F__)
  return _mm512_permutexvar_ps((__m512i)from, x);
#elif defined(__AVX2__)
  return _mm256_permutevar8x32_ps(x, (__m256i)from);
#else
  Vector result{};
  for (int lane = 0; lane < lanes; ++lane) result[lane] = x[from[lane]];
  return result;
#endif
}

// For each lane the output channel of its group that comes `number`-th.
inline Integers partners(std::int64_t members, std::int64_t number) {
  Integers from{};
  for (int lane = 0; lane < lanes; ++lane) from[lane] = static_cast<std::int32_t>(lane / members * members + number);
  return from;
}

inline std::int64_t rounded_up(std::int64_t number, std::int64_t by) { return number <= 0 ? 0 : (number + by - 1) / by; }

// One row of outputs and one row of taps: `Width` of these from `tap` on, and `Count` output channels of each group from
// `member` on.
template <int Count, int Width>
void row_of_taps(const FilterShape& shape, const float* x, const float* dy, std::int64_t tap, std::int64_t member,
                 double* sums, std::int64_t taps) {
  const std::int64_t stride = shape.stride[1], step = shape.dilation[1], pitch = shape.pitch, size = shape.size[1];
  const std::int64_t begin = tap * step - shape.begin[1], reach = (Width - 1) * step;
  const std::int64_t outputs = shape.outputs[1], inside = size - begin - reach;
  const std::int64_t first = std::min(outputs, rounded_up(-begin, stride));
  const std::int64_t last = std::max(first, std::min(outputs, rounded_up(inside, stride)));
  Integers order[Count];
  for (int k = 0; k < Count; ++k) order[k] = partners(shape.members, member + k);
  Vector all_sums[Count][Width] = {};
  // Inlined, so that the sums stay in registers.
  const auto add = [&](std::int64_t output, auto whole) __attribute__((always_inline)) {
    const Vector arriving = load(dy + output * pitch);
    const std::int64_t column = output * stride + begin;
    const float* const from = x + column * pitch;
    unrolled<Count>([&](auto k) {
      const Vector g = Count == 1 && shape.members == 1 ? arriving : permuted(arriving, order[k]);
      unrolled<Width>([&](auto t) {
        if (!decltype(whole)::value && (column + t * step < 0 || column + t * step >= size)) return;
        all_sums[k][t] += g * load(from + t * step * pitch);
      });
    });
  };
  for (std::int64_t output = 0; output < first; ++output) add(output, std::false_type());
  for (std::int64_t output = first; output < last; ++output) add(output, std::true_type());
  for (std::int64_t output = last; output < outputs; ++output) add(output, std::false_type());
  for (int k = 0; k < Count; ++k)
    for (int t = 0; t < Width; ++t) {
      double* const to = sums + ((member + k) * taps + t) * lanes;
      float rest[lanes];
      store(rest, all_sums[k][t]);
      store(to, load(to) + wide(rest));
      store(to + half, load(to + half) + wide(rest + half));
    }
}

// As many taps at a time as leave registers for their sums.
template <int Count>
void rows_of_taps(const FilterShape& shape, const float* x, const float* dy, double* sums, std::int64_t taps) {
  constexpr int widest = Count == 4 ? 4 : 7;
  for (std::int64_t member = 0; member < shape.members; member += Count)
    for (std::int64_t tap = 0; tap < shape.kernel[1];) {
      const std::int64_t width = std::min<std::int64_t>(widest, shape.kernel[1] - tap);
      unrolled<widest>([&](auto less) {
        if (width == less + 1) row_of_taps<Count, less + 1>(shape, x, dy, tap, member, sums + tap * lanes, taps);
      });
      tap += width;
    }
}

}  // namespace

namespace FOVEATE_ISA {

void filter_gradient(const FilterShape& shape, const float* x, const float* dy, double* sums) {
  const std::int64_t taps = shape.kernel[0] * shape.kernel[1], across = shape.size[1] * shape.pitch;
  double* const bias = sums + shape.members * taps * lanes;
  for (std::int64_t row = 0; row < shape.outputs[0]; ++row) {
    const float* const arriving = dy + row * shape.outputs[1] * shape.pitch;
    for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
      const std::int64_t line = row * shape.stride[0] - shape.begin[0] + i * shape.dilation[0];
      if (line < 0 || line >= shape.size[0]) continue;
      const float* const from = x + line * across;
      double* const to = sums + i * shape.kernel[1] * lanes;
      if (shape.members % 4 == 0)
        rows_of_taps<4>(shape, from, arriving, to, taps);
      else if (shape.members == 2)
        rows_of_taps<2>(shape, from, arriving, to, taps);
      else
        rows_of_taps<1>(shape, from, arriving, to, taps);
    }
    Doubles total[2] = {load(bias), load(bias + half)};
    for (std::int64_t output = 0; output < shape.outputs[1]; ++output)
      for (int part = 0; part < 2; ++part) total[part] += wide(arriving + output * shape.pitch + part * half);
    for (int part = 0; part < 2; ++part) store(bias + part * half, total[part]);
  }
}

}  // namespace FOVEATE_ISA
}  // namespace foveate

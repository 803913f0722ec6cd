// Kernels that are compiled once for each set of instructions; the table of the largest that may be used here.
#pragma once

#include <cstdint>

namespace foveate {

enum class Function {
  relu, leaky_relu, relu6, elu, sigmoid, tanh, silu, hardswish, hardsigmoid, gelu, gelu_tanh, softplus, mish
};

// One plane of a pooling: sizes of input and output, kernel, stride, distance of taps and padding of three axes.
// `block` numbers lie side by side at each position, and the next position is `pitch` numbers further on.
struct PoolingShape {
  std::int64_t size[3], outputs[3], kernel[3], stride[3], dilation[3], begin[3], block, pitch;

  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::int64_t source_positions() const { return size[0] * size[1] * size[2]; }
  std::int64_t target_positions() const { return outputs[0] * outputs[1] * outputs[2]; }
};

// Which tap won; the largest number is that of none.
using Winner = std::uint8_t;
using WideWinner = std::int32_t;

struct VectorKernels {
  const char* implementation;  // such as "foveate:avx512"
  // y = f(x), which may lie in the same place.
  void (*forward)(Function function, float alpha, const float* x, float* y, std::int64_t count);
  // dx = dy f'(x), where `known` is y for functions whose derivative is taken from it, else x.
  void (*backward)(Function function, float alpha, const float* known, const float* dy, float* dx, std::int64_t count);
  // y = exp(x - shift); returns their sum.
  double (*exponentials)(const float* x, float shift, float* y, std::int64_t count);
  // `winners` may be null.
  void (*maximum)(const PoolingShape& shape, const float* source, float* target, Winner* winners);
  void (*wide_maximum)(const PoolingShape& shape, const float* source, float* target, WideWinner* winners);
  void (*to_winners)(const PoolingShape& shape, const float* gradient, const Winner* winners, float* result);
  void (*to_wide_winners)(const PoolingShape& shape, const float* gradient, const WideWinner* winners, float* result);
};

#if defined(FOVEATE_ISA)
namespace FOVEATE_ISA {
template <class W>
void maximum(const PoolingShape& shape, const float* source, float* target, W* winners);
template <class W>
void to_winners(const PoolingShape& shape, const float* gradient, const W* winners, float* result);
}  // namespace FOVEATE_ISA
#endif

// The kernels for the largest set of instructions that may be used here.
const VectorKernels& vector_kernels();

}  // namespace foveate

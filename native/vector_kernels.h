// Kernels that are compiled once for each set of instructions; the table of the largest that may be used here.
#pragma once

#include <cstdint>

namespace foveate {

enum class Function {
  relu, leaky_relu, relu6, hardtanh, clip, elu, selu, celu, sigmoid, tanh, silu, hardswish, hardsigmoid, gelu, gelu_tanh,
  softplus, mish, line, absolute, exponential, power, logarithm, error_function, thresholded
};

// What some functions have besides x: a slope or a scale, two bounds, the two numbers of a line, or an exponent.
struct Numbers {
  float alpha, beta;
};

// One plane of a pooling: sizes of input and output, kernel, stride, distance of taps and padding of three axes.
// `block` numbers lie side by side at each position, and the next position is `pitch` numbers further on.
struct PoolingShape {
  std::int64_t size[3], outputs[3], kernel[3], stride[3], dilation[3], begin[3], block, pitch;

  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::int64_t source_positions() const { return size[0] * size[1] * size[2]; }
  std::int64_t target_positions() const { return outputs[0] * outputs[1] * outputs[2]; }
};

// Between which numbers a rectifier keeps others: infinite where it lets all pass. NaN passes too.
struct Bounds {
  float low, high;
};

// Where the numbers of a sample lie: `block` channels side by side, and how far it is to the next of everything else.
struct ChannelPlaces {
  std::int64_t block, sample, of_block, row, position;

  std::int64_t at(std::int64_t channel) const { return channel / block * of_block + channel % block; }
};

// A depthwise convolution over two axes; weights lie as (H, W, C), and a block has at least as many channels as a vector
// has numbers.
struct DepthwiseShape {
  std::int64_t channels, size[2], outputs[2], kernel[2], stride[2], begin[2];
  ChannelPlaces source, target;
  Bounds before, after;
};

// By what a row is normalised: (x - mean) * inverse.
struct Normalizer {
  double mean, inverse;
};

// A sum, and one in which every term has another factor.
struct Sums {
  double plain, weighted;
};

// Channels that lie side by side at each of some positions, which are `pitch` numbers apart.
struct ChannelStrip {
  std::int64_t channels, positions, pitch;
};

// By what each channel of a strip is normalised, scaled and shifted, and whether a rectifier follows.
struct ChannelScales {
  const double *mean, *inverse;
  const float *scale, *shift;
  bool rectified = false;
};

// One plane of a convolution in groups of as many outputs as inputs, `members`, with channels in blocks of `pitch`.
struct FilterShape {
  std::int64_t members, pitch, size[2], outputs[2], kernel[2], stride[2], dilation[2], begin[2];
};

// Boxes over three axes of a plane of `channels` side by side: where each begins and ends, between which boxes each
// position lies, and for means by what the sum of each is multiplied.
struct BoxShape {
  std::int64_t channels, size[3], outputs[3];
  const std::int64_t *begins[3], *ends[3], *firsts[3], *lasts[3];
  const double* factors;
};

// Which tap won; the largest number is that of none.
using Winner = std::uint8_t;
using WideWinner = std::int32_t;

struct VectorKernels {
  const char* implementation;  // such as "foveate:avx512"
  int lanes;                   // numbers in a vector
  // y = f(x), which may lie in the same place.
  void (*forward)(Function function, Numbers numbers, const float* x, float* y, std::int64_t count);
  // dx = dy f'(x), where `known` is y for functions whose derivative is taken from it, else x.
  void (*backward)(Function function, Numbers numbers, const float* known, const float* dy, float* dx, std::int64_t count);
  // y = exp(x - shift); returns their sum.
  double (*exponentials)(const float* x, float shift, float* y, std::int64_t count);
  // `winners` may be null.
  void (*maximum)(const PoolingShape& shape, const float* source, float* target, Winner* winners);
  void (*wide_maximum)(const PoolingShape& shape, const float* source, float* target, WideWinner* winners);
  void (*to_winners)(const PoolingShape& shape, const float* gradient, const Winner* winners, float* result);
  void (*to_wide_winners)(const PoolingShape& shape, const float* gradient, const WideWinner* winners, float* result);
  // Row `output` of one sample's outputs; the bias may be null.
  void (*depthwise_row)(const DepthwiseShape& shape, const float* source, const float* weights, const float* bias,
                        float* target, std::int64_t output);
  // Sums of x - shift and of its square.
  Sums (*moments)(const float* x, std::int64_t count, double shift);
  // y = (x - mean) * inverse * scale + shift, with one scale and shift, or one for each number; the last may be null.
  void (*normalize)(const Normalizer& by, const float* x, float* y, std::int64_t count, float scale, float shift);
  void (*normalize_each)(const Normalizer& by, const float* x, float* y, std::int64_t count, const float* scale,
                         const float* shift);
  // Sums of g = dy * scale, and of g * (x - mean) * inverse; the scales may be null.
  Sums (*gradient_sums)(const Normalizer& by, const float* x, const float* dy, std::int64_t count, const float* scale);
  // dx = (g - mean of g - normalized x * mean of g times that) * inverse, where g is dy * scale, or dy * factor.
  void (*gradient_to_source)(const Normalizer& by, const Sums& means, const float* x, const float* dy, float* dx,
                             std::int64_t count, const float* scale, float factor);
  // Adds dy to the sums, and dy * (x - mean) * inverse to those along it, each number to its own.
  void (*gradient_to_columns)(const Normalizer& by, const float* x, const float* dy, std::int64_t count, double* along,
                              double* sum);
  // The same for channels side by side. Sums for each channel of the difference from its first number, and of its square;
  // y = (x - mean) * inverse * scale + shift; sums of dy, and of dy * (x - mean) * inverse; and the gradient, in which each
  // channel subtracts its `means`. Where a rectifier has made 0 of y, dy counts as 0.
  void (*channel_moments)(const ChannelStrip& strip, const float* x, Sums* sums);
  void (*normalize_channels)(const ChannelStrip& strip, const ChannelScales& by, const float* x, float* y);
  void (*channel_gradient_sums)(const ChannelStrip& strip, const ChannelScales& by, const float* x, const float* dy,
                                Sums* sums);
  void (*channel_gradients)(const ChannelStrip& strip, const ChannelScales& by, const Sums* means, const float* x,
                            const float* dy, float* dx);
  // Adds one plane's share of each filter's gradient to sums of (member, tap, lane), and that of the bias behind them.
  void (*filter_gradient)(const FilterShape& shape, const float* x, const float* dy, double* sums);
  // Softmax or its logarithm of `width` columns, at least a vector's, of `count` numbers that lie `stride` apart.
  void (*softmax_columns)(const float* x, float* y, std::int64_t count, std::int64_t stride, std::int64_t width,
                          bool logarithm);
  void (*softmax_columns_backward)(const float* y, const float* dy, float* dx, std::int64_t count, std::int64_t stride,
                                   std::int64_t width, bool logarithm);
  // Of each box; on the way back `shares` has room for a number of each output.
  void (*box_means)(const BoxShape& boxes, const float* x, float* y);
  void (*box_means_backward)(const BoxShape& boxes, const float* dy, float* dx, double* shares);
  void (*box_norms)(const BoxShape& boxes, double norm, const float* x, float* y);
  void (*box_norms_backward)(const BoxShape& boxes, double norm, const float* x, const float* y, const float* dy,
                             float* dx, double* shares);
};

#if defined(FOVEATE_ISA)
namespace FOVEATE_ISA {
template <class W>
void maximum(const PoolingShape& shape, const float* source, float* target, W* winners);
template <class W>
void to_winners(const PoolingShape& shape, const float* gradient, const W* winners, float* result);
void depthwise_row(const DepthwiseShape& shape, const float* source, const float* weights, const float* bias,
                   float* target, std::int64_t output);
Sums moments(const float* x, std::int64_t count, double shift);
void normalize(const Normalizer& by, const float* x, float* y, std::int64_t count, float scale, float shift);
void normalize_each(const Normalizer& by, const float* x, float* y, std::int64_t count, const float* scale,
                    const float* shift);
Sums gradient_sums(const Normalizer& by, const float* x, const float* dy, std::int64_t count, const float* scale);
void gradient_to_source(const Normalizer& by, const Sums& means, const float* x, const float* dy, float* dx,
                        std::int64_t count, const float* scale, float factor);
void gradient_to_columns(const Normalizer& by, const float* x, const float* dy, std::int64_t count, double* along,
                         double* sum);
void channel_moments(const ChannelStrip& strip, const float* x, Sums* sums);
void normalize_channels(const ChannelStrip& strip, const ChannelScales& by, const float* x, float* y);
void channel_gradient_sums(const ChannelStrip& strip, const ChannelScales& by, const float* x, const float* dy,
                           Sums* sums);
void channel_gradients(const ChannelStrip& strip, const ChannelScales& by, const Sums* means, const float* x,
                       const float* dy, float* dx);
void filter_gradient(const FilterShape& shape, const float* x, const float* dy, double* sums);
void softmax_columns(const float* x, float* y, std::int64_t count, std::int64_t stride, std::int64_t width,
                     bool logarithm);
void softmax_columns_backward(const float* y, const float* dy, float* dx, std::int64_t count, std::int64_t stride,
                              std::int64_t width, bool logarithm);
void box_means(const BoxShape& boxes, const float* x, float* y);
void box_means_backward(const BoxShape& boxes, const float* dy, float* dx, double* shares);
void box_norms(const BoxShape& boxes, double norm, const float* x, float* y);
void box_norms_backward(const BoxShape& boxes, double norm, const float* x, const float* y, const float* dy, float* dx,
                        double* shares);
}  // namespace FOVEATE_ISA
#endif

// The kernels for the largest set of instructions that may be used here.
const VectorKernels& vector_kernels();

}  // namespace foveate

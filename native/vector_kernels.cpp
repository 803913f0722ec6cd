// The table of one set of instructions' kernels, and those of single numbers: activation functions with their slopes,
// and exponentials. Compiled once for each set.
#include "vector_kernels.h"

#include <cmath>
#include <type_traits>

#include "vector_math.h"

namespace foveate {
namespace {

using F = Function;

// Of the hyperbolic tangent of softplus, which is w (w + 2) / (w^2 + 2 w + 2) with w = exp(x).
Vector mish_divisor(const Logistic& s) {
  const Vector e = s.e;
  return s.x >= 0 ? 1 + 2 * e + 2 * e * e : e * e + 2 * e + 2;
}

constexpr float selu_scale = 1.05070098f, selu_alpha = 1.67326324f;

// One number after another, for functions that are rare.
template <class Of>
Vector each(Vector x, const Of& of) {
  for (int lane = 0; lane < lanes; ++lane) x[lane] = of(x[lane]);
  return x;
}

Vector to_power(Vector x, float exponent) {
  if (exponent == 2) return x * x;
  if (exponent == 1) return x;
  if (exponent == 0.5f) return each(x, [](float v) { return std::sqrt(v); });
  if (exponent == -1) return 1 / x;
  return each(x, [=](float v) { return std::pow(v, exponent); });
}

template <F Kind>
Vector value(Vector x, Numbers n) {
  if constexpr (Kind == F::relu) return x <= 0 ? Vector{} : x;
  if constexpr (Kind == F::leaky_relu) return x > 0 ? x : n.alpha * x;
  if constexpr (Kind == F::relu6) return at_most(x <= 0 ? Vector{} : x, 6);
  if constexpr (Kind == F::hardtanh) return at_most(at_least(x, n.alpha), n.beta);
  if constexpr (Kind == F::clip) return at_most(at_least(x, n.alpha), n.beta);
  if constexpr (Kind == F::elu) return x > 0 ? x : n.alpha * exp_minus_one(x);
  if constexpr (Kind == F::selu) return selu_scale * (x > 0 ? x : selu_alpha * exp_minus_one(x));
  if constexpr (Kind == F::celu) return x > 0 ? x : n.alpha * exp_minus_one(x / n.alpha);
  if constexpr (Kind == F::line) return n.alpha * x + n.beta;
  if constexpr (Kind == F::absolute) return absolute(x);
  if constexpr (Kind == F::exponential) return Exponential(x).value();
  if constexpr (Kind == F::power) return to_power(x, n.alpha);
  if constexpr (Kind == F::logarithm) return logarithm(x);
  if constexpr (Kind == F::error_function) return error_function(x);
  if constexpr (Kind == F::thresholded) return x <= n.alpha ? Vector{} : x;
  if constexpr (Kind == F::sigmoid) return Logistic(x).times(all(1));
  if constexpr (Kind == F::tanh) {
    const Vector less = exp_minus_one(-2 * absolute(x)), size = -less / (2 + less);
    return x < 0 ? -size : size;
  }
  if constexpr (Kind == F::silu) return Logistic(x).times(x);
  if constexpr (Kind == F::hardsigmoid) return at_least(at_most(x + 3, 6), 0) / 6;
  if constexpr (Kind == F::hardswish) return x * (at_least(at_most(x + 3, 6), 0) / 6);
  if constexpr (Kind == F::gelu) return Normal(x).below(x);
  if constexpr (Kind == F::gelu_tanh) return Logistic(1.59576912f * (x + 0.044715f * x * x * x)).times(x);
  if constexpr (Kind == F::softplus) {
    const Vector z = n.alpha * x;
    return ((z < 0 ? Vector{} : z) + log_of_one_and(Exponential(-absolute(z)).value())) / n.alpha;
  }
  if constexpr (Kind == F::mish) {
    const Logistic s(x);
    const Vector e = s.e, below = x < -104 ? x * 0.0f : s.small.times(x * (2 + e));
    return (x >= 0 ? x * (1 + 2 * e) : below) / mish_divisor(s);
  }
}

// dy f', from y or from x.
template <F Kind>
Vector slope(Vector known, Vector dy, Numbers n) {
  const Vector x = known, y = known;
  if constexpr (Kind == F::relu) return y <= 0 ? Vector{} : dy;
  if constexpr (Kind == F::leaky_relu) return y > 0 ? dy : n.alpha * dy;
  if constexpr (Kind == F::relu6) return y <= 0 ? Vector{} : y >= 6 ? Vector{} : dy;
  if constexpr (Kind == F::hardtanh) return y <= n.alpha ? Vector{} : y >= n.beta ? Vector{} : dy;
  if constexpr (Kind == F::clip) return x >= n.alpha ? (x <= n.beta ? dy : Vector{}) : Vector{};
  if constexpr (Kind == F::elu) return x > 0 ? dy : Exponential(x).times(n.alpha * dy);
  if constexpr (Kind == F::selu) return x > 0 ? selu_scale * dy : Exponential(x).times(selu_scale * selu_alpha * dy);
  if constexpr (Kind == F::celu) return x > 0 ? dy : Exponential(x / n.alpha).times(dy);
  if constexpr (Kind == F::line) return n.alpha * dy;
  if constexpr (Kind == F::absolute) return x > 0 ? dy : x < 0 ? -dy : x * dy;
  if constexpr (Kind == F::exponential) return y * dy;
  if constexpr (Kind == F::power) return n.alpha == 0 ? Vector{} : dy * (n.alpha * to_power(x, n.alpha - 1));
  if constexpr (Kind == F::logarithm) return dy / x;
  if constexpr (Kind == F::error_function) return Normal(1.41421356f * x).times_density(2.82842712f * dy);
  if constexpr (Kind == F::thresholded) return x <= n.alpha ? Vector{} : dy;
  if constexpr (Kind == F::sigmoid) return dy * (y * (1 - y));
  if constexpr (Kind == F::tanh) return dy * (1 - y * y);
  if constexpr (Kind == F::silu) {
    const Logistic s(x);
    return s.times(dy * (1 + x * s.of_opposite()));
  }
  if constexpr (Kind == F::hardsigmoid) return absolute(x) < 3 ? dy / 6 : Vector{};
  if constexpr (Kind == F::hardswish) return x <= -3 ? Vector{} : x >= 3 ? dy : dy * (x / 3 + 0.5f);
  if constexpr (Kind == F::gelu) {
    const Normal normal(x);
    return normal.below(dy) + normal.times_density(at_least(at_most(x, 20), -20) * dy);
  }
  if constexpr (Kind == F::gelu_tanh) {
    const Vector near = at_least(at_most(x, 20), -20);
    const Logistic s(1.59576912f * (x + 0.044715f * x * x * x));
    return s.times(dy * (1 + near * s.of_opposite() * (1.59576912f * (1 + 0.134145f * near * near))));
  }
  if constexpr (Kind == F::softplus) return Logistic(n.alpha * x).times(dy);
  if constexpr (Kind == F::mish) {
    // With t the hyperbolic tangent of softplus: t + x (1 - t^2) sigmoid(x), of which below 0 exp(x) is a factor.
    const Logistic s(x);
    const Vector e = s.e, near = at_least(at_most(x, 100), -100), divisor = mish_divisor(s);
    const Vector part = (x >= 0 ? 1 + 2 * e : 2 + e) / divisor, t = x >= 0 ? part : e * part;
    const Vector bend = near * (1 - t * t) / (1 + e);
    return x >= 0 ? dy * (t + bend) : s.small.times(dy * (part + bend));
  }
}

template <F Kind>
void forward(Numbers n, const float* x, float* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, value<Kind>(load(x + i), n));
  if (i == count) return;
  float rest[lanes] = {};
  std::memcpy(rest, x + i, (count - i) * sizeof(float));
  store(rest, value<Kind>(load(rest), n));
  std::memcpy(y + i, rest, (count - i) * sizeof(float));
}

template <F Kind>
void backward(Numbers n, const float* known, const float* dy, float* dx, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(dx + i, slope<Kind>(load(known + i), load(dy + i), n));
  if (i == count) return;
  float rest[lanes] = {}, gradient[lanes] = {};
  std::memcpy(rest, known + i, (count - i) * sizeof(float));
  std::memcpy(gradient, dy + i, (count - i) * sizeof(float));
  store(rest, slope<Kind>(load(rest), load(gradient), n));
  std::memcpy(dx + i, rest, (count - i) * sizeof(float));
}

// Calls work(constant) with the function as a constant.
template <class Work>
void with(F function, const Work& work) {
  switch (function) {
#define FOVEATE_CASE(kind) \
  case F::kind: return work(std::integral_constant<F, F::kind>())
    FOVEATE_CASE(relu);
    FOVEATE_CASE(leaky_relu);
    FOVEATE_CASE(relu6);
    FOVEATE_CASE(hardtanh);
    FOVEATE_CASE(elu);
    FOVEATE_CASE(sigmoid);
    FOVEATE_CASE(tanh);
    FOVEATE_CASE(silu);
    FOVEATE_CASE(hardswish);
    FOVEATE_CASE(hardsigmoid);
    FOVEATE_CASE(gelu);
    FOVEATE_CASE(gelu_tanh);
    FOVEATE_CASE(softplus);
    FOVEATE_CASE(mish);
    FOVEATE_CASE(clip);
    FOVEATE_CASE(selu);
    FOVEATE_CASE(celu);
    FOVEATE_CASE(line);
    FOVEATE_CASE(absolute);
    FOVEATE_CASE(exponential);
    FOVEATE_CASE(power);
    FOVEATE_CASE(logarithm);
    FOVEATE_CASE(error_function);
    FOVEATE_CASE(thresholded);
#undef FOVEATE_CASE
  }
}

void any_forward(F function, Numbers n, const float* x, float* y, std::int64_t count) {
  with(function, [&](auto kind) { forward<kind()>(n, x, y, count); });
}

void any_backward(F function, Numbers n, const float* known, const float* dy, float* dx, std::int64_t count) {
  with(function, [&](auto kind) { backward<kind()>(n, known, dy, dx, count); });
}

double exponentials(const float* x, float shift, float* y, std::int64_t count) {
  using Halves = float __attribute__((vector_size(lanes / 2 * sizeof(float)), aligned(4), may_alias));
  using Doubles = double __attribute__((vector_size(lanes / 2 * sizeof(double)), aligned(8), may_alias));
  Doubles sums{};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    store(y + i, Exponential(load(x + i) - shift).value());
    for (int part = 0; part < 2; ++part)
      sums += __builtin_convertvector(*reinterpret_cast<const Halves*>(y + i + part * lanes / 2), Doubles);
  }
  double sum = 0;
  for (int lane = 0; lane < lanes / 2; ++lane) sum += sums[lane];
  if (i == count) return sum;
  float rest[lanes] = {};
  std::memcpy(rest, x + i, (count - i) * sizeof(float));
  store(rest, Exponential(load(rest) - shift).value());
  std::memcpy(y + i, rest, (count - i) * sizeof(float));
  for (std::int64_t k = 0; k < count - i; ++k) sum += rest[k];
  return sum;
}

}  // namespace

namespace FOVEATE_ISA {

#define FOVEATE_TEXT(name) #name
#define FOVEATE_NAME(name) FOVEATE_TEXT(name)

extern const VectorKernels kernels;
const VectorKernels kernels{"foveate:" FOVEATE_NAME(FOVEATE_ISA),
                            lanes,
                            any_forward,
                            any_backward,
                            exponentials,
                            maximum<Winner>,
                            maximum<WideWinner>,
                            to_winners<Winner>,
                            to_winners<WideWinner>,
                            depthwise_row,
                            moments,
                            normalize,
                            normalize_each,
                            gradient_sums,
                            gradient_to_source,
                            gradient_to_columns,
                            channel_moments,
                            normalize_channels,
                            channel_gradient_sums,
                            channel_gradients,
                            filter_gradient,
                            softmax_columns,
                            softmax_columns_backward,
                            box_means,
                            box_means_backward,
                            box_norms,
                            box_norms_backward};

}  // namespace FOVEATE_ISA

}  // namespace foveate

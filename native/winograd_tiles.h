// The transforms of Winograd's convolution, along one axis, on 16 channels at once.
//
// A tile of M outputs of a 3-tap filter is computed as y = A^T [(G g) * (B^T d)] with M + 2 products instead of 3 M
// (Cook, Toom; Lavin, Gray: Fast algorithms for convolutional neural networks, 2015). The rows of B^T are the
// polynomials that vanish at all points of interpolation but one. For M = 4 the points 0, +-5/8, +-3/2 and infinity lose
// half as many digits as the usual 0, +-1, +-2. `gradient` is A, the way back through `output`.
#pragma once

namespace foveate::winograd {

constexpr int lanes = 16;
using Vector = float __attribute__((vector_size(lanes * sizeof(float)), aligned(4)));

template <int M>
struct Tile;

template <>
struct Tile<2> {
  static constexpr int size = 4;
  static constexpr float filter[4][3] = {{-1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};

  static void input(const Vector* d, int stride, Vector* t) {
    const Vector d1 = d[stride], d2 = d[2 * stride];
    t[0] = d2 - d[0];
    t[1] = d2 + d1;
    t[2] = d2 - d1;
    t[3] = d[3 * stride] - d1;
  }

  static void output(const Vector* m, int stride, Vector* y) {
    const Vector m1 = m[stride], m2 = m[2 * stride];
    y[0] = m[0] + m1 + m2;
    y[1] = m1 - m2 + m[3 * stride];
  }

  // From a transformed filter back to its taps.
  static void taps(const Vector* u, int stride, Vector* g) {
    g[0] = -u[0];
    g[1] = u[stride] - u[2 * stride];
    g[2] = u[3 * stride];
  }

  static void gradient(const Vector* y, int stride, Vector* m) {
    const Vector y0 = y[0], y1 = y[stride];
    m[0] = y0;
    m[1] = y0 + y1;
    m[2] = y0 - y1;
    m[3] = y1;
  }
};

template <>
struct Tile<4> {
  static constexpr int size = 6;
  static constexpr double a = 0.625, b = 1.5, aa = a * a, bb = b * b;
  static constexpr double of_zero = 1 / (aa * bb), of_a = 0.5 / (aa * (aa - bb)), of_b = 0.5 / (bb * (bb - aa));
  static constexpr float filter[6][3] = {
      {float(of_zero), 0, 0},
      {float(of_a), float(of_a* a), float(of_a* aa)},
      {float(of_a), float(-of_a * a), float(of_a* aa)},
      {float(of_b), float(of_b* b), float(of_b* bb)},
      {float(of_b), float(-of_b * b), float(of_b* bb)},
      {0, 0, 1}};

  static void input(const Vector* d, int stride, Vector* t) {
    constexpr float product = aa * bb, sum = aa + bb, fa = a, fb = b, faa = aa, fbb = bb;
    const Vector d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride];
    const Vector even_a = d4 - fbb * d2, odd_a = fa * (d3 - fbb * d1);
    const Vector even_b = d4 - faa * d2, odd_b = fb * (d3 - faa * d1);
    t[0] = product * d[0] + (d4 - sum * d2);
    t[1] = even_a + odd_a;
    t[2] = even_a - odd_a;
    t[3] = even_b + odd_b;
    t[4] = even_b - odd_b;
    t[5] = product * d1 + (d[5 * stride] - sum * d3);
  }

  static void output(const Vector* m, int stride, Vector* y) {
    constexpr float fa = a, fb = b, faa = aa, fbb = bb, faaa = aa * a, fbbb = bb * b;
    const Vector m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
    const Vector sum_a = m1 + m2, difference_a = m1 - m2, sum_b = m3 + m4, difference_b = m3 - m4;
    y[0] = m[0] + sum_a + sum_b;
    y[1] = fa * difference_a + fb * difference_b;
    y[2] = faa * sum_a + fbb * sum_b;
    y[3] = faaa * difference_a + fbbb * difference_b + m[5 * stride];
  }

  static void taps(const Vector* u, int stride, Vector* g) {
    constexpr float first = 1 / of_zero, second = 0.5 / (of_a * a);
    g[0] = first * u[0];
    g[1] = second * (u[stride] - u[2 * stride]);
    g[2] = u[5 * stride];
  }

  static void gradient(const Vector* y, int stride, Vector* m) {
    constexpr float fa = a, fb = b, faa = aa, fbb = bb;
    const Vector y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride];
    const Vector even_a = y0 + faa * y2, odd_a = fa * (y1 + faa * y3);
    const Vector even_b = y0 + fbb * y2, odd_b = fb * (y1 + fbb * y3);
    m[0] = y0;
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y3;
  }
};

}  // namespace foveate::winograd

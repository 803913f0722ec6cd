// Two arrays combined number by number, where either may be repeated along axes: sums, differences, products, quotients,
// maxima, powers, and the parts of a rectifier whose slopes are an array.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <unordered_map>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Indices = std::vector<std::int64_t>;

// The last axis of a walk is a row. `left` and `right` are the distances of neighbours along each axis, 0 where an array
// is repeated; the result lies in the plain order.
struct Walk {
  Indices sizes, left, right;

  std::int64_t rows() const {
    std::int64_t count = 1;
    for (std::size_t axis = 0; axis + 1 < sizes.size(); ++axis) count *= sizes[axis];
    return count;
  }
  static std::int64_t start(const Indices& sizes, const Indices& strides, std::int64_t row) {
    std::int64_t offset = 0;
    for (std::size_t axis = sizes.size() - 1; axis-- > 0; row /= sizes[axis]) offset += row % sizes[axis] * strides[axis];
    return offset;
  }
};

using Row = void (*)(const float* a, const float* b, float* y, std::int64_t count, std::int64_t da, std::int64_t db);

template <class Of>
void row_of(const float* a, const float* b, float* y, std::int64_t count, std::int64_t da, std::int64_t db) {
  if (da == 1 && db == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] = Of::of(a[i], b[i]);
  } else if (da == 1 && db == 0) {
    const float other = *b;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] = Of::of(a[i], other);
  } else if (da == 0 && db == 1) {
    const float other = *a;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] = Of::of(other, b[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) y[i] = Of::of(a[i * da], b[i * db]);
  }
}

struct Plus { static float of(float a, float b) { return a + b; } };
struct Minus { static float of(float a, float b) { return a - b; } };
struct Times { static float of(float a, float b) { return a * b; } };
struct Over { static float of(float a, float b) { return a / b; } };
// NaN wins.
struct Larger { static float of(float a, float b) { return a > b || std::isnan(a) ? a : b; } };
struct Smaller { static float of(float a, float b) { return a < b || std::isnan(a) ? a : b; } };
// The share that the first of two has in their maximum, or minimum: equals share, and NaN excludes neither.
struct OfLarger { static float of(float a, float b) { return a == b ? 0.5f : a < b ? 0.0f : 1.0f; } };
struct OfSmaller { static float of(float a, float b) { return a == b ? 0.5f : a > b ? 0.0f : 1.0f; } };
struct Raised { static float of(float a, float b) { return std::pow(a, b); } };
struct ByBase { static float of(float a, float b) { return b == 0 ? 0.0f : b * std::pow(a, b - 1); } };
struct ByExponent {
  static float of(float a, float b) { return a == 0 && b >= 0 ? 0.0f : std::pow(a, b) * std::log(a); }
};
struct Rectified { static float of(float x, float slope) { return x > 0 ? x : slope * x; } };
struct Slope { static float of(float x, float slope) { return x > 0 ? 1.0f : slope; } };
struct Below { static float of(float x, float dy) { return x > 0 ? 0.0f : x * dy; } };

Row row_named(const std::string& name) {
  static const std::unordered_map<std::string, Row> rows{
      {"add", row_of<Plus>},         {"subtract", row_of<Minus>}, {"multiply", row_of<Times>},
      {"divide", row_of<Over>},      {"prelu", row_of<Rectified>}, {"prelu slope", row_of<Slope>},
      {"prelu below", row_of<Below>}, {"maximum", row_of<Larger>}, {"minimum", row_of<Smaller>},
      {"of maximum", row_of<OfLarger>}, {"of minimum", row_of<OfSmaller>}, {"raise", row_of<Raised>},
      {"raise by base", row_of<ByBase>}, {"raise by exponent", row_of<ByExponent>},
  };
  const auto found = rows.find(name);
  if (found == rows.end()) throw std::invalid_argument("two arrays cannot be combined by " + name);
  return found->second;
}

class Combining : public Kernel {
 public:
  Combining(std::string name, Walk walk)
      : Kernel({"src", "second_src", "dst"}), name_(std::move(name)), row_(row_named(name_)), walk_(std::move(walk)) {
    if (walk_.sizes.empty() || walk_.left.size() != walk_.sizes.size() || walk_.right.size() != walk_.sizes.size())
      throw std::invalid_argument("sizes and both strides have one number for each axis");
  }
  std::string name() const override { return name_; }

  void execute(const Addresses& addresses, Run&) const override {
    const auto* left = static_cast<const float*>(addresses[0]);
    const auto* right = static_cast<const float*>(addresses[1]);
    auto* target = static_cast<float*>(addresses[2]);
    const std::int64_t rows = walk_.rows(), length = walk_.sizes.back();
    const std::int64_t da = walk_.left.back(), db = walk_.right.back();
    constexpr std::int64_t few = 16384, stretch = 4096;
    if (rows == 1) {
#pragma omp parallel for schedule(static) if (length > few)
      for (std::int64_t begin = 0; begin < length; begin += stretch)
        row_(left + begin * da, right + begin * db, target + begin,
             length - begin < stretch ? length - begin : stretch, da, db);
      return;
    }
#pragma omp parallel for schedule(static) if (rows * length > few)
    for (std::int64_t row = 0; row < rows; ++row)
      row_(left + Walk::start(walk_.sizes, walk_.left, row), right + Walk::start(walk_.sizes, walk_.right, row),
           target + row * length, length, da, db);
  }

 private:
  std::string name_;
  Row row_;
  Walk walk_;
};

}  // namespace

void init_combining(nb::module_& module) {
  module.def(
      "combining",
      [](std::string kind, Indices sizes, Indices left, Indices right) -> std::shared_ptr<Operation> {
        return std::make_shared<Combining>(std::move(kind), Walk{std::move(sizes), std::move(left), std::move(right)});
      },
      nb::arg("kind"), nb::arg("sizes"), nb::arg("left"), nb::arg("right"));
}

}  // namespace foveate

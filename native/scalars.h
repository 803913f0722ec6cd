// The numbers that change from run to run, as Python writes them into one small array.
#pragma once

#include <cstdint>

namespace foveate {

struct RunScalars {
  double learning_rate;
  double momentum;
  std::int64_t step;  // of this update, from 0
  std::uint64_t seed;
};

struct RunResults {
  double loss;
  std::int64_t correct;
};

}  // namespace foveate

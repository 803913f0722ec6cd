// What all losses share: which outputs they compare, and the targets' and samples' weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operation.h"

namespace foveate {

// Which of the run's results a loss writes, of what outputs (samples, channels, positions), and its weight in the sum of
// losses.
struct LossShape {
  std::size_t result;
  std::int64_t samples, channels, positions;
  double weight;

  std::int64_t outputs() const { return channels * positions; }
  // Whether the work is worth several threads.
  bool is_large() const { return samples * outputs() > 16384; }
};

class Loss : public Kernel {
 public:
  Loss(const LossShape& shape, std::vector<std::string> operands) : Kernel(std::move(operands)), shape_(shape) {}

 protected:
  // Summed in order, so that the loss does not depend on the number of threads.
  void write(Run& run, const std::vector<RunResult>& parts) const {
    RunResult result;
    for (const RunResult& part : parts) {
      result.loss += part.loss;
      result.correct += part.correct;
      result.counted += part.counted;
    }
    run.results[shape_.result] = result;
  }

  LossShape shape_;
};

}  // namespace foveate

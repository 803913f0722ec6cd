// What one run of a session brings along: numbers that change from run to run, its results, and the stream.
#pragma once

#include <cstdint>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace foveate {

struct RunScalars {
  double learning_rate = 0;
  double momentum = 0;
  std::int64_t step = 0;    // of this batch, from 0: what is random depends on it
  std::int64_t update = 0;  // of this update, from 0; several batches may lead to one
  std::uint64_t seed = 0;
  double share = 1;  // what the gradients of this batch count among those that are added up
  bool first = true, last = true;  // whether this is the first and the last batch before an update
};

// What a loss measured: how many were answered rightly, and of how many.
struct RunResult {
  double loss = 0;
  std::int64_t correct = 0, counted = 0;
};

// Calls back into Python for the layers that NumPy computes.
class Callbacks {
 public:
  virtual ~Callbacks() = default;
  // Returns whether a loss was measured that is no finite number.
  virtual bool call(std::size_t number, const std::vector<void*>& addresses) = 0;
};

struct Run {
  dnnl::stream& stream;
  const RunScalars& scalars;
  std::vector<RunResult>& results;
  Callbacks& callbacks;
  bool diverged = false;  // whether a callback measured a loss that is no finite number
  bool stop = false;      // whether the steps that follow wait until the caller has decided
};

}  // namespace foveate

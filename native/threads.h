// Threads: how many, and that none of them slows down on denormal numbers.
#pragma once

namespace foveate {

// Flushes denormals to zero in every worker thread, and gives the caller's thread its own mode back at the end.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned previous_ = 0;
};

}  // namespace foveate

// Threads: how many a run uses, how many runs there are at once, and that none slows down on denormal numbers.
#pragma once

namespace foveate {

// How many threads programs are compiled for; the same for every calling thread.
int thread_count();

// One run: waits until its threads fit on the cores beside those of other runs, uses exactly so many, and flushes
// denormals to zero. A run inside a run, which a layer of one's own may start, passes at once.
class RunScope {
 public:
  explicit RunScope(int threads);
  ~RunScope();
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

 private:
  int threads_, callers_threads_;
  unsigned callers_mode_;
};

}  // namespace foveate

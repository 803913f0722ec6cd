// Threads: how many a run uses, on which thread it runs, and that none slows down on denormal numbers.
#pragma once

#include <functional>

struct _ts;  // Python's state of a thread

namespace foveate {

// Gives the GIL up, and takes it back at the end; where Python is about to end, a thread sleeps for ever instead, because
// Python would unwind it through C++ frames that cannot be unwound.
class WithoutGil {
 public:
  WithoutGil();
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  _ts* state_;
};

// How many threads programs are compiled for; the same for every calling thread.
int thread_count();

// Runs `work` with `threads` threads, denormals flushed to zero, and comes back when it is done; what it throws is thrown
// here. Callers of several threads share one team of OpenMP's: each thread that ran by itself would have a team of its
// own, whose waiting threads would slow the others down. A run inside a run, which a layer of one's own may start, is done
// at once. The caller must not hold the GIL. Once Python is about to end, no run of another thread begins.
void run_with_threads(int threads, const std::function<void()>& work);

// While it lives, denormals of the calling thread are numbers, as Python expects.
class WithDenormals {
 public:
  WithDenormals();
  ~WithDenormals();
  WithDenormals(const WithDenormals&) = delete;
  WithDenormals& operator=(const WithDenormals&) = delete;

 private:
  unsigned callers_mode_;
};

}  // namespace foveate

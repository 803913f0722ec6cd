// Threads: how many a run uses, how many runs there are at once, and that none slows down on denormal numbers.
#include "threads.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "bindings.h"

namespace nb = nanobind;

namespace foveate {

namespace {

#if defined(__SSE2__)
constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
unsigned mode() { return _mm_getcsr(); }
void set_mode(unsigned mode) { _mm_setcsr(mode); }
#else
constexpr unsigned flush_to_zero = 0, denormals_are_zero = 0;
unsigned mode() { return 0; }
void set_mode(unsigned) {}
#endif

// OpenMP counts threads for each calling thread; here they are counted once for the process.
std::atomic<int>& count() {
  static std::atomic<int> count(omp_get_max_threads());
  return count;
}

// Two teams of threads that spin at their barriers on the same cores would slow each other down many times over.
class Gate {
 public:
  void enter(int threads) {
    if (depth_++ > 0) return;
    std::unique_lock<std::mutex> lock(mutex_);
    // In the order in which they came, so that a run of many threads is not passed for ever by runs of few.
    const std::size_t ticket = next_ticket_++;
    changed_.wait(lock, [&] { return ticket == served_ && (busy_ == 0 || busy_ + threads <= cores_); });
    busy_ += threads;
    ++served_;
    changed_.notify_all();
  }

  void leave(int threads) {
    if (--depth_ > 0) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ -= threads;
    changed_.notify_all();
  }

  // Between these two no run is under way in another thread; a thread that is inside a run does not wait for itself.
  void close() {
    closed_ = depth_ == 0;
    if (closed_) enter(whole_machine);
  }
  void open() {
    if (closed_) leave(whole_machine);
    closed_ = false;
  }

  // In a child process: a gate that nobody waits at, since the threads that did are not there.
  static Gate* renewed() {
    if (closed_) depth_ = 0;
    closed_ = false;
    return new Gate;
  }

 private:
  static constexpr int whole_machine = 1 << 20;
  static thread_local int depth_;    // of runs inside runs
  static thread_local bool closed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const int cores_ = std::max(1, omp_get_num_procs());
  int busy_ = 0;
  std::size_t next_ticket_ = 0, served_ = 0;
};

thread_local int Gate::depth_ = 0;
thread_local bool Gate::closed_ = false;

Gate* gate = new Gate;

// A child of fork has the forking thread alone. It must not inherit the state of a team of threads that are not there,
// for which it would wait for ever: the team is dissolved before, and both processes make a new one when they need it.
void before_fork() {
  nb::gil_scoped_release release;
  gate->close();
  omp_pause_resource_all(omp_pause_soft);
}

void after_fork_in_parent() { gate->open(); }

void after_fork_in_child() { gate = Gate::renewed(); }

}  // namespace

int thread_count() { return count(); }

RunScope::RunScope(int threads) : threads_(threads), callers_threads_(omp_get_max_threads()), callers_mode_(mode()) {
  gate->enter(threads_);
  if (callers_threads_ != threads_) omp_set_num_threads(threads_);
#pragma omp parallel
  set_mode(mode() | flush_to_zero | denormals_are_zero);
}

RunScope::~RunScope() {
  set_mode(callers_mode_);
  if (callers_threads_ != threads_) omp_set_num_threads(callers_threads_);
  gate->leave(threads_);
}

void init_threads(nb::module_& module) {
  module.def("set_threads", [](int threads) { count() = threads; }, nb::arg("count"));
  module.def("threads", &thread_count);
  module.def(
      "exchange_callers_threads",
      [](int threads) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        return before;
      },
      nb::arg("count"), "How many threads OpenMP gives the calling thread from now on; returns how many it gave before.");
  module.def("before_fork", &before_fork);
  module.def("after_fork_in_parent", &after_fork_in_parent);
  module.def("after_fork_in_child", &after_fork_in_child);
}

}  // namespace foveate

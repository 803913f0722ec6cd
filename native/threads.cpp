// Threads: how many a run uses, on which thread it runs, and that none slows down on denormal numbers.
#include "threads.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include <unistd.h>

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

thread_local int depth = 0;  // of runs inside runs

// What one run changes for its thread, and gives back.
class Scope {
 public:
  explicit Scope(int threads) : callers_threads_(omp_get_max_threads()), callers_mode_(mode()) {
    ++depth;
    omp_set_num_threads(threads);
#pragma omp parallel
    set_mode(mode() | flush_to_zero | denormals_are_zero);
  }
  ~Scope() {
    set_mode(callers_mode_);
    omp_set_num_threads(callers_threads_);
    --depth;
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  int callers_threads_;
  unsigned callers_mode_;
};

// How Python ends: no other thread may then take the GIL or begin a run, which might call Python back.
std::atomic<bool> ending{false};
std::atomic<std::thread::id> ending_thread{};
std::atomic<int> taking_gil{0};

void sleep_for_ever_at_the_end() {
  while (ending && ending_thread.load() != std::this_thread::get_id()) pause();
}

// Admits runs, in the order in which they come, as long as their threads fit on the cores together.
class Gate {
 public:
  void enter(int threads) {
    std::unique_lock<std::mutex> lock(mutex_);
    const std::size_t ticket = next_ticket_++;
    changed_.wait(lock, [&] { return ticket == served_ && (busy_ == 0 || busy_ + threads <= cores_); });
    ++served_;
    changed_.notify_all();
    if (ending && ending_thread.load() != std::this_thread::get_id()) {
      lock.unlock();
      sleep_for_ever_at_the_end();
    }
    busy_ += threads;
  }

  void leave(int threads) {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ -= threads;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const int cores_ = std::max(1, omp_get_num_procs());
  int busy_ = 0;
  std::size_t next_ticket_ = 0, served_ = 0;
};

// The thread on which callers of several threads run, one after the other, with one team. Work waits in a queue, so that
// the next run begins without anybody having to wake up first.
class Executor {
 public:
  void run(const std::function<void()>& work) {
    Item item{work};
    std::unique_lock<std::mutex> lock(mutex_);
    if (!started_) std::thread([this] { serve(); }).detach();
    started_ = true;
    queue_.push_back(&item);
    submitted_.notify_one();
    item.finished.wait(lock, [&] { return item.done; });
    lock.unlock();
    if (item.error) std::rethrow_exception(item.error);
  }

 private:
  struct Item {
    const std::function<void()>& work;
    std::condition_variable finished{};
    std::exception_ptr error{};
    bool done = false;
  };

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      submitted_.wait(lock, [this] { return !queue_.empty(); });
      Item& item = *queue_.front();
      queue_.pop_front();
      lock.unlock();
      try {
        item.work();
      } catch (...) {
        item.error = std::current_exception();
      }
      lock.lock();
      item.done = true;
      item.finished.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable submitted_;
  std::deque<Item*> queue_;
  bool started_ = false;
};

// What a process has one of. It is never destroyed, because threads may still run when the process ends.
struct Machine {
  Gate gate;
  Executor executor;
  // The thread that runs by itself: the first one to ask, for which this saves two changes of threads a run.
  std::atomic<std::thread::id> home{};

  bool is_home() {
    std::thread::id nobody;
    return home.compare_exchange_strong(nobody, std::this_thread::get_id()) || nobody == std::this_thread::get_id();
  }
};

Machine* machine = new Machine;

constexpr int whole_machine = 1 << 20;

// A child of fork has the forking thread alone. It must not inherit the state of a team of threads that are not there,
// for which it would wait for ever: the team is dissolved before, and both processes make a new one when they need it.
void before_fork() {
  if (depth > 0) return;  // the thread is inside a run, and would wait for itself
  const WithoutGil without_gil;
  machine->gate.enter(whole_machine);
  omp_pause_resource_all(omp_pause_soft);
}

void after_fork_in_parent() {
  if (depth == 0) machine->gate.leave(whole_machine);
}

void after_fork_in_child() { machine = new Machine; }

// Waits until the runs of other threads are over and these have the GIL or sleep.
void at_exit() {
  const WithoutGil without_gil;
  ending_thread = std::this_thread::get_id();
  ending = true;
  if (depth == 0) {
    machine->gate.enter(whole_machine);
    machine->gate.leave(whole_machine);
  }
  while (taking_gil > 0) std::this_thread::yield();
}

}  // namespace

WithoutGil::WithoutGil() : state_(PyEval_SaveThread()) {}

WithoutGil::~WithoutGil() {
  ++taking_gil;
  if (ending && ending_thread.load() != std::this_thread::get_id()) {
    --taking_gil;
    sleep_for_ever_at_the_end();
  }
  PyEval_RestoreThread(state_);
  --taking_gil;
}

WithDenormals::WithDenormals() : callers_mode_(mode()) {
  set_mode(callers_mode_ & ~(flush_to_zero | denormals_are_zero));
}
WithDenormals::~WithDenormals() { set_mode(callers_mode_); }

int thread_count() { return count(); }

void run_with_threads(int threads, const std::function<void()>& work) {
  Gate& gate = machine->gate;  // a child of fork gets another one
  const auto admitted = [&] {
    gate.enter(threads);
    struct Leave {
      Gate& gate;
      int threads;
      ~Leave() { gate.leave(threads); }
    } const leave{gate, threads};
    const Scope scope(threads);
    work();
  };
  sleep_for_ever_at_the_end();
  if (depth > 0) {
    const Scope scope(threads);
    work();
  } else if (threads == 1 || machine->is_home()) {
    admitted();
  } else {
    machine->executor.run(admitted);
  }
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
  module.def("at_exit", &at_exit);
}

}  // namespace foveate

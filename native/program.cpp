// A Program is a list of steps whose operands lie in a few spaces; it never changes and is shared. A Session binds it to
// arrays and runs it in one call, without the GIL, for one caller at a time.
#include <nanobind/ndarray.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <unordered_map>

#include "bindings.h"
#include "memory.h"
#include "operation.h"
#include "threads.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Buffer = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// Where an operand lies: its name, layout, space, offset and length in bytes.
struct PlacedOperand {
  std::string name;
  Description description;
  std::string space;
  std::size_t offset, bytes;
};

struct Step {
  std::string node;
  std::shared_ptr<Operation> operation;
  std::vector<PlacedOperand> operands;
};

class Program {
 public:
  Program(std::vector<Step> steps, int threads, std::size_t results)
      : steps_(std::move(steps)), threads_(threads), results_(results) {
    for (const Step& step : steps_)
      for (const PlacedOperand& operand : step.operands) {
        std::size_t& needed = needed_[operand.space];
        needed = std::max(needed, operand.offset + operand.bytes);
      }
  }

  const std::vector<Step>& steps() const { return steps_; }
  int threads() const { return threads_; }
  std::size_t results() const { return results_; }
  // Bytes that an array bound to a space must have.
  const std::unordered_map<std::string, std::size_t>& needed() const { return needed_; }

 private:
  std::vector<Step> steps_;
  int threads_;
  std::size_t results_;
  std::unordered_map<std::string, std::size_t> needed_;
};

// The Python functions that a run calls back.
class PythonCallbacks : public Callbacks {
 public:
  explicit PythonCallbacks(nb::handle functions) : functions_(functions) {}

  bool call(std::size_t number, const std::vector<void*>& addresses) override {
    nb::gil_scoped_acquire acquire;
    nb::list arguments;
    for (void* address : addresses) arguments.append(reinterpret_cast<std::uintptr_t>(address));
    const nb::object diverged = functions_[number](arguments);
    return !diverged.is_none() && nb::cast<bool>(diverged);
  }

 private:
  nb::handle functions_;  // the caller of run() holds them
};

class Session {
 public:
  explicit Session(std::shared_ptr<const Program> program) : program_(std::move(program)), results_(program_->results()) {
    for (std::size_t index = 0; index < program_->steps().size(); ++index) {
      const Step& step = program_->steps()[index];
      std::vector<Operand> operands;
      for (std::size_t number = 0; number < step.operands.size(); ++number) {
        const PlacedOperand& operand = step.operands[number];
        operands.push_back({operand.name, operand.description});
        spaces_[operand.space].users.push_back({index, number, operand.offset});
      }
      try {
        bound_.push_back(step.operation->bind(operands));
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument(step.node + ": " + error.what());
      }
    }
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Lets `space` be the memory of `buffer`, which is kept alive; spaces that no step uses are passed over.
  void bind(const std::string& space, Buffer buffer) {
    const auto found = spaces_.find(space);
    if (found == spaces_.end()) return;
    const Alone alone(busy_);
    const std::size_t needed = program_->needed().at(space);
    if (buffer.nbytes() < needed)
      throw std::invalid_argument(space + " has " + std::to_string(buffer.nbytes()) + " bytes, but the program needs " +
                                  std::to_string(needed));
    char* base = static_cast<char*>(const_cast<void*>(buffer.data()));
    Space& bound = found->second;
    if (base != bound.base)
      for (const User& user : bound.users) bound_[user.step]->set_address(user.operand, base + user.offset);
    bound.base = base;
    bound.left_out = false;
    bound.buffer = std::move(buffer);
  }

  // Says that `space` is not given for now: its operands' addresses are null, for kernels that can do without.
  void leave_out(const std::string& space) {
    const auto found = spaces_.find(space);
    if (found == spaces_.end() || found->second.left_out) return;
    const Alone alone(busy_);
    for (const User& user : found->second.users) bound_[user.step]->set_address(user.operand, nullptr);
    found->second.base = nullptr;
    found->second.buffer = Buffer();
    found->second.left_out = true;
  }

  // Returns the step that comes next: `end`, or an earlier one where a loss or NaN stopped the run.
  std::size_t run(std::size_t begin, std::size_t end, nb::list functions) {
    std::size_t next = end;
    each_step(begin, end, functions, [&](std::size_t index, Run& run) {
      if (next < end) return;
      run_step(index, run);
      if (run.stop) next = index + 1;
    });
    return next;
  }

  // Seconds that each step took, one after the other.
  std::vector<double> profile(std::size_t begin, std::size_t end, nb::list functions) {
    std::vector<double> seconds;
    each_step(begin, end, functions, [&](std::size_t index, Run& run) {
      const auto start = std::chrono::steady_clock::now();
      run_step(index, run);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    });
    return seconds;
  }

  const std::vector<RunResult>& results() const { return results_; }

  RunScalars scalars;

 private:
  // An operand that lies in a space: whose it is, and where.
  struct User {
    std::size_t step, operand, offset;
  };

  struct Space {
    std::vector<User> users;
    Buffer buffer;
    char* base = nullptr;
    bool left_out = false;
  };

  // Refuses a second caller, which would write over what the first one reads.
  class Alone {
   public:
    explicit Alone(std::atomic<bool>& busy) : busy_(busy) {
      if (busy_.exchange(true)) throw std::runtime_error("a session serves one caller at a time; give each its own");
    }
    ~Alone() { busy_ = false; }

   private:
    std::atomic<bool>& busy_;
  };

  void check(std::size_t begin, std::size_t end) const {
    if (begin > end || end > bound_.size()) throw std::out_of_range("there are no such steps");
    for (const auto& [name, space] : spaces_) {
      const auto used = [begin, end](const User& user) { return user.step >= begin && user.step < end; };
      if (space.base == nullptr && !space.left_out && program_->needed().at(name) > 0 &&
          std::any_of(space.users.begin(), space.users.end(), used))
        throw std::invalid_argument("nothing is bound to " + name);
    }
  }

  template <class Visit>
  void each_step(std::size_t begin, std::size_t end, nb::list functions, const Visit& visit) {
    const Alone alone(busy_);
    check(begin, end);
    PythonCallbacks callbacks(functions);
    const WithoutGil without_gil;
    run_with_threads(program_->threads(), [&] {
      dnnl::stream stream(cpu_engine());
      Run run{stream, scalars, results_, callbacks};
      for (std::size_t index = begin; index < end; ++index) visit(index, run);
    });
  }

  void run_step(std::size_t index, Run& run) {
    try {
      bound_[index]->run(run);
    } catch (const dnnl::error& error) {
      throw std::runtime_error(program_->steps()[index].node + ": oneDNN says: " + error.what());
    }
  }

  std::shared_ptr<const Program> program_;
  std::vector<std::unique_ptr<BoundOperation>> bound_;
  std::unordered_map<std::string, Space> spaces_;
  std::vector<RunResult> results_;
  std::atomic<bool> busy_{false};
};

}  // namespace

void init_program(nb::module_& module) {
  nb::class_<PlacedOperand>(module, "PlacedOperand", "An operand by name, its layout, and its bytes in a space.")
      .def(
          "__init__",
          [](PlacedOperand* self, std::string name, const Description& layout, std::string space, std::size_t offset,
             std::size_t bytes) {
            new (self) PlacedOperand{std::move(name), layout, std::move(space), offset, bytes};
          },
          nb::arg("name"), nb::arg("layout"), nb::arg("space"), nb::arg("offset"), nb::arg("bytes"));
  nb::class_<Step>(module, "Step", "An operation of a node, with its operands.")
      .def(
          "__init__",
          [](Step* self, std::string node, std::shared_ptr<Operation> operation, std::vector<PlacedOperand> operands) {
            new (self) Step{std::move(node), std::move(operation), std::move(operands)};
          },
          nb::arg("node"), nb::arg("operation"), nb::arg("operands"));
  nb::class_<RunScalars>(module, "RunScalars", "Numbers that change from run to run.")
      .def_rw("learning_rate", &RunScalars::learning_rate)
      .def_rw("momentum", &RunScalars::momentum)
      .def_rw("step", &RunScalars::step)
      .def_rw("update", &RunScalars::update)
      .def_rw("seed", &RunScalars::seed)
      .def_rw("share", &RunScalars::share)
      .def_rw("first", &RunScalars::first)
      .def_rw("last", &RunScalars::last);
  nb::class_<RunResult>(module, "RunResult", "What a loss measured.")
      .def_ro("loss", &RunResult::loss)
      .def_ro("correct", &RunResult::correct)
      .def_ro("counted", &RunResult::counted);
  nb::class_<Program>(module, "Program", "Steps over spaces; never changes.")
      .def(nb::init<std::vector<Step>, int, std::size_t>(), nb::arg("steps"), nb::arg("threads"), nb::arg("results"));
  nb::class_<Session>(module, "Session", "A program bound to arrays, for one caller at a time.")
      .def(nb::init<std::shared_ptr<const Program>>(), nb::arg("program"))
      .def_prop_ro("scalars", [](Session& self) -> RunScalars& { return self.scalars; }, nb::rv_policy::reference_internal)
      .def_prop_ro("results", &Session::results)
      .def("bind", &Session::bind, nb::arg("space"), nb::arg("buffer"),
           nb::sig("def bind(self, space: str, buffer: NDArray[numpy.generic]) -> None"))
      .def("leave_out", &Session::leave_out, nb::arg("space"))
      .def("run", &Session::run, nb::arg("begin"), nb::arg("end"), nb::arg("functions"),
           nb::sig("def run(self, begin: int, end: int, functions: list[typing.Any]) -> int"))
      .def("profile", &Session::profile, nb::arg("begin"), nb::arg("end"), nb::arg("functions"),
           nb::sig("def profile(self, begin: int, end: int, functions: list[typing.Any]) -> list[float]"));
}

}  // namespace foveate

// A program: steps bound to places in a few spaces (arrays given at each run), run in one call without the GIL.
#include <nanobind/ndarray.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <stdexcept>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "bindings.h"
#include "memory.h"
#include "operation.h"
#include "threads.h"

namespace nb = nanobind;

namespace foveate {

namespace {

using Buffer = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// (argument, layout, space, offset in bytes, bytes)
using PlacedOperand = std::tuple<int, Description, std::size_t, std::size_t, std::size_t>;

struct Step {
  std::string node;
  std::unique_ptr<BoundOperation> operation;
  std::vector<std::pair<std::size_t, std::size_t>> places;  // space, offset
};

class Program {
 public:
  Program(const std::vector<std::tuple<std::string, std::shared_ptr<Operation>, std::vector<PlacedOperand>>>& steps,
          std::size_t spaces)
      : needed_(spaces, 0), bases_(spaces, nullptr) {
    for (const auto& [node, operation, operands] : steps) {
      Step step;
      step.node = node;
      std::vector<Operand> bound;
      for (const auto& [argument, description, space, offset, bytes] : operands) {
        if (space >= spaces) throw std::invalid_argument(node + ": there is no space " + std::to_string(space));
        needed_[space] = std::max(needed_[space], offset + bytes);
        bound.push_back({argument, description});
        step.places.emplace_back(space, offset);
      }
      step.operation = operation->bind(bound);
      steps_.push_back(std::move(step));
    }
  }

  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void run(std::size_t begin, std::size_t end, const std::vector<Buffer>& buffers) {
    rebind(begin, end, buffers);
    nb::gil_scoped_release release;
    FlushDenormals flush;
    for (std::size_t index = begin; index < end; ++index) run_step(steps_[index]);
  }

  // Seconds that each step took, one after the other.
  std::vector<double> profile(std::size_t begin, std::size_t end, const std::vector<Buffer>& buffers) {
    rebind(begin, end, buffers);
    std::vector<double> seconds;
    nb::gil_scoped_release release;
    FlushDenormals flush;
    for (std::size_t index = begin; index < end; ++index) {
      const auto start = std::chrono::steady_clock::now();
      run_step(steps_[index]);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return seconds;
  }

 private:
  void run_step(Step& step) {
    try {
      step.operation->run(cpu_stream());
    } catch (const dnnl::error& error) {
      throw std::runtime_error(step.node + ": oneDNN says: " + error.what());
    }
  }

  void rebind(std::size_t begin, std::size_t end, const std::vector<Buffer>& buffers) {
    if (buffers.size() != needed_.size())
      throw std::invalid_argument("a program with " + std::to_string(needed_.size()) + " spaces was given " +
                                  std::to_string(buffers.size()));
    if (begin > end || end > steps_.size()) throw std::out_of_range("there are no such steps");
    for (std::size_t space = 0; space < buffers.size(); ++space)
      if (buffers[space].nbytes() < needed_[space])
        throw std::invalid_argument("space " + std::to_string(space) + " has " +
                                    std::to_string(buffers[space].nbytes()) + " bytes, but the program needs " +
                                    std::to_string(needed_[space]));
    std::vector<char*> bases;
    for (const Buffer& buffer : buffers) bases.push_back(static_cast<char*>(const_cast<void*>(buffer.data())));
    if (bound_ && bases == bases_) return;
    bases_ = bases;
    bound_ = true;
    for (Step& step : steps_) {
      std::vector<void*> addresses;
      for (const auto& [space, offset] : step.places) addresses.push_back(bases_[space] + offset);
      step.operation->set_addresses(addresses);
    }
  }

  std::vector<Step> steps_;
  std::vector<std::size_t> needed_;
  std::vector<char*> bases_;
  bool bound_ = false;
};

// Zeroed float32 numbers at an address that suits vector loads and, where there are many, huge pages.
nb::ndarray<nb::numpy, float, nb::ndim<1>> aligned_zeros(std::size_t count) {
  constexpr std::size_t huge_page = std::size_t{1} << 21;
  const std::size_t alignment = count * sizeof(float) >= huge_page ? huge_page : 64;
  const std::size_t bytes = (std::max<std::size_t>(count, 1) * sizeof(float) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (alignment == huge_page) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::fill_n(static_cast<float*>(memory), bytes / sizeof(float), 0.0f);
  nb::capsule owner(memory, [](void* pointer) noexcept { std::free(pointer); });
  return {memory, {count}, owner};
}

}  // namespace

void init_program(nb::module_& module) {
  nb::class_<Program>(module, "Program", "Steps bound to places in spaces, run in one call.")
      .def(nb::init<const std::vector<std::tuple<std::string, std::shared_ptr<Operation>, std::vector<PlacedOperand>>>&,
                    std::size_t>(),
           nb::arg("steps"), nb::arg("spaces"))
      .def("run", &Program::run, nb::arg("begin"), nb::arg("end"), nb::arg("buffers"),
           nb::sig("def run(self, begin: int, end: int, buffers: Sequence[NDArray[numpy.generic]]) -> None"))
      .def("profile", &Program::profile, nb::arg("begin"), nb::arg("end"), nb::arg("buffers"),
           nb::sig("def profile(self, begin: int, end: int, buffers: Sequence[NDArray[numpy.generic]]) -> list[float]"));
  module.def("aligned_zeros", &aligned_zeros, nb::arg("count"));
}

}  // namespace foveate

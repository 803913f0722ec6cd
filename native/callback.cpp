// A step that Python computes: layers of one's own, and what neither oneDNN nor a kernel here can do.
#include "bindings.h"
#include "operation.h"
#include "threads.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Calls function `number` of those that the session was given for this run, with the operands' addresses in order. It
// holds no Python object itself, because the garbage collector cannot see what C++ holds.
class Callback : public Kernel {
 public:
  Callback(std::string name, std::size_t number, std::vector<std::string> operands)
      : Kernel(std::move(operands)), name_(std::move(name)), number_(number) {}

  std::string name() const override { return name_; }
  std::string implementation() const override { return "numpy"; }
  void execute(const Addresses& addresses, Run& run) const override {
    const WithDenormals as_python_expects;
    if (run.callbacks.call(number_, addresses)) run.diverged = true;
  }

 private:
  std::string name_;
  std::size_t number_;
};

}  // namespace

void init_callback(nb::module_& module) {
  module.def(
      "callback",
      [](std::string name, std::size_t number, std::vector<std::string> operands) -> std::shared_ptr<Operation> {
        return std::make_shared<Callback>(std::move(name), number, std::move(operands));
      },
      nb::arg("name"), nb::arg("number"), nb::arg("operands"));
}

}  // namespace foveate

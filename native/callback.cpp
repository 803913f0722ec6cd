// A step that Python computes: layers of one's own, and what neither oneDNN nor a kernel here can do.
#include <cstdint>

#include "bindings.h"
#include "operation.h"

namespace nb = nanobind;

namespace foveate {

namespace {

// Calls function([addresses of the operands, in order]) with the GIL held.
class Callback : public Kernel {
 public:
  Callback(std::string name, nb::object function) : name_(std::move(name)), function_(std::move(function)) {}

  ~Callback() override {
    nb::gil_scoped_acquire acquire;
    function_.reset();
  }

  std::string name() const override { return name_; }
  std::string implementation() const override { return "numpy"; }

  void execute(const std::vector<void*>& addresses) const override {
    nb::gil_scoped_acquire acquire;
    nb::list arguments;
    for (void* address : addresses) arguments.append(reinterpret_cast<std::uintptr_t>(address));
    function_(arguments);
  }

 private:
  std::string name_;
  nb::object function_;
};

}  // namespace

void init_callback(nb::module_& module) {
  module.def(
      "callback",
      [](std::string name, nb::object function) -> std::shared_ptr<Operation> {
        return std::make_shared<Callback>(std::move(name), std::move(function));
      },
      nb::arg("name"), nb::arg("function"));
}

}  // namespace foveate

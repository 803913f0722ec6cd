// What a step of a program runs: an Operation binds to addresses once, and is then run without looking anything up.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace foveate {

// One array that an operation reads or writes: oneDNN's number for the argument (or a kernel's position) and its layout.
struct Operand {
  int argument;
  dnnl::memory::desc description;
};

// An operation bound to its operands; addresses may change between runs, layouts may not.
class BoundOperation {
 public:
  virtual ~BoundOperation() = default;
  virtual void set_addresses(const std::vector<void*>& addresses) = 0;
  virtual void run(dnnl::stream& stream) = 0;
};

class Operation {
 public:
  virtual ~Operation() = default;
  virtual std::string name() const = 0;
  virtual std::string implementation() const = 0;
  virtual std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const = 0;
};

// A kernel of our own: `execute` gets the operands' addresses in the order in which they were bound.
class Kernel : public Operation, public std::enable_shared_from_this<Kernel> {
 public:
  std::string implementation() const override { return "foveate"; }
  virtual void execute(const std::vector<void*>& addresses) const = 0;
  std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const override;
};

// The one oneDNN engine and stream of the process.
dnnl::engine& cpu_engine();
dnnl::stream& cpu_stream();

}  // namespace foveate

// What a step of a program runs. An Operation is shared and never changes; a BoundOperation belongs to one session.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "run.h"

namespace foveate {

// One array that an operation reads or writes: the operand's name and its layout.
struct Operand {
  std::string name;
  dnnl::memory::desc description;
};

// An operation with its operands' addresses, which may change between runs; layouts may not.
class BoundOperation {
 public:
  virtual ~BoundOperation() = default;
  virtual void set_address(std::size_t operand, void* address) = 0;
  virtual void run(Run& run) = 0;
};

class Operation {
 public:
  virtual ~Operation() = default;
  virtual std::string name() const = 0;
  virtual std::string implementation() const = 0;
  // Refuses operands whose names it does not know, and operands that are missing.
  virtual std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const = 0;
};

// Addresses of a kernel's operands in the order in which it declares them; null where one was left out.
using Addresses = std::vector<void*>;

// A kernel of our own. It declares its operands' names; one that ends with "?" may be left out.
class Kernel : public Operation, public std::enable_shared_from_this<Kernel> {
 public:
  explicit Kernel(std::vector<std::string> operands) : operands_(std::move(operands)) {}
  std::string implementation() const override { return "foveate"; }
  virtual void execute(const Addresses& addresses, Run& run) const = 0;
  std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const override;

 private:
  std::vector<std::string> operands_;
};

// The one oneDNN engine of the process.
dnnl::engine& cpu_engine();

}  // namespace foveate

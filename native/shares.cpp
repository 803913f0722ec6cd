// A primitive that is run by several threads at once, each for its share of the batch and with a result of its own.
// Inside one primitive oneDNN's threads wait for each other by spinning, for long if another process has their core.
#include <omp.h>

#include <exception>
#include <stdexcept>

#include "bindings.h"
#include "primitive.h"

namespace nb = nanobind;

namespace foveate {

namespace {

class BoundShares : public BoundOperation {
 public:
  BoundShares(const Primitive& primitive, const std::vector<Operand>& operands, int count) {
    std::vector<Operand> own;
    for (const Operand& operand : operands) {
      const Description share = primitive.layout(operand.name);
      const std::size_t size = operand.description.get_size() / count;
      if (size < share.get_size() || operand.description.get_size() % count)
        throw std::invalid_argument("the operand \"" + operand.name + "\" is not made of equal shares");
      own.push_back({operand.name, share});
      sizes_.push_back(size);
    }
    for (int share = 0; share < count; ++share) {
      parts_.push_back(primitive.bind(own));
      streams_.emplace_back(cpu_engine());
    }
  }

  void set_address(std::size_t operand, void* address) override {
    for (std::size_t share = 0; share < parts_.size(); ++share)
      parts_[share]->set_address(operand, static_cast<char*>(address) + share * sizes_.at(operand));
  }

  void run(Run& run) override {
    std::exception_ptr error;
#pragma omp parallel for schedule(static, 1)
    for (std::size_t share = 0; share < parts_.size(); ++share) {
      try {
        Run own{streams_[share], run.scalars, run.results, run.callbacks};
        parts_[share]->run(own);
      } catch (...) {
#pragma omp critical
        error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
  }

 private:
  std::vector<std::unique_ptr<BoundOperation>> parts_;
  std::vector<dnnl::stream> streams_;
  std::vector<std::size_t> sizes_;  // of one share of each operand, in bytes
};

// The primitive is for one share, planned for one thread. Shares of an operand lie one after the other.
class Shares : public Operation {
 public:
  Shares(std::shared_ptr<Primitive> primitive, int count) : primitive_(std::move(primitive)), count_(count) {}
  std::string name() const override { return primitive_->name(); }
  std::string implementation() const override { return primitive_->implementation(); }
  std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const override {
    return std::make_unique<BoundShares>(*primitive_, operands, count_);
  }

 private:
  std::shared_ptr<Primitive> primitive_;
  int count_;
};

}  // namespace

void init_shares(nb::module_& module) {
  module.def(
      "shares",
      [](std::shared_ptr<Primitive> primitive, int count) -> std::shared_ptr<Operation> {
        return std::make_shared<Shares>(std::move(primitive), count);
      },
      nb::arg("primitive"), nb::arg("count"));
}

}  // namespace foveate

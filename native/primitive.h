// A oneDNN primitive as an Operation.
#pragma once

#include <string>

#include "memory.h"
#include "operation.h"

namespace foveate {

class Primitive : public Operation {
 public:
  // The primitive is created at once, so that run time never compiles code.
  template <class PrimitiveType, class PrimitiveDescription>
  static std::shared_ptr<Primitive> make(std::string name, const PrimitiveDescription& description) {
    return std::shared_ptr<Primitive>(
        new Primitive(std::move(name), description, PrimitiveType(description), description.impl_info_str()));
  }

  std::string name() const override { return name_; }
  std::string implementation() const override { return implementation_; }
  std::unique_ptr<BoundOperation> bind(const std::vector<Operand>& operands) const override;

  // The layout that the primitive wants for an argument ("src", "diff_weights"); of no dimensions if it takes none.
  Description layout(const std::string& argument) const;

  const dnnl::primitive_desc_base& description() const { return description_; }

 private:
  bool requires_argument(int number) const;

  Primitive(std::string name, dnnl::primitive_desc_base description, dnnl::primitive primitive, std::string implementation)
      : name_(std::move(name)),
        description_(std::move(description)),
        primitive_(std::move(primitive)),
        implementation_(std::move(implementation)) {}

  std::string name_;
  dnnl::primitive_desc_base description_;
  dnnl::primitive primitive_;
  std::string implementation_;
};

// A function applied to a primitive's result before it is written: y = activation(x), or y = x + another array.
struct PostOperation {
  std::string kind;
  float alpha = 0;
  float beta = 0;
  Description other;
};

// Attributes with a scratchpad that the program's memory plan provides, and with post-operations.
dnnl::primitive_attr attributes(const std::vector<PostOperation>& post_operations = {});

}  // namespace foveate

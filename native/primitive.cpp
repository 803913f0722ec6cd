// oneDNN primitives as operations: binding arguments, attributes, and the names that Python uses.
#include "primitive.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <unordered_map>

#include "bindings.h"
#include "instruction_set.h"

namespace nb = nanobind;

namespace foveate {

namespace {

constexpr int remembered_primitives = 256;

// oneDNN's number for each argument that has a name of its own.
const std::unordered_map<std::string, int>& argument_numbers() {
  static const std::unordered_map<std::string, int> numbers{
      {"src", DNNL_ARG_SRC},
      {"second_src", DNNL_ARG_SRC_1},
      {"dst", DNNL_ARG_DST},
      {"weights", DNNL_ARG_WEIGHTS},
      {"bias", DNNL_ARG_BIAS},
      {"mean", DNNL_ARG_MEAN},
      {"variance", DNNL_ARG_VARIANCE},
      {"scale", DNNL_ARG_SCALE},
      {"shift", DNNL_ARG_SHIFT},
      {"workspace", DNNL_ARG_WORKSPACE},
      {"scratchpad", DNNL_ARG_SCRATCHPAD},
      {"diff_src", DNNL_ARG_DIFF_SRC},
      {"diff_dst", DNNL_ARG_DIFF_DST},
      {"diff_weights", DNNL_ARG_DIFF_WEIGHTS},
      {"diff_bias", DNNL_ARG_DIFF_BIAS},
      {"diff_scale", DNNL_ARG_DIFF_SCALE},
      {"diff_shift", DNNL_ARG_DIFF_SHIFT},
  };
  return numbers;
}

// The digits behind `prefix`, or -1 where `name` is anything else.
int numbered(const std::string& name, const std::string& prefix) {
  if (name.compare(0, prefix.size(), prefix) != 0 || name.size() == prefix.size()) return -1;
  const std::string digits = name.substr(prefix.size());
  return digits.find_first_not_of("0123456789") == std::string::npos ? std::stoi(digits) : -1;
}

int argument_number(const std::string& name) {
  const auto known = argument_numbers().find(name);
  if (known != argument_numbers().end()) return known->second;
  if (const int index = numbered(name, "src_"); index >= 0) return DNNL_ARG_MULTIPLE_SRC + index;
  if (const int index = numbered(name, "post_operation_"); index >= 0)
    return DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1;
  throw std::invalid_argument("oneDNN has no argument \"" + name + "\"");
}

class BoundPrimitive : public BoundOperation {
 public:
  BoundPrimitive(dnnl::primitive primitive, const std::vector<Operand>& operands) : primitive_(std::move(primitive)) {
    for (const Operand& operand : operands) {
      memories_.emplace_back(operand.description, cpu_engine(), nullptr);
      arguments_.insert({argument_number(operand.name), memories_.back()});
    }
  }

  void set_address(std::size_t operand, void* address) override { memories_.at(operand).set_data_handle(address); }

  void run(Run& run) override { primitive_.execute(run.stream, arguments_); }

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

class BoundKernel : public BoundOperation {
 public:
  BoundKernel(std::shared_ptr<const Kernel> kernel, std::vector<std::size_t> positions, std::size_t declared)
      : kernel_(std::move(kernel)), positions_(std::move(positions)), addresses_(declared, nullptr) {}
  void set_address(std::size_t operand, void* address) override { addresses_[positions_.at(operand)] = address; }
  void run(Run& run) override { kernel_->execute(addresses_, run); }

 private:
  std::shared_ptr<const Kernel> kernel_;
  std::vector<std::size_t> positions_;  // of each operand among the declared ones
  Addresses addresses_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::unique_ptr<BoundOperation> Primitive::bind(const std::vector<Operand>& operands) const {
  for (const Operand& operand : operands)
    if (layout(operand.name).get_ndims() == 0)
      throw std::invalid_argument(name_ + " has no operand \"" + operand.name + "\"");
  for (const auto& [name, number] : argument_numbers()) {
    const auto given = [&name = name](const Operand& operand) { return operand.name == name; };
    if (requires_argument(number) && std::none_of(operands.begin(), operands.end(), given))
      throw std::invalid_argument(name_ + " lacks its operand \"" + name + "\"");
  }
  return std::make_unique<BoundPrimitive>(primitive_, operands);
}

std::unique_ptr<BoundOperation> Kernel::bind(const std::vector<Operand>& operands) const {
  std::vector<std::string> declared, missing;
  for (const std::string& name : operands_) {
    const bool optional = name.back() == '?';
    declared.push_back(optional ? name.substr(0, name.size() - 1) : name);
    if (!optional) missing.push_back(name);
  }
  std::vector<std::size_t> positions;
  for (const Operand& operand : operands) {
    const auto found = std::find(declared.begin(), declared.end(), operand.name);
    if (found == declared.end())
      throw std::invalid_argument(name() + " has no operand \"" + operand.name + "\"; its operands are " +
                                  joined(declared));
    positions.push_back(found - declared.begin());
    missing.erase(std::remove(missing.begin(), missing.end(), operand.name), missing.end());
  }
  if (!missing.empty()) throw std::invalid_argument(name() + " lacks its operands " + joined(missing));
  return std::make_unique<BoundKernel>(shared_from_this(), std::move(positions), declared.size());
}

Description Primitive::layout(const std::string& argument) const {
  return description_.query_md(dnnl::query::exec_arg_md, argument_number(argument));
}

bool Primitive::requires_argument(int number) const {
  // Some derivatives are taken from the input or from the output: oneDNN describes both and reads one.
  if (number == DNNL_ARG_SRC || number == DNNL_ARG_DST || number == DNNL_ARG_SHIFT) return false;
  return description_.query_md(dnnl::query::exec_arg_md, number).get_ndims() != 0;
}

namespace {

// As post-operations; on their own, and all others, our kernels compute them.
dnnl::algorithm elementwise_algorithm(const std::string& kind) {
  using dnnl::algorithm;
  if (kind == "relu" || kind == "leaky_relu") return algorithm::eltwise_relu;
  if (kind == "tanh") return algorithm::eltwise_tanh;
  if (kind == "sigmoid") return algorithm::eltwise_logistic;
  if (kind == "silu") return algorithm::eltwise_swish;
  if (kind == "hardswish") return algorithm::eltwise_hardswish;
  throw std::invalid_argument("there is no post-operation " + kind);
}

}  // namespace

dnnl::primitive_attr attributes(const std::vector<PostOperation>& post_operations) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops chain;
  for (const PostOperation& post : post_operations) {
    if (post.kind == "add")
      chain.append_binary(dnnl::algorithm::binary_add, post.other);
    else
      chain.append_eltwise(elementwise_algorithm(post.kind), post.alpha, post.beta);
  }
  attributes.set_post_ops(chain);
  return attributes;
}

void init_primitive(nb::module_& module) {
  // Programs hold their primitives; oneDNN's own store of a thousand only grows with every size that was ever compiled.
  if (std::getenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == nullptr) dnnl::set_primitive_cache_capacity(remembered_primitives);
  instruction_set();  // oneDNN reads its limit now, when first asked
  nb::class_<Operation>(module, "Operation", "What a step of a program runs.")
      .def_prop_ro("name", &Operation::name)
      .def_prop_ro("implementation", &Operation::implementation);
  nb::class_<Primitive, Operation>(module, "Primitive", "A oneDNN primitive.")
      .def("layout", &Primitive::layout, nb::arg("argument"),
           "The layout that it wants for an argument; of no bytes where it does not take it.");
  nb::class_<PostOperation>(module, "PostOperation", "A function applied to a primitive's result before it is written.")
      .def(nb::init<std::string, float, float, Description>(), nb::arg("kind"), nb::arg("alpha") = 0.0f,
           nb::arg("beta") = 0.0f, nb::arg("other") = Description());
}

}  // namespace foveate

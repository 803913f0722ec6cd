// oneDNN primitives as operations: binding arguments, attributes, and the names that Python uses.
#include "primitive.h"

#include <stdexcept>
#include <unordered_map>

#include "bindings.h"

namespace nb = nanobind;

namespace foveate {

namespace {

class BoundPrimitive : public BoundOperation {
 public:
  BoundPrimitive(dnnl::primitive primitive, const std::vector<Operand>& operands) : primitive_(std::move(primitive)) {
    for (const Operand& operand : operands) {
      memories_.emplace_back(operand.description, cpu_engine(), nullptr);
      arguments_.insert({operand.argument, memories_.back()});
    }
  }

  void set_addresses(const std::vector<void*>& addresses) override {
    for (std::size_t index = 0; index < addresses.size(); ++index) memories_[index].set_data_handle(addresses[index]);
  }

  void run(dnnl::stream& stream) override { primitive_.execute(stream, arguments_); }

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

class BoundKernel : public BoundOperation {
 public:
  explicit BoundKernel(std::shared_ptr<const Kernel> kernel) : kernel_(std::move(kernel)) {}
  void set_addresses(const std::vector<void*>& addresses) override { addresses_ = addresses; }
  void run(dnnl::stream&) override { kernel_->execute(addresses_); }

 private:
  std::shared_ptr<const Kernel> kernel_;
  std::vector<void*> addresses_;
};

}  // namespace

std::unique_ptr<BoundOperation> Primitive::bind(const std::vector<Operand>& operands) const {
  return std::make_unique<BoundPrimitive>(primitive_, operands);
}

std::unique_ptr<BoundOperation> Kernel::bind(const std::vector<Operand>&) const {
  return std::make_unique<BoundKernel>(shared_from_this());
}

Description Primitive::layout(int argument) const {
  return description_.query_md(dnnl::query::exec_arg_md, argument);
}

dnnl::algorithm elementwise_algorithm(const std::string& kind, bool from_output) {
  using dnnl::algorithm;
  if (kind == "relu") return from_output ? algorithm::eltwise_relu_use_dst_for_bwd : algorithm::eltwise_relu;
  if (kind == "elu") return from_output ? algorithm::eltwise_elu_use_dst_for_bwd : algorithm::eltwise_elu;
  if (kind == "tanh") return from_output ? algorithm::eltwise_tanh_use_dst_for_bwd : algorithm::eltwise_tanh;
  if (kind == "sigmoid") return from_output ? algorithm::eltwise_logistic_use_dst_for_bwd : algorithm::eltwise_logistic;
  if (kind == "relu6") return from_output ? algorithm::eltwise_clip_v2_use_dst_for_bwd : algorithm::eltwise_clip_v2;
  if (kind == "silu") return algorithm::eltwise_swish;
  if (kind == "hardswish") return algorithm::eltwise_hardswish;
  if (kind == "hardsigmoid") return algorithm::eltwise_hardsigmoid;
  if (kind == "gelu") return algorithm::eltwise_gelu_erf;
  if (kind == "gelu_tanh") return algorithm::eltwise_gelu_tanh;
  if (kind == "softplus") return algorithm::eltwise_soft_relu;
  throw std::invalid_argument("there is no elementwise function " + kind);
}

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
  nb::class_<Operation>(module, "Operation", "What a step of a program runs.")
      .def_prop_ro("name", &Operation::name)
      .def_prop_ro("implementation", &Operation::implementation);
  nb::class_<Primitive, Operation>(module, "Primitive", "A oneDNN primitive.")
      .def("layout", &Primitive::layout, nb::arg("argument"), "The layout that it wants for an argument.");
  nb::class_<PostOperation>(module, "PostOperation", "A function applied to a primitive's result before it is written.")
      .def(nb::init<std::string, float, float, Description>(), nb::arg("kind"), nb::arg("alpha") = 0.0f,
           nb::arg("beta") = 0.0f, nb::arg("other") = Description());

  module.attr("SRC") = DNNL_ARG_SRC;
  module.attr("SECOND_SRC") = DNNL_ARG_SRC_1;
  module.attr("DST") = DNNL_ARG_DST;
  module.attr("WEIGHTS") = DNNL_ARG_WEIGHTS;
  module.attr("BIAS") = DNNL_ARG_BIAS;
  module.attr("MEAN") = DNNL_ARG_MEAN;
  module.attr("VARIANCE") = DNNL_ARG_VARIANCE;
  module.attr("SCALE") = DNNL_ARG_SCALE;
  module.attr("SHIFT") = DNNL_ARG_SHIFT;
  module.attr("WORKSPACE") = DNNL_ARG_WORKSPACE;
  module.attr("SCRATCHPAD") = DNNL_ARG_SCRATCHPAD;
  module.attr("DIFF_SRC") = DNNL_ARG_DIFF_SRC;
  module.attr("DIFF_DST") = DNNL_ARG_DIFF_DST;
  module.attr("DIFF_WEIGHTS") = DNNL_ARG_DIFF_WEIGHTS;
  module.attr("DIFF_BIAS") = DNNL_ARG_DIFF_BIAS;
  module.attr("DIFF_SCALE") = DNNL_ARG_DIFF_SCALE;
  module.attr("DIFF_SHIFT") = DNNL_ARG_DIFF_SHIFT;
  module.attr("MULTIPLE_SRC") = DNNL_ARG_MULTIPLE_SRC;
  module.def("post_operation_argument", [](int index) { return DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1; },
             nb::arg("index"), "The argument of the array that post-operation `index` adds.");
}

}  // namespace foveate

#include "instruction_set.h"

#include "oneapi/dnnl/dnnl.hpp"

namespace foveate {

namespace {

// oneDNN's sets are masks: a larger one has the bits of those that it contains.
InstructionSet largest() {
  const auto has = [effective = static_cast<unsigned>(dnnl::get_effective_cpu_isa())](dnnl::cpu_isa set) {
    return (effective & static_cast<unsigned>(set)) == static_cast<unsigned>(set);
  };
  if (has(dnnl::cpu_isa::avx512_core)) return InstructionSet::avx512;
  return has(dnnl::cpu_isa::avx2) ? InstructionSet::avx2 : InstructionSet::sse41;
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet known = largest();
  return known;
}

}  // namespace foveate

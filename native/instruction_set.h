// Which instructions kernels may use: those of the processor, within oneDNN's limit, which FOVEATE_MAX_ISA sets too.
#pragma once

namespace foveate {

enum class InstructionSet { sse41, avx2, avx512 };

InstructionSet instruction_set();

}  // namespace foveate

// The kernels of each set of instructions, and which are used.
#include "instruction_set.h"
#include "vector_kernels.h"

namespace foveate {

#if defined(FOVEATE_X86)
namespace sse41 {
extern const VectorKernels kernels;
}
namespace avx2 {
extern const VectorKernels kernels;
}
namespace avx512 {
extern const VectorKernels kernels;
}

const VectorKernels& vector_kernels() {
  switch (instruction_set()) {
    case InstructionSet::avx512: return avx512::kernels;
    case InstructionSet::avx2: return avx2::kernels;
    default: return sse41::kernels;
  }
}
#else
namespace plain {
extern const VectorKernels kernels;
}

const VectorKernels& vector_kernels() { return plain::kernels; }
#endif

}  // namespace foveate

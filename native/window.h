// The window of a convolution or a pooling, as oneDNN takes it.
#pragma once

#include "memory.h"

namespace foveate {

struct Window {
  Dims kernel_size, stride, dilation, padding_begin, padding_end;

  // oneDNN counts the gaps between taps, not their distance.
  Dims gaps() const {
    Dims gaps = dilation;
    for (auto& gap : gaps) --gap;
    return gaps;
  }
};

}  // namespace foveate

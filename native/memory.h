// Memory layouts: how many bytes, in which order, in which blocks.
#pragma once

#include <string>

#include "oneapi/dnnl/dnnl.hpp"

namespace foveate {

using Dims = dnnl::memory::dims;
using Description = dnnl::memory::desc;

// float32 in the plain order, first axis outermost.
Description plain(const Dims& dims);

// float32 in whatever order the primitive likes best.
Description any_layout(const Dims& dims);

// The same axes in whatever order the primitive likes best; no array stays no array.
Description left_open(const Description& description);

// float32 with channels (the second axis) in blocks.
Description channel_blocked(const Dims& dims, dnnl::memory::dim block);

// oneDNN's way to write a layout, for example aBcd16b; "abcd" is plain.
std::string layout_name(const Description& description);

}  // namespace foveate

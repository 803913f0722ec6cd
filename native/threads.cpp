// Threads: how many, and that none of them slows down on denormal numbers.
#include "threads.h"

#include <omp.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "bindings.h"

namespace nb = nanobind;

namespace foveate {

namespace {

#if defined(__SSE2__)
constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
unsigned mode() { return _mm_getcsr(); }
void set_mode(unsigned mode) { _mm_setcsr(mode); }
#else
constexpr unsigned flush_to_zero = 0, denormals_are_zero = 0;
unsigned mode() { return 0; }
void set_mode(unsigned) {}
#endif

}  // namespace

FlushDenormals::FlushDenormals() : previous_(mode()) {
#pragma omp parallel
  set_mode(mode() | flush_to_zero | denormals_are_zero);
}

FlushDenormals::~FlushDenormals() { set_mode(previous_); }

void init_threads(nb::module_& module) {
  module.def("set_threads", [](int count) { omp_set_num_threads(count); }, nb::arg("count"));
  module.def("threads", [] { return omp_get_max_threads(); });
}

}  // namespace foveate

/* isa.h -- what a kernel source includes: the vector, and the prototypes of kernels.def for the
** ISA being compiled, so that a definition that drifts from the table does not compile. */
#ifndef ML_KERNELS_ISA_H
#define ML_KERNELS_ISA_H
#include "kernels/simd.h"
#include "kernels/kernels.h"
#if defined(ML_USE_F64)
#define KERNEL_F32(ret, name, args)
#endif
#define KERNEL(ret, name, args) ret K(name) args;
#include "kernels/kernels.def"
#undef KERNEL
#endif

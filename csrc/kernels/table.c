/* table.c -- this ISA's kernels in one table. Pointers to real become pointers to void: one type
** of table serves f32 and f64, and their representations are the same. */
#include "kernels/isa.h"

#if defined(ML_USE_F64)
#define KERNEL_F32(ret, name, args)
#endif
#define KERNEL(ret, name, args) .name = (void *)K(name),
const ml_kernels K(table) = {
#include "kernels/kernels.def"
};

/* table.c -- ops.def as descriptors. */
#include "ops/ops.h"

#define OP(name, nout, sig) {#name, sig, nout, ml_op_##name},
#define INPLACE(name)
const ml_op_desc ml_op_table[] = {
#include "ops/ops.def"
};
#undef OP
#undef INPLACE
const int ml_op_count = (int)(sizeof ml_op_table / sizeof *ml_op_table);

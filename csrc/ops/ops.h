/* ops.h -- differentiable operations: one file per op (or family), registered in ops.def.
** Each op checks, runs kernels, and records its backward. The typed functions are what other ops,
** nn and optim call; the descriptors are what bind/ turns into Lua methods and functions. */
#ifndef ML_OPS_H
#define ML_OPS_H

#include <limits.h>

#include "autograd/autograd.h"

#define ML_NO_DIM INT_MIN

typedef struct { int n; ml_tensor **t; } ml_tensor_list;
typedef union {
  ml_tensor *t;
  int64_t i;
  double n;
  bool b;
  const char *s;
  const ml_sizes *z;
  const ml_tensor_list *l;
} ml_arg;

/* A descriptor: bind/lops.c parses Lua arguments by sig and calls `call` with one ml_arg a token.
** sig: tokens separated by spaces, each [name:]type[=default]. Positional tokens first; a token
** with a name is read from the options table, the last argument. A positional with a default may
** be absent or nil. Types:
**   x  tensor                      X  tensor or nil (NULL)
**   s  tensor or number (a number becomes a 0-d tensor: of the first tensor's dtype, except that
**      a float with an integer tensor makes f32)
**   d  dimension, 1-based or negative -> 0-based, checked against the first tensor
**   D  the same, absent -> ML_NO_DIM          e  d that may also be one past the end (insertion)
**   p  position 1-based or negative along the last d given -> 0-based, checked
**   i  integer    n  number    b  boolean (default =0 or =1)
**   m  string (const char *)   y  dtype name -> its number in .i (default -1)
**   z  sizes: integers to the end of the positionals, or one array
**   l  array of tensors
** nout results are pushed in order. Each op in ops.def is a method of tensors and a function of
** the module when its first token is x or s, else only a function. */
typedef struct {
  const char *name, *sig;
  int nout;
  int (*call)(ml_tensor **out, const ml_arg *a);
} ml_op_desc;
extern const ml_op_desc ml_op_table[];
extern const int ml_op_count;

#define OP(name, nout, sig) int ml_op_##name(ml_tensor **out, const ml_arg *a);
#include "ops/ops.def"
#undef OP

/* ---- typed entry points used inside C (forward without recording happens by ml_grad_enabled) */
int ml_add(ml_tensor **out, ml_tensor *a, ml_tensor *b);
int ml_sub(ml_tensor **out, ml_tensor *a, ml_tensor *b);
int ml_mul(ml_tensor **out, ml_tensor *a, ml_tensor *b);
int ml_div(ml_tensor **out, ml_tensor *a, ml_tensor *b);
int ml_matmul(ml_tensor **out, ml_tensor *a, ml_tensor *b);
int ml_sum_to(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size); /* undo broadcasting */
/* cos and sin (positions, D/2) of pos * theta^(-2i/D), made in double, rounded to dtype */
void ml_rope_tables(int dtype, void *cos_table, void *sin_table, int64_t positions, int64_t D,
                    double theta);
/* x becomes the value of y (in place, gradient included); ML_ESTATE for a leaf that requires a
** gradient while recording, or for a view of something that does. who begins messages */
int ml_assign(const char *who, ml_tensor *x, ml_tensor *y);

#endif

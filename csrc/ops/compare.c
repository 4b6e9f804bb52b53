/* compare.c -- eq ne lt le gt ge and the logical ops: bool results, no gradient. */
#include "kernels/integer.h"
#include "ops/internal.h"

typedef void cmp_fn(uint8_t *y, const void *a, int64_t sa, const void *b, int64_t sb, int64_t n);
typedef struct { cmp_fn *f; int code; } job;

static void real_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  ((const job *)ctx)->f((uint8_t *)p[0], p[1], s[1], p[2], s[2], n);
}
static void int_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  ml_int_compare(((const job *)ctx)->code, (uint8_t *)p[0], (const int64_t *)p[1], s[1],
                 (const int64_t *)p[2], s[2], n);
}

static cmp_fn *kernel(int dtype, int code) {
  const ml_kernels *k = ml_k(dtype);
  cmp_fn *const f[] = {k->eq, k->ne, k->lt, k->le};
  return f[code];
}

static int widened(ml_tensor **out, ml_tensor *x) { return ml_to_dtype(out, x, ML_I64); }

static int compare(ml_tensor **out, const char *name, int code, ml_tensor *a0, ml_tensor *b0) {
  ml_tensor *a = NULL, *b = NULL, *x = NULL, *z = NULL, *y = NULL;
  bool was = ml_grad_enabled;
  int st;
  ml_grad_enabled = false; /* the casts of a comparison need no graph */
  TRY(ml_promote(name, &a, &b, a0, b0, true));
  bool real = ml_is_real(a->dtype);
  TRY(real ? ml_contiguous(&x, a) : widened(&x, a));
  TRY(real ? ml_contiguous(&z, b) : widened(&z, b));
  TRY(ml_empty_broadcast(&y, ML_BOOL, name, x, z));
  job j = {real ? kernel(x->dtype, code) : NULL, code};
  TRY(ml_iterate(3, (ml_tensor *[]){y, x, z}, real ? real_row : int_row, &j));
  *out = y, y = NULL;
done:
  ml_grad_enabled = was;
  ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(x), ml_tensor_free(z), ml_tensor_free(y);
  return st;
}

#define COMPARE(name, code, l, r)                                        \
  int ml_op_##name(ml_tensor **out, const ml_arg *a) {                   \
    return compare(out, #name, code, a[l].t, a[r].t);                    \
  }
COMPARE(eq, ML_INT_EQ, 0, 1)
COMPARE(ne, ML_INT_NE, 0, 1)
COMPARE(lt, ML_INT_LT, 0, 1)
COMPARE(le, ML_INT_LE, 0, 1)
COMPARE(gt, ML_INT_LT, 1, 0)
COMPARE(ge, ML_INT_LE, 1, 0)

/* x != 0, as 0 and 1 of i64 */
static int truth(ml_tensor **out, ml_tensor *x) {
  ml_tensor *zero = NULL, *b = NULL;
  int st;
  TRY(ml_tensor_scalar(&zero, ml_is_real(x->dtype) ? x->dtype : ML_F32, 0));
  TRY(compare(&b, "logical", ML_INT_NE, x, zero));
  TRY(ml_to_dtype(out, b, ML_I64));
done:
  ml_tensor_free(zero), ml_tensor_free(b);
  return st;
}

/* and = both sum to 2, or = at least 1 */
static int logical(ml_tensor **out, const char *name, const ml_arg *a, int64_t least) {
  ml_tensor *x = NULL, *y = NULL, *s = NULL, *want = NULL;
  ml_sizes z;
  int st;
  if (ml_broadcast(&z, a[0].t, a[1].t) != ML_OK)
    return ml_fail(ML_ESHAPE, "%s: sizes differ, %s and %s", name, ml_shape(a[0].t).s,
                   ml_shape(a[1].t).s);
  TRY(truth(&x, a[0].t));
  TRY(truth(&y, a[1].t));
  TRY(ml_add(&s, x, y));
  TRY(ml_tensor_scalar_i64(&want, ML_I64, least));
  TRY(compare(out, "logical", ML_INT_LE, want, s));
done:
  ml_tensor_free(x), ml_tensor_free(y), ml_tensor_free(s), ml_tensor_free(want);
  return st;
}
int ml_op_logical_and(ml_tensor **out, const ml_arg *a) {
  return logical(out, "logical_and", a, 2);
}
int ml_op_logical_or(ml_tensor **out, const ml_arg *a) {
  return logical(out, "logical_or", a, 1);
}

int ml_op_logical_not(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *zero = NULL;
  int st;
  TRY(truth(&x, a[0].t));
  TRY(ml_tensor_scalar_i64(&zero, ML_I64, 0));
  TRY(compare(out, "logical_not", ML_INT_EQ, x, zero));
done:
  ml_tensor_free(x), ml_tensor_free(zero);
  return st;
}

/* over all elements, or along a dimension: the extreme of the truth values */
static int quantify(ml_tensor **out, const ml_arg *a, bool every) {
  ml_tensor *x = NULL, *m[2] = {NULL, NULL};
  int st;
  TRY(truth(&x, a[0].t));
  if (a[1].i == ML_NO_DIM) {
    ml_arg args[] = {{.t = x}};
    TRY(every ? ml_op_amin(m, args) : ml_op_amax(m, args));
  } else {
    ml_arg args[] = {{.t = x}, a[1], a[2]};
    TRY(every ? ml_op_min_along(m, args) : ml_op_max_along(m, args));
  }
  TRY(ml_to_dtype(out, m[0], ML_BOOL));
done:
  ml_tensor_free(x), ml_tensor_free(m[0]), ml_tensor_free(m[1]);
  return st;
}
int ml_op_any(ml_tensor **out, const ml_arg *a) { return quantify(out, a, false); }
int ml_op_all(ml_tensor **out, const ml_arg *a) { return quantify(out, a, true); }

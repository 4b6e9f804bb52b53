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

static int compare(ml_tensor **out, const char *name, int code, ml_tensor *a0, ml_tensor *b0,
                   bool turned) {
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
  ml_tensor *ops[] = {y, turned ? z : x, turned ? x : z};
  TRY(ml_iterate(3, ops, real ? real_row : int_row, &j));
  *out = y, y = NULL;
done:
  ml_grad_enabled = was;
  ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(x), ml_tensor_free(z), ml_tensor_free(y);
  return st;
}

#define COMPARE(name, code, turned)                                      \
  int ml_op_##name(ml_tensor **out, const ml_arg *a) {                   \
    return compare(out, #name, code, a[0].t, a[1].t, turned);            \
  }
COMPARE(eq, ML_INT_EQ, false)
COMPARE(ne, ML_INT_NE, false)
COMPARE(lt, ML_INT_LT, false)
COMPARE(le, ML_INT_LE, false)
COMPARE(gt, ML_INT_LT, true) /* the other way round */
COMPARE(ge, ML_INT_LE, true)

/* x != 0, as 0 and 1 of i64 */
static int truth(ml_tensor **out, const char *name, ml_tensor *x) {
  ml_tensor *zero = NULL, *b = NULL;
  int st;
  TRY(ml_tensor_scalar(&zero, ml_is_real(x->dtype) ? x->dtype : ML_F32, 0));
  TRY(compare(&b, name, ML_INT_NE, x, zero, false));
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
  TRY(truth(&x, name, a[0].t));
  TRY(truth(&y, name, a[1].t));
  TRY(ml_add(&s, x, y));
  TRY(ml_tensor_scalar_i64(&want, ML_I64, least));
  TRY(compare(out, name, ML_INT_LE, want, s, false));
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
  TRY(truth(&x, "logical_not", a[0].t));
  TRY(ml_tensor_scalar_i64(&zero, ML_I64, 0));
  TRY(compare(out, "logical_not", ML_INT_EQ, x, zero, false));
done:
  ml_tensor_free(x), ml_tensor_free(zero);
  return st;
}

int ml_op_isnan(ml_tensor **out, const ml_arg *a) {
  return compare(out, "isnan", ML_INT_NE, a[0].t, a[0].t, false);
}

/* over all elements, or along a dimension: at least one is true, or as many as there are. So
** that any of nothing is false and all of nothing true, truths are counted. */
static int quantify(ml_tensor **out, const char *name, const ml_arg *a, bool every) {
  ml_tensor *x = NULL, *count = NULL, *least = NULL;
  int st, d = (int)a[1].i;
  TRY(truth(&x, name, a[0].t));
  TRY(ml_reduced(&count, x, d, a[2].b));
  int64_t n = d == ML_NO_DIM ? ml_numel(x) : x->size[d];
  TRY(ml_tensor_scalar_i64(&least, ML_I64, every ? n : 1));
  TRY(compare(out, name, ML_INT_LE, least, count, false));
done:
  ml_tensor_free(x), ml_tensor_free(count), ml_tensor_free(least);
  return st;
}
int ml_op_any(ml_tensor **out, const ml_arg *a) { return quantify(out, "any", a, false); }
int ml_op_all(ml_tensor **out, const ml_arg *a) { return quantify(out, "all", a, true); }

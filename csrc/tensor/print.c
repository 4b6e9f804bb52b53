/* print.c -- a tensor in words: one line of facts, then a corner. Works like snprintf. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

enum { WIDTH = 40 };

/* positions shown at either end of dimension d: a corner of the last two, a hint of the rest */
static int64_t edge(const ml_tensor *t, int d) { return d < t->ndim - 2 ? 1 : 4; }

typedef struct { char *p; size_t cap, n; } text;

__attribute__((format(printf, 2, 3))) static void put(text *o, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  size_t at = o->n < o->cap ? o->n : o->cap;
  int n = vsnprintf(o->cap > at ? o->p + at : NULL, o->cap - at, fmt, ap);
  va_end(ap);
  if (n > 0) o->n += (size_t)n;
}

/* ---- facts: every element is looked at, a block at a time ---- */
typedef struct {
  double min, max, sum;
  int64_t n, nan, inf;
} facts;

static void look(void *ctx, char *const *p, const int64_t *stride, int64_t n) {
  const ml_tensor *t = ((void **)ctx)[0];
  facts *f = ((void **)ctx)[1];
  double v[256];
  for (int64_t i = 0; i < n; i += 256) {
    int64_t m = n - i < 256 ? n - i : 256;
    const char *from = p[0] + i * stride[0] * ml_dtype_size(t->dtype);
    ml_cast(v, ML_F64, 1, from, t->dtype, stride[0], m);
    for (int64_t k = 0; k < m; k++) {
      if (isnan(v[k])) f->nan++;
      else if (isinf(v[k])) f->inf++;
      else {
        if (f->n == 0 || v[k] < f->min) f->min = v[k];
        if (f->n == 0 || v[k] > f->max) f->max = v[k];
        f->sum += v[k], f->n++;
      }
    }
  }
}

/* one thread, rows in order: the sum of a print is not worth a parallel reduction */
static void look_rows(void *ctx, const ml_tensor *t, int d, const char *p) {
  int64_t item = ml_dtype_size(t->dtype);
  if (d >= t->ndim - 1) {
    int64_t one = 1, *stride = t->ndim > 0 ? (int64_t *)&t->stride[d] : &one;
    look(ctx, (char *const[]){(char *)p}, stride, t->ndim > 0 ? t->size[d] : 1);
    return;
  }
  for (int64_t i = 0; i < t->size[d]; i++)
    look_rows(ctx, t, d + 1, p + i * t->stride[d] * item);
}

static facts find(const ml_tensor *t) {
  facts f = {0};
  void *ctx[2] = {(void *)t, &f};
  if (ml_numel(t) > 0) look_rows(ctx, t, 0, ml_data(t));
  return f;
}

static void header(text *o, const ml_tensor *t, const facts *f) {
  put(o, "Tensor %s %s", ml_shape(t).s, ml_dtype_name(t->dtype));
  if (t->requires_grad) put(o, t->node ? " grad" : " grad leaf");
  if (f->n > 0 && t->ndim > 0)
    put(o, "  min %.4g mean %.4g max %.4g", f->min, f->sum / (double)f->n, f->max);
  if (f->nan > 0) put(o, "  *** %lld NaN ***", (long long)f->nan);
  if (f->inf > 0) put(o, "  *** %lld Inf ***", (long long)f->inf);
}

/* ---- the corner ---- */
typedef struct { int width, digits; bool integer, exponent; } form;

static void number(char *s, const form *m, const ml_tensor *t, const char *p) {
  double v;
  int64_t i;
  ml_cast(&v, ML_F64, 1, p, t->dtype, 1, 1);
  ml_cast(&i, ML_I64, 1, p, t->dtype, 1, 1);
  if (t->dtype == ML_BOOL) snprintf(s, WIDTH, "%s", i ? "true" : "false");
  else if (!ml_is_float(t->dtype)) snprintf(s, WIDTH, "%lld", (long long)i);
  else if (isnan(v)) snprintf(s, WIDTH, "NaN");
  else if (isinf(v)) snprintf(s, WIDTH, v > 0 ? "Inf" : "-Inf");
  else if (m->exponent) snprintf(s, WIDTH, "%.3e", v);
  else snprintf(s, WIDTH, "%.*f", m->digits, v);
}

/* how many entries of dimension d are shown, the gap included, and which position the k-th
** one is; -1 stands for the gap */
static int64_t shown(const ml_tensor *t, int d) {
  int64_t most = 2 * edge(t, d);
  return t->size[d] > most ? most + 1 : t->size[d];
}
static int64_t place(const ml_tensor *t, int d, int64_t k) {
  int64_t e = edge(t, d);
  if (t->size[d] <= 2 * e || k < e) return k;
  return k == e ? -1 : t->size[d] - (2 * e + 1 - k);
}

/* widest number that will be shown, so that columns line up */
static void measure(form *m, const ml_tensor *t, int d, const char *p) {
  char s[WIDTH];
  if (d == t->ndim) {
    number(s, m, t, p);
    int n = (int)strlen(s);
    if (n > m->width) m->width = n;
    return;
  }
  for (int64_t k = 0, n = shown(t, d); k < n; k++) {
    int64_t i = place(t, d, k);
    if (i >= 0) measure(m, t, d + 1, p + i * t->stride[d] * ml_dtype_size(t->dtype));
  }
}

static void corner(text *o, const form *m, const ml_tensor *t, int d, const char *p) {
  char s[WIDTH];
  if (d == t->ndim) {
    number(s, m, t, p);
    put(o, "%*s", m->width, s);
    return;
  }
  bool row = d == t->ndim - 1;
  put(o, "{%s", row ? " " : "");
  for (int64_t k = 0, n = shown(t, d); k < n; k++) {
    int64_t i = place(t, d, k);
    if (k > 0) put(o, row ? ", " : ",\n%*s", row ? 0 : d + 2, "");
    if (i < 0) put(o, "...");
    else corner(o, m, t, d + 1, p + i * t->stride[d] * ml_dtype_size(t->dtype));
  }
  put(o, "%s}", row ? " " : "");
}

static form choose(const facts *f) {
  double big = fabs(f->min) > fabs(f->max) ? fabs(f->min) : fabs(f->max);
  form m = {.digits = 4};
  if (big >= 1e6 || (big > 0 && big < 1e-3)) m.exponent = true;
  else if (big >= 1e4) m.digits = 1;
  else if (big >= 100) m.digits = 2;
  return m;
}

size_t ml_tensor_print(char *buf, size_t cap, const ml_tensor *t) {
  text o = {buf, cap, 0};
  facts f = find(t);
  header(&o, t, &f);
  if (ml_numel(t) == 0) return o.n;
  form m = choose(&f);
  if (t->ndim == 0) {
    put(&o, "  ");
  } else {
    measure(&m, t, 0, ml_data(t));
    put(&o, "\n ");
  }
  corner(&o, &m, t, 0, ml_data(t));
  return o.n;
}

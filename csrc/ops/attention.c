/* attention.c -- causal attention as an op: q (B, H, T, D), k and v (B, KH, T, D). Documents are
** runs of equal numbers in doc (B, T); each is a segment of its own. */
#include "kernels/attention.h"
#include "kernels/integer.h"
#include "ops/internal.h"

#include <math.h>

typedef struct { ml_segment *seg; int64_t n; } segments;

/* rows are those of q seen as (B, H, T) of head 0, and k's alike */
static void add_segment(segments *s, int64_t b, int64_t t, int64_t len, const int64_t *q,
                        int64_t KH) {
  s->seg[s->n++] = (ml_segment){b * q[1] * q[2] + t, b * KH * q[2] + t, len, 0};
}

/* a document is a run of equal numbers */
static int documents(segments *s, ml_tensor *doc, const int64_t *q, int64_t KH) {
  int64_t B = q[0], T = q[2];
  ml_tensor *d = NULL, *start = NULL;
  int st;
  TRY(ml_to_dtype(&d, doc, ML_I64));
  TRY(ml_tensor_new(&start, ML_I64, 1, (int64_t[]){B * T}));
  const int64_t *first = ml_data(start);
  int64_t n = ml_int_runs(ml_data(start), ml_data(d), B, T);
  s->seg = ml_alloc((size_t)n * sizeof *s->seg);
  if (s->seg == NULL) st = ML_ENOMEM;
  for (int64_t i = 0; s->seg != NULL && i < n; i++) {
    int64_t end = i + 1 < n ? first[i + 1] : B * T;
    add_segment(s, first[i] / T, first[i] % T, end - first[i], q, KH);
  }
done:
  ml_tensor_free(d), ml_tensor_free(start);
  return st;
}

static int find_segments(segments *s, ml_tensor *doc, const int64_t *q, int64_t KH) {
  if (doc != NULL) return documents(s, doc, q, KH);
  s->seg = ml_alloc((size_t)q[0] * sizeof *s->seg);
  if (s->seg == NULL) return ML_ENOMEM;
  for (int64_t b = 0; b < q[0]; b++) add_segment(s, b, 0, q[2], q, KH);
  return ML_OK;
}

static ml_attention describe(const ml_tensor *q, const ml_tensor *k, int64_t window, double scale) {
  int64_t T = q->size[2], D = q->size[3];
  return (ml_attention){.heads = q->size[1], .kv_heads = k->size[1], .dim = D, .window = window,
                        .scale = scale, .ldq = D, .hsq = T * D, .ldk = D, .hsk = T * D, .ldv = D,
                        .hsv = T * D, .ldo = D, .hso = T * D};
}

static void release(ml_node *n) { ml_free(n->ctx); }

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *t[5]; /* q k v y lse */
  for (int i = 0; i < 5; i++) {
    int st = ml_node_saved(n, i, &t[i]);
    if (st != ML_OK) return st;
  }
  for (int i = 0; i < 3; i++) {
    int st = ml_tensor_like(&dx[i], t[i]);
    if (st != ML_OK) return st;
  }
  ml_attention a = describe(t[0], t[1], n->i[0], n->d[0]);
  a.q = ml_data(t[0]), a.k = ml_data(t[1]), a.v = ml_data(t[2]), a.o = ml_data(t[3]);
  a.lse = ml_data(t[4]), a.dout = ml_data(dy);
  a.dq = ml_data(dx[0]), a.dk = ml_data(dx[1]), a.dv = ml_data(dx[2]);
  return ml_attention_backward(dy->dtype, &a, n->ctx, n->i[1]);
}
static const ml_op attention_op = {"attention", backward, release};

static int check(const ml_tensor *q, const ml_tensor *k, const ml_tensor *v, const ml_tensor *doc) {
  bool fine = q->ndim == 4 && k->ndim == 4 && ml_same_shape(k, v) && q->dtype == k->dtype &&
              q->dtype == v->dtype && q->size[0] == k->size[0] && q->size[2] == k->size[2] &&
              q->size[3] == k->size[3] && q->size[3] > 0 && k->size[1] > 0 &&
              q->size[1] % k->size[1] == 0;
  if (!fine)
    return ml_fail(ML_ESHAPE, "attention: needs q (B, H, T, D), k and v (B, KH, T, D) of one dtype "
                   "with H a multiple of KH, got %s, %s, %s", ml_shape(q).s, ml_shape(k).s,
                   ml_shape(v).s);
  if (doc && !ml_is_integer(doc->dtype)) return ml_need_integer("attention: doc", doc);
  if (doc && (doc->ndim != 2 || doc->size[0] != q->size[0] || doc->size[1] != q->size[2]))
    return ml_fail(ML_ESHAPE, "attention: doc must be (B, T), got %s", ml_shape(doc).s);
  return ML_OK;
}

static int check_options(int64_t window, double scale) {
  if (window < 0)
    return ml_fail(ML_ERANGE, "attention: window must be 0 (none) or more, got %lld",
                   (long long)window);
  if (!(scale >= 0))
    return ml_fail(ML_ERANGE, "attention: scale must be positive, got %g", scale);
  return ML_OK;
}

/* the kernel's lse is indexed (row, head) with rows of q; here rows are (b, h, t) of head 0 */
static int forward(ml_tensor *y, ml_tensor *lse, ml_tensor *const *t, const segments *s,
                   int64_t window, double scale) {
  ml_attention a = describe(t[0], t[1], window, scale);
  a.q = ml_data(t[0]), a.k = ml_data(t[1]), a.v = ml_data(t[2]);
  a.o = ml_data(y), a.lse = ml_data(lse);
  return ml_attention_forward(y->dtype, &a, s->seg, s->n);
}

/* q:attention(k, v, { window = 0, scale = 1/sqrt(D), doc = nil }) */
int ml_op_attention(ml_tensor **out, const ml_arg *a) {
  ml_tensor *t[3] = {NULL, NULL, NULL}, *y = NULL, *lse = NULL;
  segments s = {NULL, 0};
  ml_node *n = NULL;
  int st;
  TRY(ml_need_real("attention", a[0].t));
  TRY(check(a[0].t, a[1].t, a[2].t, a[5].t));
  TRY(check_options(a[3].i, a[4].n));
  for (int i = 0; i < 3; i++) TRY(ml_dense(&t[i], a[i].t));
  const int64_t *q = t[0]->size;
  int64_t rows = q[0] * q[1] * q[2] * q[1]; /* one lse a (row, head): rows here are (b, h, t) */
  double scale = a[4].n > 0 ? a[4].n : 1 / sqrt((double)q[3]);
  TRY(find_segments(&s, a[5].t, q, t[1]->size[1]));
  TRY(ml_tensor_like(&y, t[0]));
  TRY(ml_tensor_new(&lse, y->dtype, 1, &rows));
  TRY(forward(y, lse, t, &s, a[3].i, scale));
  TRY(ml_record(&n, &attention_op, y, 3, t));
  if (n) {
    n->i[0] = a[3].i, n->i[1] = s.n, n->d[0] = scale;
    n->ctx = s.seg, s.seg = NULL;
    for (int i = 0; i < 3; i++) TRY(ml_keep(n, t[i]));
    TRY(ml_keep(n, y));
    ml_node_save(n, lse);
  }
  *out = y, y = NULL;
done:
  for (int i = 0; i < 3; i++) ml_tensor_free(t[i]);
  ml_tensor_free(y), ml_tensor_free(lse);
  ml_free(s.seg);
  return st;
}

/* attention16.c -- causal attention of one segment and one kv head with bf16 operands, forward and
** backward: the five products in one of gemm.h's two orders, all between them in float.
**
** A query's bits depend on its own q and on the keys and values it sees, nothing else: not on
** its tile, on other queries, on whether it is trained, prefilled or decoded. Keys, and in
** backward queries, are counted from the segment's first; chains of a product are the kind's, from
** +0, over k in steps of 32 from a multiple of 32; subnormals are flushed. With exp2 as below, c =
** scale * log2(e) and N = ML_DET_KEYS16 they are:
**   s_j = q . k_j, its chain over d
**   for each block of N keys with a visible key, ascending:
**     m' = max(m, c * every visible s_j);  a = exp2(m - m')
**     p_j = exp2(fma(s_j, c, -m')), hidden ones +0
**     t = the tree (32 to 16, 8, 4, 2, 1) over t_r = sum of p_j over j = r mod 32, j ascending
**     l = fma(l, a, t);  o_d = fma(o_d, a, the chain over j of bf16(p_j) v_jd)
**   from m = -1e30, l = o_d = +0;  output bf16(o_d * (1 / l) + 0);  lse = fma(m, ln 2, log l)
** Hidden keys add +0 to a chain, or are skipped by whole steps: only the sign of a zero could
** change, and the final + 0 removes it.
** Backward: p = exp2(fma(s, c, -lse * log2(e)));  ds = p * (do . v_j - delta), with delta =
** do . o (bf16 as they are) in 16 lanes of FMAs over d and the tree;
**   dq = scale * (sum over blocks of N keys, ascending, of the chain of bf16(ds) k) + 0
**   dk, dv = (scale *) (sum over the group's query heads, ascending, and their blocks of N
**            queries, ascending, of the chains of bf16(ds) q and of bf16(p) do) + 0 */
#include "kernels/isa.h"
#if !defined(ML_USE_F64)
#include "kernels/attention.h"
#include "kernels/math.h"
#include "kernels/mul16.h"

enum {
  TQ = STEP,           /* queries a tile, keys a strip */
  KB = ML_DET_KEYS16,  /* keys a block, queries a block in backward */
  LDS = KB + 16,       /* scores of a row: rows lie in different sets of the cache */
  LDP = KB + 32        /* the same rounded */
};
#define START -1e30f  /* m before the first key */
#define HIDDEN -3e38f /* less than any score */
#define LOG2E 0x1.715476p+0f
#define LN2 0x1.62e430p-1f

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* One task. Keys and queries are counted from the segment's first. */
typedef struct {
  const ml_attention *a;
  const ml_segment *s;
  way w;
  const uint16_t *k, *v;      /* row 0 of this kv head */
  int64_t D, W, group, head0; /* W: D in whole steps; head0: the group's first query head */
  float scale, c;
} job;

static job job_of(int kind, bool native, const ml_attention *a, const ml_segment *s,
                  int64_t kv_head) {
  int64_t group = a->heads / a->kv_heads;
  return (job){a, s, way_of(kind, native, a->panels > 0),
               (const uint16_t *)a->k + s->k_row * a->ldk + kv_head * a->hsk,
               (const uint16_t *)a->v + s->k_row * a->ldv + kv_head * a->hsv, a->dim,
               round_up(a->dim, STEP), group, kv_head * group, (float)a->scale,
               (float)(a->scale * 1.4426950408889634)};
}

/* query i sees keys [first_key, end_key) */
static int64_t first_key(const job *t, int64_t i) {
  return t->a->window > 0 ? most(0, t->s->past + i - t->a->window + 1) : 0;
}
static int64_t end_key(const job *t, int64_t i) { return t->s->past + i + 1; }

static int64_t q_at(const job *t, int64_t head, int64_t i) {
  return (t->s->q_row + i) * t->a->ldq + (t->head0 + head) * t->a->hsq;
}
static int64_t o_at(const job *t, int64_t head, int64_t i) {
  return (t->s->q_row + i) * t->a->ldo + (t->head0 + head) * t->a->hso;
}
static int64_t lse_at(const job *t, int64_t head, int64_t i) {
  return (t->s->q_row + i) * t->a->heads + t->head0 + head;
}

/* pieces of scratch, each on its own cache line */
static void *take(char **room, int64_t bytes) {
  void *p = *room;
  *room += round_up(bytes, 64);
  return p;
}

/* 2^x for x <= 1, x < -127 as -127: relative error 1.1e-7; +0 where the result is below 2^-126 */
SIMD vf v_exp2(vf x) {
  vf t = v_max(v_set(-127), x); /* this order lets NaN through */
  /* 1.5 * 2^23 rounds to an integer; 127 more makes its low bits a float's exponent */
  vf w = v_add(t, v_set(0x1.8p23f + 127));
  vf r = v_sub(t, v_sub(w, v_set(0x1.8p23f + 127)));
  vf p = v_poly(r, 1.0f, 6.931470037e-1f, 2.402224243e-1f, 5.550733581e-2f, 9.671512991e-3f,
                1.326472731e-3f);
  return v_mul(p, v_frombits(vi_shl(v_bits(w), 23)));
}

/* lanes `first`, first + 1, ... that are in [from, to) keep x, the others become y */
SIMD vf only(vf x, int64_t first, int64_t from, int64_t to, float y) {
  static const float count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vf lane_no = v_load(count);
  vf low = v_set((float)most(least(from - first, 16), 0));
  vf high = v_set((float)most(least(to - first, 16), 0));
  x = v_select(v_le(low, lane_no), x, v_set(y));
  return v_select(v_lt(lane_no, high), x, v_set(y));
}

/* ---------------------------------------------------------------- forward */

/* up to TQ (query, head) pairs, queries ascending */
typedef struct {
  int64_t n, q[TQ], o[TQ], lse[TQ], first[TQ], end[TQ];
} rows;

/* fewer queries than a tile: the group's heads share one */
static bool is_few(const ml_segment *s) { return s->len < TQ; }
static int64_t tiles_of(const job *t) {
  if (is_few(t->s)) return (t->group * t->s->len + TQ - 1) / TQ;
  return t->group * ((t->s->len + TQ - 1) / TQ);
}

static rows rows_of(const job *t, int64_t tile) {
  rows r;
  int64_t a_head = (t->s->len + TQ - 1) / TQ, row0 = tile * TQ, head0 = tile / a_head;
  bool few = is_few(t->s);
  r.n = few ? least(t->group * t->s->len - row0, TQ)
            : least(t->s->len - tile % a_head * TQ, TQ);
  for (int64_t i = 0; i < r.n; i++) {
    int64_t query = few ? (row0 + i) / t->group : tile % a_head * TQ + i;
    int64_t head = few ? (row0 + i) % t->group : head0;
    r.q[i] = q_at(t, head, query), r.o[i] = o_at(t, head, query), r.lse[i] = lse_at(t, head, query);
    r.first[i] = first_key(t, query), r.end[i] = end_key(t, query);
  }
  return r;
}

typedef struct {
  int64_t base;          /* first key packed; one tile packs block by block as it goes */
  bool one;
  uint16_t *k, *v;       /* B's panels: k of 32 keys each, v of a block each; may be a cache's */
  uint16_t *q, *p;       /* rows of W; of LDP */
  float *s, *o, *sums;   /* rows of LDS; of W */
  float *top;            /* 16 lanes a row */
  float *m, *l, *alpha, *max, *sum; /* one a row */
  char *q_room, *p_room;
} forward;

/* keys of the block that starts here: a cache's last one may be short */
static int64_t block_room(const job *t, int64_t block) {
  return t->a->panels > 0 ? least(KB, t->a->panels - block) : KB;
}

/* room for panels of so many keys; those of a cache are read where they are */
static forward forward_of(const job *t, int64_t keys, char *room) {
  forward f = {0};
  int64_t each = TQ * sizeof(float);
  if (t->a->panels > 0) {
    f.k = (uint16_t *)(uintptr_t)t->k, f.v = (uint16_t *)(uintptr_t)t->v;
  } else {
    f.k = take(&room, keys * t->W * 2), f.v = take(&room, keys * t->W * 2);
  }
  f.q = take(&room, TQ * t->W * 2), f.p = take(&room, TQ * LDP * 2);
  f.s = take(&room, TQ * LDS * 4);
  f.o = take(&room, TQ * t->W * 4), f.sums = take(&room, TQ * t->W * 4);
  f.top = take(&room, TQ * 16 * 4);
  f.m = take(&room, each), f.l = take(&room, each), f.alpha = take(&room, each);
  f.max = take(&room, each), f.sum = take(&room, each);
  f.q_room = take(&room, left_room(&t->w, TQ, t->W));
  f.p_room = take(&room, left_room(&t->w, TQ, KB));
  return f;
}

static int64_t forward_room(const job *t, int64_t keys) {
  int64_t a_row = 4 * t->W + 2 * t->W + 4 * t->W + LDP * 2 + LDS * 4 + 16 * 4 + 5 * 4;
  return 4 * keys * t->W + TQ * a_row + left_room(&t->w, TQ, t->W) + left_room(&t->w, TQ, KB) +
         16 * 64;
}

/* keys [j0, j1) of a block; j0 is a multiple of STEP */
static void pack_keys(const job *t, const forward *f, int64_t block, int64_t j0, int64_t j1) {
  int64_t slot = f->one ? 0 : block - f->base, W = t->W;
  const uint16_t *k = t->k + (block + j0) * t->a->ldk, *v = t->v + (block + j0) * t->a->ldv;
  K(gemm16_pack_b)(f->k + (slot + j0) * W, W * STEP, k, false, 1, t->a->ldk, t->D, j1 - j0);
  K(gemm16_pack_b)(f->v + slot * W + j0 * STEP, KB * STEP, v, false, t->a->ldv, 1, j1 - j0, t->D);
}

/* one row: the largest of its scores [from, to), in 16 lanes */
static void row_top(const float *s, int64_t from, int64_t to, float *top) {
  vf x = v_set(HIDDEN), y = x;
  for (int64_t g = from / STEP * STEP; g < to; g += STEP) {
    vf a = v_load(s + g), b = v_load(s + g + 16);
    if (g < from || g + STEP > to)
      a = only(a, g, from, to, HIDDEN), b = only(b, g + 16, from, to, HIDDEN);
    x = v_max(x, a), y = v_max(y, b);
  }
  v_store(top, v_max(x, y));
}

/* one row's p, in bf16; outside of [from, to) as far as [j0, j1) zeros. Their sum in 16 lanes */
SIMD void row_exp(const bool native, uint16_t *p, const float *s, int64_t from, int64_t to,
                  int64_t j0, int64_t j1, vf c, vf m, float *sum) {
  int64_t g = from < to ? from / STEP * STEP : j1;
  vf x = v_zero(), y = v_zero();
  for (int64_t h = j0; h < g; h += STEP) put_halves(native, p + h, x, y);
  for (; g < to; g += STEP) {
    vf a = v_exp2(v_fma(v_load(s + g), c, m)), b = v_exp2(v_fma(v_load(s + g + 16), c, m));
    if (g < from || g + STEP > to)
      a = only(a, g, from, to, 0), b = only(b, g + 16, from, to, 0);
    x = v_add(x, a), y = v_add(y, b);
    put_halves(native, p + g, a, b);
  }
  for (; g < j1; g += STEP) put_halves(native, p + g, v_zero(), v_zero());
  v_store(sum, v_add(x, y));
}

/* 16 lanes of each of TQ rows -> one number a row */
SIMD void row_trees(const bool sum, float *to, const float *from) {
  for (int g = 0; g < TQ; g += 16) {
    float turned[16 * 16];
    vf x[16];
    pack_along_k(turned, 16, from + g * 16, 16, 16, 16);
    UNROLL for (int i = 0; i < 16; i++) x[i] = v_load(turned + 16 * i);
    UNROLL for (int h = 8; h; h /= 2)
      UNROLL for (int i = 0; i < h; i++)
        x[i] = sum ? v_add(x[i], x[i + h]) : v_max(x[i], x[i + h]);
    v_store(to + g, x[0]);
  }
}
static void row_max(float *to, const float *from) { row_trees(false, to, from); }
static void row_sum(float *to, const float *from) { row_trees(true, to, from); }

SIMD void block_exp(const bool native, const job *t, forward *f, const rows *r, int64_t block,
                    int64_t j0, int64_t j1) {
  vf c = v_set(t->c);
  for (int64_t i = 0; i < r->n; i++)
    row_exp(native, f->p + i * LDP, f->s + i * LDS, most(r->first[i] - block, 0),
            least(r->end[i] - block, j1), j0, j1, c, v_set(-f->m[i]), f->top + i * 16);
}
#if defined(ML_USE_AVX512)
static void block_exp_native(const job *t, forward *f, const rows *r, int64_t block, int64_t j0,
                             int64_t j1) {
  block_exp(true, t, f, r, block, j0, j1);
}
#endif
static void block_exp_plain(const job *t, forward *f, const rows *r, int64_t block, int64_t j0,
                            int64_t j1) {
  block_exp(false, t, f, r, block, j0, j1);
}

/* scores -> p, and the running maximum and sum */
static void softmax(const job *t, forward *f, const rows *r, int64_t block, int64_t j0,
                    int64_t j1) {
  for (int64_t i = 0; i < r->n; i++)
    row_top(f->s + i * LDS, most(r->first[i] - block, 0), least(r->end[i] - block, j1),
            f->top + i * 16);
  row_max(f->max, f->top);
  for (int i = 0; i < TQ; i += 16) {
    vf was = v_load(f->m + i), m = v_max(was, v_mul(v_load(f->max + i), v_set(t->c)));
    v_store(f->m + i, m);
    v_store(f->alpha + i, v_exp2(v_sub(was, m)));
  }
#if defined(ML_USE_AVX512)
  if (t->w.native) block_exp_native(t, f, r, block, j0, j1);
  else
#endif
    block_exp_plain(t, f, r, block, j0, j1);
  row_sum(f->sum, f->top);
  for (int i = 0; i < TQ; i += 16)
    v_store(f->l + i, v_fma(v_load(f->l + i), v_load(f->alpha + i), v_load(f->sum + i)));
}

static void load_queries(const job *t, forward *f, const rows *r) {
  for (int64_t i = 0; i < r->n; i++) {
    memcpy(f->q + i * t->W, (const uint16_t *)t->a->q + r->q[i], (size_t)t->D * 2);
    memset(f->q + i * t->W + t->D, 0, (size_t)(t->W - t->D) * 2);
  }
  for (int i = 0; i < TQ; i++) f->m[i] = START, f->l[i] = 0;
}

static void store_outputs(const job *t, forward *f, const rows *r) {
  for (int i = 0; i < TQ; i += 16) {
    vf l = v_load(f->l + i);
    v_store(f->alpha + i, v_div(v_set(1), l));
    v_store(f->max + i, v_fma(v_load(f->m + i), v_set(LN2), v_log(l)));
  }
  for (int64_t i = 0; i < r->n; i++) {
    uint16_t *o = (uint16_t *)t->a->o + r->o[i];
    vf by = v_set(f->alpha[i]);
    for (int64_t d = 0; d < t->D; d += 16)
      v_storehn(o + d, v_add(v_mul(v_load(f->o + i * t->W + d), by), v_zero()), t->D - d);
    if (t->a->lse) ((float *)t->a->lse)[r->lse[i]] = f->max[i];
  }
}

/* o = o * alpha + sums */
static void add_values(const job *t, forward *f, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t at = i * t->W; at < (i + 1) * t->W; at += 16)
      v_store(f->o + at, v_fma(v_load(f->o + at), v_set(f->alpha[i]), v_load(f->sums + at)));
}

static void forward_tile(const job *t, forward *f, const rows *r) {
  int64_t lo = r->first[0], end = r->end[r->n - 1], W = t->W;
  load_queries(t, f, r);
  left q = left_rows(&t->w, f->q_room, f->q, W, r->n, W);
  for (int64_t block = lo / KB * KB; block < end; block += KB) {
    int64_t j0 = most(lo - block, 0) / STEP * STEP, j1 = least(end - block, KB);
    int64_t whole = round_up(j1, STEP), slot = f->one ? 0 : block - f->base;
    if (f->one) pack_keys(t, f, block, j0, j1);
    mul(&t->w, f->s + j0, LDS, &q, f->k + (slot + j0) * W, W * STEP, r->n, whole - j0, W);
    softmax(t, f, r, block, j0, whole);
    left p = left_rows(&t->w, f->p_room, f->p + j0, LDP, r->n, whole - j0);
    mul(&t->w, block > lo ? f->sums : f->o, W, &p, f->v + slot * W + j0 * STEP,
        block_room(t, block) * STEP, r->n, W, whole - j0);
    if (block > lo) add_values(t, f, r->n);
  }
  store_outputs(t, f, r);
}

/* keys that tiles [i0, i1) see: [*lo, end), *lo at a block */
static int64_t keys_seen(const job *t, int64_t i0, int64_t i1, int64_t *lo) {
  int64_t end = 0;
  *lo = t->s->past + t->s->len;
  for (int64_t i = i0; i < i1; i++) {
    rows r = rows_of(t, i);
    *lo = least(*lo, r.first[0] / KB * KB);
    end = most(end, r.end[r.n - 1]);
  }
  return end;
}

void K(attention16)(int kind, bool native, const struct ml_attention *a,
                    const struct ml_segment *s, int64_t kv_head, int64_t part, int64_t parts,
                    void *tmp) {
  job t = job_of(kind, native, a, s, kv_head);
  int64_t n = tiles_of(&t), i0 = n * part / parts, i1 = n * (part + 1) / parts, lo;
  if (i0 >= i1) return;
  int64_t end = keys_seen(&t, i0, i1, &lo), keys = round_up(end - lo, KB);
  bool cached = a->panels > 0, one = !cached && i1 - i0 == 1;
  forward f = forward_of(&t, one ? KB : keys, tmp);
  f.base = cached ? 0 : lo, f.one = one;
  for (int64_t block = lo; !cached && !one && block < end; block += KB)
    pack_keys(&t, &f, block, 0, least(end - block, KB));
  mul_begin(&t.w);
  for (int64_t i = i0; i < i1; i++) {
    rows r = rows_of(&t, i);
    forward_tile(&t, &f, &r);
  }
  mul_end(&t.w);
}

/* ---------------------------------------------------------------- a cache's keys and values */

/* element (key, d) of panels of keys; of panels of values, `width` keys in this block of them */
static int64_t key_at(int64_t W, int64_t key, int64_t d) {
  return key / STEP * STEP * W + d / 2 * (2 * STEP) + key % STEP * 2 + d % 2;
}
static int64_t value_at(int64_t W, int64_t width, int64_t key, int64_t d) {
  return key / KB * KB * W + d / STEP * STEP * width + key % KB / 2 * (2 * STEP) + d % STEP * 2 +
         key % 2;
}

static void put_key(const job *t, int64_t key, const uint16_t *x, const uint16_t *y) {
  uint16_t *k = (uint16_t *)(uintptr_t)t->k, *v = (uint16_t *)(uintptr_t)t->v;
  int64_t width = block_room(t, key / KB * KB);
  for (int64_t d = 0; d < t->W; d++) {
    k[key_at(t->W, key, d)] = d < t->D ? x[d] : 0;
    v[value_at(t->W, width, key, d)] = d < t->D ? y[d] : 0;
  }
}

/* Values of the strip's keys from `end` on become zeros: products meet them, times 0, and what lies
** there could be NaN. */
static void clear_values(const job *t, int64_t end) {
  uint16_t *v = (uint16_t *)(uintptr_t)t->v;
  int64_t width = block_room(t, end / KB * KB), even = round_up(end, 2);
  size_t pairs = (size_t)(round_up(end, STEP) - even) / 2;
  for (int64_t d = 0; end < even && d < t->W; d++) v[value_at(t->W, width, end, d)] = 0;
  for (int64_t d = 0; pairs > 0 && d < t->W; d += STEP)
    memset(v + value_at(t->W, width, even, d), 0, pairs * 2 * STEP * sizeof *v);
}

/* rows [q_row, q_row + len) of `from` become the keys and values behind the first `past` */
void K(attention16_store)(const struct ml_attention *to, const struct ml_attention *from,
                          const struct ml_segment *s, int64_t kv_head) {
  job t = job_of(ML_GEMM_PAIRS, false, to, s, kv_head);
  int64_t end = s->past + s->len;
  for (int64_t key = s->past; key < end; key++) {
    int64_t row = s->q_row + key - s->past;
    put_key(&t, key, (const uint16_t *)from->k + row * from->ldk + kv_head * from->hsk,
            (const uint16_t *)from->v + row * from->ldv + kv_head * from->hsv);
  }
  clear_values(&t, end);
}

/* ---------------------------------------------------------------- backward */

/* For each query head and block of queries: every block of keys it sees, in strips of STEP keys,
** scores transposed: [key][query]. Rounded once as they lie p and ds are A of dv and dk; pairs
** of keys as words are B of dq, which is made transposed too, [d][query]. */
typedef struct {
  char *k, *v, *kt;            /* A's panels: k and v of a strip each; k turned, of a block each */
  float *dk, *dv;              /* rows of W */
  uint16_t *qt, *gt;           /* B's panels of q and dout, of TQ queries each; */
  uint16_t *q, *g;             /* of pairs of queries */
  float *lse, *delta;          /* one a query; lse for base 2, huge where there is no query */
  uint16_t *p, *ds;            /* a strip's, rows of LDP */
  float *pairs;                /* ds again: [KB/2][TQ] words for each TQ queries */
  float *s, *dp;               /* [STEP][TQ] */
  float *dq;                   /* [W][TQ] for each TQ queries */
  float *sums;
  char *room;
  int64_t strip, turned;       /* bytes of k's panels, of kt's */
} backward;

static backward backward_of(const job *t, char *room) {
  int64_t keys = round_up(t->s->past + t->s->len, KB), W = t->W;
  backward b = {0};
  b.strip = left_room(&t->w, STEP, W), b.turned = left_room(&t->w, W, KB);
  b.k = take(&room, keys / STEP * b.strip), b.v = take(&room, keys / STEP * b.strip);
  b.kt = take(&room, keys / KB * b.turned);
  b.dk = take(&room, keys * W * 4), b.dv = take(&room, keys * W * 4);
  b.qt = take(&room, KB * W * 2), b.gt = take(&room, KB * W * 2);
  b.q = take(&room, KB * W * 2), b.g = take(&room, KB * W * 2);
  b.lse = take(&room, KB * 4), b.delta = take(&room, KB * 4);
  b.p = take(&room, STEP * LDP * 2), b.ds = take(&room, STEP * LDP * 2);
  b.pairs = take(&room, KB / 2 * KB * 4);
  b.s = take(&room, STEP * TQ * 4), b.dp = take(&room, STEP * TQ * 4);
  b.dq = take(&room, KB * W * 4), b.sums = take(&room, TQ * W * 4);
  b.room = take(&room, left_room(&t->w, STEP, KB));
  return b;
}

static int64_t backward_room(const job *t) {
  int64_t keys = round_up(t->s->past + t->s->len, KB), W = t->W;
  return keys / STEP * 2 * left_room(&t->w, STEP, W) + keys / KB * left_room(&t->w, W, KB) +
         keys * W * 8 + KB * W * 12 + KB * 8 + STEP * LDP * 4 + KB * KB * 2 + STEP * TQ * 8 +
         TQ * W * 4 + left_room(&t->w, STEP, KB) + 24 * 64;
}

static void load_keys(const job *t, backward *b) {
  const ml_attention *a = t->a;
  int64_t keys = t->s->past + t->s->len;
  for (int64_t j = 0; j < keys; j += STEP) {
    int64_t n = least(keys - j, STEP), at = j / STEP * b->strip;
    if (n < STEP) { /* whole panels that are not there are read too */
      memset(b->k + at, 0, (size_t)b->strip);
      memset(b->v + at, 0, (size_t)b->strip);
    }
    left_packed(&t->w, b->k + at, t->k + j * a->ldk, a->ldk, 1, n, t->D, t->W);
    left_packed(&t->w, b->v + at, t->v + j * a->ldv, a->ldv, 1, n, t->D, t->W);
  }
  for (int64_t j = 0; j < keys; j += KB)
    left_packed(&t->w, b->kt + j / KB * b->turned, t->k + j * a->ldk, 1, a->ldk, t->D,
                least(keys - j, KB), KB);
}

/* do . o */
static float dot(const uint16_t *x, const uint16_t *y, int64_t n) {
  vf sum = v_zero();
  for (int64_t d = 0; d < n; d += 16)
    sum = v_fma(v_loadhn(x + d, n - d), v_loadhn(y + d, n - d), sum);
  return v_sum(sum);
}

/* queries [q0, q0 + n) of a head, at most KB */
static void load_block(const job *t, backward *b, int64_t head, int64_t q0, int64_t n) {
  const ml_attention *a = t->a;
  const uint16_t *q = (const uint16_t *)a->q + q_at(t, head, q0);
  const uint16_t *g = (const uint16_t *)a->dout + o_at(t, head, q0);
  const uint16_t *o = (const uint16_t *)a->o + o_at(t, head, q0);
  int64_t W = t->W;
  K(gemm16_pack_b)(b->qt, W * TQ, q, false, 1, a->ldq, t->D, n);
  K(gemm16_pack_b)(b->gt, W * TQ, g, false, 1, a->ldo, t->D, n);
  K(gemm16_pack_b)(b->q, KB * STEP, q, false, a->ldq, 1, n, t->D);
  K(gemm16_pack_b)(b->g, KB * STEP, g, false, a->ldo, 1, n, t->D);
  for (int64_t i = 0; i < n; i++) {
    b->lse[i] = ((const float *)a->lse)[lse_at(t, head, q0 + i)] * LOG2E;
    b->delta[i] = dot(g + i * a->ldo, o + i * a->ldo, t->D);
  }
  for (int64_t i = n; i < round_up(n, TQ); i++) b->lse[i] = 1e30f, b->delta[i] = 0;
}

/* one strip's view of TQ queries: lanes [from, to) of its first key, one further for each next */
typedef struct {
  uint16_t *p, *ds;
  float *pairs;
  const float *s, *dp, *lse, *delta;
  float c;
  int64_t from, to;
} square;

SIMD void square_grad(const bool native, const bool edge, const square *x) {
  vf c = v_set(x->c), lse[2], delta[2];
  UNROLL for (int h = 0; h < 2; h++) {
    lse[h] = v_neg(v_load(x->lse + 16 * h));
    delta[h] = v_load(x->delta + 16 * h);
  }
  for (int r = 0; r < STEP; r += 2) {
    vf p[2][2], ds[2][2];
    UNROLL for (int i = 0; i < 2; i++)
      UNROLL for (int h = 0; h < 2; h++) {
        int at = (r + i) * TQ + 16 * h;
        vf e = v_exp2(v_fma(v_load(x->s + at), c, lse[h]));
        if (edge) e = only(e, 16 * h, x->from + r + i, x->to + r + i, 0);
        p[i][h] = e;
        ds[i][h] = v_mul(e, v_sub(v_load(x->dp + at), delta[h]));
      }
    UNROLL for (int i = 0; i < 2; i++) {
      put_halves(native, x->p + (r + i) * LDP, p[i][0], p[i][1]);
      put_halves(native, x->ds + (r + i) * LDP, ds[i][0], ds[i][1]);
    }
    UNROLL for (int h = 0; h < 2; h++)
      v_store(x->pairs + r / 2 * TQ + 16 * h, pair_words(native, ds[0][h], ds[1][h]));
  }
}

static void square_run(const way *w, const square *x) {
  bool edge = x->from + STEP > 1 || x->to < TQ;
#if defined(ML_USE_AVX512)
  if (w->native) {
    if (edge) square_grad(true, true, x);
    else square_grad(true, false, x);
    return;
  }
#endif
  (void)w;
  square_grad(false, edge, x);
}

/* to (+)= n floats */
static void add_up(float *to, const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) v_store(to + i, v_add(v_load(to + i), v_load(x + i)));
}

/* rows of dk or dv: A (STEP keys, k queries) B (k, W), added up over blocks of queries */
static void strip_product(const job *t, backward *b, float *to, bool first, const uint16_t *a,
                          const uint16_t *panels, int64_t k) {
  left l = left_rows(&t->w, b->room, a, LDP, STEP, k);
  mul(&t->w, first ? to : b->sums, t->W, &l, panels, KB * STEP, STEP, t->W, k);
  if (!first) add_up(to, b->sums, STEP * t->W);
}

/* queries [i0, i1) of a block, whole tiles, that see keys from j on, up to j1 */
static void queries_seeing(const job *t, int64_t j, int64_t j1, int64_t q0, int64_t n, int64_t *i0,
                           int64_t *i1) {
  int64_t past = t->s->past, to = n;
  if (t->a->window > 0) to = least(to, j1 - 1 - past + t->a->window - q0);
  *i0 = most(j - past - q0, 0) / TQ * TQ;
  *i1 = most(round_up(to, TQ), *i0);
}

/* keys [j, j + STEP) and the queries from q0 on that see them */
static void grad_strip(const job *t, backward *b, int64_t head, int64_t q0, int64_t n, int64_t j) {
  int64_t W = t->W, past = t->s->past, i0, i1;
  queries_seeing(t, j, j + STEP, q0, n, &i0, &i1);
  if (i0 >= i1) return;
  left k = left_panels(&t->w, b->k + j / STEP * b->strip, W);
  left v = left_panels(&t->w, b->v + j / STEP * b->strip, W);
  for (int64_t i = i0; i < i1; i += TQ) {
    mul(&t->w, b->s, TQ, &k, b->qt + i * W, W * TQ, STEP, TQ, W);
    mul(&t->w, b->dp, TQ, &v, b->gt + i * W, W * TQ, STEP, TQ, W);
    int64_t from = j - past - q0 - i, to = t->a->window > 0 ? from + t->a->window : INT32_MAX;
    square x = {b->p + i, b->ds + i, b->pairs + i * (KB / 2) + j % KB / 2 * TQ, b->s, b->dp,
                b->lse + i, b->delta + i, t->c, from, to};
    square_run(&t->w, &x);
  }
  bool first = head == 0 && q0 == most(j - past, 0) / KB * KB;
  strip_product(t, b, b->dv + j * W, first, b->p + i0, b->g + i0 * STEP, i1 - i0);
  strip_product(t, b, b->dk + j * W, first, b->ds + i0, b->q + i0 * STEP, i1 - i0);
}

/* dq of a block of queries from the block of keys [c0, c1) */
static void add_dq(const job *t, backward *b, int64_t q0, int64_t n, int64_t c0, int64_t c1) {
  int64_t W = t->W;
  for (int64_t i = 0; i < n; i += TQ) {
    int64_t lo = first_key(t, q0 + i), end = end_key(t, least(q0 + n, q0 + i + TQ) - 1);
    int64_t j0 = most(lo - c0, 0) / STEP * STEP, j1 = round_up(least(end, c1) - c0, STEP);
    float *dq = b->dq + i * W;
    if (j0 >= j1) continue;
    left k = left_panels(&t->w, b->kt + c0 / KB * b->turned, KB);
    k.p += j0 / STEP * k.step;
    mul(&t->w, c0 <= lo ? dq : b->sums, TQ, &k,
        (const uint16_t *)(b->pairs + i * (KB / 2) + j0 / 2 * TQ), KB * TQ, t->D, TQ, j1 - j0);
    if (c0 > lo) add_up(dq, b->sums, t->D * TQ);
  }
}

/* [d][TQ queries] -> rows, by words: pairs of d turned */
SIMD void store_dq(const bool native, const job *t, backward *b, int64_t head, int64_t q0,
                   int64_t n) {
  vf scale = v_set(t->scale);
  int64_t words = t->W / 2;
  float *turned = b->sums, *back = b->sums + words * TQ;
  for (int64_t i = 0; i < n; i += TQ) {
    for (int64_t d = 0; d < t->W; d += 2)
      for (int h = 0; h < TQ; h += 16) {
        const float *x = b->dq + i * t->W + d * TQ + h;
        vf low = v_add(v_mul(v_load(x), scale), v_zero());
        vf high = v_add(v_mul(v_load(x + TQ), scale), v_zero());
        v_store(turned + d / 2 * TQ + h, pair_words(native, low, high));
      }
    int64_t some = least(n - i, TQ);
    unpack_along_k(back, words, turned, TQ, some, words);
    for (int64_t r = 0; r < some; r++)
      memcpy((uint16_t *)t->a->dq + q_at(t, head, q0 + i + r), back + r * words, (size_t)t->D * 2);
  }
}

static void grad_block(const job *t, backward *b, int64_t head, int64_t q0, int64_t n) {
  int64_t lo = first_key(t, q0), end = end_key(t, q0 + n - 1);
  load_block(t, b, head, q0, n);
  for (int64_t c0 = lo / KB * KB; c0 < end; c0 += KB) {
    int64_t c1 = least(c0 + KB, end);
    for (int64_t j = c0 + most(lo - c0, 0) / STEP * STEP; j < c1; j += STEP)
      grad_strip(t, b, head, q0, n, j);
    add_dq(t, b, q0, n, c0, c1);
  }
#if defined(ML_USE_AVX512)
  if (t->w.native) store_dq(true, t, b, head, q0, n);
  else
#endif
    store_dq(false, t, b, head, q0, n);
}

/* rows [0, n) of dk or dv: x * scale + 0 */
static void store_rows(uint16_t *to, int64_t ld, const float *x, int64_t W, int64_t n, int64_t D,
                       float scale) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t d = 0; d < D; d += 16) {
      vf y = v_mul(v_load(x + i * W + d), v_set(scale));
      v_storehn(to + i * ld + d, v_add(y, v_zero()), D - d);
    }
}

void K(attention16_grad)(int kind, bool native, const struct ml_attention *a,
                         const struct ml_segment *s, int64_t kv_head, void *tmp) {
  job t = job_of(kind, native, a, s, kv_head);
  backward b = backward_of(&t, tmp);
  int64_t keys = s->past + s->len;
  if (s->past > 0) { /* some keys may have no query */
    memset(b.dk, 0, (size_t)(round_up(keys, KB) * t.W) * 4);
    memset(b.dv, 0, (size_t)(round_up(keys, KB) * t.W) * 4);
  }
  load_keys(&t, &b);
  mul_begin(&t.w);
  for (int64_t head = 0; head < t.group; head++)
    for (int64_t q0 = 0; q0 < s->len; q0 += KB)
      grad_block(&t, &b, head, q0, least(s->len - q0, KB));
  mul_end(&t.w);
  uint16_t *dk = (uint16_t *)a->dk + (t.k - (const uint16_t *)a->k);
  uint16_t *dv = (uint16_t *)a->dv + (t.v - (const uint16_t *)a->v);
  store_rows(dk, a->ldk, b.dk, t.W, keys, t.D, t.scale);
  store_rows(dv, a->ldv, b.dv, t.W, keys, t.D, 1);
}

/* bytes of scratch: every piece of forward or of backward */
int64_t K(attention16_room)(int kind, bool native, const struct ml_attention *a,
                            const struct ml_segment *s, bool grad) {
  job t = job_of(kind, native, a, s, 0);
  return grad ? backward_room(&t) : forward_room(&t, round_up(s->past + s->len, KB));
}
#endif

/* attention.c -- causal attention of one segment and one kv head, forward and backward.
**
** A query's bits depend on its own q and on the keys and values it sees, nothing else: not on
** its tile, on other queries, on whether it is trained, prefilled or decoded. They are:
**   q'_d = q_d * scale;   s_j = FMA chain over d, from +0, of q'_d k_jd
**   for each block of ML_DET_KEYS keys (from the segment's first) with a visible key, ascending:
**     m' = max(m, every visible s_j);  a = exp(m - m');  p_j = exp(s_j - m'), hidden ones +0
**     t = (c0 + c2) + (c1 + c3), c_r = sum of p_j over j = r mod 4 in the block, j ascending
**     l = fma(l, a, t);  o_d = o_d * a, then the FMA chain over visible j, ascending, of p_j v_jd
**   from m = -1e30, l = o_d = +0;  output o_d * (1 / l) + 0;  lse = m + log l
** A hidden key that is computed all the same adds +0 to c and to a chain: only the sign of a zero
** could change, and the final + 0 removes it.
** Backward: p_ij = exp(s_ij - lse_i);  ds_ij = p_ij * (dp_ij - delta_i), with dp the FMA chain
** over d of v_jd do_id and delta = row_dot(do, o);  dq = (FMA chain over keys, ascending, of
** ds k) * scale + 0;  dk (of ds q') and dv (of p do) are one FMA chain each over the group's
** query heads, ascending, and their queries, ascending, + 0.
**
** Scores are kept transposed, [key][TQ queries]: a softmax is then lane by lane, and they are
** the packed operand of the next product. Where there are few queries lanes are keys, then d:
** the same chains. The bf16 kinds' is attention16.c. */
#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/math.h"
#include "kernels/tile.h"

enum {
  TQ = NR < 16 ? 16 : NR, /* queries a tile */
  KB = ML_DET_KEYS,       /* MR divides it */
  LDS = KB + 4,           /* keys of a block, rounded to whole vectors */
  ROWS = 32               /* rows (queries x heads) the few-queries path does at once */
};
/* its tiles: RM rows of RV vectors of the output, RM rows of SV x 16 scores, or one of SW x 16;
** RM <= MR, RV >= NV */
#if defined(ML_USE_AVX512)
enum { RM = 4, RV = 4, SV = 4, SW = 16 };
#else
enum { RM = 2, RV = 16 / TL, SV = 2, SW = 4 };
#endif
#define START ((real)-1e30) /* m before the first key */
#define HIDDEN ((real)-3e38) /* a score that exp turns into +0 whatever m is */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* One task. Keys and queries are counted from the segment's first. */
typedef struct {
  const ml_attention *a;
  const ml_segment *s;
  int64_t kv_head;
  int64_t D, W, group, head0;  /* W: D in whole vectors; head0: the group's first query head */
} job;

static job job_of(const ml_attention *a, const ml_segment *s, int64_t kv_head) {
  int64_t group = a->heads / a->kv_heads;
  return (job){a, s, kv_head, a->dim, round_up(a->dim, 16), group, kv_head * group};
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
static int64_t k_at(const job *t, int64_t key) {
  return (t->s->k_row + key) * t->a->ldk + t->kv_head * t->a->hsk;
}
static int64_t v_at(const job *t, int64_t key) {
  return (t->s->k_row + key) * t->a->ldv + t->kv_head * t->a->hsv;
}
static int64_t lse_at(const job *t, int64_t head, int64_t i) {
  return (t->s->q_row + i) * t->a->heads + t->head0 + head;
}

/* pieces of scratch, each on its own cache line */
static real *take(real **room, int64_t n) {
  real *p = *room;
  *room += round_up(n, LINE);
  return p;
}

/* ---------------------------------------------------------------- products */

enum { AHEAD = 4096 }; /* bytes a sweep over a cache fetches before it needs them */
enum { MOST_V = RV > SW * 16 / TL ? RV : SW * 16 / TL }; /* vectors of the widest tile */

/* C[i] = (add ? C[i] : +0) + sum over p of A(i, p) B[p], rows of nv vectors; A(i, p) is
** a[i*ars + p*aks]. B's last vector has `left` elements where that is not a whole one. */
SIMD void product(const int mr, const int nv, const int64_t ars, int64_t k, const real *a,
                  int64_t aks, const real *b, int64_t ldb, real *c, int64_t ldc, bool add,
                  const bool whole, int64_t left, const bool far) {
  tv s[MR][MOST_V];
#define EACH UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nv; j++)
  if (add) EACH s[i][j] = t_load(c + i * ldc + TL * j);
  else EACH s[i][j] = t_zero();
  for (int64_t p = 0; p < k; p++, a += aks, b += ldb) {
    tv bv[MOST_V];
    if (far) UNROLL for (size_t at = 0; at < nv * TL * sizeof(real); at += 64)
      __builtin_prefetch((const char *)b + AHEAD + at, 0, 2);
    UNROLL for (int j = 0; j < nv; j++)
      bv[j] = whole ? t_load(b + TL * j) : t_loadn(b + TL * j, left - TL * j);
    UNROLL for (int i = 0; i < mr; i++) {
      tv x = t_set(a[i * ars]);
      UNROLL for (int j = 0; j < nv; j++) s[i][j] = t_fma(x, bv[j], s[i][j]);
    }
  }
  EACH t_store(c + i * ldc + TL * j, s[i][j]);
#undef EACH
}

typedef void product_fn(int64_t k, const real *a, int64_t aks, const real *b, int64_t ldb, real *c,
                        int64_t ldc, bool add);
#define PRODUCT(name, mr, nv, ars)                                                             \
  static void name(int64_t k, const real *a, int64_t aks, const real *b, int64_t ldb, real *c, \
                   int64_t ldc, bool add) {                                                    \
    product(mr, nv, ars, k, a, aks, b, ldb, c, ldc, add, true, 0, false);                      \
  }
#define ACROSS(mr) PRODUCT(across_##mr, mr, NV, 1)
ACROSS(1) ACROSS(2)
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
ACROSS(3) ACROSS(4) ACROSS(5) ACROSS(6)
#endif
#if defined(ML_USE_AVX512)
ACROSS(7) ACROSS(8) ACROSS(9) ACROSS(10) ACROSS(11) ACROSS(12) ACROSS(13) ACROSS(14)
#endif
static product_fn *const across_fn[MR + 1] = {
  0, across_1, across_2,
#if defined(ML_USE_AVX512) || defined(ML_USE_AVX2) || defined(ML_USE_NEON)
  across_3, across_4, across_5, across_6,
#endif
#if defined(ML_USE_AVX512)
  across_7, across_8, across_9, across_10, across_11, across_12, across_13, across_14,
#endif
};

/* m rows of A, contiguous at every step, by TQ columns of B */
static void across(int64_t m, int64_t k, const real *a, int64_t aks, const real *b, real *c,
                   int64_t ldc, bool add) {
  for (int g = 0; g < TQ; g += NR) across_fn[m](k, a, aks, b + g, TQ, c + g, ldc, add);
}

/* MR scores for the tile's queries. Where the first half of its lanes sees none of these keys it
** may be left as it was: whoever asked hides it. */
PRODUCT(across_half, MR, 16 / TL, 1)
static void score_panel(int64_t first_lane, int64_t D, const real *panel, const real *b, real *c) {
  if (TQ == 32 && first_lane >= 16) across_half(D, panel, MR, b + 16, TQ, c + 16, TQ, false);
  else across(MR, D, panel, MR, b, c, TQ, false);
}

/* C[d][TQ] += rows^T B: d in panels of nearly equal height */
static void across_dim(int64_t D, int64_t k, const real *rows, int64_t ld, const real *b, real *c,
                       bool add) {
  int64_t n = (D + MR - 1) / MR;
  for (int64_t i = 0, d = 0; i < n; i++) {
    int64_t m = D / n + (i < D % n);
    across(m, k, rows + d, ld, b, c + d * TQ, TQ, add);
    d += m;
  }
}

/* C[MR][W] += A^T rows, A being k columns of [MR][TQ]: sums over queries */
PRODUCT(down_full, MR, NV, TQ)
PRODUCT(down_part, MR, 16 / TL, TQ)
static void down(int64_t W, int64_t k, const real *a, const real *rows, real *c) {
  int64_t d = 0;
  for (; d + NR <= W; d += NR) down_full(k, a, 1, rows + d, W, c + d, W, true);
  if (d < W) down_part(k, a, 1, rows + d, W, c + d, W, true);
}

/* C[m][D] (rows of W) += A rows, A(i, p) = a[i*LDS + p], m <= RM; rows may end at D */
SIMD void few_rows(const int m, int64_t D, int64_t W, int64_t k, const real *a, const real *b,
                   int64_t ld, real *c) {
  int64_t d = 0;
  for (; d + RV * TL <= D; d += RV * TL)
    product(m, RV, LDS, k, a, 1, b + d, ld, c + d, W, true, true, 0, true);
  for (; d + 16 <= D; d += 16)
    product(m, 16 / TL, LDS, k, a, 1, b + d, ld, c + d, W, true, true, 0, true);
  if (d < D) product(m, 16 / TL, LDS, k, a, 1, b + d, ld, c + d, W, true, false, D - d, true);
}

/* C[m][n] (rows of LDS) = A B, A rows of W, B [D][width] with n in whole sixteens */
SIMD void few_keys(const int m, int64_t D, int64_t W, const real *a, const real *b, int64_t width,
                   int64_t n, real *c) {
  int64_t j = 0;
  for (; m == 1 && j + SW * 16 <= n; j += SW * 16)
    product(1, SW * 16 / TL, W, D, a, 1, b + j, width, c + j, LDS, false, true, 0, true);
  for (; j + SV * 16 <= n; j += SV * 16)
    product(m, SV * 16 / TL, W, D, a, 1, b + j, width, c + j, LDS, false, true, 0, true);
  for (; j < n; j += 16)
    product(m, 16 / TL, W, D, a, 1, b + j, width, c + j, LDS, false, true, 0, true);
}

/* ---------------------------------------------------------------- lane by lane */

/* the running softmax of up to `n` queries (a multiple of 16) */
typedef struct { real *m, *l, *alpha, *max, *sum; } state;

static state state_of(real **room, int64_t n) {
  state st = {take(room, n), take(room, n), take(room, n), take(room, n), take(room, n)};
  for (int64_t i = 0; i < n; i++) st.m[i] = START, st.l[i] = 0;
  return st;
}

/* max holds this block's: m' and a */
static void state_max(state *st, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    vf was = v_load(st->m + i), m = v_max(was, v_load(st->max + i));
    v_store(st->m + i, m);
    v_store(st->alpha + i, v_exp_low(v_sub(was, m)));
  }
}

static void state_sum(state *st, int64_t n) {
  for (int64_t i = 0; i < n; i += 16)
    v_store(st->l + i, v_fma(v_load(st->l + i), v_load(st->alpha + i), v_load(st->sum + i)));
}

/* alpha becomes 1 / l, max the lse */
static void state_end(state *st, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    vf l = v_load(st->l + i);
    v_store(st->alpha + i, v_div(v_set(1), l));
    v_store(st->max + i, v_add(v_load(st->m + i), v_log(l)));
  }
}

SIMD vf lanes_from(int64_t first) {
  static const real count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return v_add(v_load(count), v_set((real)first));
}

/* lanes [from_lane, to_lane) of the tile from q0 see a key */
static int64_t from_lane(const job *t, int64_t q0, int64_t key) {
  return most(key - t->s->past - q0, 0);
}
static int64_t to_lane(const job *t, int64_t q0, int64_t key) {
  return t->a->window > 0 ? least(key - t->s->past - q0 + t->a->window, TQ) : TQ;
}

/* one key's scores for the tile from q0: lanes that do not see it become x */
static void hide_row(const job *t, real *row, int64_t q0, int64_t key, real x) {
  int64_t from = from_lane(t, q0, key), to = to_lane(t, q0, key);
  for (int h = 0; h < TQ; h += 16) {
    vf lane_no = lanes_from(h), s = v_load(row + h);
    s = v_select(v_le(v_set((real)least(from, TQ)), lane_no), s, v_set(x));
    v_store(row + h, v_select(v_lt(lane_no, v_set((real)most(to, 0))), s, v_set(x)));
  }
}

/* keys [j0, j1), rows of s: only those near an edge of the tile's view hide from some lane */
static void hide(const job *t, real *s, int64_t q0, int64_t j0, int64_t j1, real x) {
  int64_t own = t->s->past + q0, old = 0;
  if (t->a->window > 0) old = own + TQ - t->a->window;
  for (int64_t j = j0; j < least(j1, old); j++) hide_row(t, s + (j - j0) * TQ, q0, j, x);
  for (int64_t j = most(j0, most(own + 1, old)); j < j1; j++)
    hide_row(t, s + (j - j0) * TQ, q0, j, x);
}

static void fill_rows(real *s, int64_t r0, int64_t r1, real x) {
  for (int64_t i = r0 * TQ; i < r1 * TQ; i += 16) v_store(s + i, v_set(x));
}

/* scores of keys [r0, r1) of a block become p; rows up to whole fours are hidden keys */
static void tile_softmax(real *s, int64_t r0, int64_t r1, state *st) {
  int64_t from = r0 / 4 * 4, to = round_up(r1, 4);
  fill_rows(s, from, r0, HIDDEN);
  fill_rows(s, r1, to, HIDDEN);
  for (int h = 0; h < TQ; h += 16) {
    vf x[4];
    UNROLL for (int i = 0; i < 4; i++) x[i] = v_set(HIDDEN);
    for (int64_t r = from; r < to; r += 4)
      UNROLL for (int i = 0; i < 4; i++) x[i] = v_max(x[i], v_load(s + (r + i) * TQ + h));
    v_store(st->max + h, v_max(v_max(x[0], x[2]), v_max(x[1], x[3])));
  }
  state_max(st, TQ);
  for (int h = 0; h < TQ; h += 16) {
    vf m = v_load(st->m + h), c[4];
    UNROLL for (int i = 0; i < 4; i++) c[i] = v_zero();
    for (int64_t r = from; r < to; r += 4)
      UNROLL for (int i = 0; i < 4; i++) {
        real *at = s + (r + i) * TQ + h;
        vf p = v_exp_low(v_sub(v_load(at), m));
        v_store(at, p);
        c[i] = v_add(c[i], p);
      }
    v_store(st->sum + h, v_add(v_add(c[0], c[2]), v_add(c[1], c[3])));
  }
  state_sum(st, TQ);
}

/* x[d][TQ] = x * y, lane by lane, (+ 0) */
static void tile_scale(real *x, int64_t D, const real *y, bool final) {
  for (int64_t d = 0; d < D; d++)
    for (int h = 0; h < TQ; h += 16) {
      vf z = v_mul(v_load(x + d * TQ + h), v_load(y + h));
      v_store(x + d * TQ + h, final ? v_add(z, v_zero()) : z);
    }
}

/* ---------------------------------------------------------------- packing */

static real *real_at(const void *base, int64_t at) { return (real *)(uintptr_t)base + at; }

/* rows ld apart -> rows of W, times a factor, zeros behind */
static void copy_rows(const job *t, real *dst, const real *src, int64_t ld, int64_t n,
                      real factor) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t d = 0; d < t->W; d += 16) {
      vf x = v_loadn(src + i * ld + d, most(t->D - d, 0));
      v_store(dst + i * t->W + d, v_mul(x, v_set(factor)));
    }
}

/* n rows -> panels [D][MR] */
static void pack_keys(const job *t, real *dst, const real *src, int64_t ld, int64_t n) {
  for (int64_t j = 0; j < n; j += MR)
    pack_along_k(dst + j * t->D, MR, src + j * ld, ld, least(n - j, MR), t->D);
}

/* a cache's block of keys: element (d, key) is d * *width + (key - block) behind this */
static int64_t panel_at(const job *t, int64_t block, int64_t *width) {
  *width = least(KB, t->a->panels - block);
  return k_at(t, 0) + block * t->D;
}

/* pack_keys of a cache's keys, from a block's first on */
static void pack_panels(const job *t, real *dst, int64_t base, int64_t n) {
  for (int64_t j = 0; j < n; j += MR) {
    int64_t block = (base + j) / KB * KB, width, at = panel_at(t, block, &width);
    const real *k = real_at(t->a->k, at + base + j - block);
    for (int64_t d = 0; d < t->D; d++)
      v_storen(dst + j * t->D + d * MR, v_loadn(k + d * width, n - j), MR);
  }
}

/* rows of W (+ 0) -> n rows */
static void write_rows(const job *t, real *to, int64_t ld, const real *src, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t d = 0; d < t->D; d += 16)
      v_storen(to + i * ld + d, v_add(v_load(src + i * t->W + d), v_zero()), t->D - d);
}

/* ---------------------------------------------------------------- forward, tiles of queries */

typedef struct {
  int64_t base;           /* first key packed */
  real *k, *v;            /* panels [D][MR]; rows of W */
  real *q, *s, *o;        /* [D][TQ], [LDS][TQ], [W][TQ] */
  real *tmp;
} forward;

static int64_t tiles_of(const ml_segment *s) { return (s->len + TQ - 1) / TQ; }

/* one block of keys: [j0, j1), j0 at a panel */
static void forward_block(const job *t, forward *f, state *st, int64_t q0, int64_t block,
                          int64_t j0, int64_t j1, bool add) {
  real *s = f->s + (j0 - block) * TQ;
  for (int64_t j = j0; j < j1; j += MR)
    score_panel(from_lane(t, q0, j), t->D, f->k + (j - f->base) * t->D, f->q, s + (j - j0) * TQ);
  hide(t, s, q0, j0, j1, HIDDEN);
  tile_softmax(f->s, j0 - block, j1 - block, st);
  if (add) tile_scale(f->o, t->D, st->alpha, false);
  across_dim(t->D, j1 - j0, f->v + (j0 - f->base) * t->W, t->W, s, f->o, add);
}

static void forward_tile(const job *t, forward *f, int64_t head, int64_t q0) {
  const ml_attention *a = t->a;
  int64_t n = least(t->s->len - q0, TQ), end = end_key(t, q0 + n - 1), lo = first_key(t, q0);
  real *room = f->tmp, factor[TQ];
  state st = state_of(&room, TQ);
  for (int i = 0; i < TQ; i++) factor[i] = (real)a->scale;
  pack_along_k(f->q, TQ, real_at(a->q, q_at(t, head, q0)), a->ldq, n, t->D);
  tile_scale(f->q, t->D, factor, false);
  for (int64_t block = lo / KB * KB; block < end; block += KB) {
    int64_t j0 = block + most(lo - block, 0) / MR * MR;
    forward_block(t, f, &st, q0, block, j0, least(end, block + KB), block > lo);
  }
  state_end(&st, TQ);
  tile_scale(f->o, t->D, st.alpha, true);
  unpack_along_k(real_at(a->o, o_at(t, head, q0)), a->ldo, f->o, TQ, n, t->D);
  for (int64_t i = 0; a->lse && i < n; i++) ((real *)a->lse)[lse_at(t, head, q0 + i)] = st.max[i];
}

/* tiles [i0, i1) of (head, tile), heads ascending */
static void forward_tiles(const job *t, int64_t i0, int64_t i1, real *room) {
  int64_t n = tiles_of(t->s), lo = t->s->past + t->s->len, end = 0;
  for (int64_t i = i0; i < i1; i++) {
    int64_t q0 = i % n * TQ;
    lo = least(lo, first_key(t, q0));
    end = most(end, end_key(t, least(q0 + TQ, t->s->len) - 1));
  }
  int64_t base = lo / KB * KB, keys = round_up(end - base, MR);
  forward f = {base, take(&room, keys * t->D), take(&room, keys * t->W),
               take(&room, t->D * TQ), take(&room, LDS * TQ), take(&room, t->W * TQ), room};
  if (t->a->panels > 0) pack_panels(t, f.k, base, end - base);
  else pack_keys(t, f.k, real_at(t->a->k, k_at(t, base)), t->a->ldk, end - base);
  copy_rows(t, f.v, real_at(t->a->v, v_at(t, base)), t->a->ldv, end - base, 1);
  for (int64_t i = i0; i < i1; i++) forward_tile(t, &f, i / n, i % n * TQ);
}

/* ---------------------------------------------------------------- forward, few queries */

/* up to ROWS rows, (query, head) pairs with the head running fastest */
typedef struct {
  int64_t row0, n;
  real *q; /* panels [D][MR]; beside a cache rows of W */
  real *k, *s, *o; /* [D][TQ keys]; [ROWS][LDS]; [ROWS][W] */
} few;

static int64_t few_query(const job *t, const few *f, int64_t r) { return (f->row0 + r) / t->group; }
static int64_t few_head(const job *t, const few *f, int64_t r) { return (f->row0 + r) % t->group; }

/* a cache's keys are read as they lie */
static void few_panel(const job *t, few *f, int64_t block, int64_t r0, int64_t r1) {
  int64_t width, at = panel_at(t, block, &width), n = round_up(r1 - r0, 16), i = 0;
  const real *k = real_at(t->a->k, at + r0);
  for (; i + RM <= f->n; i += RM)
    few_keys(RM, t->D, t->W, f->q + i * t->W, k, width, n, f->s + i * LDS + r0);
  for (; i < f->n; i++)
    few_keys(1, t->D, t->W, f->q + i * t->W, k, width, n, f->s + i * LDS + r0);
}

/* scores of the block's keys [r0, r1), r0 a multiple of TQ */
static void few_scores(const job *t, few *f, int64_t block, int64_t r0, int64_t r1) {
  if (t->a->panels > 0) {
    few_panel(t, f, block, r0, r1);
    return;
  }
  for (int64_t g = r0; g < r1; g += TQ) {
    const real *k = real_at(t->a->k, k_at(t, block + g));
    pack_along_k(f->k, TQ, k, t->a->ldk, least(r1 - g, TQ), t->D);
    for (int64_t r = 0; r < f->n; r += MR)
      across(least(f->n - r, MR), t->D, f->q + r * t->D, MR, f->k, f->s + r * LDS + g, LDS, false);
  }
}

/* p of one row from its scores; [r0, r1) in whole vectors */
static void row_probabilities(real *s, int64_t r0, int64_t r1, real m, real *sum) {
  for (int64_t r = r0; r < r1; r += 16) v_store(s + r, v_exp_low(v_sub(v_load(s + r), v_set(m))));
  real c[4] = {0};
  for (int64_t r = r0; r < r1; r += 4)
    for (int i = 0; i < 4; i++) c[i] += s[r + i];
  *sum = (c[0] + c[2]) + (c[1] + c[3]);
}

static void few_softmax(const job *t, few *f, state *st, int64_t block, int64_t r0, int64_t r1) {
  int64_t whole = round_up(r1, 16);
  for (int64_t i = 0; i < f->n; i++) {
    real *s = f->s + i * LDS;
    int64_t q = few_query(t, f, i);
    int64_t v0 = first_key(t, q) - block, v1 = least(end_key(t, q) - block, r1);
    vf top = v_set(HIDDEN);
    for (int64_t r = r0; r < least(v0, whole); r++) s[r] = HIDDEN;
    for (int64_t r = most(v1, r0); r < whole; r++) s[r] = HIDDEN;
    for (int64_t r = r0; r < whole; r += 16) top = v_max(top, v_load(s + r));
    st->max[i] = v_hmax(top);
  }
  state_max(st, ROWS);
  for (int64_t i = 0; i < f->n; i++)
    row_probabilities(f->s + i * LDS, r0, whole, st->m[i], &st->sum[i]);
  state_sum(st, ROWS);
}

static void few_sums(const job *t, few *f, int64_t block, int64_t r0, int64_t r1) {
  const real *v = real_at(t->a->v, v_at(t, block + r0));
  int64_t i = 0, k = r1 - r0, ld = t->a->ldv;
  for (; i + RM <= f->n; i += RM)
    few_rows(RM, t->D, t->W, k, f->s + i * LDS + r0, v, ld, f->o + i * t->W);
  for (; i < f->n; i++)
    few_rows(1, t->D, t->W, k, f->s + i * LDS + r0, v, ld, f->o + i * t->W);
}

/* o = o * a, then the block's p V */
static void few_values(const job *t, few *f, const state *st, int64_t block, int64_t r0,
                       int64_t r1) {
  for (int64_t r = 0; r < f->n; r++)
    for (int64_t d = 0; d < t->W; d += 16) {
      real *o = f->o + r * t->W + d;
      v_store(o, v_mul(v_load(o), v_set(st->alpha[r])));
    }
  few_sums(t, f, block, r0, r1);
}

static void few_begin(const job *t, few *f) {
  bool panels = t->a->panels > 0;
  for (int64_t i = 0; i < f->n; i++) {
    int64_t step = panels ? 1 : MR;
    const real *x = real_at(t->a->q, q_at(t, few_head(t, f, i), few_query(t, f, i)));
    real *to = f->q + (panels ? i * t->W : i / MR * MR * t->D + i % MR);
    for (int64_t d = 0; d < t->D; d++) to[d * step] = x[d] * (real)t->a->scale;
  }
  for (int64_t i = 0; i < f->n * t->W; i += 16) v_store(f->o + i, v_zero());
}

static void few_end(const job *t, few *f, state *st) {
  state_end(st, ROWS);
  for (int64_t i = 0; i < f->n; i++) {
    int64_t head = few_head(t, f, i), q = few_query(t, f, i);
    real *o = f->o + i * t->W;
    for (int64_t d = 0; d < t->W; d += 16)
      v_store(o + d, v_mul(v_load(o + d), v_set(st->alpha[i])));
    write_rows(t, real_at(t->a->o, o_at(t, head, q)), 0, o, 1);
    if (t->a->lse) ((real *)t->a->lse)[lse_at(t, head, q)] = st->max[i];
  }
}

static void forward_few(const job *t, int64_t row0, int64_t n, real *room) {
  few f = {row0, n, take(&room, (ROWS + MR) * t->W), take(&room, TQ * t->D),
           take(&room, ROWS * LDS), take(&room, ROWS * t->W)};
  state st = state_of(&room, ROWS);
  for (int i = 0; i < ROWS; i++) st.max[i] = HIDDEN, st.sum[i] = 1; /* rows that are not there */
  int64_t lo = first_key(t, few_query(t, &f, 0)), end = end_key(t, few_query(t, &f, n - 1));
  few_begin(t, &f);
  for (int64_t block = lo / KB * KB; block < end; block += KB) {
    int64_t r0 = most(lo - block, 0) / TQ * TQ, r1 = least(end - block, KB);
    few_scores(t, &f, block, r0, r1);
    few_softmax(t, &f, &st, block, r0, r1);
    few_values(t, &f, &st, block, r0, r1);
  }
  few_end(t, &f, &st);
}

/* lanes would be half empty with one query each */
static bool is_few(const ml_segment *s) { return s->len * 2 < TQ; }

void K(attention)(const struct ml_attention *a, const struct ml_segment *s, int64_t kv_head,
                  int64_t part, int64_t parts, real *tmp) {
  job t = job_of(a, s, kv_head);
  int64_t n = t.group * (is_few(s) ? s->len : tiles_of(s));
  int64_t i0 = n * part / parts, i1 = n * (part + 1) / parts;
  if (i0 >= i1) return;
  if (!is_few(s)) forward_tiles(&t, i0, i1, tmp);
  else for (; i0 < i1; i0 += ROWS) forward_few(&t, i0, least(i1 - i0, ROWS), tmp);
}

/* ---------------------------------------------------------------- a cache's keys and values */

/* n <= 16 keys -> lanes of a block's panel: bits are moved, nothing is computed */
static void put_keys(real *to, int64_t width, const real *from, int64_t ld, int64_t n, int64_t D) {
  if (n == 16)
    for (int64_t d = 0; d < D; d++)
      for (int i = 0; i < 16; i++) to[d * width + i] = from[i * ld + d];
  else
    for (int64_t d = 0; d < D; d++)
      for (int64_t i = 0; i < n; i++) to[d * width + i] = from[i * ld + d];
}

/* rows [q_row, q_row + len) of `from` become the keys and values behind the first `past` */
void K(attention_store)(const struct ml_attention *to, const struct ml_attention *from,
                        const struct ml_segment *s, int64_t kv_head) {
  job t = job_of(to, s, kv_head);
  ml_segment rows_in = {.k_row = s->q_row};
  job f = job_of(from, &rows_in, kv_head);
  int64_t end = s->past + s->len, n;
  for (int64_t key = s->past; key < end; key += n) {
    int64_t block = key / KB * KB, width, at = panel_at(&t, block, &width) + key - block;
    int64_t row = key - s->past;
    n = least(16, least(end, block + width) - key);
    put_keys(real_at(to->k, at), width, real_at(from->k, k_at(&f, row)), from->ldk, n, t.D);
    for (int64_t i = 0; i < n; i++)
      memcpy(real_at(to->v, v_at(&t, key + i)), real_at(from->v, v_at(&f, row + i)),
             (size_t)t.D * sizeof(real));
  }
}

/* ---------------------------------------------------------------- backward */

/* Keys go in chunks, whose dk and dv are finished before the next; dq waits in [W][TQ] tiles.
** A chunk's size changes no bit: chains over queries lie inside one, those over keys resume. */
enum { CHUNK = KB };

typedef struct {
  real *kp, *vp, *kr;  /* this chunk's keys and values: panels [D][MR]; rows of W */
  real *dk, *dv;       /* its rows of W */
  real *qt, *gt;       /* a tile's q' and do: [D][TQ] */
  real *qr, *gr;       /* the same as rows of W */
  real *p, *ds;        /* [MR][TQ]; [CHUNK + MR][TQ] */
  real *dq;            /* [W][TQ] for each (head, tile) */
  real *lse, *delta;   /* of the tile's queries */
} backward;

static void load_tile(const job *t, backward *b, int64_t head, int64_t q0, int64_t n) {
  const ml_attention *a = t->a;
  copy_rows(t, b->qr, real_at(a->q, q_at(t, head, q0)), a->ldq, n, (real)a->scale);
  copy_rows(t, b->gr, real_at(a->dout, o_at(t, head, q0)), a->ldo, n, 1);
  pack_along_k(b->qt, TQ, b->qr, t->W, n, t->D);
  pack_along_k(b->gt, TQ, b->gr, t->W, n, t->D);
  K(row_dot)(b->delta, b->gr, t->W, real_at(a->o, o_at(t, head, q0)), a->ldo, 0, n, t->D);
  for (int64_t i = 0; i < TQ; i++)
    b->lse[i] = i < n ? ((const real *)a->lse)[lse_at(t, head, q0 + i)] : 0;
  for (int64_t i = n; i < TQ; i++) b->delta[i] = 0;
}

/* p and ds of MR keys from their scores and dp */
static void panel_grad(const job *t, backward *b, real *ds, int64_t q0, int64_t key) {
  for (int h = 0; h < TQ; h += 16) {
    vf lse = v_load(b->lse + h), delta = v_load(b->delta + h);
    UNROLL for (int r = 0; r < MR; r++) {
      real *p = b->p + r * TQ + h, *d = ds + r * TQ + h;
      vf e = v_exp_low(v_sub(v_load(p), lse));
      v_store(p, e);
      v_store(d, v_mul(e, v_sub(v_load(d), delta)));
    }
  }
  hide(t, b->p, q0, key, key + MR, 0);
  hide(t, ds, q0, key, key + MR, 0);
}

/* one tile of queries against the chunk [c0, c1) of keys */
static void grad_tile(const job *t, backward *b, int64_t head, int64_t q0, int64_t c0, int64_t c1) {
  int64_t n = least(t->s->len - q0, TQ), D = t->D, W = t->W, lo = first_key(t, q0);
  int64_t j0 = c0 + most(lo - c0, 0) / MR * MR, j1 = least(c1, end_key(t, q0 + n - 1));
  load_tile(t, b, head, q0, n);
  for (int64_t j = j0; j < j1; j += MR) {
    int64_t at = j - c0;
    real *ds = b->ds + at * TQ;
    /* queries [from, to) of the tile see some of these keys */
    int64_t from = from_lane(t, q0, j), to = least(n, most(to_lane(t, q0, j + MR - 1), from));
    score_panel(from, D, b->kp + at * D, b->qt, b->p);
    score_panel(from, D, b->vp + at * D, b->gt, ds);
    panel_grad(t, b, ds, q0, j);
    down(W, to - from, b->p + from, b->gr + from * W, b->dv + at * W);
    down(W, to - from, ds + from, b->qr + from * W, b->dk + at * W);
  }
  real *dq = b->dq + (head * tiles_of(t->s) + q0 / TQ) * W * TQ;
  across_dim(D, j1 - j0, b->kr + (j0 - c0) * W, W, b->ds + (j0 - c0) * TQ, dq, c0 > lo);
}

static void grad_chunk(const job *t, backward *b, int64_t c0, int64_t c1) {
  const ml_attention *a = t->a;
  int64_t n = c1 - c0, W = t->W, past = t->s->past;
  const real *k = real_at(a->k, k_at(t, c0));
  pack_keys(t, b->kp, k, a->ldk, n);
  pack_keys(t, b->vp, real_at(a->v, v_at(t, c0)), a->ldv, n);
  copy_rows(t, b->kr, k, a->ldk, n, 1);
  memset(b->dk, 0, (size_t)(round_up(n, MR) * W) * sizeof(real));
  memset(b->dv, 0, (size_t)(round_up(n, MR) * W) * sizeof(real));
  /* queries that see any of these keys */
  int64_t from = most(c0 - past, 0) / TQ * TQ, to = t->s->len;
  if (a->window > 0) to = least(to, c1 - 1 - past + a->window);
  for (int64_t head = 0; head < t->group; head++)
    for (int64_t q0 = from; q0 < to; q0 += TQ) grad_tile(t, b, head, q0, c0, c1);
  write_rows(t, real_at(a->dk, k_at(t, c0)), a->ldk, b->dk, n);
  write_rows(t, real_at(a->dv, v_at(t, c0)), a->ldv, b->dv, n);
}

static void write_dq(const job *t, backward *b) {
  int64_t tiles = tiles_of(t->s);
  real factor[TQ];
  for (int i = 0; i < TQ; i++) factor[i] = (real)t->a->scale;
  for (int64_t i = 0; i < t->group * tiles; i++) {
    int64_t q0 = i % tiles * TQ;
    real *dq = b->dq + i * t->W * TQ;
    tile_scale(dq, t->D, factor, true);
    unpack_along_k(real_at(t->a->dq, q_at(t, i / tiles, q0)), t->a->ldq, dq, TQ,
                   least(t->s->len - q0, TQ), t->D);
  }
}

static backward backward_of(const job *t, real *room) {
  int64_t D = t->D, W = t->W, n = CHUNK + MR;
  return (backward){
    take(&room, n * D), take(&room, n * D), take(&room, n * W), take(&room, n * W),
    take(&room, n * W), take(&room, D * TQ), take(&room, D * TQ), take(&room, TQ * W),
    take(&room, TQ * W), take(&room, MR * TQ), take(&room, n * TQ),
    take(&room, t->group * tiles_of(t->s) * W * TQ), take(&room, TQ), take(&room, TQ)};
}

void K(attention_grad)(const struct ml_attention *a, const struct ml_segment *s, int64_t kv_head,
                       real *tmp) {
  job t = job_of(a, s, kv_head);
  backward b = backward_of(&t, tmp);
  int64_t keys = s->past + s->len;
  for (int64_t c0 = 0; c0 < keys; c0 += CHUNK) grad_chunk(&t, &b, c0, least(c0 + CHUNK, keys));
  write_dq(&t, &b);
}

/* elements of scratch, from above: every piece of the two forward paths, or of backward */
int64_t K(attention_room)(const struct ml_attention *a, const struct ml_segment *s, bool grad) {
  job t = job_of(a, s, 0);
  int64_t W = t.W, n = grad ? CHUNK + MR : round_up(s->past + s->len, KB);
  if (grad)
    return n * (5 * W + TQ) + (5 * W + MR + 4 + t.group * tiles_of(s) * W) * TQ + 16 * LINE;
  if (is_few(s)) return (ROWS + MR + TQ) * W + ROWS * (LDS + W + 5) + 16 * LINE;
  return 2 * n * W + (2 * W + LDS + 5) * TQ + 16 * LINE;
}

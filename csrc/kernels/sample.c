/* sample.c -- one token from one row of logits. Probabilities are exp(z - lse) with the head's own
** lse, so the recorded log-probability has the bits of a training forward. Sums that pick the
** token run in id order (or rank order) in double: the same pick on every ISA. The vocabulary is
** never sorted: what the filters may keep is gathered first, by a bound that is sure to pass it. */
#include "kernels/isa.h"
#include "kernels/math.h"

enum { BLOCK = 256 }; /* ids summed in 16 lanes before the scan looks inside */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* p[i] = exp(z[i] - lse), i in [0, n) */
static void probabilities(real *p, const real *z, int64_t n, real lse) {
  for (int64_t i = 0; i < n; i += 16)
    v_storen(p + i, v_exp(v_sub(v_loadn(z + i, n - i), v_set(lse))), n - i);
}

/* the sum of those of p that are at least t; sums, if not NULL, gets each block's */
static double sum_from(const real *p, int64_t V, real t, double *sums) {
  double total = 0;
  for (int64_t b = 0; b < V; b += BLOCK) {
    int64_t end = least(b + BLOCK, V);
    vf s = v_zero();
    for (int64_t i = b; i < end; i += 16) {
      vf x = v_loadn(p + i, end - i);
      s = v_add(s, v_select(v_le(v_set(t), x), x, v_zero()));
    }
    double sum = (double)v_sum(s);
    if (sums) sums[b / BLOCK] = sum;
    total += sum;
  }
  return total;
}

/* the first i whose running sum of p exceeds target; the last possible one if none does */
static int64_t scan(const real *p, int64_t n, double target) {
  double sum = 0;
  int64_t last = 0;
  for (int64_t i = 0; i < n; i++) {
    if (p[i] > 0) last = i;
    sum += (double)p[i];
    if (sum > target) return i;
  }
  return last;
}

static int64_t pick_any(const real *p, int64_t V, double u, double *sums) {
  double target = u * sum_from(p, V, 0, sums), sum = 0;
  for (int64_t b = 0; b < V; b += BLOCK) {
    double s = sums[b / BLOCK];
    if (sum + s > target) return b + scan(p + b, least(BLOCK, V - b), target - sum);
    sum += s;
  }
  for (int64_t i = V - 1; i > 0; i--) /* u * total rounded up to the total */
    if (p[i] > 0) return i;
  return 0;
}

/* ---- what the filters may keep ---- */

static real max_from(const real *x, int64_t i, int64_t end) {
  vf m = v_set(-INFINITY);
  for (; i < end; i += 16) m = v_max(v_loadn_or(x + i, end - i, -INFINITY), m);
  return v_hmax(m);
}

/* ids of all x >= t, ascending, and how many */
static int64_t gather_from(int64_t *ids, const real *x, int64_t V, real t) {
  int64_t n = 0;
  for (int64_t i = 0; i < V; i += 16) {
    int64_t end = least(i + 16, V);
    if (!(max_from(x, i, end) >= t)) continue;
    for (int64_t j = i; j < end; j++)
      if (x[j] >= t) ids[n++] = j;
  }
  return n;
}

/* At least k of z are no smaller than the answer: each of k stretches has one. Not many more are,
** if there are a few times as many stretches. -inf where V is too short for that. */
static real bound_of_top(const real *z, int64_t V, int64_t k, real *max, int64_t *order,
                         int64_t *tmp) {
  int64_t width = V / (4 * k) / 16 * 16, n = 0;
  if (V / 32 < k) return -INFINITY;
  if (width == 0) width = 16;
  for (int64_t i = 0; i < V; i += width) max[n++] = max_from(z, i, least(i + width, V));
  K(row_sort)(order, max, n, true, tmp);
  return max[order[k - 1]];
}

/* No probability below the answer is among the first that reach top_p, or is min_p of the best.
** A little less than min_p: what rounding decides is decided later. *total: the sum of all. */
static real bound_of_mass(const real *p, int64_t V, const ml_sampling *how, double *total) {
  real best = max_from(p, 0, V), t = best * (real)(how->min_p * 0.999999);
  *total = sum_from(p, V, 0, NULL);
  if (how->top_p >= 1) return t;
  for (real low = best / 4; low > t; low /= 4)
    if (sum_from(p, V, low, NULL) > how->top_p * *total) return low;
  return t;
}

/* how many of the ranked probabilities p[0..n) survive top-p and min-p; at least one */
static int64_t survivors(const real *p, int64_t n, double total, const ml_sampling *how) {
  double sum = 0;
  int64_t keep = 0;
  while (keep < n && (keep == 0 || sum < how->top_p * total)) sum += (double)p[keep++];
  while (keep > 1 && (double)p[keep - 1] < how->min_p * (double)p[0]) keep--;
  return keep;
}

static double sum_of(const real *p, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i++) total += (double)p[i];
  return total;
}

/* p: V reals; ids: 3 V */
static int64_t pick_ranked(const real *z, int64_t V, real lse, const ml_sampling *how, double u,
                           real *p, int64_t *ids) {
  int64_t *order = ids + V, *tmp = order + V, k = how->top_k > 0 ? least(how->top_k, V) : 0, n;
  double total = 0;
  if (k > 0) {
    n = gather_from(ids, z, V, bound_of_top(z, V, k, p, order, tmp));
  } else {
    probabilities(p, z, V, lse);
    n = gather_from(ids, p, V, bound_of_mass(p, V, how, &total));
  }
  if (n == 0) return 0; /* nothing but NaN */
  for (int64_t i = 0; i < n; i++) p[i] = z[ids[i]];
  K(row_sort)(order, p, n, true, tmp);
  if (k > 0) n = least(n, k);
  for (int64_t i = 0; i < n; i++) p[i] = z[ids[order[i]]];
  probabilities(p, p, n, lse);
  n = survivors(p, n, k > 0 ? sum_of(p, n) : total, how);
  return ids[order[scan(p, n, u * sum_of(p, n))]];
}

/* z is scaled into tmp where there is a temperature: a training forward's bits */
void K(sample)(int64_t *id, real *logprob, const real *z, int64_t V, const ml_sampling *how,
               double u, real *tmp, int64_t *ids) {
  real lse, *p = tmp + V;
  if (how->temperature > 0 && how->temperature != 1) {
    K(scale)(tmp, z, 1, V, 1 / how->temperature);
    z = tmp;
  }
  K(row_lse)(&lse, z, V, 0, 1, V);
  if (how->temperature <= 0) {
    K(row_argmax)(id, z, V, 0, 1, V);
  } else if (how->top_k > 0 || how->top_p < 1 || how->min_p > 0) {
    *id = pick_ranked(z, V, lse, how, u, p, ids);
  } else {
    probabilities(p, z, V, lse);
    *id = pick_any(p, V, u, (double *)(void *)ids);
  }
  *logprob = z[*id] - lse;
}

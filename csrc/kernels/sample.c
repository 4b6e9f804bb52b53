/* sample.c -- one token from one row of logits. Probabilities are exp(z - lse) with the head's own
** lse, so the recorded log-probability has the bits of a training forward. Sums that pick the
** token run in id order (or rank order) in double: the same pick on every ISA. */
#include "kernels/isa.h"
#include "kernels/math.h"

enum { BLOCK = 256 }; /* ids summed in 16 lanes before the scan looks inside */

/* p[i] = exp(z[i] - lse), i in [0, n) */
static void probabilities(real *p, const real *z, int64_t n, real lse) {
  for (int64_t i = 0; i < n; i += 16)
    v_storen(p + i, v_exp(v_sub(v_loadn(z + i, n - i), v_set(lse))), n - i);
}

static double block_sum(const real *p, int64_t n) {
  real s;
  K(row_sum)(&s, p, n, 0, 1, n);
  return (double)s;
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

static int64_t pick_any(const real *p, int64_t V, double u) {
  double total = 0, sum = 0;
  for (int64_t b = 0; b < V; b += BLOCK) total += block_sum(p + b, V - b < BLOCK ? V - b : BLOCK);
  double target = u * total;
  for (int64_t b = 0; b < V; b += BLOCK) {
    int64_t n = V - b < BLOCK ? V - b : BLOCK;
    double s = block_sum(p + b, n);
    if (sum + s > target) return b + scan(p + b, n, target - sum);
    sum += s;
  }
  for (int64_t i = V - 1; i > 0; i--) /* u * total rounded up to the total */
    if (p[i] > 0) return i;
  return 0;
}

/* how many of the ranked probabilities p[0..n) survive top-p and min-p; at least one */
static int64_t survivors(const real *p, int64_t n, const ml_sampling *how) {
  double total = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) total += (double)p[i];
  int64_t keep = 0;
  while (keep < n && (keep == 0 || sum < how->top_p * total)) sum += (double)p[keep++];
  while (keep > 1 && (double)p[keep - 1] < how->min_p * (double)p[0]) keep--;
  return keep;
}

static int64_t pick_ranked(const real *z, int64_t V, real lse, const ml_sampling *how, double u,
                           real *p, int64_t *order) {
  K(row_sort)(order, z, V, true, order + V);
  int64_t n = how->top_k > 0 && how->top_k < V ? how->top_k : V;
  for (int64_t i = 0; i < n; i++) p[i] = z[order[i]];
  probabilities(p, p, n, lse);
  n = survivors(p, n, how);
  double total = 0;
  for (int64_t i = 0; i < n; i++) total += (double)p[i];
  return order[scan(p, n, u * total)];
}

void K(sample)(int64_t *id, real *logprob, real *z, int64_t V, const ml_sampling *how, double u,
               real *tmp, int64_t *order) {
  real lse;
  if (how->temperature > 0 && how->temperature != 1) K(scale)(z, z, 1, V, 1 / how->temperature);
  K(row_lse)(&lse, z, V, 0, 1, V);
  if (how->temperature <= 0) {
    K(row_argmax)(id, z, V, 0, 1, V);
  } else if (how->top_k > 0 || how->top_p < 1 || how->min_p > 0) {
    *id = pick_ranked(z, V, lse, how, u, tmp, order);
  } else {
    probabilities(tmp, z, V, lse);
    *id = pick_any(tmp, V, u);
  }
  *logprob = z[*id] - lse;
}

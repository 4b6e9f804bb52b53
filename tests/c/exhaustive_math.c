/* exhaustive_math.c -- exp, log, tanh, sigmoid and erf over all 2^32 floats: the worst error
** against libm in double, and one hash per function and ISA, which must all be the same.
** Arguments name ISAs; without any, all that this machine has but scalar (some minutes more).
** The error is measured on the first of them only: the hashes say the rest. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernels/kernels.h"

enum { BLOCK = 1 << 14, BLOCKS = 1 << 18 };

typedef void map(void *y, const void *x, int64_t sx, int64_t n);
typedef struct {
  const char *name;
  double (*reference)(double);
  double limit;   /* ulp */
  float zero_below; /* below this the result is exactly +0 */
} function;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static const function functions[] = {
  {"exp", exp, 1.01, -87.3f},         {"log", log, 1.01, -INFINITY},
  {"tanh", tanh, 2.5, -INFINITY},     {"sigmoid", sigmoid, 2.5, -87.3f},
  {"erf", erf, 2.5, -INFINITY},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static map *of_table(const ml_kernels *k, int f) {
  map *const maps[FUNCTIONS] = {k->exp, k->log, k->tanh, k->sigmoid, k->erf};
  return maps[f];
}

/* one function on one ISA: what the threads share and what they find */
typedef struct {
  const function *f;
  map *run;
  bool measure;
  int64_t next_block;
  pthread_mutex_t lock;
  uint64_t hash;
  double worst;
  float worst_x;
} job;

/* the spacing of floats at r, as its inverse, from r's exponent; subnormals share one */
static double per_ulp(double r) {
  uint64_t u;
  memcpy(&u, &r, 8);
  uint64_t e = u >> 52 & 2047;
  if (e < 1023 - 126) e = 1023 - 126;
  u = (2 * 1023 + 23 - e) << 52;
  memcpy(&r, &u, 8);
  return r;
}

static double error_of(const function *f, float x, float y) {
  double r = f->reference((double)x);
  if (x < f->zero_below) return y == 0 && !signbit(y) ? 0 : INFINITY;
  if (isnan(r) || isnan(y)) return isnan(r) && isnan(y) ? 0 : INFINITY;
  if (isinf((float)r) || isinf(y)) return (float)r == y ? 0 : INFINITY;
  return fabs((double)y - r) * per_ulp(r);
}

/* floats whose bits start with the block's number */
static uint64_t do_block(job *j, int64_t block, double *worst, float *worst_x) {
  static _Thread_local float x[BLOCK], y[BLOCK];
  uint64_t h = (uint64_t)block;
  for (int64_t i = 0; i < BLOCK; i++) {
    uint32_t u = (uint32_t)(block * BLOCK + i);
    memcpy(x + i, &u, 4);
  }
  j->run(y, x, 1, BLOCK);
  for (int64_t i = 0; i < BLOCK; i++) {
    uint32_t u = 0x7fc00000; /* any NaN counts as this one */
    if (y[i] == y[i]) memcpy(&u, y + i, 4);
    h = (h ^ u) * 1099511628211u;
    if (!j->measure) continue;
    double e = error_of(j->f, x[i], y[i]);
    if (e > *worst) *worst = e, *worst_x = x[i];
  }
  return h ^ h >> 29; /* sums of these do not depend on which thread did which block */
}

static void *work(void *arg) {
  job *j = arg;
  uint64_t hash = 0;
  double worst = 0;
  float worst_x = 0;
  for (;;) {
    int64_t b = __atomic_fetch_add(&j->next_block, 1, __ATOMIC_RELAXED);
    if (b >= BLOCKS) break;
    hash += do_block(j, b, &worst, &worst_x);
  }
  pthread_mutex_lock(&j->lock);
  j->hash += hash;
  if (worst > j->worst) j->worst = worst, j->worst_x = worst_x;
  pthread_mutex_unlock(&j->lock);
  return NULL;
}

static void run(job *j) {
  pthread_t threads[ML_MAX_THREADS];
  int n = ml_cpu_count(), started = 0;
  pthread_mutex_init(&j->lock, NULL);
  while (started < n - 1 && !pthread_create(threads + started, NULL, work, j)) started++;
  work(j);
  while (started > 0) pthread_join(threads[--started], NULL);
  pthread_mutex_destroy(&j->lock);
}

/* true if it is within its limit and its hash is the first ISA's */
static bool check(int f, int isa, bool measure, uint64_t *hash) {
  job j = {.f = functions + f, .run = of_table(ml_k(ML_F32), f), .measure = measure};
  run(&j);
  bool same = measure || j.hash == *hash, good = j.worst <= j.f->limit;
  if (measure) *hash = j.hash;
  printf("%-8s %-7s %016llx", j.f->name, ml_isa_name(isa), (unsigned long long)j.hash);
  if (measure) printf("  worst %.4f ulp at %a, limit %.2f", j.worst, j.worst_x, j.f->limit);
  printf("%s%s\n", same ? "" : "  DIFFERS", good ? "" : "  TOO FAR");
  fflush(stdout);
  return same && good;
}

static bool wanted(int isa, int argc, char **argv) {
  if (!ml_cpu_has(isa)) return false;
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], ml_isa_name(isa))) return true;
  return argc < 2 && isa != ML_ISA_SCALAR;
}

int main(int argc, char **argv) {
  bool good = true, first = true;
  uint64_t hashes[FUNCTIONS] = {0};
  for (int isa = ML_ISA_COUNT - 1; isa >= 0; isa--) {
    if (!wanted(isa, argc, argv)) continue;
    if (ml_isa_set(isa) != ML_OK) return 1;
    for (int f = 0; f < FUNCTIONS; f++)
      if (!check(f, isa, first, hashes + f)) good = false;
    first = false;
  }
  return good ? 0 : 1;
}

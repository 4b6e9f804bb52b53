/* sample.c -- one task a row; scratch of the worker holds the row's
** probabilities and ranks. */
#include "ops/sample.h"

enum { STREAM = 2 }; /* Philox stream of sampling; 0 is ml.rand*, 1 dropout */

typedef struct {
  int dtype;
  const char *logits;
  int64_t V;
  const ml_sampling *how;
  uint64_t seed;
  uint32_t rollout;
  const ml_draw *draw;
  int64_t *ids;
  char *logprob;
} job;

static void sample_task(void *ctx, int64_t row, int worker) {
  const job *j = ctx;
  int64_t es = ml_dtype_size(j->dtype);
  const ml_draw *d = &j->draw[row];
  ml_u32x4 r = ml_random(j->seed, STREAM, (uint64_t)d->prompt << 32 | (uint32_t)d->sample,
                         (uint32_t)d->position, j->rollout);
  double u = ((double)(r.v[0] >> 5) * 67108864.0 + (double)(r.v[1] >> 6)) / 9007199254740992.0;
  int64_t *ids = ml_scratch(worker);
  void *tmp = ids + 3 * j->V + 1;
  ml_k(j->dtype)->sample(j->ids + row, j->logprob + row * es, j->logits + row * j->V * es, j->V,
                         j->how, u, tmp, ids);
}

int ml_sample_rows(int dtype, const void *logits, int64_t rows, int64_t V, const ml_sampling *how,
                   uint64_t seed, uint32_t rollout, const ml_draw *draw, int64_t *ids,
                   void *logprob) {
  int st = ml_scratch_reserve((size_t)(V + 1) * (3 * sizeof(int64_t) + 2 * sizeof(double)));
  if (st != ML_OK) return st;
  job j = {dtype, logits, V, how, seed, rollout, draw, ids, logprob};
  ml_parallel(rows, sample_task, &j);
  return ML_OK;
}

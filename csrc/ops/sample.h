/* sample.h -- drawing tokens from rows of logits. */
#ifndef ML_SAMPLE_H
#define ML_SAMPLE_H

#include "kernels/kernels.h"

/* Who a draw belongs to: u comes from Philox(seed, rollout, prompt, sample, position), so a
** sequence's text does not depend on its batch. */
typedef struct { int64_t prompt, sample, position; } ml_draw;

/* logits: (rows, V) contiguous of dtype f32 or f64.
** ids[rows]; logprob[rows] of the logits' dtype. Fails for want of memory. */
int ml_sample_rows(int dtype, const void *logits, int64_t rows, int64_t V, const ml_sampling *how,
                   uint64_t seed, uint32_t rollout, const ml_draw *draw, int64_t *ids,
                   void *logprob);

#endif

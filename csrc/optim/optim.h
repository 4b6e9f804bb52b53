/* optim.h -- optimisers that update parameters in place. One object may hold AdamW, Muon and SGD
** groups; a step scales, clips once over all groups, updates, and consumes the gradients. */
#ifndef ML_OPTIM_H
#define ML_OPTIM_H

#include "autograd/autograd.h"

enum { ML_ADAMW, ML_MUON, ML_SGD };
enum { ML_MUON_ORIGINAL, ML_MUON_MATCH_RMS }; /* max(1, r/c)^.5, or .2 max(r, c)^.5 */

typedef struct {
  int kind;
  double lr, weight_decay; /* decoupled; only on tensors of two dimensions or more */
  double beta1, beta2, eps;      /* AdamW (Loshchilov & Hutter, arXiv 1711.05101) */
  double momentum;               /* Muon, SGD */
  bool nesterov;
  int scale, iterations;         /* Muon: update scale, Newton-Schulz steps */
} ml_group;

typedef struct ml_optim ml_optim;
int ml_optim_new(ml_optim **out);
void ml_optim_free(ml_optim *o);
/* Takes references on params[0..n) (contiguous, f32 or f64, all of one dtype). split[i] > 1 means
** a matrix of that many equal blocks of rows, each orthogonalised on its own (GPT-2's c_attn). */
int ml_optim_group(ml_optim *o, const ml_group *g, int n, ml_tensor *const *params,
                   const int *split);

/* lr NAN = each group's own; then times lr_scale. The gradient is multiplied by scale, then by
** min(1, clip / (norm + 1e-6)) if clip > 0. momentum NAN = the group's own. A parameter without a
** gradient is left alone. A norm that is not finite is ML_ESTATE and nothing is touched. */
typedef struct { double lr, lr_scale, clip, scale, momentum; } ml_step;
int ml_optim_step(ml_optim *o, const ml_step *s, double *norm);
void ml_optim_discard(ml_optim *o);

/* ---- state, for checkpoints: per parameter its first and (AdamW) second moment, and the number
** of updates it has had ---- */
int ml_optim_count(const ml_optim *o);
typedef struct { ml_tensor *param, *m, *v; int64_t steps; int group; } ml_optim_param;
ml_optim_param *ml_optim_at(ml_optim *o, int i); /* v is NULL outside AdamW; borrowed */

/* muon.c: u (rows, cols) contiguous becomes its orthogonalised self (Newton-Schulz quintic,
** Jordan et al. 2024): count matrices as one task list. f32 or f64. */
typedef struct { void *u; int64_t rows, cols; } ml_matrix;
int ml_orthogonalize(int dtype, const ml_matrix *x, int count, int iterations);

#endif

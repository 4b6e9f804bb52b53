/* assign.c -- x becomes y's value in place, and what made y becomes what made x. */
#include "ops/internal.h"

int ml_assign(ml_tensor *x, ml_tensor *y) {
  bool records = ml_grad_enabled && (x->requires_grad || y->requires_grad);
  if (ml_numel(x) != ml_numel(y) || !ml_same_shape(x, y))
    return ml_fail(ML_ESHAPE, "in place: the result is %s, the tensor %s", ml_shape(y).s,
                   ml_shape(x).s);
  if (records && x->requires_grad && !x->node)
    return ml_fail(ML_ESTATE, "in place: a leaf that requires a gradient may only be written under "
                              "no_grad");
  if (records && y->node && y->dtype != x->dtype)
    return ml_fail(ML_ETYPE, "in place: the result is %s, the tensor %s", ml_dtype_name(y->dtype),
                   ml_dtype_name(x->dtype));
  if (records && x->storage->refs > 1 && !x->node)
    return ml_fail(ML_ESTATE, "in place: other tensors share this storage, so the gradient cannot "
                              "follow; write to a clone");
  int st = ml_copy_into(x, y);
  if (st != ML_OK || !records) return st;
  struct ml_node *was = x->node;
  if (y->node) y->node->refs++;
  x->node = y->node;
  x->requires_grad = y->requires_grad;
  if (was) ml_node_free(was);
  return ML_OK;
}

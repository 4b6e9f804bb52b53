/* assign.c -- x becomes y's value in place, and what made y becomes what made x.
** While gradients are recorded nobody else may see x's elements: a view or a tensor saved for
** backward would go on with values its gradient does not know of. */
#include "ops/internal.h"

static int check(const char *who, const ml_tensor *x, const ml_tensor *y, bool records) {
  if (!ml_same_shape(x, y))
    return ml_fail(ML_ESHAPE, "%s: the result is %s, the tensor %s", who, ml_shape(y).s,
                   ml_shape(x).s);
  if (ml_is_float(y->dtype) && !ml_is_float(x->dtype))
    return ml_fail(ML_ETYPE, "%s: the result is %s, the tensor %s", who,
                   ml_dtype_name(y->dtype), ml_dtype_name(x->dtype));
  if (records && x->requires_grad && x->node == NULL)
    return ml_fail(ML_ESTATE, "%s: a leaf that requires a gradient, %s, may only be written "
                   "inside no_grad", who, ml_shape(x).s);
  if (records && x->storage->refs > 1)
    return ml_fail(ML_ESTATE, "%s: a view or a backward pass to come needs the elements of "
                   "%s as they are; write to a clone", who, ml_shape(x).s);
  return ML_OK;
}

int ml_assign(const char *who, ml_tensor *x, ml_tensor *y) {
  bool records = ml_grad_enabled && (x->requires_grad || y->requires_grad);
  ml_tensor *fits = NULL;
  int st;
  TRY(check(who, x, y, records));
  TRY(ml_op_to(&fits, (ml_arg[]){{.t = y}, {.i = x->dtype}}));
  TRY(ml_copy_into(x, fits));
  if (records) {
    ml_node *was = x->node;
    if (fits->node) fits->node->refs++;
    x->node = fits->node;
    x->requires_grad = fits->requires_grad;
    ml_node_free(was);
  }
done:
  ml_tensor_free(fits);
  return st;
}

/* test_tensor.c -- tensors and the graph without Lua: views, walks, copies, printing, and an
** engine that must free everything whatever fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "autograd/autograd.h"

static ml_tensor *counting(int dtype, int ndim, const int64_t *size) {
  ml_tensor *t;
  assert_int_equal(ml_tensor_new(&t, dtype, ndim, size), ML_OK);
  for (int64_t i = 0; i < ml_numel(t); i++)
    ml_cast((char *)ml_data(t) + i * ml_dtype_size(dtype), dtype, 1, &i, ML_I64, 1, 1);
  return t;
}

static ml_tensor *grid(void) { return counting(ML_F32, 3, (int64_t[]){2, 3, 4}); }

static void sizes_are_checked(void **state) {
  (void)state;
  ml_tensor *t = NULL;
  assert_int_equal(ml_tensor_new(&t, ML_F32, 1, (int64_t[]){-1}), ML_ERANGE);
  assert_int_equal(ml_tensor_new(&t, ML_F32, 2, (int64_t[]){INT64_MAX, 2}), ML_ERANGE);
  assert_int_equal(ml_tensor_new(&t, ML_F32, 3, (int64_t[]){0, INT64_MAX, 4}), ML_ERANGE);
  assert_int_equal(ml_tensor_new(&t, ML_F32, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}),
                   ML_ESHAPE);
  assert_int_equal(ml_tensor_new(&t, 99, 0, NULL), ML_ETYPE);
  assert_null(t);
}

static void views_share_and_stay_inside(void **state) {
  (void)state;
  ml_tensor *x = grid(), *v, *w;
  assert_int_equal(ml_view_select(&v, x, 1, 2), ML_OK);
  assert_string_equal(ml_shape(v).s, "(2, 4)");
  assert_true(ml_item(v, 5) == 21);
  assert_ptr_equal(v->storage, x->storage);
  ml_tensor_free(v);
  assert_int_equal(ml_view_narrow(&v, x, -1, 0, 2, 3), ML_OK);
  assert_true(ml_item(v, 1) == 3);
  assert_int_equal(ml_view_narrow(&w, x, 2, 0, 3, 2), ML_ERANGE);
  assert_int_equal(ml_view_narrow(&w, x, 2, 1, INT64_MAX, 1), ML_ERANGE);
  assert_int_equal(ml_view_select(&w, x, 3, 0), ML_ERANGE);
  assert_int_equal(ml_tensor_on(&w, x->storage, ML_F64, 1, (int64_t[]){13}, (int64_t[]){1}, 0),
                   ML_ERANGE);
  assert_int_equal(ml_tensor_on(&w, x->storage, ML_F32, 1, (int64_t[]){3},
                                (int64_t[]){INT64_MAX}, 0), ML_ERANGE);
  ml_tensor_free(v), ml_tensor_free(x);
}

static void reshape_keeps_what_strides_allow(void **state) {
  (void)state;
  ml_tensor *x = grid(), *t, *v;
  assert_int_equal(ml_view_reshape(&v, x, 2, (int64_t[]){-1, 8}), ML_OK);
  assert_string_equal(ml_shape(v).s, "(3, 8)");
  ml_tensor_free(v);
  assert_int_equal(ml_view_reshape(&v, x, 2, (int64_t[]){-1, 7}), ML_ESHAPE);
  assert_int_equal(ml_view_reshape(&v, x, 2, (int64_t[]){-1, -1}), ML_ESHAPE);
  assert_int_equal(ml_view_transpose(&t, x, 0, 2), ML_OK);
  assert_int_equal(ml_view_reshape(&v, t, 1, (int64_t[]){24}), ML_ESHAPE);
  assert_int_equal(ml_view_reshape(&v, t, 5, (int64_t[]){2, 2, 1, 3, 2}), ML_OK);
  assert_true(ml_item(v, 6 + 3) == ml_item(t, 9));
  ml_tensor_free(v), ml_tensor_free(t), ml_tensor_free(x);
}

static void add_rows(void *ctx, char *const *p, const int64_t *stride, int64_t n) {
  (void)ctx;
  for (int64_t i = 0; i < n; i++)
    ((float *)p[0])[i * stride[0]] =
      ((float *)p[1])[i * stride[1]] + ((float *)p[2])[i * stride[2]];
}

/* against the definition, for transposed, broadcast and long operands */
static void walks_reach_every_element_once(void **state) {
  (void)state;
  ml_tensor *x = grid(), *t, *y, *row = counting(ML_F32, 1, (int64_t[]){2});
  assert_int_equal(ml_view_transpose(&t, x, 0, 2), ML_OK);
  assert_int_equal(ml_tensor_like(&y, t), ML_OK);
  assert_int_equal(ml_iterate(3, (ml_tensor *[]){y, t, row}, add_rows, NULL), ML_OK);
  for (int64_t i = 0; i < 24; i++)
    assert_true(ml_item(y, i) == ml_item(t, i) + (double)(i % 2));
  ml_tensor_free(x), ml_tensor_free(t), ml_tensor_free(y), ml_tensor_free(row);
  for (int64_t cols = 1; cols <= 100000; cols = cols * 7 + 1) {
    ml_tensor *a = counting(ML_F32, 2, (int64_t[]){9, cols});
    ml_tensor *b = counting(ML_F32, 2, (int64_t[]){9, 1}), *c;
    assert_int_equal(ml_tensor_like(&c, a), ML_OK);
    assert_int_equal(ml_iterate(3, (ml_tensor *[]){c, a, b}, add_rows, NULL), ML_OK);
    for (int64_t i = 0; i < 9 * cols; i += 1 + cols / 50)
      assert_true(ml_item(c, i) == (float)(ml_item(a, i) + (double)(i / cols)));
    /* b is the smaller one: it cannot be the output */
    assert_int_equal(ml_iterate(3, (ml_tensor *[]){b, a, a}, add_rows, NULL),
                     cols == 1 ? ML_OK : ML_ESHAPE);
    ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(c);
  }
}

static void copies_cast_broadcast_and_may_overlap(void **state) {
  (void)state;
  ml_tensor *x = counting(ML_I64, 1, (int64_t[]){6}), *a, *b, *y;
  assert_int_equal(ml_view_narrow(&a, x, 0, 1, 5, 1), ML_OK);
  assert_int_equal(ml_view_narrow(&b, x, 0, 0, 5, 1), ML_OK);
  uint64_t version = x->storage->version;
  assert_int_equal(ml_copy_into(a, b), ML_OK);
  assert_true(x->storage->version > version);
  for (int64_t i = 0; i < 6; i++) assert_int_equal(ml_item_i64(x, i), i > 0 ? i - 1 : 0);
  assert_int_equal(ml_tensor_zeros(&y, ML_F64, 2, (int64_t[]){2, 6}), ML_OK);
  assert_int_equal(ml_copy_into(y, x), ML_OK);
  assert_true(ml_item(y, 11) == 4);
  assert_int_equal(ml_copy_into(x, y), ML_ESHAPE);
  ml_tensor_free(x), ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(y);
}

static void positions_are_checked(void **state) {
  (void)state;
  ml_tensor *x = grid(), *pos = counting(ML_I64, 1, (int64_t[]){3}), *v;
  assert_int_equal(ml_tensor_scalar(&v, ML_F32, 7), ML_OK);
  assert_int_equal(ml_index_write(x, pos, v), ML_ERANGE); /* 0 is an error */
  int64_t rows[3] = {1, -1, 2};
  memcpy(ml_data(pos), rows, sizeof rows);
  assert_int_equal(ml_index_write(x, pos, v), ML_OK);
  for (int64_t i = 0; i < 24; i++) assert_true(ml_item(x, i) == 7);
  ml_tensor_free(x), ml_tensor_free(pos), ml_tensor_free(v);
}

static void printing_works_like_snprintf(void **state) {
  (void)state;
  char all[4096], some[16];
  ml_tensor *x = grid();
  size_t n = ml_tensor_print(NULL, 0, x);
  assert_int_equal(ml_tensor_print(all, sizeof all, x), n);
  assert_int_equal(strlen(all), n);
  assert_int_equal(ml_tensor_print(some, sizeof some, x), n);
  assert_int_equal(strlen(some), sizeof some - 1);
  ml_tensor_free(x);
}

/* ---- the graph: y = a + b ---- */
static int add_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  for (int k = 0; k < 2; k++)
    if (ml_node_needs(n, k)) dx[k] = ml_tensor_ref(dy);
  return ML_OK;
}
static const ml_op add_op = {"add", add_backward, NULL};

static int add(ml_tensor **out, ml_tensor *a, ml_tensor *b) {
  ml_tensor *y;
  ml_node *n;
  int st = ml_tensor_like(&y, a);
  if (st != ML_OK) return st;
  st = ml_iterate(3, (ml_tensor *[]){y, a, b}, add_rows, NULL);
  if (st == ML_OK) st = ml_record(&n, &add_op, y, 2, (ml_tensor *[]){a, b});
  if (st != ML_OK) {
    ml_tensor_free(y);
    return st;
  }
  if (n != NULL) ml_node_save(n, a);
  *out = y;
  return ML_OK;
}

static int chain(int depth, ml_tensor *x) {
  ml_tensor *y = ml_tensor_ref(x);
  int st = ML_OK;
  for (int i = 0; i < depth && st == ML_OK; i++) {
    ml_tensor *next;
    st = add(&next, y, x);
    if (st != ML_OK) break;
    ml_tensor_free(y);
    y = next;
  }
  if (st == ML_OK) st = ml_backward(y, NULL);
  ml_tensor_free(y);
  return st;
}

static ml_tensor *leaf(void) {
  ml_tensor *x;
  assert_int_equal(ml_tensor_scalar(&x, ML_F32, 1), ML_OK);
  x->requires_grad = true;
  return x;
}

static void deep_graphs_need_no_stack(void **state) {
  (void)state;
  ml_tensor *x = leaf();
  assert_int_equal(chain(300000, x), ML_OK);
  assert_true(ml_item(x->grad, 0) == 300001);
  assert_int_equal(ml_node_live(), 0);
  ml_tensor_free(x);
}

static void every_failed_allocation_is_clean(void **state) {
  (void)state;
  ml_mem_stats before, after;
  ml_tensor *x = leaf();
  ml_mem_get(&before);
  int st = ML_ENOMEM, n = 0;
  while (st == ML_ENOMEM) {
    ml_mem_fail_at(++n);
    st = chain(100, x);
    ml_mem_fail_at(0);
    ml_discard_grad(x);
    assert_int_equal(ml_node_live(), 0);
  }
  assert_int_equal(st, ML_OK);
  assert_true(n > 200);
  ml_mem_get(&after);
  assert_int_equal(before.live_blocks, after.live_blocks);
  ml_tensor_free(x);
}

static void slots_accumulate(void **state) {
  (void)state;
  bool add_to;
  ml_tensor *x = leaf(), *slot, *g = leaf();
  assert_int_equal(ml_grad_slot(x, &slot, &add_to), ML_OK);
  assert_false(add_to);
  assert_int_equal(ml_copy_into(slot, g), ML_OK);
  assert_int_equal(ml_grad_slot(x, &slot, &add_to), ML_OK);
  assert_true(add_to);
  assert_int_equal(ml_accumulate_grad(x, g), ML_OK);
  assert_true(ml_item(x->grad, 0) == 2);
  ml_discard_grad(x);
  assert_null(x->grad);
  ml_tensor_free(x), ml_tensor_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(sizes_are_checked), cmocka_unit_test(views_share_and_stay_inside),
    cmocka_unit_test(reshape_keeps_what_strides_allow),
    cmocka_unit_test(walks_reach_every_element_once),
    cmocka_unit_test(copies_cast_broadcast_and_may_overlap),
    cmocka_unit_test(positions_are_checked), cmocka_unit_test(printing_works_like_snprintf),
    cmocka_unit_test(deep_graphs_need_no_stack),
    cmocka_unit_test(every_failed_allocation_is_clean), cmocka_unit_test(slots_accumulate)};
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return failed + (ml_tensor_live() != 0); /* nothing may be left alive */
}

/* test_ckpt.c -- safetensors and npy: round trips, every mistake the specification names, and the
** fuzz corpus replayed with every file cut at every length and with bits turned over. */
#include "ckpt/ckpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "corpus.h"

#define LLVMFuzzerTestOneInput safetensors_input
#include "../fuzz/safetensors_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput npy_input
#include "../fuzz/npy_fuzz.c"
#undef LLVMFuzzerTestOneInput

/* status of a safetensors file of this header and so many zero bytes of data */
static int parse(const char *header, size_t data) {
  size_t n = strlen(header);
  uint8_t *p = calloc(1, 8 + n + data);
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)((uint64_t)n >> (8 * i));
  memcpy(p + 8, header, n);
  ml_bundle *b = NULL;
  assert_int_equal(ml_bundle_new(&b), ML_OK);
  ml_reader r = ml_reader_of(p, 8 + n + data);
  int st = ml_safetensors_read(b, &r);
  ml_bundle_free(b);
  free(p);
  return st;
}

#define ENTRY(name, dtype, shape, from, to) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void safetensors_rules(void **state) {
  (void)state;
  static const struct { const char *header; size_t data; int status; } cases[] = {
    {"{}", 0, ML_OK},
    {"{}   ", 0, ML_OK},
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 8, ML_OK},
    {"{" ENTRY("a", "F32", "[]", "0", "4") "}", 4, ML_OK},
    {"{" ENTRY("a", "F32", "[0,9]", "0", "0") "}", 0, ML_OK},
    {"{" ENTRY("b", "U8", "[4]", "4", "8") "," ENTRY("a", "U8", "[4]", "0", "4") "}", 8, ML_OK},
    {"{\"__metadata__\":{\"k\":\"v\"}," ENTRY("a", "I64", "[1]", "0", "8") "}", 8, ML_OK},
    {"{\"__metadata__\":{\"k\":1}}", 0, ML_EFORMAT},
    {"{\"__metadata__\":[]}", 0, ML_EFORMAT},
    {"{}", 1, ML_EFORMAT},
    {" {}", 0, ML_EFORMAT},
    {"[]", 0, ML_EFORMAT},
    {"{} x", 0, ML_EFORMAT},
    {"{\"a\":1}", 0, ML_EFORMAT},
    {"{\"a\":{}}", 0, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 9, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 7, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "8", "0") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "-8", "0") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "1", "9") "}", 9, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[2]", "0.0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[-2]", "0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "2", "0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[\"2\"]", "0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F33", "[2]", "0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F8_E5M2", "[8]", "0", "8") "}", 8, ML_EUNSUPPORTED},
    {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,8]", "0", "8") "}", 8, ML_EUNSUPPORTED},
    {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "0", "8") "}", 8, ML_EFORMAT},
    {"{" ENTRY("a", "F32", "[4611686018427387905]", "0", "4") "}", 4, ML_EFORMAT},
    {"{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("a", "U8", "[4]", "4", "8") "}", 8,
     ML_EFORMAT},
    {"{" ENTRY("a", "U8", "[6]", "0", "6") "," ENTRY("b", "U8", "[6]", "2", "8") "}", 8,
     ML_EFORMAT},
    {"{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "6", "8") "}", 8,
     ML_EFORMAT},
    {"{" ENTRY("a", "U8", "[8]", "0", "8") "," ENTRY("b", "U8", "[8]", "0", "8") "}", 8,
     ML_EFORMAT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int st = parse(cases[i].header, cases[i].data);
    if (st != cases[i].status) print_message("%s: %s\n", cases[i].header, ml_errmsg());
    assert_int_equal(st, cases[i].status);
  }
}

static void safetensors_length_is_limited(void **state) {
  (void)state;
  static const uint8_t huge[16] = {0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0, '{', '}'};
  ml_bundle *b = NULL;
  assert_int_equal(ml_bundle_new(&b), ML_OK);
  for (size_t n = 0; n <= sizeof huge; n++) {
    ml_reader r = ml_reader_of(huge, n);
    assert_int_equal(ml_safetensors_read(b, &r), ML_EFORMAT);
  }
  ml_bundle_free(b);
}

/* ---- round trips through a file ---- */

static char place[64];

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", place, name);
  return path;
}

static int make_place(void **state) {
  (void)state;
  strcpy(place, "/tmp/moonlit-ckpt-XXXXXX");
  return mkdtemp(place) ? 0 : -1;
}

static int remove_place(void **state) {
  (void)state;
  static const char *const names[] = {"a.safetensors", "a.npy"};
  for (size_t i = 0; i < 2; i++) unlink(path_of(names[i]));
  return rmdir(place); /* fails, as it should, if a temporary was left */
}

static ml_bundle *sample(void) {
  static const int64_t size[] = {3, 2};
  static const float values[] = {1, 2, 3, 4, 5, 6};
  ml_bundle *b = NULL;
  ml_tensor *t = NULL;
  assert_int_equal(ml_bundle_new(&b), ML_OK);
  assert_int_equal(ml_tensor_new(&t, ML_F32, 2, size), ML_OK);
  memcpy(ml_data(t), values, sizeof values);
  assert_int_equal(ml_bundle_add(b, "x", t), ML_OK);
  ml_tensor_free(t);
  return b;
}

static void round_trip(const char *name) {
  ml_bundle *b = sample(), *back = NULL, *view = NULL;
  ml_tensor *t = NULL;
  assert_int_equal(ml_ckpt_save(b, path_of(name)), ML_OK);
  assert_int_equal(ml_ckpt_load(&back, path_of(name)), ML_OK);
  assert_int_equal(back->count, 1);
  assert_true(ml_same_shape(back->item[0].tensor, b->item[0].tensor));
  assert_memory_equal(ml_data(back->item[0].tensor), ml_data(b->item[0].tensor), 24);
  ml_bundle_free(back);
  back = NULL;
  /* a transposed view is written in its own logical order */
  assert_int_equal(ml_view_transpose(&t, b->item[0].tensor, 0, 1), ML_OK);
  assert_int_equal(ml_bundle_new(&view), ML_OK);
  assert_int_equal(ml_bundle_add(view, "x", t), ML_OK);
  assert_int_equal(ml_ckpt_save(view, path_of(name)), ML_OK);
  assert_int_equal(ml_ckpt_load(&back, path_of(name)), ML_OK);
  assert_int_equal(back->item[0].tensor->size[0], 2);
  assert_float_equal(ml_item(back->item[0].tensor, 1), 3, 0);
  ml_tensor_free(t);
  ml_bundle_free(view);
  ml_bundle_free(back);
  ml_bundle_free(b);
}

static void safetensors_round_trip(void **state) {
  (void)state;
  round_trip("a.safetensors");
}

static void npy_round_trip(void **state) {
  (void)state;
  round_trip("a.npy");
}

static void a_name_twice_is_refused(void **state) {
  (void)state;
  ml_bundle *b = sample();
  assert_int_equal(ml_bundle_add(b, "x", b->item[0].tensor), ML_OK);
  assert_int_equal(ml_ckpt_save(b, path_of("a.safetensors")), ML_EARG);
  assert_int_equal(ml_ckpt_save(b, path_of("a.npy")), ML_EARG); /* one tensor a file */
  assert_int_equal(ml_ckpt_save(b, path_of("a.bin")), ML_EUNSUPPORTED);
  ml_bundle_free(b);
}

/* a failed allocation anywhere: a clean failure, nothing left behind */
static void allocations_may_fail(void **state) {
  (void)state;
  ml_bundle *b = sample();
  assert_int_equal(ml_ckpt_save(b, path_of("a.safetensors")), ML_OK);
  int64_t live = ml_tensor_live();
  ml_mem_stats before, after;
  ml_mem_get(&before);
  for (int64_t nth = 1, done = 0; !done; nth++) {
    ml_bundle *back = NULL;
    ml_mem_fail_at(nth);
    int st = ml_ckpt_load(&back, path_of("a.safetensors"));
    ml_mem_fail_at(0);
    assert_true(st == ML_OK || st == ML_ENOMEM);
    done = st == ML_OK;
    ml_bundle_free(back);
    ml_mem_fail_at(nth);
    st = ml_ckpt_save(b, path_of("a.safetensors"));
    ml_mem_fail_at(0);
    assert_true(st == ML_OK || st == ML_ENOMEM);
  }
  ml_mem_get(&after);
  assert_int_equal(ml_tensor_live(), live);
  assert_int_equal(after.live_blocks, before.live_blocks);
  ml_bundle_free(b);
}

/* ---- the corpus ---- */

static void safetensors_corpus(void **state) {
  (void)state;
  replay("tests/fuzz/corpus/safetensors", safetensors_input);
}

static void npy_corpus(void **state) {
  (void)state;
  replay("tests/fuzz/corpus/npy", npy_input);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(safetensors_rules),
    cmocka_unit_test(safetensors_length_is_limited),
    cmocka_unit_test_setup_teardown(safetensors_round_trip, make_place, remove_place),
    cmocka_unit_test_setup_teardown(npy_round_trip, make_place, remove_place),
    cmocka_unit_test_setup_teardown(a_name_twice_is_refused, make_place, remove_place),
    cmocka_unit_test_setup_teardown(allocations_may_fail, make_place, remove_place),
    cmocka_unit_test(safetensors_corpus),
    cmocka_unit_test(npy_corpus),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

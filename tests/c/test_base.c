/* test_base.c -- what every folder stands on: known answers, refusals that leave nothing behind,
** and a pool that runs every task once whoever calls it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "base/base.h"
#include "kernels/kernels.h"
#include "kit.h"

static void expect_message(const char *part) {
  if (!strstr(ml_errmsg(), part)) fail_msg("'%s' does not say '%s'", ml_errmsg(), part);
}

/* ---- status ---- */

static void *other_thread_fails(void *x) {
  ml_fail(ML_EIO, "elsewhere");
  return x;
}

static void messages_are_kept_by_thread(void **state) {
  (void)state;
  pthread_t t;
  assert_int_equal(ml_fail(ML_ESHAPE, "matmul: %d", 3), ML_ESHAPE);
  assert_string_equal(ml_errmsg(), "matmul: 3");
  assert_int_equal(pthread_create(&t, NULL, other_thread_fails, NULL), 0);
  pthread_join(t, NULL);
  assert_string_equal(ml_errmsg(), "matmul: 3");
  ml_fail(ML_ESHAPE, "model: %s", ml_errmsg()); /* the old message inside the new one */
  assert_string_equal(ml_errmsg(), "model: matmul: 3");
  char *long_text = malloc(5000);
  memset(long_text, 'x', 4999), long_text[4999] = '\0';
  assert_int_equal(ml_fail(ML_EIO, "%s", long_text), ML_EIO);
  assert_int_equal(strspn(ml_errmsg(), "x"), strlen(ml_errmsg()));
  assert_true(strlen(ml_errmsg()) >= 500);
  free(long_text);
}

static void every_status_has_a_name(void **state) {
  (void)state;
  for (int i = ML_OK; i <= ML_ECALLBACK; i++) {
    assert_string_not_equal(ml_status_name(i), "unknown");
    for (int j = ML_OK; j < i; j++)
      assert_string_not_equal(ml_status_name(i), ml_status_name(j));
  }
  assert_string_equal(ml_status_name(ML_ESHAPE), "shape");
  assert_string_equal(ml_status_name(ML_EFORMAT), "format");
  assert_string_equal(ml_status_name(-1), "unknown");
  assert_string_equal(ml_status_name(ML_ECALLBACK + 1), "unknown");
}

/* ---- memory ---- */

static ml_mem_stats stats(void) {
  ml_mem_stats s;
  ml_mem_get(&s);
  return s;
}

static void blocks_are_aligned_and_counted(void **state) {
  static const size_t sizes[] = {0, 1, 63, 64, 65, 80, 1000, 4096, (2u << 20) - 65,
                                 (2u << 20) - 64, 2u << 20, (5u << 20) + 3};
  enum { N = sizeof sizes / sizeof *sizes };
  void *p[N];
  int64_t bytes = 0;
  (void)state;
  ml_mem_stats before = stats();
  ml_mem_reset_peak();
  for (int i = 0; i < N; i++) {
    p[i] = ml_alloc(sizes[i]);
    assert_non_null(p[i]);
    assert_int_equal((uintptr_t)p[i] % 64, 0);
    assert_int_equal(ml_alloc_size(p[i]), sizes[i]);
    memset(p[i], i, sizes[i]);
    bytes += (int64_t)sizes[i];
  }
  assert_int_equal(stats().live_bytes - before.live_bytes, bytes);
  assert_int_equal(stats().live_blocks - before.live_blocks, N);
  assert_int_equal(stats().allocations - before.allocations, N);
  for (int i = 0; i < N; i++) {
    for (size_t j = 0; j < sizes[i]; j += 97) assert_int_equal(((uint8_t *)p[i])[j], i);
    ml_free(p[i]);
  }
  ml_free(NULL);
  assert_int_equal(stats().live_bytes, before.live_bytes);
  assert_int_equal(stats().live_blocks, before.live_blocks);
  assert_int_equal(stats().peak_bytes, before.live_bytes + bytes);
}

static void a_kept_block_is_used_again_and_zeroed(void **state) {
  (void)state;
  for (size_t bytes = 100; bytes < (8u << 20); bytes *= 31) {
    ml_mem_trim();
    uint8_t *p = ml_alloc(bytes);
    assert_non_null(p);
    uintptr_t was = (uintptr_t)p;
    memset(p, 0xff, bytes);
    ml_free(p);
    if (stats().cached_bytes == 0) continue; /* AddressSanitizer: nothing is kept */
    assert_true(stats().cached_bytes >= (int64_t)bytes);
    uint8_t *q = ml_alloc0(bytes);
    assert_int_equal((uintptr_t)q, was);
    assert_int_equal(stats().cached_bytes, 0);
    for (size_t i = 0; i < bytes; i++) assert_int_equal(q[i], 0);
    ml_free(q);
  }
  ml_mem_trim();
  assert_int_equal(stats().cached_bytes, 0);
}

static void refusals_say_how_many_bytes(void **state) {
  (void)state;
  ml_mem_stats before = stats();
  static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 64, PTRDIFF_MAX, (size_t)1 << 52};
  for (int i = 0; i < 4 - SANITIZED; i++) { /* a sanitizer ends the process at the last one */
    char text[32];
    snprintf(text, sizeof text, "%zu bytes", huge[i]);
    assert_null(ml_alloc(huge[i]));
    expect_message(text);
    assert_null(ml_alloc0(huge[i]));
  }
  ml_mem_budget(before.live_bytes + 1000);
  void *p = ml_alloc(600);
  assert_non_null(p);
  ml_fail(ML_OK, "nothing");
  assert_null(ml_alloc(401));
  expect_message("401 bytes");
  void *q = ml_alloc(400); /* exactly what was left */
  assert_non_null(q);
  assert_null(ml_alloc(1));
  ml_free(p), ml_free(q);
  ml_mem_budget(0);
  assert_int_equal(stats().live_bytes, before.live_bytes);
  assert_int_equal(stats().live_blocks, before.live_blocks);
}

static void the_nth_allocation_fails_once(void **state) {
  (void)state;
  for (int nth = 1; nth <= 5; nth++) {
    ml_mem_fail_at(nth);
    for (int i = 1; i <= 7; i++) {
      void *p = ml_alloc(100);
      assert_int_equal(p == NULL, i == nth);
      ml_free(p);
    }
  }
  ml_mem_fail_at(2);
  ml_mem_fail_at(0); /* off again */
  for (int i = 0; i < 3; i++) {
    void *p = ml_alloc(8);
    assert_non_null(p);
    ml_free(p);
  }
}

enum { HAMMERS = 4, BLOWS = SANITIZED ? 2000 : 20000 };
static void *hammer(void *seed) {
  void *held[8] = {0};
  for (int i = 0; i < BLOWS; i++) {
    ml_u32x4 r = ml_random((uintptr_t)seed, 0, (uint64_t)i, 0, 0);
    void **slot = &held[r.v[0] % 8];
    ml_free(*slot);
    size_t bytes = r.v[1] % 3000;
    *slot = ml_alloc(bytes);
    if (*slot) memset(*slot, (int)r.v[2], bytes);
    if (i % 500 == 0) ml_mem_trim();
  }
  for (int i = 0; i < 8; i++) ml_free(held[i]);
  return NULL;
}

static void threads_share_the_allocator(void **state) {
  pthread_t t[HAMMERS];
  (void)state;
  ml_mem_stats before = stats();
  for (intptr_t i = 0; i < HAMMERS; i++) pthread_create(&t[i], NULL, hammer, (void *)(i + 1));
  for (int i = 0; i < HAMMERS; i++) pthread_join(t[i], NULL);
  assert_int_equal(stats().live_blocks, before.live_blocks);
  assert_int_equal(stats().live_bytes, before.live_bytes);
}

/* ---- sizes and bytes from outside ---- */

static void sizes_do_not_overflow(void **state) {
  const int64_t most = INT64_MAX, root = 3037000499; /* floor(sqrt(most)) */
  int64_t x;
  (void)state;
  assert_true(ml_mul_ok(0, most, &x) && x == 0);
  assert_true(ml_mul_ok(1, most, &x) && x == most);
  assert_true(ml_mul_ok(root, root, &x) && x == root * root);
  assert_false(ml_mul_ok(root + 1, root + 1, &x));
  assert_false(ml_mul_ok(most, 2, &x));
  assert_true(ml_mul_ok(most / 2, 2, &x) && x == most - 1);
  assert_false(ml_mul_ok(most / 2 + 1, 2, &x));
  assert_false(ml_mul_ok((int64_t)1 << 32, (int64_t)1 << 32, &x)); /* 2^64 wraps to 0 */
  assert_false(ml_mul_ok(-1, 0, &x));
  assert_false(ml_mul_ok(2, -3, &x));
  assert_false(ml_mul_ok(INT64_MIN, INT64_MIN, &x));
  assert_true(ml_add_ok(0, most, &x) && x == most);
  assert_true(ml_add_ok(most - 5, 5, &x) && x == most);
  assert_false(ml_add_ok(most, 1, &x));
  assert_false(ml_add_ok(most, most, &x));
  assert_false(ml_add_ok(-1, 1, &x));
  assert_false(ml_add_ok(1, INT64_MIN, &x));
}

/* a block of exactly n bytes, so that a sanitizer sees one byte too far */
static uint8_t *exactly(size_t n) {
  uint8_t *p = calloc(n > 0 ? n : 1, 1);
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(0xa1 + i);
  return p;
}

enum { RECORD = 1 + 2 + 4 + 8 + 3 };

static void every_truncation_is_noticed(void **state) {
  (void)state;
  for (size_t n = 0; n <= RECORD + 1; n++) {
    uint8_t *p = exactly(n);
    ml_reader r = ml_reader_of(p, n);
    uint8_t a = ml_read_u8(&r);
    uint16_t b = ml_read_u16(&r);
    uint32_t c = ml_read_u32(&r);
    uint64_t d = ml_read_u64(&r);
    const uint8_t *e = ml_read_bytes(&r, 3);
    assert_int_equal(a, n >= 1 ? 0xa1 : 0);
    assert_int_equal(b, n >= 3 ? 0xa3a2 : 0);
    assert_int_equal(c, n >= 7 ? 0xa7a6a5a4 : 0);
    assert_true(d == (n >= 15 ? 0xafaeadacabaaa9a8u : 0));
    assert_ptr_equal(e, n >= 18 ? p + 15 : NULL);
    assert_int_equal(r.bad, n < RECORD);
    assert_int_equal(ml_reader_left(&r), n > RECORD ? n - RECORD : 0);
    free(p);
  }
}

static void a_bad_reader_stays_bad(void **state) {
  (void)state;
  uint8_t *p = exactly(5);
  ml_reader r = ml_reader_of(p, 5);
  assert_null(ml_read_bytes(&r, SIZE_MAX));
  assert_true(r.bad);
  assert_int_equal(ml_read_u8(&r), 0); /* though five bytes are there */
  assert_int_equal(ml_reader_left(&r), 0);
  free(p);
  r = ml_reader_of(NULL, 0);
  assert_non_null(ml_read_bytes(&r, 0)); /* nothing, of nothing */
  assert_false(r.bad);
  assert_null(ml_read_bytes(&r, 1));
}

/* ---- Philox: the vectors published with Random123 ---- */

static void philox_has_its_known_answers(void **state) {
  static const struct { ml_u32x4 counter; uint32_t key[2]; ml_u32x4 want; } known[] = {
    {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
    {{{~0u, ~0u, ~0u, ~0u}}, {~0u, ~0u}, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
    {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, /* digits of pi */
     {0xa4093822, 0x299f31d0},
     {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}}};
  (void)state;
  for (int i = 0; i < 3; i++) {
    ml_u32x4 x = ml_philox(known[i].counter, known[i].key[0], known[i].key[1]);
    assert_memory_equal(&x, &known[i].want, sizeof x);
  }
  /* where each argument of ml_random goes */
  ml_u32x4 x = ml_random(0x299f31d0a4093822u, 0, 0x85a308d3243f6a88u, 0x13198a2e, 0x03707344);
  assert_memory_equal(&x, &known[2].want, sizeof x);
  x = ml_random(0xa4093822u, 0x299f31d0, 0x85a308d3243f6a88u, 0x13198a2e, 0x03707344);
  assert_memory_equal(&x, &known[2].want, sizeof x);
  assert_true(ml_u01(0) == 0 && ml_u01(255) == 0 && ml_u01(256) == 0x1p-24f);
  assert_true(ml_u01(~0u) == 1 - 0x1p-24f);
}

/* ---- the pool ---- */

enum { TASKS = 1000 };
typedef struct {
  _Atomic int runs[TASKS];
  _Atomic int here[ML_MAX_THREADS]; /* tasks running on each worker: never two */
  _Atomic int64_t sum;
  int threads;
  _Atomic int wrong;
} tally;

static void count_task(void *ctx, int64_t task, int worker) {
  tally *t = ctx;
  if (worker < 0 || worker >= t->threads) t->wrong++;
  else if (atomic_fetch_add(&t->here[worker], 1) != 0) t->wrong++;
  t->runs[task]++;
  t->sum += task * task;
  if (worker >= 0 && worker < t->threads) t->here[worker]--;
}

static void expect_once(int64_t n, int threads) {
  static tally t;
  memset(&t, 0, sizeof t);
  t.threads = threads;
  ml_parallel(n, count_task, &t);
  for (int64_t i = 0; i < TASKS; i++) assert_int_equal(t.runs[i], i < n);
  assert_int_equal(t.wrong, 0);
  assert_int_equal(t.sum, n > 0 ? (n - 1) * n * (2 * n - 1) / 6 : 0);
}

static const int pool_sizes[] = {1, 2, 3, 7, 64};

static void every_task_runs_once(void **state) {
  (void)state;
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < 5; i++) {
      assert_int_equal(ml_set_threads(pool_sizes[i]), ML_OK);
      assert_int_equal(ml_threads(), pool_sizes[i]);
      static const int64_t n[] = {0, 1, 2, 3, 63, 64, 65, TASKS, -5};
      for (int k = 0; k < 9; k++) expect_once(n[k], pool_sizes[i]);
    }
}

static void sleeping_workers_wake(void **state) {
  (void)state;
  ml_set_threads(3);
  for (int i = 0; i < 30; i++) {
    expect_once(100, 3);
    usleep(i % 3 == 0 ? 3000 : 50); /* parked, or still spinning */
  }
}

static void thread_numbers_are_checked(void **state) {
  (void)state;
  ml_set_threads(2);
  assert_int_equal(ml_set_threads(0), ML_EARG);
  expect_message("got 0");
  assert_int_equal(ml_set_threads(65), ML_EARG);
  expect_message("expected 1 to 64");
  assert_int_equal(ml_set_threads(-1), ML_EARG);
  assert_int_equal(ml_threads(), 2);
}

typedef struct { _Atomic int64_t inner; _Atomic int wrong; } nest;
typedef struct { nest *n; int worker; pthread_t self; } nested;

static void inner_task(void *ctx, int64_t task, int worker) {
  nested *in = ctx;
  if (worker != in->worker || !pthread_equal(pthread_self(), in->self)) in->n->wrong++;
  in->n->inner += task;
}

static void outer_task(void *ctx, int64_t task, int worker) {
  (void)task;
  ml_parallel(10, inner_task, &(nested){ctx, worker, pthread_self()});
}

static void a_region_in_a_task_stays_on_its_worker(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++)
    for (int64_t outer = 1; outer <= 50; outer += 49) {
      nest n = {0};
      ml_set_threads(pool_sizes[i]);
      ml_parallel(outer, outer_task, &n);
      assert_int_equal(n.inner, outer * 45);
      assert_int_equal(n.wrong, 0);
    }
}

/* ---- scratch ---- */

typedef struct { size_t bytes; _Atomic int wrong; } scratch_job;

static void scratch_task(void *ctx, int64_t task, int worker) {
  scratch_job *j = ctx;
  uint8_t *p = ml_scratch(worker);
  if (!p || (uintptr_t)p % 64 != 0) {
    j->wrong++;
    return;
  }
  memset(p, (int)task, j->bytes);
  for (size_t i = 0; i < j->bytes; i += 61) j->wrong += p[i] != (uint8_t)task;
}

static void scratch_is_each_workers_own(void **state) {
  static const int changes[] = {2, 7, 3, 1, 64, 2};
  (void)state;
  for (int i = 0; i < 6; i++) {
    assert_int_equal(ml_set_threads(changes[i]), ML_OK);
    scratch_job j = {.bytes = (size_t)(1000 + 3000 * i)};
    assert_int_equal(ml_scratch_reserve(j.bytes), ML_OK);
    ml_parallel(200, scratch_task, &j);
    assert_int_equal(j.wrong, 0);
    assert_int_equal(ml_set_threads(5), ML_OK); /* more or fewer: what was reserved holds */
    ml_parallel(200, scratch_task, &j);
    assert_int_equal(j.wrong, 0);
  }
}

static void scratch_survives_refusals(void **state) {
  (void)state;
  ml_pool_shutdown();
  ml_set_threads(3);
  int64_t blocks = stats().live_blocks;
  scratch_job j = {.bytes = 500};
  assert_int_equal(ml_scratch_reserve(j.bytes), ML_OK);
  for (int nth = 1; nth <= 3; nth++) {
    ml_mem_fail_at(nth);
    int st = ml_scratch_reserve((size_t)(1000 + 1000 * nth));
    ml_mem_fail_at(0);
    assert_int_equal(st, ML_ENOMEM);
    ml_parallel(50, scratch_task, &j); /* the old ones are still there */
    assert_int_equal(j.wrong, 0);
  }
  ml_mem_fail_at(1);
  assert_int_equal(ml_set_threads(4), ML_ENOMEM); /* the fourth worker needs scratch too */
  ml_mem_fail_at(0);
  assert_int_equal(ml_threads(), 3);
  ml_pool_shutdown();
  assert_int_equal(stats().live_blocks, blocks);
  expect_once(100, 3); /* and starts again */
}

/* ---- floating-point mode: tasks always see IEEE arithmetic, the caller keeps its own ---- */

typedef struct { volatile float tiny; _Atomic int flushed; } fp_job;

static void subnormal_task(void *ctx, int64_t task, int worker) {
  fp_job *j = ctx;
  (void)task, (void)worker;
  float half = j->tiny * 0.5f; /* subnormal: zero under FTZ */
  if (half == 0 || half + half != j->tiny) j->flushed++;
#if defined(__x86_64__)
  if ((_mm_getcsr() & 0xffc0) != 0x1f80) j->flushed++;
#endif
}

#if defined(__x86_64__)
static void leave_ftz_task(void *ctx, int64_t task, int worker) {
  (void)ctx, (void)task, (void)worker;
  _mm_setcsr(0x9fc0);
}

static void tasks_see_no_flush_to_zero(void **state) {
  static const unsigned modes[] = {0x1f80, 0x9fc0, 0x1fc0, 0x9f80, 0x7f80};
  (void)state;
  for (int m = 0; m < 5; m++)
    for (int i = 0; i < 4; i++) {
      fp_job j = {.tiny = 0x1p-126f};
      ml_pool_shutdown(); /* the workers are born under this mode */
      ml_set_threads(pool_sizes[i]);
      _mm_setcsr(modes[m]);
      ml_parallel(i == 3 ? 1 : 300, subnormal_task, &j);
      ml_parallel(50, leave_ftz_task, NULL); /* on whichever workers claim these */
      ml_parallel(300, subnormal_task, &j);
      unsigned after = _mm_getcsr() & 0xffc0;
      _mm_setcsr(0x1f80);
      assert_int_equal(j.flushed, 0);
      assert_int_equal(after, modes[m]);
    }
}
#else
static void tasks_see_no_flush_to_zero(void **state) {
  (void)state;
  fp_job j = {.tiny = 0x1p-126f};
  ml_set_threads(3);
  ml_parallel(300, subnormal_task, &j);
  assert_int_equal(j.flushed, 0);
}
#endif

/* ---- fork ---- */

/* ThreadSanitizer asks to be told that a child with threads is meant */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }

static int exit_of(pid_t child) {
  int status = 0;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* in a child, where assertions of the parent's runner have no place */
static int child_computes(int threads) {
  static tally t;
  memset(&t, 0, sizeof t);
  t.threads = threads;
  scratch_job j = {.bytes = 4000};
  if (ml_scratch_reserve(j.bytes) != ML_OK) return 2;
  ml_parallel(TASKS, count_task, &t);
  ml_parallel(20, scratch_task, &j);
  for (int i = 0; i < TASKS; i++)
    if (t.runs[i] != 1) return 3;
  return t.wrong + j.wrong == 0 ? 0 : 4;
}

static void a_child_can_compute(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    ml_set_threads(pool_sizes[i]);
    expect_once(TASKS, pool_sizes[i]);
    pid_t child = fork();
    if (child == 0) {
      alarm(60); /* a lost lock must not hang the tests */
      _exit(child_computes(pool_sizes[i]));
    }
    expect_once(TASKS, pool_sizes[i]); /* the parent goes on */
    assert_int_equal(exit_of(child), 0);
  }
}

/* ---- two host threads ---- */

static _Atomic bool done;
typedef struct { int wrong; bool restless; } host;

static void *host_thread(void *arg) {
  host *h = arg;
  for (int i = 0; i < (SANITIZED ? 100 : 1000); i++) {
    tally *t = calloc(1, sizeof *t);
    t->threads = ML_MAX_THREADS;
    scratch_job j = {.bytes = (size_t)(100 + 400 * (i % 40))};
    if (ml_scratch_reserve(j.bytes) != ML_OK) h->wrong++;
    ml_parallel(i % 7 == 0 ? 1 : 40, scratch_task, &j);
    ml_parallel(TASKS, count_task, t);
    h->wrong += j.wrong + t->wrong;
    for (int k = 0; k < TASKS; k++) h->wrong += t->runs[k] != 1;
    if (h->restless && i % 20 == 0) ml_set_threads(1 + i / 20 % 4);
    free(t);
  }
  return NULL;
}

static void *forking_thread(void *arg) {
  host *h = arg;
  while (!done) {
    pid_t child = fork(); /* whatever the others are doing just now */
    if (child == 0) {
      alarm(60);
      _exit(child_computes(ML_MAX_THREADS));
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) h->wrong++;
    usleep(2000);
  }
  return NULL;
}

static void host_threads_take_turns(void **state) {
  pthread_t t[3];
  host h[3] = {{0, false}, {0, true}, {0, false}};
  (void)state;
  done = false;
  ml_set_threads(3);
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&t[i], NULL, host_thread, &h[i]), 0);
  /* sanitizers' own locks do not all survive the fork of a process with busy threads */
  bool forks = !SANITIZED;
  if (forks) assert_int_equal(pthread_create(&t[2], NULL, forking_thread, &h[2]), 0);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
  done = true;
  if (forks) pthread_join(t[2], NULL);
  for (int i = 0; i < 3; i++) assert_int_equal(h[i].wrong, 0);
}

static void no_memory_stays_behind_a_host_thread(void **state) {
  pthread_t t;
  host h = {0, false};
  (void)state;
  ml_set_threads(1);
  assert_int_equal(ml_scratch_reserve(50000), ML_OK); /* the workers' share does not grow below */
  int64_t blocks = stats().live_blocks;
  pthread_create(&t, NULL, host_thread, &h);
  pthread_join(t, NULL);
  assert_int_equal(h.wrong, 0);
  assert_int_equal(stats().live_blocks, blocks);
}

/* ---- the processor ---- */

static void an_absent_isa_is_refused_by_name(void **state) {
  (void)state;
  int was = ml_isa(), absent = 0;
  assert_true(ml_cpu_has(ML_ISA_SCALAR));
  assert_false(ml_cpu_has(-1));
  assert_false(ml_cpu_has(ML_ISA_COUNT));
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (ml_cpu_has(isa)) {
      assert_int_equal(ml_isa_set(isa), ML_OK);
      assert_int_equal(ml_isa(), isa);
      continue;
    }
    int before = ml_isa();
    absent++;
    assert_int_equal(ml_isa_set(isa), ML_EARG);
    assert_int_equal(ml_isa(), before); /* nothing changed */
    expect_message(ml_isa_name(isa));
    for (int have = 0; have < ML_ISA_COUNT; have++)
      if (ml_cpu_has(have)) expect_message(ml_isa_name(have));
  }
  assert_true(absent > 0); /* no machine has both AVX2 and NEON */
  assert_int_equal(ml_isa_set(ML_ISA_COUNT), ML_EARG);
  assert_int_equal(ml_isa_set(-1), ML_EARG);
  assert_int_equal(ml_isa_set(was), ML_OK);
  assert_true(strlen(ml_cpu_name()) > 0);
  assert_true(ml_cpu_count() >= 1);
}

/* ---- clock, signals ---- */

static void the_clock_goes_forward(void **state) {
  (void)state;
  double t = ml_clock();
  usleep(3000);
  assert_true(ml_clock() - t >= 0.002);
  assert_true(ml_rss_bytes() > 1 << 20);
}

static void signals_are_noted_while_caught(void **state) {
  struct sigaction before, after;
  (void)state;
  sigaction(SIGINT, NULL, &before);
  assert_int_equal(ml_signal_pending(), 0);
  assert_int_equal(ml_signal_catch(true), ML_OK);
  assert_int_equal(ml_signal_catch(true), ML_OK); /* twice: the host's handler is not lost */
  raise(SIGTERM);
  assert_int_equal(ml_signal_pending(), SIGTERM);
  ml_signal_clear();
  assert_int_equal(ml_signal_pending(), 0);
  pid_t child = fork();
  if (child == 0) { /* a second signal ends the process */
    raise(SIGINT);
    if (ml_signal_pending() == SIGINT) raise(SIGINT);
    _exit(0);
  }
  assert_int_equal(exit_of(child), 128 + SIGINT);
  assert_int_equal(ml_signal_catch(false), ML_OK);
  sigaction(SIGINT, NULL, &after);
  assert_ptr_equal(before.sa_handler, after.sa_handler);
}

/* ---- files ---- */

static char folder[] = "/tmp/moonlit-base-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[4][512];
  static int turn;
  char *p = path[turn++ % 4];
  snprintf(p, sizeof path[0], "%s/%s", folder, name);
  return p;
}

static int entries(void) {
  int n = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static void expect_content(const char *name, const char *text) {
  ml_file f;
  assert_int_equal(ml_file_map(&f, in_folder(name)), ML_OK);
  assert_int_equal(f.size, strlen(text));
  if (f.size > 0) assert_memory_equal(f.data, text, f.size);
  ml_file_unmap(&f), ml_file_unmap(&f);
}

static void write_file(const char *name, const char *text) {
  ml_writer *w;
  assert_int_equal(ml_writer_open(&w, in_folder(name)), ML_OK);
  assert_int_equal(ml_writer_put(w, text, strlen(text)), ML_OK);
  assert_int_equal(ml_writer_put(w, text, 0), ML_OK);
  assert_int_equal(ml_writer_commit(w), ML_OK);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void files_appear_whole(void **state) {
  ml_writer *w;
  struct stat s;
  (void)state;
  write_file("a", "");
  expect_content("a", "");
  mode_t mask = umask(027);
  assert_int_equal(ml_writer_open(&w, in_folder("a")), ML_OK);
  umask(mask);
  assert_int_equal(ml_writer_put(w, "new", 3), ML_OK);
  expect_content("a", ""); /* not yet */
  assert_int_equal(entries(), 2);
  assert_int_equal(ml_writer_commit(w), ML_OK);
  expect_content("a", "new");
  assert_int_equal(entries(), 1);
  assert_int_equal(stat(in_folder("a"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0640); /* what the umask says */
  char here[512]; /* a path without a folder, too */
  assert_non_null(getcwd(here, sizeof here));
  assert_int_equal(chdir(folder), 0);
  assert_int_equal(ml_writer_open(&w, "b"), ML_OK);
  assert_int_equal(ml_writer_commit(w), ML_OK);
  assert_int_equal(chdir(here), 0);
  expect_content("b", "");
  unlink(in_folder("b")), unlink(in_folder("a"));
}

static void a_failed_write_leaves_the_old_file(void **state) {
  ml_writer *w, *second;
  (void)state;
  ml_mem_stats before = stats();
  write_file("a", "old");
  assert_int_equal(ml_writer_open(&w, in_folder("a")), ML_OK);
  assert_int_equal(ml_writer_open(&second, in_folder("a")), ML_OK); /* each its own temporary */
  assert_int_equal(ml_writer_put(w, "half", 4), ML_OK);
  ml_writer_abort(w), ml_writer_abort(second), ml_writer_abort(NULL);
  expect_content("a", "old");
  /* the target cannot be replaced: it is a folder */
  assert_int_equal(ml_mkdir(in_folder("d")), ML_OK);
  assert_int_equal(ml_writer_open(&w, in_folder("d")), ML_OK);
  assert_int_equal(ml_writer_commit(w), ML_EIO);
  expect_message(in_folder("d"));
  assert_int_equal(entries(), 2);
  /* the disk is full */
  signal(SIGXFSZ, SIG_IGN);
  pid_t child = fork();
  if (child == 0) {
    char page[8192] = {0};
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}) != 0) _exit(9);
    if (ml_writer_open(&w, in_folder("a")) != ML_OK) _exit(2);
    if (ml_writer_put(w, page, sizeof page) != ML_EIO) _exit(3);
    ml_writer_abort(w);
    _exit(strstr(ml_errmsg(), in_folder("a")) ? 0 : 4);
  }
  assert_int_equal(exit_of(child), 0);
  signal(SIGXFSZ, SIG_DFL);
  expect_content("a", "old");
  assert_int_equal(entries(), 2);
  assert_int_equal(stats().live_blocks, before.live_blocks);
  rmdir(in_folder("d")), unlink(in_folder("a"));
}

static void every_failed_allocation_of_a_write_is_clean(void **state) {
  (void)state;
  write_file("a", "old");
  int64_t blocks = stats().live_blocks;
  int st = ML_ENOMEM, nth = 0;
  while (st == ML_ENOMEM) {
    ml_writer *w;
    expect_content("a", "old");
    ml_mem_fail_at(++nth);
    st = ml_writer_open(&w, in_folder("a"));
    if (st == ML_OK) st = ml_writer_commit(w);
    ml_mem_fail_at(0);
    assert_int_equal(entries(), 1);
    assert_int_equal(stats().live_blocks, blocks);
  }
  assert_int_equal(st, ML_OK);
  assert_true(nth > 3);
  expect_content("a", "");
  unlink(in_folder("a"));
}

static void odd_paths_are_answered(void **state) {
  ml_file f;
  ml_writer *w;
  (void)state;
  assert_int_equal(ml_file_map(&f, in_folder("none")), ML_EIO);
  expect_message("No such file");
  ml_file_unmap(&f);
  assert_int_equal(ml_file_map(&f, folder), ML_EIO);
  expect_message("not a regular file");
  assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
  assert_int_equal(ml_file_map(&f, in_folder("pipe")), ML_EIO); /* and does not hang */
  assert_int_equal(ml_mkdir(in_folder("pipe")), ML_EIO);
  expect_message("not a directory");
  assert_int_equal(ml_writer_open(&w, in_folder("none/file")), ML_EIO);
  expect_message("none/file");
  unlink(in_folder("pipe"));
  assert_int_equal(ml_mkdir(in_folder("x//y/z/")), ML_OK);
  assert_int_equal(ml_mkdir(in_folder("x/y/z")), ML_OK);
  assert_int_equal(ml_mkdir("/"), ML_OK);
  assert_int_equal(ml_mkdir(""), ML_EIO);
  assert_int_equal(rmdir(in_folder("x/y/z")) + rmdir(in_folder("x/y")) + rmdir(in_folder("x")), 0);
  assert_int_equal(entries(), 0);
}

/* ---- SHA-256: FIPS 180's examples ---- */

static void expect_sha256(const char *text, size_t times, const char *want) {
  ml_sha256 *h;
  char hex[65];
  assert_int_equal(ml_sha256_new(&h), ML_OK);
  for (size_t i = 0; i < times; i++)
    assert_int_equal(ml_sha256_add(h, text, strlen(text)), ML_OK);
  assert_int_equal(ml_sha256_hex(h, hex), ML_OK);
  assert_string_equal(hex, want);
}

static void sha256_has_its_known_answers(void **state) {
  (void)state;
  int64_t blocks = stats().live_blocks;
  expect_sha256("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect_sha256("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  expect_sha256("aaaaaaaaaa", 100000,
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  ml_sha256 *h;
  assert_int_equal(ml_sha256_new(&h), ML_OK);
  ml_sha256_free(h), ml_sha256_free(NULL);
  ml_mem_fail_at(1);
  assert_int_equal(ml_sha256_new(&h), ML_ENOMEM);
  ml_mem_fail_at(0);
  assert_int_equal(stats().live_blocks, blocks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_are_kept_by_thread), cmocka_unit_test(every_status_has_a_name),
    cmocka_unit_test(blocks_are_aligned_and_counted),
    cmocka_unit_test(a_kept_block_is_used_again_and_zeroed),
    cmocka_unit_test(refusals_say_how_many_bytes),
    cmocka_unit_test(the_nth_allocation_fails_once),
    cmocka_unit_test(threads_share_the_allocator), cmocka_unit_test(sizes_do_not_overflow),
    cmocka_unit_test(every_truncation_is_noticed), cmocka_unit_test(a_bad_reader_stays_bad),
    cmocka_unit_test(philox_has_its_known_answers), cmocka_unit_test(every_task_runs_once),
    cmocka_unit_test(sleeping_workers_wake), cmocka_unit_test(thread_numbers_are_checked),
    cmocka_unit_test(a_region_in_a_task_stays_on_its_worker),
    cmocka_unit_test(scratch_is_each_workers_own), cmocka_unit_test(scratch_survives_refusals),
    cmocka_unit_test(tasks_see_no_flush_to_zero), cmocka_unit_test(a_child_can_compute),
    cmocka_unit_test(host_threads_take_turns),
    cmocka_unit_test(no_memory_stays_behind_a_host_thread),
    cmocka_unit_test(an_absent_isa_is_refused_by_name), cmocka_unit_test(the_clock_goes_forward),
    cmocka_unit_test(signals_are_noted_while_caught), cmocka_unit_test(files_appear_whole),
    cmocka_unit_test(a_failed_write_leaves_the_old_file),
    cmocka_unit_test(every_failed_allocation_of_a_write_is_clean),
    cmocka_unit_test(odd_paths_are_answered), cmocka_unit_test(sha256_has_its_known_answers)};
  return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}

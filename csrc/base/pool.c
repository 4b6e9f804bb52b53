/* pool.c -- fixed tasks claimed one by one by the caller and the workers. A region is published as
** a generation number; workers spin on it for a few microseconds, then park on a futex, so an idle
** program costs nothing and a training step pays no wake-ups. Which thread runs a task never
** matters: every output is written by one task. */
#define _GNU_SOURCE
#include "base/base.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SPIN = 4000 }; /* pauses before a worker parks or the caller yields */

static struct {
  pthread_mutex_t owner;  /* the host thread whose region runs */
  _Atomic int wanted;     /* threads asked for, 0 = default */
  int running;            /* workers alive + the caller */
  pthread_t thread[ML_MAX_THREADS];
  void *scratch[ML_MAX_THREADS];  /* of scratch_bytes or more; worker 0 has `mine` */
  _Atomic size_t scratch_bytes;
  /* one region */
  ml_task *fn;
  void *ctx;
  int64_t n;
  _Alignas(64) _Atomic int64_t next;
  _Alignas(64) _Atomic uint32_t generation; /* futex word: a new region, or stop */
  _Alignas(64) _Atomic int busy;            /* workers still in the region */
  _Atomic int parked;
  _Atomic bool stop;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER};

enum { OUTSIDE = -1 };
static _Thread_local int here = OUTSIDE; /* the worker whose task this thread runs */
static _Thread_local void *mine;         /* scratch of this thread as worker 0 */

/* ---- floating-point mode: IEEE default, no flush to zero ---- */

#if defined(__x86_64__)
typedef unsigned fp_mode;
enum { FP_MODE = 0xffc0, FP_IEEE = 0x1f80 }; /* all but the sticky exception flags */
static fp_mode fp_enter(void) {
  fp_mode was = _mm_getcsr();
  if ((was & FP_MODE) != FP_IEEE) _mm_setcsr(FP_IEEE);
  return was;
}
static void fp_leave(fp_mode was) { /* whatever the tasks did to it */
  if ((_mm_getcsr() ^ was) & FP_MODE) _mm_setcsr(was);
}
#elif defined(__aarch64__)
typedef uint64_t fp_mode;
static fp_mode fp_now(void) {
  fp_mode now;
  __asm__ volatile("mrs %0, fpcr" : "=r"(now));
  return now;
}
static void fp_set(fp_mode to) { __asm__ volatile("msr fpcr, %0" ::"r"(to)); }
static fp_mode fp_enter(void) {
  fp_mode was = fp_now();
  if (was != 0) fp_set(0);
  return was;
}
static void fp_leave(fp_mode was) { /* whatever the tasks did to it */
  if (fp_now() != was) fp_set(was);
}
#else
typedef int fp_mode;
static fp_mode fp_enter(void) { return 0; }
static void fp_leave(fp_mode was) { (void)was; }
#endif

static void relax(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, ML_MAX_THREADS, NULL, NULL, 0);
}

/* ---- running tasks ---- */

static void claim_tasks(int worker) {
  for (;;) {
    int64_t i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);
    if (i >= pool.n) return;
    pool.fn(pool.ctx, i, worker);
  }
}

/* spin, then sleep, until a new region or stop; returns its generation */
static uint32_t await_region(uint32_t seen) {
  for (int i = 0; i < SPIN; i++) {
    uint32_t g = atomic_load_explicit(&pool.generation, memory_order_acquire);
    if (g != seen) return g;
    relax();
  }
  for (;;) {
    atomic_fetch_add(&pool.parked, 1);
    uint32_t g = atomic_load(&pool.generation);
    if (g == seen) futex_wait(&pool.generation, seen);
    atomic_fetch_sub(&pool.parked, 1);
    g = atomic_load_explicit(&pool.generation, memory_order_acquire);
    if (g != seen) return g;
  }
}

static void *worker_main(void *arg) {
  int worker = (int)(intptr_t)arg;
  uint32_t seen = 0;
  here = worker;
  for (;;) {
    seen = await_region(seen);
    if (atomic_load_explicit(&pool.stop, memory_order_acquire)) return NULL;
    fp_enter();
    claim_tasks(worker);
    atomic_fetch_sub_explicit(&pool.busy, 1, memory_order_release);
  }
}

/* ---- starting and stopping; owner is held ---- */

static void forget_in_child(void) { /* fork: the workers are not here, nor is any region */
  pthread_mutex_init(&pool.owner, NULL);
  pool.running = 0;
  atomic_store(&pool.busy, 0);
  atomic_store(&pool.parked, 0);
}

static void hold(void) { pthread_mutex_lock(&pool.owner); }
static void let_go(void) { pthread_mutex_unlock(&pool.owner); }

static void register_handlers(void) { pthread_atfork(hold, let_go, forget_in_child); }

static void watch_forks(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, register_handlers);
}

static void stop_workers(void) {
  if (pool.running <= 1) { pool.running = 0; return; }
  atomic_store(&pool.stop, true);
  atomic_fetch_add(&pool.generation, 1);
  futex_wake_all(&pool.generation);
  for (int i = 1; i < pool.running; i++) pthread_join(pool.thread[i], NULL);
  atomic_store(&pool.stop, false);
  pool.running = 0;
}

/* signals stay with the host's own threads */
static void start_workers(int n) {
  sigset_t all, was;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &was);
  atomic_store(&pool.generation, 0); /* what a new worker has seen; regions without any count too */
  pool.running = 1;
  while (pool.running < n &&
         pthread_create(&pool.thread[pool.running], NULL, worker_main,
                        (void *)(intptr_t)pool.running) == 0)
    pool.running++;
  pthread_sigmask(SIG_SETMASK, &was, NULL);
}

/* ---- scratch ---- */

static int grow(void **block, size_t bytes) {
  if (bytes == 0 || (*block && ml_alloc_size(*block) >= bytes)) return ML_OK;
  void *bigger = ml_alloc(bytes); /* first: a failure leaves what another region counts on */
  if (!bigger) return ML_ENOMEM;
  ml_free(*block);
  *block = bigger;
  return ML_OK;
}

static pthread_key_t mine_key; /* only for its destructor: host threads come and go */
static void make_key(void) { pthread_key_create(&mine_key, ml_free); }

static int grow_mine(size_t bytes) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (mine && ml_alloc_size(mine) >= bytes) return ML_OK;
  pthread_once(&once, make_key);
  int st = grow(&mine, bytes);
  pthread_setspecific(mine_key, mine);
  return st;
}

/* owner is held */
static int grow_workers(int threads, size_t bytes) {
  int st = ML_OK;
  for (int i = 1; i < threads && st == ML_OK; i++) st = grow(&pool.scratch[i], bytes);
  return st;
}

static void free_workers(int from) {
  for (int i = from; i < ML_MAX_THREADS; i++) ml_free(pool.scratch[i]), pool.scratch[i] = NULL;
}

/* ---- the interface ---- */

int ml_threads(void) {
  int n = atomic_load_explicit(&pool.wanted, memory_order_relaxed), none = 0;
  if (n > 0) return n;
  n = ml_cpu_count(); /* asked once: it is a system call */
  if (n > ML_MAX_THREADS) n = ML_MAX_THREADS;
  return atomic_compare_exchange_strong(&pool.wanted, &none, n) ? n : none;
}

int ml_set_threads(int n) {
  if (n < 1 || n > ML_MAX_THREADS)
    return ml_fail(ML_EARG, "threads: expected 1 to %d, got %d", ML_MAX_THREADS, n);
  hold();
  int st = grow_workers(n, pool.scratch_bytes);
  if (st == ML_OK && n != ml_threads()) {
    stop_workers();
    free_workers(n);
    pool.wanted = n;
  }
  let_go();
  return st;
}

void ml_pool_shutdown(void) {
  hold();
  stop_workers();
  free_workers(1);
  pool.scratch_bytes = 0;
  let_go();
  if (!mine) return;
  pthread_setspecific(mine_key, NULL);
  ml_free(mine), mine = NULL;
}

int ml_scratch_reserve(size_t bytes) {
  int st = grow_mine(bytes);
  if (st != ML_OK || bytes <= atomic_load(&pool.scratch_bytes)) return st;
  hold();
  st = grow_workers(ml_threads(), bytes);
  if (st == ML_OK && bytes > pool.scratch_bytes) pool.scratch_bytes = bytes;
  let_go();
  return st;
}

void *ml_scratch(int worker) { return worker > 0 ? pool.scratch[worker] : mine; }

static void run_inline(int64_t n, ml_task *fn, void *ctx, int worker) {
  for (int64_t i = 0; i < n; i++) fn(ctx, i, worker);
}

static void run_region(int64_t n, ml_task *fn, void *ctx) {
  pool.fn = fn, pool.ctx = ctx, pool.n = n;
  atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool.busy, pool.running - 1, memory_order_relaxed);
  atomic_fetch_add(&pool.generation, 1);
  if (atomic_load(&pool.parked) > 0) futex_wake_all(&pool.generation);
  claim_tasks(0);
  for (int spins = 0; atomic_load_explicit(&pool.busy, memory_order_acquire) > 0;) {
    relax();
    if (++spins > SPIN) sched_yield(); /* more threads than processors */
  }
}

static void run_on_workers(int64_t n, ml_task *fn, void *ctx) {
  watch_forks();
  hold();
  if (pool.running == 0) start_workers(ml_threads());
  run_region(n, fn, ctx);
  let_go();
}

void ml_parallel(int64_t n, ml_task *fn, void *ctx) {
  if (n <= 0) return;
  if (here != OUTSIDE) { /* called from a task */
    run_inline(n, fn, ctx, here);
    return;
  }
  fp_mode was = fp_enter();
  here = 0;
  if (n == 1 || ml_threads() == 1) run_inline(n, fn, ctx, 0);
  else run_on_workers(n, fn, ctx);
  here = OUTSIDE;
  fp_leave(was);
}

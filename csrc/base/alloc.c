/* alloc.c -- counted, 64-byte aligned, failable allocation; freed blocks wait in size classes.
** Training asks for the same sizes every step: a kept block costs no page fault. Blocks of 2 MiB
** and more lie on huge pages. Under AddressSanitizer nothing is kept or rounded up, so that it
** sees every use after free and every byte too far. */
#define _GNU_SOURCE
#include "base/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 64, CLASSES = 4 * 48 };
static const size_t HUGE_BLOCK = 2u << 20, KEEP_BYTES = (size_t)1 << 30;

/* in front of every block; `next` links kept ones */
typedef struct block {
  size_t asked, room; /* bytes wanted, bytes usable */
  int klass;
  struct block *next;
} block;

static struct {
  pthread_mutex_t lock;
  block *kept[CLASSES];
  ml_mem_stats s;
  int64_t budget, fail_at;
} m = {.lock = PTHREAD_MUTEX_INITIALIZER};

#if defined(__SANITIZE_ADDRESS__)
#define KEEP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP 0
#endif
#endif
#ifndef KEEP
#define KEEP 1
#endif

static void lock(void) { pthread_mutex_lock(&m.lock); }
static void unlock(void) { pthread_mutex_unlock(&m.lock); }
/* a child must not inherit a lock that a thread it has not got would open. At load, so that
** the pool, which allocates under its own lock, registers later and locks first. */
__attribute__((constructor)) static void watch_forks(void) {
  pthread_atfork(lock, unlock, unlock);
}

/* four classes an octave from 64 bytes on: at most a quarter is wasted */
static int class_of(size_t bytes, size_t *room) {
  size_t base = 64;
  for (int k = 0; k < CLASSES; k += 4, base *= 2)
    for (int q = 0; q < 4; q++)
      if (bytes <= base + q * (base / 4)) {
        *room = KEEP ? base + q * (base / 4) : bytes;
        return k + q;
      }
  return -1;
}

static bool is_mapped(size_t total) { return KEEP && total >= HUGE_BLOCK; }

static block *from_system(size_t room) {
  size_t total = HEADER + room;
  if (!is_mapped(total)) {
    void *p = NULL;
    return posix_memalign(&p, 64, total) == 0 ? p : NULL;
  }
  size_t len = (total + 4095) & ~(size_t)4095;
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  madvise(p, len, MADV_HUGEPAGE);
  return p;
}

static void to_system(block *b) {
  size_t total = HEADER + b->room;
  if (!is_mapped(total)) free(b);
  else munmap(b, (total + 4095) & ~(size_t)4095);
}

/* under the lock: may this allocation happen at all? */
static bool allowed(size_t bytes) {
  if (m.fail_at > 0 && --m.fail_at == 0) return false;
  return m.budget == 0 || m.s.live_bytes + (int64_t)bytes <= m.budget;
}

static void count(size_t bytes) {
  m.s.live_bytes += (int64_t)bytes;
  m.s.live_blocks++;
  m.s.allocations++;
  if (m.s.live_bytes > m.s.peak_bytes) m.s.peak_bytes = m.s.live_bytes;
}

static block *take_kept(int klass) {
  block *b = m.kept[klass];
  if (!b) return NULL;
  m.kept[klass] = b->next;
  m.s.cached_bytes -= (int64_t)b->room;
  return b;
}

static void *refuse(size_t bytes) {
  ml_fail(ML_ENOMEM, "out of memory: %zu bytes could not be had", bytes);
  return NULL;
}

void *ml_alloc(size_t bytes) {
  size_t room = 0;
  int klass = bytes > PTRDIFF_MAX - HEADER ? -1 : class_of(bytes, &room);
  if (klass < 0) return refuse(bytes);
  lock();
  bool fine = allowed(bytes);
  block *b = fine ? take_kept(klass) : NULL;
  if (fine && !b) {
    unlock();
    b = from_system(room);
    if (!b) { /* what we keep may be what is missing */
      ml_mem_trim();
      b = from_system(room);
    }
    lock();
  }
  if (b) count(bytes);
  unlock();
  if (!b) return refuse(bytes);
  *b = (block){bytes, room, klass, NULL};
  return (char *)b + HEADER;
}

void *ml_alloc0(size_t bytes) {
  void *p = ml_alloc(bytes);
  if (p) memset(p, 0, bytes);
  return p;
}

static block *block_of(const void *p) { return (block *)((char *)(uintptr_t)p - HEADER); }

void ml_free(void *p) {
  if (!p) return;
  block *b = block_of(p);
  lock();
  m.s.live_bytes -= (int64_t)b->asked;
  m.s.live_blocks--;
  bool keep = KEEP && (size_t)m.s.cached_bytes + b->room <= KEEP_BYTES;
  if (keep) {
    b->next = m.kept[b->klass];
    m.kept[b->klass] = b;
    m.s.cached_bytes += (int64_t)b->room;
  }
  unlock();
  if (!keep) to_system(b);
}

size_t ml_alloc_size(const void *p) { return block_of(p)->asked; }

void ml_mem_trim(void) {
  for (int k = 0; k < CLASSES; k++) {
    lock();
    block *list = m.kept[k];
    m.kept[k] = NULL;
    for (block *b = list; b; b = b->next) m.s.cached_bytes -= (int64_t)b->room;
    unlock();
    for (block *b = list, *next; b; b = next) {
      next = b->next;
      to_system(b);
    }
  }
}

void ml_mem_get(ml_mem_stats *s) {
  lock();
  *s = m.s;
  unlock();
}

void ml_mem_reset_peak(void) {
  lock();
  m.s.peak_bytes = m.s.live_bytes;
  unlock();
}

void ml_mem_budget(int64_t bytes) {
  lock();
  m.budget = bytes;
  unlock();
}

void ml_mem_fail_at(int64_t nth) {
  lock();
  m.fail_at = nth;
  unlock();
}

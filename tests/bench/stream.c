/* stream.c -- stream THREADS MIB: GB/s at which all threads together read that much memory, over
** and over, each its own part as the weights' panels are read: the best of some tries. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef float line __attribute__((vector_size(64)));
enum { SUMS = 8, TRIES = 20 };

static char *memory;
static size_t part;
static pthread_barrier_t gate;
static volatile float sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sweep(const char *p) {
  line s[SUMS] = {0};
  for (size_t i = 0; i < part; i += SUMS * sizeof(line))
    for (int j = 0; j < SUMS; j++) s[j] += *(const line *)(const void *)(p + i + 64 * j);
  for (int j = 0; j < SUMS; j++) sink += s[j][0];
}

static void *reader(void *arg) {
  for (int i = 0; i < TRIES; i++) {
    pthread_barrier_wait(&gate);
    sweep(arg);
    pthread_barrier_wait(&gate);
  }
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2, mib = argc > 2 ? atoi(argv[2]) : 256;
  pthread_t t;
  double best = 0;
  part = (size_t)mib * 1048576 / (size_t)threads / 4096 * 4096;
  if (posix_memalign((void **)&memory, 1 << 21, part * (size_t)threads) != 0) return 1;
  madvise(memory, part * (size_t)threads, MADV_HUGEPAGE); /* as ours is */
  memset(memory, 0, part * (size_t)threads);
  pthread_barrier_init(&gate, NULL, (unsigned)threads);
  for (int i = 1; i < threads; i++)
    if (pthread_create(&t, NULL, reader, memory + part * (size_t)i) != 0) return 1;
  for (int i = 0; i < TRIES; i++) {
    pthread_barrier_wait(&gate);
    double start = now();
    sweep(memory);
    pthread_barrier_wait(&gate);
    double rate = (double)(part * (size_t)threads) / (now() - start) / 1e9;
    if (i > 0 && rate > best) best = rate;
  }
  printf("%.1f\n", best);
  return 0;
}

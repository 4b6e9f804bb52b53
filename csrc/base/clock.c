/* clock.c -- monotonic time, and the memory the system says we hold. */
#define _GNU_SOURCE
#include "base/base.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

double ml_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t ml_rss_bytes(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  long total, resident;
  if (!f) return 0;
  int got = fscanf(f, "%ld %ld", &total, &resident);
  fclose(f);
  return got == 2 ? (int64_t)resident * sysconf(_SC_PAGESIZE) : 0;
}

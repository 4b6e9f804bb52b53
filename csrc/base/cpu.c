/* cpu.c -- which instruction sets this build has and this machine can run. */
#define _GNU_SOURCE
#include "base/base.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

const char *ml_isa_name(int isa) {
  static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};
  return isa >= 0 && isa < ML_ISA_COUNT ? names[isa] : "unknown";
}

bool ml_cpu_has(int isa) {
  if (isa == ML_ISA_SCALAR) return true;
#if defined(__x86_64__)
  __builtin_cpu_init(); /* looks at the operating system's register state too */
  if (isa == ML_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == ML_ISA_AVX512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#elif defined(__aarch64__)
  if (isa == ML_ISA_NEON) return true;
#endif
  return false;
}

const char *ml_cpu_name(void) {
#if defined(__x86_64__)
  static char name[49];
  unsigned r[12];
  if (!__get_cpuid(0x80000002, &r[0], &r[1], &r[2], &r[3])) return "x86-64";
  __get_cpuid(0x80000003, &r[4], &r[5], &r[6], &r[7]);
  __get_cpuid(0x80000004, &r[8], &r[9], &r[10], &r[11]);
  memcpy(name, r, 48);
  char *p = name;
  while (*p == ' ') p++;
  return p;
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown processor";
#endif
}

int ml_cpu_count(void) {
  cpu_set_t set;
  /* refused where there are more processors than the set holds: then all of them count */
  long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                       : sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (int)n : 1;
}

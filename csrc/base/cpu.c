/* cpu.c -- which instruction sets this build has and this machine can run. */
#define _GNU_SOURCE
#include "base/base.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
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

#if defined(__x86_64__)
/* bit of a register (0 eax, 3 edx) of leaf 7: compilers' names for these are younger than they */
static bool leaf7(unsigned sub, int reg, int bit) {
  unsigned r[4];
  return __get_cpuid_count(7, sub, &r[0], &r[1], &r[2], &r[3]) && r[reg] >> bit & 1;
}

bool ml_cpu_pairs(void) { return ml_cpu_has(ML_ISA_AVX512) && leaf7(1, 0, 5); }

/* Linux lends the tile registers (8 KiB of state a thread) only to programs that ask */
bool ml_cpu_tiles(void) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  if (!ml_cpu_has(ML_ISA_AVX512) || !leaf7(0, 3, 22) || !leaf7(0, 3, 24)) return false;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

bool ml_cpu_fast_pairs(void) {
  unsigned r[4];
  char vendor[12];
  if (!ml_cpu_pairs() || !__get_cpuid(0, &r[0], &r[1], &r[2], &r[3])) return false;
  memcpy(vendor, &r[1], 4), memcpy(vendor + 4, &r[3], 4), memcpy(vendor + 8, &r[2], 4);
  return memcmp(vendor, "GenuineIntel", 12) != 0;
}
#else
bool ml_cpu_pairs(void) { return false; }
bool ml_cpu_tiles(void) { return false; }
bool ml_cpu_fast_pairs(void) { return false; }
#endif

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

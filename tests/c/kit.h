/* kit.h -- what the C tests share: how much work a run under sanitizers can afford. */
#ifndef ML_TEST_KIT_H
#define ML_TEST_KIT_H

/* `make SAN=...`: every access is watched, ten to fifty times slower */
#if defined(ML_SANITIZED)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* of n samples, those to take; as a step: the distance between them */
enum { STRIDE = SANITIZED ? 10 : 1 };
static inline int samples(int n) { return (n + STRIDE - 1) / STRIDE; }

/* definitions to compare with: they are not what is watched */
#define UNWATCHED __attribute__((no_sanitize("address", "thread", "undefined")))

#endif

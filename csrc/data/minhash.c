/* minhash.c -- shingles and MinHash signatures (Broder 1997), words.h. */
#include "data/words.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void sort_few(uint64_t *v, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    uint64_t x = v[i];
    int64_t j = i;
    for (; j > 0 && v[j - 1] > x; j--) v[j] = v[j - 1];
    v[j] = x;
  }
}

/* Hashes are spread evenly: by their highest byte into buckets, which hold few. Text made so that
** they are not is sorted as anything is; so is everything where there is no memory for a copy. */
static void sort_hashes(uint64_t *v, int64_t n) {
  enum { BUCKETS = 256, SHIFT = 56, FEW = 64 };
  int64_t end[BUCKETS] = {0};
  uint64_t *copy = n > FEW ? ml_alloc((size_t)n * sizeof *v) : NULL;
  if (!copy) {
    if (n > FEW) qsort(v, (size_t)n, sizeof *v, by_value);
    else sort_few(v, n);
    return;
  }
  memcpy(copy, v, (size_t)n * sizeof *v);
  for (int64_t i = 0; i < n; i++) end[copy[i] >> SHIFT]++;
  for (int b = 1; b < BUCKETS; b++) end[b] += end[b - 1];
  int64_t at[BUCKETS];
  for (int b = 0; b < BUCKETS; b++) at[b] = b ? end[b - 1] : 0;
  for (int64_t i = 0; i < n; i++) v[at[copy[i] >> SHIFT]++] = copy[i];
  for (int b = 0; b < BUCKETS; b++) {
    int64_t from = b ? end[b - 1] : 0, count = end[b] - from;
    if (count > FEW) qsort(v + from, (size_t)count, sizeof *v, by_value);
    else sort_few(v + from, count);
  }
  ml_free(copy);
}

int64_t ml_sort_unique(uint64_t *v, int64_t n) {
  int64_t kept = 0;
  sort_hashes(v, n);
  for (int64_t i = 0; i < n; i++)
    if (kept == 0 || v[i] != v[kept - 1]) v[kept++] = v[i];
  return kept;
}

int ml_shingles(uint64_t **out, int64_t *count, const uint8_t *p, size_t n, int words) {
  int64_t have;
  int st = ml_simple_words(out, &have, p, n);
  *count = 0;
  if (st != ML_OK) return st;
  if (have < words) return ML_OK;
  for (int64_t i = 0; i + words <= have; i++) { /* in place: word i is not read again */
    uint64_t h = (uint64_t)words;
    for (int j = 0; j < words; j++) h = ml_hash_mix(h, (*out)[i + j]);
    (*out)[i] = h;
  }
  *count = ml_sort_unique(*out, have - words + 1);
  return ML_OK;
}

/* the first of v[from ..] not below x: steps that double, then halve */
static int64_t seek(const uint64_t *v, int64_t from, int64_t n, uint64_t x) {
  int64_t step = 1, low = from;
  while (low + step < n && v[low + step] < x) low += step, step *= 2;
  int64_t high = low + step < n ? low + step : n;
  while (low < high) {
    int64_t mid = low + (high - low) / 2;
    if (v[mid] < x) low = mid + 1;
    else high = mid;
  }
  return low;
}

int64_t ml_shared(const uint64_t *a, int64_t na, const uint64_t *b, int64_t nb) {
  int64_t shared = 0;
  if (na > nb) return ml_shared(b, nb, a, na);
  for (int64_t i = 0, j = 0; i < na && j < nb; i++) {
    j = seek(b, j, nb, a[i]);
    shared += j < nb && b[j] == a[i];
  }
  return shared;
}

/* permutation i of 64 bits is x -> a x + b with a odd; what is compared first are high bits, which
** every bit of x reaches */
static uint64_t least(const uint64_t *shingles, int64_t n, uint64_t a, uint64_t b) {
  uint64_t min = UINT64_MAX;
  for (int64_t i = 0; i < n; i++) {
    uint64_t v = shingles[i] * a + b;
    min = v < min ? v : min;
  }
  return min;
}

void ml_signature(uint64_t *out, const uint64_t *shingles, int64_t n, int bands, int rows,
                  uint64_t seed) {
  enum { STREAM = 5 }; /* after those of rand, dropout, sampling, initialisation and data */
  for (int band = 0; band < bands; band++) {
    uint64_t h = (uint64_t)band;
    for (int row = 0; row < rows; row++) {
      ml_u32x4 r = ml_random(seed, STREAM, (uint64_t)band * (uint64_t)rows + (uint64_t)row, 0, 0);
      uint64_t a = (uint64_t)r.v[0] << 32 | r.v[1] | 1, b = (uint64_t)r.v[2] << 32 | r.v[3];
      h = ml_hash_mix(h, least(shingles, n, a, b));
    }
    out[band] = h;
  }
}

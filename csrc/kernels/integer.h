/* integer.h -- exact loops on 64-bit integers; one build for all ISAs. Sums and products wrap. */
#ifndef ML_INTEGER_H
#define ML_INTEGER_H

#include "kernels/kernels.h"

enum { ML_INT_ADD, ML_INT_SUB, ML_INT_MUL, ML_INT_MAX, ML_INT_MIN };
enum { ML_INT_EQ, ML_INT_NE, ML_INT_LT, ML_INT_LE };
void ml_int_binary(int code, int64_t *y, const int64_t *a, int64_t sa, const int64_t *b,
                   int64_t sb, int64_t n);
void ml_int_compare(int code, uint8_t *y, const int64_t *a, int64_t sa, const int64_t *b,
                    int64_t sb, int64_t n);
void ml_int_where(int64_t *y, const uint8_t *c, int64_t sc, const int64_t *a, int64_t sa,
                  const int64_t *b, int64_t sb, int64_t n);
/* rows of C: their sum, and the first position of the largest (smallest) */
void ml_int_row_sum(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C);
void ml_int_row_arg(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C, bool largest);
void ml_int_row_cumsum(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C);
/* stable order of one row of C; tmp: C */
void ml_int_row_sort(int64_t *idx, const int64_t *x, int64_t C, bool descending, int64_t *tmp);
void ml_int_gather_row(int64_t *y, const int64_t *x, const int64_t *idx, int64_t r0, int64_t r1,
                       int64_t C, int64_t S);
/* y[r] = row ids[r] of x, of any dtype: rows of `bytes` */
void ml_int_take_rows(char *y, const char *x, const int64_t *ids, int64_t r0, int64_t r1,
                      int64_t bytes);
void ml_int_iota(int64_t *y, int64_t n); /* 0, 1, ... */
/* y (R, C) = 1 where c <= r + k, or with lower false where c >= r + k */
void ml_int_triangle(uint8_t *y, int64_t R, int64_t C, int64_t k, bool lower);
/* ids equal to `ignore` become 0 with learned 0, the others learned 1. How many others; -1 if one
** is outside [0, V), its place in *bad */
int64_t ml_int_labels(int64_t *ids, int64_t *learned, int64_t n, int64_t ignore, int64_t V,
                      int64_t *bad);
/* start[..] = first elements of the runs of equal values in x (R, C), no run crossing a row;
** how many. start: R * C */
int64_t ml_int_runs(int64_t *start, const int64_t *x, int64_t R, int64_t C);
/* true if every idx + shift lies in [0, limit); shifts in place; *bad gets the first offender */
bool ml_int_shift_check(int64_t *idx, int64_t n, int64_t shift, int64_t limit, int64_t *bad);
/* 1-based positions (negative from the end) to 0-based in place; false on 0 or outside */
bool ml_int_positions(int64_t *idx, int64_t n, int64_t limit, int64_t *bad);
/* stable counting sort: order lists positions by ids[] ascending, first[v] .. first[v+1] are
** those of id v; ids in [0, V); first: V + 1 */
void ml_int_group(int64_t *order, int64_t *first, const int64_t *ids, int64_t n, int64_t V);

#endif

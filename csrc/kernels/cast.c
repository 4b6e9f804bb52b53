/* cast.c -- any dtype to any other. Floats round to nearest even; to integers they truncate, NaN
** gives 0 and what is out of range saturates. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

static float from_bf16(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static uint16_t to_bf16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* a NaN stays one */
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* its fields moved to a float's places are the value times 2^-112, subnormals included */
static float from_f16(uint16_t h) {
  uint32_t u = (uint32_t)(h & 0x7fff) << 13;
  float f;
  memcpy(&f, &u, 4);
  f *= 0x1p112f;
  memcpy(&u, &f, 4);
  u |= (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0; /* infinity and NaN */
  u |= (uint32_t)(h & 0x8000) << 16;
  memcpy(&f, &u, 4);
  return f;
}

/* rounding to a multiple of the target's spacing is exact in double */
static uint16_t to_f16(double x) {
  uint16_t s = signbit(x) ? 0x8000 : 0;
  if (x != x) return s | 0x7e00;
  double a = fabs(x);
  if (a >= 65520) return s | 0x7c00;
  int e;
  frexp(a, &e); /* a = f * 2^e, f in [0.5, 1) */
  if (e < -13) e = -13;
  double m = rint(ldexp(a, 11 - e)); /* 11 bits, or fewer for a subnormal */
  if (a == 0) return s;
  if (m == 2048) m = 1024, e++;
  return m < 1024 ? (uint16_t)(s | (uint16_t)m)
                  : (uint16_t)(s | (uint16_t)((e + 14) << 10) | ((uint16_t)m & 1023));
}

static int64_t to_int(double x, double lo, double hi_exclusive, int64_t max) {
  if (x != x) return 0;
  if (x < lo) return (int64_t)lo;
  return x >= hi_exclusive ? max : (int64_t)x;
}

static int64_t clamp_int(int64_t v, int64_t lo, int64_t hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

static bool is_integer(int dt) {
  return dt == ML_I64 || dt == ML_I32 || dt == ML_U8 || dt == ML_BOOL;
}

static int64_t load_int(const void *x, int dt, int64_t i) {
  switch (dt) {
  case ML_I64: return ((const int64_t *)x)[i];
  case ML_I32: return ((const int32_t *)x)[i];
  default: return ((const uint8_t *)x)[i];
  }
}

static double load_float(const void *x, int dt, int64_t i) {
  switch (dt) {
  case ML_F32: return (double)((const float *)x)[i];
  case ML_F64: return ((const double *)x)[i];
  case ML_BF16: return (double)from_bf16(((const uint16_t *)x)[i]);
  default: return (double)from_f16(((const uint16_t *)x)[i]);
  }
}

/* to bf16 from double: round to odd in float first, so that the second rounding is the only one */
static uint16_t bf16_of_double(double d) {
  float f = (float)d;
  if ((double)f != d && isfinite(f)) {
    uint32_t u;
    memcpy(&u, &f, 4);
    bool away = fabs((double)f) > fabs(d);
    if (away) u--;
    u |= 1;
    memcpy(&f, &u, 4);
  }
  return to_bf16(f);
}

static void store_float(void *y, int dt, int64_t i, double v) {
  switch (dt) {
  case ML_F32: ((float *)y)[i] = (float)v; break;
  case ML_F64: ((double *)y)[i] = v; break;
  case ML_BF16: ((uint16_t *)y)[i] = bf16_of_double(v); break;
  case ML_F16: ((uint16_t *)y)[i] = to_f16(v); break;
  case ML_I64: ((int64_t *)y)[i] = to_int(v, -0x1p63, 0x1p63, INT64_MAX); break;
  case ML_I32: ((int32_t *)y)[i] = (int32_t)to_int(v, -0x1p31, 0x1p31, INT32_MAX); break;
  case ML_U8: ((uint8_t *)y)[i] = (uint8_t)to_int(v, 0, 256, 255); break;
  default: ((uint8_t *)y)[i] = v != 0;
  }
}

static void store_int(void *y, int dt, int64_t i, int64_t v) {
  switch (dt) {
  case ML_F32: ((float *)y)[i] = (float)v; break;
  case ML_I64: ((int64_t *)y)[i] = v; break;
  case ML_I32: ((int32_t *)y)[i] = (int32_t)clamp_int(v, INT32_MIN, INT32_MAX); break;
  case ML_U8: ((uint8_t *)y)[i] = (uint8_t)clamp_int(v, 0, 255); break;
  case ML_BOOL: ((uint8_t *)y)[i] = v != 0; break;
  default: store_float(y, dt, i, (double)v);
  }
}

#define EACH(ytype, xtype, expr)                                    \
  for (int64_t i = 0; i < n; i++) {                                 \
    xtype v = ((const xtype *)x)[i * sx];                           \
    ((ytype *)y)[i * sy] = (expr);                                  \
  }                                                                 \
  return true

/* checkpoints and strided views: a loop of their own, since the general one asks per element */
static bool common_cast(void *y, int ydt, int64_t sy, const void *x, int xdt, int64_t sx,
                        int64_t n) {
  switch (ydt * ML_DTYPES + xdt) {
  case ML_F32 * ML_DTYPES + ML_F32: EACH(float, float, v);
  case ML_F32 * ML_DTYPES + ML_F64: EACH(float, double, (float)v);
  case ML_F64 * ML_DTYPES + ML_F32: EACH(double, float, (double)v);
  case ML_F32 * ML_DTYPES + ML_BF16: EACH(float, uint16_t, from_bf16(v));
  case ML_BF16 * ML_DTYPES + ML_F32: EACH(uint16_t, float, to_bf16(v));
  case ML_F32 * ML_DTYPES + ML_F16: EACH(float, uint16_t, from_f16(v));
  default: return false;
  }
}

void ml_cast(void *y, int ydt, int64_t sy, const void *x, int xdt, int64_t sx, int64_t n) {
  if (ydt == xdt && sy == 1 && sx == 1) {
    memmove(y, x, (size_t)(n * ml_dtype_size(ydt)));
  } else if (common_cast(y, ydt, sy, x, xdt, sx, n)) {
    return;
  } else if (is_integer(xdt)) {
    for (int64_t i = 0; i < n; i++) store_int(y, ydt, i * sy, load_int(x, xdt, i * sx));
  } else {
    for (int64_t i = 0; i < n; i++) store_float(y, ydt, i * sy, load_float(x, xdt, i * sx));
  }
}

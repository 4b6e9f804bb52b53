/* simd.h -- one virtual vector of 16 lanes, the same results on every ISA.
** `real` is float, except in the f64 instance of the kernels (ML_USE_F64), which is the scalar
** code with double. Every operation here is a single IEEE operation per lane, so a kernel
** written on it gives the same bits as AVX-512, two AVX2 halves, four NEON quarters or a
** plain array. Build with -ffp-contract=off; a fused multiply-add is always spelled v_fma. */
#ifndef ML_SIMD_H
#define ML_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ML_JOIN_(a, b) ml_k_##a##_##b
#define ML_JOIN(a, b) ML_JOIN_(a, b)
#if defined(ML_SANITIZED) /* plain arrays, inlined and instrumented, take minutes to compile */
#define SIMD static inline
#else
#define SIMD static inline __attribute__((always_inline))
#endif
#define ML_LANES 16

#if defined(ML_USE_F64)
typedef double real;
typedef int64_t ireal; /* integer of real's width */
#define K(name) ML_JOIN(name, f64)
#else
typedef float real;
typedef int32_t ireal;
#endif

#if defined(ML_USE_AVX512)
/* ------------------------------------------------------------------ AVX-512 */
#include <immintrin.h>
#define K(name) ML_JOIN(name, avx512)
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
SIMD __mmask16 v_lanes(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }
SIMD vf v_set(float x) { return _mm512_set1_ps(x); }
SIMD vf v_zero(void) { return _mm512_setzero_ps(); }
SIMD vf v_load(const float *p) { return _mm512_loadu_ps(p); }
SIMD vf v_loadn(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(v_lanes(n), p); }
/* lanes beyond n become fill: what a max or an exp wants instead of v_loadn's zeros */
SIMD vf v_loadn_or(const float *p, int64_t n, float fill) {
  return _mm512_mask_loadu_ps(v_set(fill), v_lanes(n), p);
}
SIMD void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
SIMD void v_storen(float *p, vf a, int64_t n) { _mm512_mask_storeu_ps(p, v_lanes(n), a); }
/* bits of bf16 in the low halves of 32 bits: see v_loadh below */
SIMD vi v_halves(const uint16_t *p, int64_t n) {
  return _mm512_cvtepu16_epi32(n >= 16 ? _mm256_loadu_si256((const __m256i *)p)
                                       : _mm256_maskz_loadu_epi16(v_lanes(n), p));
}
SIMD void v_puthalves(uint16_t *p, vi a, int64_t n) {
  if (n >= 16) _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(a));
  else _mm256_mask_storeu_epi16(p, v_lanes(n), _mm512_cvtepi32_epi16(a));
}
SIMD vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
SIMD vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
SIMD vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
SIMD vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
SIMD vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
SIMD vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
SIMD vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SIMD vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SIMD vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
SIMD vf v_rint(vf a) { return _mm512_roundscale_ps(a, 8); }
SIMD vf v_floor(vf a) { return _mm512_roundscale_ps(a, 9); }
SIMD vf v_neg(vf a) {
  return _mm512_castsi512_ps(
    _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
SIMD vf v_abs(vf a) {
  return _mm512_castsi512_ps(
    _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MAX)));
}
SIMD vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SIMD vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
SIMD vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SIMD vf v_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
SIMD vi v_bits(vf a) { return _mm512_castps_si512(a); }
SIMD vf v_frombits(vi a) { return _mm512_castsi512_ps(a); }
SIMD vi v_toint(vf a) { return _mm512_cvtps_epi32(a); }
SIMD vf v_fromint(vi a) { return _mm512_cvtepi32_ps(a); }
SIMD vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
SIMD vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
SIMD vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
SIMD vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
SIMD vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
SIMD vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
#define vi_shr(a, n) _mm512_srai_epi32(a, n) /* arithmetic */
/* 16 -> 8 -> 4 -> 2 -> 1: lane l takes lane l + half */
SIMD float v_sum(vf a) {
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

#elif defined(ML_USE_AVX2)
/* --------------------------------------------------------------------- AVX2 */
#include <immintrin.h>
#define K(name) ML_JOIN(name, avx2)
typedef struct { __m256 l, h; } vf;
typedef struct { __m256i l, h; } vi;
typedef vi vm; /* all ones or all zeros per lane */
SIMD __m256i v_lanes8(int64_t n) {
  int32_t k = n >= 8 ? 8 : n <= 0 ? 0 : (int32_t)n;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#define V2(op, a, b) ((vf){op((a).l, (b).l), op((a).h, (b).h)})
#define VI2(op, a, b) ((vi){op((a).l, (b).l), op((a).h, (b).h)})
SIMD vf v_set(float x) { return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SIMD vf v_zero(void) { return (vf){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
SIMD vf v_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SIMD vf v_loadn(const float *p, int64_t n) {
  if (n >= 16) return v_load(p);
  return (vf){_mm256_maskload_ps(p, v_lanes8(n)), _mm256_maskload_ps(p + 8, v_lanes8(n - 8))};
}
SIMD vf v_loadn_or(const float *p, int64_t n, float fill) {
  if (n >= 16) return v_load(p);
  vf a = v_loadn(p, n), f = v_set(fill);
  return (vf){_mm256_blendv_ps(f.l, a.l, _mm256_castsi256_ps(v_lanes8(n))),
              _mm256_blendv_ps(f.h, a.h, _mm256_castsi256_ps(v_lanes8(n - 8)))};
}
SIMD void v_store(float *p, vf a) { _mm256_storeu_ps(p, a.l), _mm256_storeu_ps(p + 8, a.h); }
SIMD void v_storen(float *p, vf a, int64_t n) {
  if (n >= 16) { v_store(p, a); return; }
  _mm256_maskstore_ps(p, v_lanes8(n), a.l), _mm256_maskstore_ps(p + 8, v_lanes8(n - 8), a.h);
}
SIMD vi v_halves(const uint16_t *p, int64_t n) {
  uint16_t t[16] = {0};
  if (n < 16) {
    if (n > 0) memcpy(t, p, (size_t)n * 2);
    p = t;
  }
  return (vi){_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)),
              _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
SIMD void v_puthalves(uint16_t *p, vi a, int64_t n) {
  __m256i low = _mm256_set1_epi32(0xffff); /* packing works in lanes of 128 bits */
  __m256i h = _mm256_packus_epi32(_mm256_and_si256(a.l, low), _mm256_and_si256(a.h, low));
  uint16_t t[16];
  h = _mm256_permute4x64_epi64(h, 0xd8);
  _mm256_storeu_si256((__m256i *)(n >= 16 ? p : t), h);
  if (n > 0 && n < 16) memcpy(p, t, (size_t)n * 2);
}
SIMD vf v_add(vf a, vf b) { return V2(_mm256_add_ps, a, b); }
SIMD vf v_sub(vf a, vf b) { return V2(_mm256_sub_ps, a, b); }
SIMD vf v_mul(vf a, vf b) { return V2(_mm256_mul_ps, a, b); }
SIMD vf v_div(vf a, vf b) { return V2(_mm256_div_ps, a, b); }
SIMD vf v_fma(vf a, vf b, vf c) {
  return (vf){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
SIMD vf v_fnma(vf a, vf b, vf c) {
  return (vf){_mm256_fnmadd_ps(a.l, b.l, c.l), _mm256_fnmadd_ps(a.h, b.h, c.h)};
}
SIMD vf v_max(vf a, vf b) { return V2(_mm256_max_ps, a, b); }
SIMD vf v_min(vf a, vf b) { return V2(_mm256_min_ps, a, b); }
SIMD vf v_sqrt(vf a) { return (vf){_mm256_sqrt_ps(a.l), _mm256_sqrt_ps(a.h)}; }
SIMD vf v_rint(vf a) { return (vf){_mm256_round_ps(a.l, 8), _mm256_round_ps(a.h, 8)}; }
SIMD vf v_floor(vf a) { return (vf){_mm256_round_ps(a.l, 9), _mm256_round_ps(a.h, 9)}; }
SIMD vf v_neg(vf a) {
  __m256 s = _mm256_set1_ps(-0.0f);
  return (vf){_mm256_xor_ps(a.l, s), _mm256_xor_ps(a.h, s)};
}
SIMD vf v_abs(vf a) {
  __m256 s = _mm256_set1_ps(-0.0f);
  return (vf){_mm256_andnot_ps(s, a.l), _mm256_andnot_ps(s, a.h)};
}
#define V2CMP(a, b, how)                                             \
  ((vm){_mm256_castps_si256(_mm256_cmp_ps((a).l, (b).l, how)),       \
        _mm256_castps_si256(_mm256_cmp_ps((a).h, (b).h, how))})
SIMD vm v_lt(vf a, vf b) { return V2CMP(a, b, _CMP_LT_OQ); }
SIMD vm v_le(vf a, vf b) { return V2CMP(a, b, _CMP_LE_OQ); }
SIMD vm v_eq(vf a, vf b) { return V2CMP(a, b, _CMP_EQ_OQ); }
SIMD vf v_select(vm m, vf a, vf b) {
  return (vf){_mm256_blendv_ps(b.l, a.l, _mm256_castsi256_ps(m.l)),
              _mm256_blendv_ps(b.h, a.h, _mm256_castsi256_ps(m.h))};
}
SIMD vi v_bits(vf a) { return (vi){_mm256_castps_si256(a.l), _mm256_castps_si256(a.h)}; }
SIMD vf v_frombits(vi a) { return (vf){_mm256_castsi256_ps(a.l), _mm256_castsi256_ps(a.h)}; }
SIMD vi v_toint(vf a) { return (vi){_mm256_cvtps_epi32(a.l), _mm256_cvtps_epi32(a.h)}; }
SIMD vf v_fromint(vi a) { return (vf){_mm256_cvtepi32_ps(a.l), _mm256_cvtepi32_ps(a.h)}; }
SIMD vi vi_set(int32_t x) { return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
SIMD vi vi_add(vi a, vi b) { return VI2(_mm256_add_epi32, a, b); }
SIMD vi vi_sub(vi a, vi b) { return VI2(_mm256_sub_epi32, a, b); }
SIMD vi vi_and(vi a, vi b) { return VI2(_mm256_and_si256, a, b); }
SIMD vi vi_or(vi a, vi b) { return VI2(_mm256_or_si256, a, b); }
SIMD vi vi_xor(vi a, vi b) { return VI2(_mm256_xor_si256, a, b); }
#define vi_shl(a, n) ((vi){_mm256_slli_epi32((a).l, n), _mm256_slli_epi32((a).h, n)})
#define vi_shr(a, n) ((vi){_mm256_srai_epi32((a).l, n), _mm256_srai_epi32((a).h, n)})
SIMD float v_sum(vf a) {
  __m256 h = _mm256_add_ps(a.l, a.h);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

#elif defined(ML_USE_NEON)
/* --------------------------------------------------------------------- NEON */
#include <arm_neon.h>
#define K(name) ML_JOIN(name, neon)
typedef struct { float32x4_t v[4]; } vf;
typedef struct { int32x4_t v[4]; } vi;
typedef struct { uint32x4_t v[4]; } vm;
#define V4(type, expr)                    \
  ({                                      \
    type r_;                              \
    for (int i = 0; i < 4; i++) r_.v[i] = (expr); \
    r_;                                   \
  })
SIMD vf v_set(float x) { return V4(vf, vdupq_n_f32(x)); }
SIMD vf v_zero(void) { return V4(vf, vdupq_n_f32(0)); }
SIMD vf v_load(const float *p) { return V4(vf, vld1q_f32(p + 4 * i)); }
SIMD void v_store(float *p, vf a) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
SIMD vf v_loadn(const float *p, int64_t n) {
  if (n >= 16) return v_load(p);
  float t[16] = {0};
  if (n > 0) memcpy(t, p, (size_t)n * 4);
  return v_load(t);
}
SIMD void v_storen(float *p, vf a, int64_t n) {
  if (n >= 16) { v_store(p, a); return; }
  float t[16];
  v_store(t, a);
  if (n > 0) memcpy(p, t, (size_t)n * 4);
}
SIMD vi v_halves(const uint16_t *p, int64_t n) {
  uint16_t t[16] = {0};
  if (n < 16) {
    if (n > 0) memcpy(t, p, (size_t)n * 2);
    p = t;
  }
  return V4(vi, vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p + 4 * i))));
}
SIMD void v_puthalves(uint16_t *p, vi a, int64_t n) {
  uint16_t t[16], *q = n >= 16 ? p : t;
  for (int i = 0; i < 4; i++) vst1_u16(q + 4 * i, vmovn_u32(vreinterpretq_u32_s32(a.v[i])));
  if (n > 0 && n < 16) memcpy(p, t, (size_t)n * 2);
}
SIMD vf v_add(vf a, vf b) { return V4(vf, vaddq_f32(a.v[i], b.v[i])); }
SIMD vf v_sub(vf a, vf b) { return V4(vf, vsubq_f32(a.v[i], b.v[i])); }
SIMD vf v_mul(vf a, vf b) { return V4(vf, vmulq_f32(a.v[i], b.v[i])); }
SIMD vf v_div(vf a, vf b) { return V4(vf, vdivq_f32(a.v[i], b.v[i])); }
SIMD vf v_fma(vf a, vf b, vf c) { return V4(vf, vfmaq_f32(c.v[i], a.v[i], b.v[i])); }
SIMD vf v_fnma(vf a, vf b, vf c) { return V4(vf, vfmsq_f32(c.v[i], a.v[i], b.v[i])); }
/* a > b ? a : b, x86's rule, NaN and signed zeros included */
SIMD vf v_max(vf a, vf b) {
  return V4(vf, vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
SIMD vf v_min(vf a, vf b) {
  return V4(vf, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
SIMD vf v_sqrt(vf a) { return V4(vf, vsqrtq_f32(a.v[i])); }
SIMD vf v_rint(vf a) { return V4(vf, vrndnq_f32(a.v[i])); }
SIMD vf v_floor(vf a) { return V4(vf, vrndmq_f32(a.v[i])); }
SIMD vf v_neg(vf a) { return V4(vf, vnegq_f32(a.v[i])); }
SIMD vf v_abs(vf a) { return V4(vf, vabsq_f32(a.v[i])); }
SIMD vm v_lt(vf a, vf b) { return V4(vm, vcltq_f32(a.v[i], b.v[i])); }
SIMD vm v_le(vf a, vf b) { return V4(vm, vcleq_f32(a.v[i], b.v[i])); }
SIMD vm v_eq(vf a, vf b) { return V4(vm, vceqq_f32(a.v[i], b.v[i])); }
SIMD vf v_select(vm m, vf a, vf b) { return V4(vf, vbslq_f32(m.v[i], a.v[i], b.v[i])); }
SIMD vi v_bits(vf a) { return V4(vi, vreinterpretq_s32_f32(a.v[i])); }
SIMD vf v_frombits(vi a) { return V4(vf, vreinterpretq_f32_s32(a.v[i])); }
SIMD vi v_toint(vf a) { return V4(vi, vcvtnq_s32_f32(a.v[i])); }
SIMD vf v_fromint(vi a) { return V4(vf, vcvtq_f32_s32(a.v[i])); }
SIMD vi vi_set(int32_t x) { return V4(vi, vdupq_n_s32(x)); }
SIMD vi vi_add(vi a, vi b) { return V4(vi, vaddq_s32(a.v[i], b.v[i])); }
SIMD vi vi_sub(vi a, vi b) { return V4(vi, vsubq_s32(a.v[i], b.v[i])); }
SIMD vi vi_and(vi a, vi b) { return V4(vi, vandq_s32(a.v[i], b.v[i])); }
SIMD vi vi_or(vi a, vi b) { return V4(vi, vorrq_s32(a.v[i], b.v[i])); }
SIMD vi vi_xor(vi a, vi b) { return V4(vi, veorq_s32(a.v[i], b.v[i])); }
#define vi_shl(a, n) V4(vi, vshlq_n_s32((a).v[i], n))
#define vi_shr(a, n) V4(vi, vshrq_n_s32((a).v[i], n))
SIMD float v_sum(vf a) {
  float32x4_t l = vaddq_f32(a.v[0], a.v[2]), h = vaddq_f32(a.v[1], a.v[3]);
  float32x4_t q = vaddq_f32(l, h);
  float32x2_t d = vadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}

#else
/* ----------------------------------------- scalar: 16 lanes in an array; also all of f64 */
#ifndef K
#define K(name) ML_JOIN(name, scalar)
#endif
typedef struct { real v[16]; } vf;
typedef struct { ireal v[16]; } vi;
typedef struct { uint8_t v[16]; } vm;
#define V16(type, expr)                            \
  ({                                               \
    type r_;                                       \
    for (int i = 0; i < 16; i++) r_.v[i] = (expr); \
    r_;                                            \
  })
#if defined(ML_USE_F64)
#define R_(name) name
#else
#define R_(name) name##f
#endif
SIMD vf v_set(real x) { return V16(vf, x); }
SIMD vf v_zero(void) { return V16(vf, 0); }
SIMD vf v_load(const real *p) { return V16(vf, p[i]); }
SIMD vf v_loadn(const real *p, int64_t n) {
  if (n >= 16) return v_load(p);
  return V16(vf, i < n ? p[i] : 0);
}
SIMD void v_store(real *p, vf a) { memcpy(p, a.v, sizeof a.v); }
SIMD void v_storen(real *p, vf a, int64_t n) {
  if (n >= 16) { v_store(p, a); return; }
  for (int i = 0; i < 16 && i < n; i++) p[i] = a.v[i];
}
#if !defined(ML_USE_F64)
SIMD vi v_halves(const uint16_t *p, int64_t n) { return V16(vi, i < n ? p[i] : 0); }
SIMD void v_puthalves(uint16_t *p, vi a, int64_t n) {
  for (int i = 0; i < 16 && i < n; i++) p[i] = (uint16_t)a.v[i];
}
#endif
SIMD vf v_add(vf a, vf b) { return V16(vf, a.v[i] + b.v[i]); }
SIMD vf v_sub(vf a, vf b) { return V16(vf, a.v[i] - b.v[i]); }
SIMD vf v_mul(vf a, vf b) { return V16(vf, a.v[i] * b.v[i]); }
SIMD vf v_div(vf a, vf b) { return V16(vf, a.v[i] / b.v[i]); }
#if defined(ML_USE_F64) /* outside the bit promise: no need to pay for fma() in software */
SIMD vf v_fma(vf a, vf b, vf c) { return V16(vf, a.v[i] * b.v[i] + c.v[i]); }
SIMD vf v_fnma(vf a, vf b, vf c) { return V16(vf, c.v[i] - a.v[i] * b.v[i]); }
#else
SIMD vf v_fma(vf a, vf b, vf c) { return V16(vf, fmaf(a.v[i], b.v[i], c.v[i])); }
SIMD vf v_fnma(vf a, vf b, vf c) { return V16(vf, fmaf(-a.v[i], b.v[i], c.v[i])); }
#endif
SIMD vf v_max(vf a, vf b) { return V16(vf, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
SIMD vf v_min(vf a, vf b) { return V16(vf, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
SIMD vf v_sqrt(vf a) { return V16(vf, R_(sqrt)(a.v[i])); }
SIMD vf v_rint(vf a) { return V16(vf, R_(rint)(a.v[i])); }
SIMD vf v_floor(vf a) { return V16(vf, R_(floor)(a.v[i])); }
SIMD vf v_neg(vf a) { return V16(vf, -a.v[i]); }
SIMD vf v_abs(vf a) { return V16(vf, R_(fabs)(a.v[i])); }
SIMD vm v_lt(vf a, vf b) { return V16(vm, a.v[i] < b.v[i]); }
SIMD vm v_le(vf a, vf b) { return V16(vm, a.v[i] <= b.v[i]); }
SIMD vm v_eq(vf a, vf b) { return V16(vm, a.v[i] == b.v[i]); }
SIMD vf v_select(vm m, vf a, vf b) { return V16(vf, m.v[i] ? a.v[i] : b.v[i]); }
SIMD vi v_bits(vf a) { vi r; memcpy(&r, &a, sizeof r); return r; }
SIMD vf v_frombits(vi a) { vf r; memcpy(&r, &a, sizeof r); return r; }
/* out of range gives INT_MIN as on x86; kernels clamp first, so only NaN ever shows it */
SIMD vi v_toint(vf a) {
  return V16(vi, R_(fabs)(a.v[i]) < 0x1p31 ? (ireal)R_(rint)(a.v[i]) : (ireal)INT32_MIN);
}
SIMD vf v_fromint(vi a) { return V16(vf, (real)a.v[i]); }
SIMD vi vi_set(ireal x) { return V16(vi, x); }
/* wrap around like the hardware: signed overflow is undefined in C */
#if defined(ML_USE_F64)
#define W_(x) ((uint64_t)(x))
#else
#define W_(x) ((uint32_t)(x))
#endif
SIMD vi vi_add(vi a, vi b) { return V16(vi, (ireal)(W_(a.v[i]) + W_(b.v[i]))); }
SIMD vi vi_sub(vi a, vi b) { return V16(vi, (ireal)(W_(a.v[i]) - W_(b.v[i]))); }
SIMD vi vi_and(vi a, vi b) { return V16(vi, a.v[i] & b.v[i]); }
SIMD vi vi_or(vi a, vi b) { return V16(vi, a.v[i] | b.v[i]); }
SIMD vi vi_xor(vi a, vi b) { return V16(vi, a.v[i] ^ b.v[i]); }
#define vi_shl(a, n) V16(vi, (ireal)(W_((a).v[i]) << (n)))
#define vi_shr(a, n) V16(vi, (a).v[i] >> (n))
SIMD real v_sum(vf a) {
  for (int s = 8; s; s >>= 1)
    for (int i = 0; i < s; i++) a.v[i] += a.v[i + s];
  return a.v[0];
}
#endif

/* ---- the same on every ISA ---- */
SIMD real v_hmax(vf a) {
  real t[16];
  v_store(t, a);
  for (int s = 8; s; s >>= 1)
    for (int i = 0; i < s; i++) t[i] = t[i] > t[i + s] ? t[i] : t[i + s];
  return t[0];
}
#if !defined(ML_USE_AVX512) && !defined(ML_USE_AVX2) /* no masked loads */
SIMD vf v_loadn_or(const real *p, int64_t n, real fill) {
  if (n >= 16) return v_load(p);
  real t[16];
  for (int i = 0; i < 16; i++) t[i] = i < n ? p[i] : fill;
  return v_load(t);
}
#endif
/* bf16 storage: loads are exact, stores round to nearest even and keep a NaN one, as ml_cast */
#if defined(ML_USE_F64) /* outside the bit promise: to float first, so rounded twice */
SIMD vf v_loadhn(const uint16_t *p, int64_t n) {
  vf r = v_zero();
  for (int i = 0; i < 16 && i < n; i++) {
    uint32_t u = (uint32_t)p[i] << 16;
    float f;
    memcpy(&f, &u, 4);
    r.v[i] = (real)f;
  }
  return r;
}
SIMD void v_storehn(uint16_t *p, vf a, int64_t n) {
  for (int i = 0; i < 16 && i < n; i++) {
    float f = (float)a.v[i];
    uint32_t u;
    memcpy(&u, &f, 4);
    p[i] = (uint16_t)(f != f ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
}
#else
SIMD vf v_loadhn(const uint16_t *p, int64_t n) { return v_frombits(vi_shl(v_halves(p, n), 16)); }
/* the bits of bf16 in the low halves; the high ones are not cleared */
SIMD vi v_tohalf(vf a) {
  vi u = v_bits(a), odd = vi_and(vi_shr(u, 16), vi_set(1));
  vi near = vi_add(vi_add(u, vi_set(0x7fff)), odd), quiet = vi_or(u, vi_set(0x400000));
  return vi_shr(v_bits(v_select(v_eq(a, a), v_frombits(near), v_frombits(quiet))), 16);
}
SIMD void v_storehn(uint16_t *p, vf a, int64_t n) { v_puthalves(p, v_tohalf(a), n); }
#endif
SIMD vf v_loadh(const uint16_t *p) { return v_loadhn(p, 16); }
SIMD void v_storeh(uint16_t *p, vf a) { v_storehn(p, a, 16); }
/* 16 elements at stride s (in elements): 1 loads, 0 broadcasts, others gather */
SIMD vf v_loads(const real *p, int64_t s, int64_t n) {
  if (s == 1) return v_loadn(p, n);
  if (s == 0) return v_set(*p);
  real t[16] = {0};
  for (int i = 0; i < 16 && i < n; i++) t[i] = p[i * s];
  return v_load(t);
}

#endif

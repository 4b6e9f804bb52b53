/* blas.c -- the OpenBLAS part: f64 products, and f32 ones under engine "openblas". Its own .so,
** so that nobody loads OpenBLAS who multiplies no f64 matrices. Calls are single-threaded and
** come from our pool; results are outside the bit promise. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "bind/api.h"

/* the few functions used; cblas.h is not needed to build */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
void cblas_dgemm(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a,
                 int lda, const double *b, int ldb, double beta, double *c, int ldc);
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);
void openblas_set_num_threads(int n);
char *openblas_get_config(void);

/* a matrix as BLAS wants it: a transposition and a leading dimension; false: it cannot */
static bool layout(int64_t rs, int64_t cs, int64_t rows, int64_t cols, int *trans, int *ld) {
  bool plain = cs == 1 || cols <= 1, turned = rs == 1 || rows <= 1;
  int64_t step = plain ? rs : cs, least = plain ? cols : rows;
  if (!plain && !turned) return false;
  if ((plain ? rows : cols) <= 1) step = least; /* never stepped */
  if (step < least) return false;
  *trans = plain ? NO_TRANS : TRANS;
  *ld = step > 1 ? (int)step : 1;
  return step <= INT32_MAX;
}

static double get(int dtype, const void *p, int64_t i) {
  return dtype == ML_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void set(int dtype, void *p, int64_t i, double v) {
  if (dtype == ML_F64) ((double *)p)[i] = v;
  else ((float *)p)[i] = (float)v;
}

/* strides no BLAS takes: rare, and right */
static void by_hand(int dtype, const ml_gemm *g, double beta) {
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      double s = 0;
      for (int64_t p = 0; p < g->k; p++)
        s += get(dtype, g->a, i * g->ars + p * g->acs) *
             get(dtype, g->b, p * g->brs + j * g->bcs);
      if (beta != 0) s += get(dtype, g->c, i * g->ldc + j);
      set(dtype, g->c, i * g->ldc + j, s);
    }
}

static bool by_blas(int dtype, const ml_gemm *g, double beta) {
  int ta, tb, lda, ldb, m = (int)g->m, n = (int)g->n, k = (int)g->k, ldc = (int)g->ldc;
  if (g->m > INT32_MAX || g->n > INT32_MAX || g->k > INT32_MAX) return false;
  if (!layout(g->ars, g->acs, g->m, g->k, &ta, &lda)) return false;
  if (!layout(g->brs, g->bcs, g->k, g->n, &tb, &ldb)) return false;
  if (g->m == 1 && ldc < n) ldc = n;
  if (g->ldc > INT32_MAX || ldc < n) return false;
  if (dtype == ML_F64)
    cblas_dgemm(ROW_MAJOR, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb, beta, g->c, ldc);
  else
    cblas_sgemm(ROW_MAJOR, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb, (float)beta, g->c, ldc);
  return true;
}

static void engine(int dtype, const ml_gemm *g) {
  bool own = g->residual == g->c && g->c != NULL; /* the residual is C itself: add onto it */
  double beta = g->accumulate || own ? 1 : 0;
  if (g->m == 0 || g->n == 0) return;
  if (!by_blas(dtype, g, beta)) by_hand(dtype, g, beta);
  if (g->bias == NULL && (g->residual == NULL || own)) return;
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      double v = get(dtype, g->c, i * g->ldc + j);
      if (g->bias != NULL) v += get(dtype, g->bias, j);
      if (g->residual != NULL && !own) v += get(dtype, g->residual, i * g->ldr + j);
      set(dtype, g->c, i * g->ldc + j, v);
    }
}

static ml_api *api_of(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, ML_API_KEY);
  ml_api *api = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (api == NULL) luaL_error(L, "moonlit.blas: require \"moonlit\" first");
  if (api->version != ML_API_VERSION)
    luaL_error(L, "moonlit.blas: made for api %d, the core has %d", ML_API_VERSION,
               api->version);
  return api;
}

/* engine("openblas" | "moonlit"): who computes f32 products; returns the one before */
static int blas_engine(lua_State *L) {
  static const char *const names[] = {"moonlit", "openblas", NULL};
  ml_api *api = api_of(L);
  const char *was = names[*api->gemm_f32 != NULL];
  if (!lua_isnoneornil(L, 1))
    *api->gemm_f32 = luaL_checkoption(L, 1, NULL, names) == 1 ? engine : NULL;
  lua_pushstring(L, was);
  return 1;
}

static int blas_info(lua_State *L) {
  lua_pushstring(L, openblas_get_config());
  return 1;
}

/* a library built with -ffast-math switches denormals off for the process: back on */
static void check_mode(void) {
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() & ~0x8040u); /* FTZ and DAZ */
#endif
}

__attribute__((visibility("default"))) int luaopen_moonlit_blas(lua_State *L) {
  static const luaL_Reg functions[] = {{"engine", blas_engine}, {"info", blas_info},
                                       {NULL, NULL}};
  ml_api *api = api_of(L);
  openblas_set_num_threads(1);
  check_mode();
  *api->gemm_f64 = engine;
  luaL_newlib(L, functions);
  return 1;
}

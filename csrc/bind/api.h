/* api.h -- how a part (its own .so) reaches the core: one table of functions, put into the Lua
** registry as light userdata under ML_API_KEY, because .so files are loaded RTLD_LOCAL. A part
** refuses a table of another version. */
#ifndef ML_API_H
#define ML_API_H

#include "kernels/gemm.h"

#define ML_API_KEY "moonlit.api"
#define ML_API_VERSION 1

typedef struct {
  int version;
  int (*fail)(int code, const char *fmt, ...);
  const char *(*errmsg)(void);
  ml_gemm_engine **gemm_f64, **gemm_f32; /* where products go; NULL inside = our kernels */
} ml_api;

#endif

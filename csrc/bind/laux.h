/* laux.h -- what every binding file shares: boxes, status -> Lua, options, the collector.
** The only folder that includes lua.h. A box is pushed empty first and filled second; __gc,
** __close and :free() of a type are one idempotent function. */
#ifndef ML_LAUX_H
#define ML_LAUX_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "ops/ops.h"

#define ML_EXPORT __attribute__((visibility("default")))
#define ML_TENSOR "moonlit.Tensor" /* metatable names: what users read in messages */

/* ---- tensors ---- */
ml_tensor **lml_newtensor(lua_State *L);          /* pushes an empty box */
ml_tensor *lml_checktensor(lua_State *L, int arg); /* raises on another type or a freed tensor */
ml_tensor *lml_totensor(lua_State *L, int arg);    /* NULL if it is not one */
void lml_pushtensor(lua_State *L, ml_tensor *t);   /* takes over the reference, even on error */
/* a 0-d tensor of the number or boolean at arg; status, raises nothing */
int lml_number_tensor(lua_State *L, int arg, int dtype, ml_tensor **out);
void lml_pushmethods(lua_State *L);                /* the table of tensor methods */

/* ---- other userdata: one pointer in a box. name is the metatable; methods may be NULL ---- */
typedef void lml_free_fn(void *p);
void lml_newtype(lua_State *L, const char *name, const luaL_Reg *methods, lml_free_fn *release);
void **lml_newbox(lua_State *L, const char *name);           /* pushes an empty box */
void *lml_checkbox(lua_State *L, int arg, const char *name); /* raises on NULL (freed) too */

/* ---- status ---- */
/* ML_OK: returns nresults. Otherwise raises the message, prefixed by the caller's file:line. */
int lml_check(lua_State *L, int status, int nresults);
/* raises, prefixed by the file:line of the user's code: the nearest Lua function that is not
** moonlit's own */
int lml_error(lua_State *L, const char *fmt, ...);
/* a Lua function failed under pcall: keeps the error on the stack top (popped) for lml_check,
** which raises it unchanged, and returns ML_ECALLBACK */
int lml_callback_failed(lua_State *L);
/* ML_OK: returns nresults. The world's answers (io, format, unsupported): nil, message, code.
** A caller's mistake raises as lml_check does. */
int lml_result(lua_State *L, int status, int nresults);

/* ---- wrong arguments: who, which argument, what was expected, what came. who is the function's
** name in the core's tables; argument 1 of a method called with a colon is the next one ---- */
/* "zeros: argument 1 must be an integer, got table" */
int lml_wrong(lua_State *L, int arg, const char *want);
int lml_argerror(lua_State *L, int arg, const char *text); /* "zeros: argument 1: text" */
const char *lml_who(lua_State *L);           /* of the running C function; stays on the stack */
int lml_as_written(lua_State *L, int arg);   /* its number after a colon; 0 is what stands before */
const char *lml_got(lua_State *L, int arg);  /* a number, a type, "nothing"; stays on the stack */
/* argument arg must be (or, with opt, may be absent) of the type; no string passes for a number */
int64_t lml_checkinteger(lua_State *L, int arg);
int64_t lml_optinteger(lua_State *L, int arg, int64_t def);
double lml_checknumber(lua_State *L, int arg);
double lml_optnumber(lua_State *L, int arg, double def);
const char *lml_checkstring(lua_State *L, int arg, size_t *len); /* len may be NULL */
void lml_checktype(lua_State *L, int arg, int type);
int lml_checkoption(lua_State *L, int arg, const char *const *names); /* index in names */
#define lml_argcheck(L, ok, arg, want) ((void)((ok) || lml_wrong(L, arg, want)))

/* ---- arguments ---- */
int64_t lml_checksize(lua_State *L, int arg); /* integer >= 0, fits */
int lml_checkdtype(lua_State *L, int arg);    /* "f32" ... -> number */
/* sizes from `first` on: integers, or one array; returns the index after them */
int lml_checksizes(lua_State *L, int first, ml_sizes *z);
int lml_dim(lua_State *L, int arg, int ndim); /* 1-based or negative -> 0-based */
/* options table at arg (nil = none): every key must be in `known` (NULL-terminated); an unknown
** one raises with the nearest known name */
void lml_checkoptions(lua_State *L, int arg, const char *who, const char *const *known);
double lml_optfield_number(lua_State *L, int arg, const char *key, double def);
int64_t lml_optfield_integer(lua_State *L, int arg, const char *key, int64_t def);
bool lml_optfield_boolean(lua_State *L, int arg, const char *key, bool def);
const char *lml_optfield_string(lua_State *L, int arg, const char *key, const char *def);

/* the nearest of `known` (NULL-terminated) to name, or NULL when none is near */
const char *lml_nearest(const char *name, const char *const *known);

/* ---- random numbers of this state: one counter, (seed, step, next index) on stream 0 ---- */
/* epoch: 0 after every seed or rekey; nn numbers it to see that dropout starts anew */
typedef struct { uint64_t seed, index; uint32_t step; uint64_t epoch; } ml_rng;
ml_rng *lml_rng(lua_State *L);

/* before an f64 product: loads the OpenBLAS part once, if it is there. Runs Lua: call it before
** borrowing pointers */
void lml_want_blas(lua_State *L, int dtype);

/* ---- the collector: call at the END of a binding function that made storage; it may run
** finalisers. Gathers to >= 1 MiB, then lua_gc(L, LUA_GCSTEP, KiB); a stopped collector stays. */
void lml_report_bytes(lua_State *L);

/* ML_OK if v spreads to x's sizes, else a message that begins with who */
int lml_fits(const char *who, const ml_tensor *x, const ml_tensor *v);

/* the lua_State running the current backward or callback (set by bindings that may call back) */
extern _Thread_local lua_State *lml_state;

/* ---- one opener a topic; each adds its functions to the core table on the stack top ---- */
void lml_open_types(lua_State *L); /* first: metatable, methods, random state */
void lml_open_tensor(lua_State *L); /* and, through it, creation and indexing */
void lml_open_create(lua_State *L);
void lml_open_index(lua_State *L);
void lml_open_autograd(lua_State *L);
void lml_open_ops(lua_State *L);
void lml_open_nn(lua_State *L);
void lml_open_sample(lua_State *L);
void lml_open_optim(lua_State *L);
void lml_open_ckpt(lua_State *L);
void lml_open_json(lua_State *L);
void lml_open_data(lua_State *L);
void lml_open_spill(lua_State *L); /* after data, into whose table it goes */
void lml_open_text(lua_State *L);
void lml_open_stats(lua_State *L); /* core.stats, core.shingles */
void lml_open_sys(lua_State *L); /* threads, isa, clock, signals, files, hashes, memory */

#endif

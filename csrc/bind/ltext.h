/* ltext.h -- shared by ltext.c and ltext_spec.c */
#ifndef ML_LTEXT_H
#define ML_LTEXT_H

#include "bind/laux.h"
#include "text/text.h"

#define LML_TEXT_BLOCK "moonlit.TextBlock"

ml_bytes lml_checkbytes(lua_State *L, int arg);
/* Memory that an error on the way must not lose, with room for one element more; it is pushed. */
void *lml_textblock(lua_State *L, int64_t n, size_t size);
/* the strings of a list; they stay in it; pushes a block */
ml_bytes *lml_checktexts(lua_State *L, int arg, int64_t *n);
/* What argument 1, a table, says of a tokenizer; strings stay in it, blocks are pushed. */
void lml_checkspec(lua_State *L, ml_bpe_spec *spec);

#endif

/* cache.c -- keys (after norm and rotation) and values of sequences being decoded. A slot is a
** sequence; slots are dropped, copied (samples that share a prompt) and reused in any order. */
#include "nn/inner.h"

#include <string.h>

enum { READ_BEHIND = 16 * sizeof(double) }; /* bytes the last panel's reader may look at */

/* elements of one layer's keys, or values: (slots, kv_heads, room, width) */
static int64_t layer_size(const ml_cache *c) {
  return c->slots * c->m->c.kv_heads * c->panel.room * c->panel.width;
}

static char *layer_data(const ml_cache *c, int64_t i) {
  return c->data + i * layer_size(c) * c->m->as;
}

int64_t ml_cache_row(const ml_cache *c, int64_t slot) {
  return slot * c->m->c.kv_heads * c->panel.room;
}

void ml_cache_describe(ml_attention *a, const ml_cache *c, int64_t layer) {
  a->k = layer_data(c, 2 * layer), a->v = layer_data(c, 2 * layer + 1);
  a->ldk = a->ldv = c->panel.width, a->hsk = a->hsv = c->panel.room * c->panel.width;
  a->panels = c->panel.room;
  a->lse = NULL;
}

int ml_cache_new(ml_cache **out, ml_model *m, int64_t slots, int64_t capacity) {
  if (slots < 1 || capacity < 1)
    return ml_fail(ML_ERANGE, "cache: slots and capacity must be positive, got %lld and %lld",
                   (long long)slots, (long long)capacity);
  if (capacity > m->c.context)
    return ml_fail(ML_ERANGE, "cache: capacity %lld is beyond the model's context of %lld",
                   (long long)capacity, (long long)m->c.context);
  ml_attention_panel panel = ml_attention_panels(m->c.kind, capacity, m->c.head_dim);
  int64_t bytes = 2 * m->c.layers * m->c.kv_heads * m->as;
  if (!ml_mul_ok(bytes, slots, &bytes) || !ml_mul_ok(bytes, panel.room, &bytes) ||
      !ml_mul_ok(bytes, panel.width, &bytes))
    return ml_fail(ML_ERANGE, "cache: %lld slots of %lld are too large", (long long)slots,
                   (long long)capacity);
  ml_cache *c = ml_alloc0(sizeof *c);
  if (!c) return ML_ENOMEM;
  c->refs = 1, c->slots = slots, c->capacity = capacity, c->panel = panel;
  c->length = ml_alloc0((size_t)slots * sizeof *c->length);
  c->data = ml_alloc((size_t)bytes + READ_BEHIND);
  if (!c->length || !c->data) {
    ml_free(c->length), ml_free(c->data), ml_free(c);
    return ML_ENOMEM;
  }
  c->m = m;
  ml_model_ref(m);
  *out = c;
  return ML_OK;
}

void ml_cache_free(ml_cache *c) {
  if (!c || --c->refs > 0) return;
  ml_model_free(c->m);
  ml_free(c->length), ml_free(c->data), ml_free(c);
}

int64_t ml_cache_slots(const ml_cache *c) { return c->slots; }
int64_t ml_cache_capacity(const ml_cache *c) { return c->capacity; }

static int check_slot(const ml_cache *c, int64_t slot) {
  if (slot >= 0 && slot < c->slots) return ML_OK;
  return ml_fail(ML_ERANGE, "cache: slot %lld is not among %lld", (long long)slot + 1,
                 (long long)c->slots);
}

int64_t ml_cache_length(const ml_cache *c, int64_t slot) {
  return check_slot(c, slot) == ML_OK ? c->length[slot] : -1;
}

int ml_cache_truncate(ml_cache *c, int64_t slot, int64_t length) {
  int st = check_slot(c, slot);
  if (st != ML_OK) return st;
  if (length < 0 || length > c->length[slot])
    return ml_fail(ML_ERANGE, "cache: slot %lld holds %lld positions, cannot keep %lld",
                   (long long)slot + 1, (long long)c->length[slot], (long long)length);
  c->length[slot] = length;
  return ML_OK;
}

int ml_cache_copy(ml_cache *c, int64_t from, int64_t to) {
  int st = check_slot(c, from);
  if (st == ML_OK) st = check_slot(c, to);
  if (st != ML_OK || from == to) return st;
  /* whole blocks of keys: the first `used` positions of a head are one stretch */
  int64_t block = c->panel.block, used = (c->length[from] + block - 1) / block * block;
  int64_t row = c->panel.width * c->m->as, heads = c->m->c.kv_heads;
  if (used > c->panel.room) used = c->panel.room;
  for (int64_t i = 0; i < 2 * c->m->c.layers; i++)
    for (int64_t h = 0; h < heads; h++) {
      char *data = layer_data(c, i) + h * c->panel.room * row;
      memcpy(data + ml_cache_row(c, to) * row, data + ml_cache_row(c, from) * row,
             (size_t)(used * row));
    }
  c->length[to] = c->length[from];
  return ML_OK;
}

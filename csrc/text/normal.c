/* normal.c -- normalization forms, by utf8proc's tables, one unit of text after the other: from a
** character that nothing before it can join or pass to the next such. Marks are put in order here,
** by merging, so that a million of them on one letter take no longer than a million letters. */
#include "text/text.h"

#include <string.h>
#include <utf8proc.h>

typedef struct {
  int32_t *code, *spare;
  int64_t n, room, spare_room;
} unit;

static bool composes(int form) { return form == ML_NFC || form == ML_NFKC; }

static int parts_of(int form, int32_t c, int32_t parts[32]) {
  int bounds = 0;
  utf8proc_option_t o = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (form == ML_NFKC || form == ML_NFKD) o |= UTF8PROC_COMPAT;
  return (int)utf8proc_decompose_char(c, parts, 32, o, &bounds);
}

static int order_of(int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* Nothing before c can compose with it or change places with what it begins with: all that can are
** marks, and the vowels and last consonants of Korean syllables. */
static bool begins_unit(int form, int32_t c) {
  int32_t parts[32];
  if (c < 0x300) return true;
  if (parts_of(form, c, parts) < 1) return true;
  int32_t f = parts[0];
  if ((f >= 0x1161 && f <= 0x1175) || (f >= 0x11a8 && f <= 0x11c2)) return false;
  utf8proc_category_t kind = utf8proc_category(f);
  return kind != UTF8PROC_CATEGORY_MN && kind != UTF8PROC_CATEGORY_MC &&
         kind != UTF8PROC_CATEGORY_ME && order_of(f) == 0;
}

static int decompose(int form, ml_bytes s, unit *u) {
  u->n = 0;
  for (size_t i = 0, n; i < s.n; i += n) {
    int32_t parts[32];
    n = ml_utf8_size(s.p + i, s.n - i);
    int32_t c = ml_utf8_code(s.p + i, n);
    int count = parts_of(form, c, parts);
    if (count < 1 || count > 32) count = 1, parts[0] = c;
    int st = ml_room((void **)&u->code, &u->room, u->n + count, sizeof *u->code);
    if (st != ML_OK) return st;
    for (int k = 0; k < count; k++) u->code[u->n++] = parts[k];
  }
  return ML_OK;
}

/* marks from..to by their class, those of one class as they came: a merge sort */
static void sort_marks(unit *u, int64_t from, int64_t to) {
  for (int64_t width = 1; width < to - from; width *= 2) {
    for (int64_t a = from; a < to; a += 2 * width) {
      int64_t b = a + width < to ? a + width : to, end = b + width < to ? b + width : to;
      for (int64_t i = a, k = b, at = a; at < end; at++) {
        bool left = i < b && (k >= end || order_of(u->code[i]) <= order_of(u->code[k]));
        u->spare[at] = left ? u->code[i++] : u->code[k++];
      }
    }
    memcpy(u->code + from, u->spare + from, (size_t)(to - from) * sizeof *u->code);
  }
}

static int put_in_order(unit *u) {
  int st = ml_room((void **)&u->spare, &u->spare_room, u->n, sizeof *u->spare);
  for (int64_t i = 0, end; i < u->n && st == ML_OK; i = end + 1) {
    for (end = i; end < u->n && order_of(u->code[end]) != 0;) end++;
    if (end - i > 1) sort_marks(u, i, end);
  }
  return st;
}

static int put_unit(int form, const ml_piece *s, size_t start, size_t end, bool track, unit *u,
                    ml_rewrite *out) {
  ml_bytes text = {s->p + start, end - start};
  uint8_t c[4];
  int st = decompose(form, text, u);
  if (st == ML_OK) st = put_in_order(u);
  if (st == ML_OK && composes(form))
    u->n = utf8proc_normalize_utf32(u->code, u->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  ml_origin all = ml_piece_origin(s, start, end);
  for (int64_t i = 0; i < u->n && st == ML_OK; i++)
    st = ml_rewrite_put(out, (ml_bytes){c, ml_utf8_put(u->code[i], c)}, all, track);
  return st;
}

/* The unit at `at`: its end, and whether it is one plain character, or no character. */
static size_t unit_end(int form, const ml_piece *s, size_t at, bool *same) {
  size_t n = ml_utf8_size(s->p + at, s->n - at), end = at + n;
  *same = n <= 1;
  for (; n > 0 && end < s->n; end += n) {
    if (s->p[end] < 0xcc) break; /* below U+0300, or no character */
    n = ml_utf8_size(s->p + end, s->n - end);
    if (n == 0 || begins_unit(form, ml_utf8_code(s->p + end, n))) break;
    *same = false;
  }
  return end > at ? end : at + 1;
}

int ml_normalize(int form, const ml_piece *s, bool track, ml_rewrite *out, bool *changed) {
  size_t same = 0; /* bytes no form changes */
  uint8_t least = form == ML_NFC ? 0xcc : 0xc2;
  unit u = {0};
  int st = ML_OK;
  while (same < s->n && s->p[same] < least) same++;
  *changed = same < s->n;
  if (!*changed) return ML_OK;
  /* a character that what follows may join: back to where it begins */
  while (same > 0 && (s->p[same - 1] & 0xc0) == 0x80) same--;
  if (same > 0) same--;
  ml_piece head = ml_piece_part(s, 0, same);
  st = ml_rewrite_copy(out, &head, track);
  for (size_t at = same, end; at < s->n && st == ML_OK; at = end) {
    bool plain;
    end = unit_end(form, s, at, &plain);
    ml_piece part = ml_piece_part(s, at, end);
    st = plain ? ml_rewrite_copy(out, &part, track) : put_unit(form, s, at, end, track, &u, out);
  }
  ml_free(u.code), ml_free(u.spare);
  return st;
}

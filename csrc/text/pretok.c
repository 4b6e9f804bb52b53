/* pretok.c -- a text into pieces, by PCRE2 with its JIT. What is not UTF-8 never meets the regular
** expression: a run of such bytes is a piece. */
#include "text/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

enum { STACK = 32 * 1024, STACK_MAX = 16 * 1024 * 1024, TRIES = 10000000 };

/* what one thread needs to match; made when it first does */
typedef struct {
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
} room;

struct ml_pretok {
  pcre2_code *code;
  room rooms[ML_MAX_THREADS];
};

/* ---- the expression ---- */

/* What Unicode calls white space. PCRE2's own \s adds U+180E, which has been none since Unicode
** 6.3; tokenizers and all others that read these patterns go by Unicode. */
static const char SPACES[] = "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
                             "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

typedef struct { char *text; int64_t n, room; } string;

static int put(string *s, const char *text, size_t n) {
  int st = ml_room((void **)&s->text, &s->room, s->n + (int64_t)n, 1);
  if (st != ML_OK) return st;
  memcpy(s->text + s->n, text, n);
  s->n += (int64_t)n;
  return ML_OK;
}

/* \s, or \S, outside brackets or inside; \S inside stays what PCRE2 makes of it */
static int put_class(string *out, char c, bool inside) {
  int st = inside ? ML_OK : put(out, c == 's' ? "[" : "[^", c == 's' ? 1 : 2);
  if (st != ML_OK) return st;
  st = inside && c == 'S' ? put(out, "\\S", 2) : put(out, SPACES, sizeof SPACES - 1);
  return st == ML_OK && !inside ? put(out, "]", 1) : st;
}

static int spell_spaces(string *out, const char *p, size_t n) {
  bool inside = false;
  int st = ML_OK;
  for (size_t i = 0; i < n && st == ML_OK; i++) {
    if (p[i] == '\\' && i + 1 < n) {
      char c = p[++i];
      st = c == 's' || c == 'S' ? put_class(out, c, inside) : put(out, p + i - 1, 2);
      continue;
    }
    size_t len = 1;
    if (p[i] == '[' && !inside) { /* a first ] is itself: []a] and [^]a] */
      if (i + len < n && p[i + len] == '^') len++;
      if (i + len < n && p[i + len] == ']') len++;
      inside = true;
    } else if (p[i] == ']') inside = false;
    st = put(out, p + i, len);
    i += len - 1;
  }
  return st;
}

static int compile(pcre2_code **out, const char *pattern, size_t n) {
  int code;
  PCRE2_SIZE at;
  PCRE2_UCHAR text[256];
  *out = pcre2_compile((PCRE2_SPTR)pattern, n, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                       &code, &at, NULL);
  if (*out) return ML_OK;
  pcre2_get_error_message(code, text, sizeof text);
  return ml_fail(ML_EFORMAT, "the pattern is no regular expression: %s at its byte %zu",
                 (char *)text, (size_t)at);
}

int ml_pretok_new(ml_pretok **out, const char *pattern, size_t n) {
  ml_pretok *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  string spelled = {0};
  int st = compile(&t->code, pattern, n); /* as it came, so that a message counts its bytes */
  if (st == ML_OK) st = spell_spaces(&spelled, pattern, n);
  if (st == ML_OK) {
    pcre2_code_free(t->code);
    st = compile(&t->code, spelled.text ? spelled.text : "", (size_t)spelled.n);
  }
  ml_free(spelled.text);
  if (st != ML_OK) {
    ml_pretok_free(t);
    return st;
  }
  pcre2_jit_compile(t->code, PCRE2_JIT_COMPLETE); /* without it, the interpreter */
  *out = t;
  return ML_OK;
}

void ml_pretok_free(ml_pretok *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) {
    pcre2_match_data_free(t->rooms[i].match);
    pcre2_match_context_free(t->rooms[i].context);
    pcre2_jit_stack_free(t->rooms[i].stack);
  }
  pcre2_code_free(t->code);
  ml_free(t);
}

static int make_room(ml_pretok *t, room *r) {
  if (r->match) return ML_OK;
  r->context = pcre2_match_context_create(NULL);
  r->stack = pcre2_jit_stack_create(STACK, STACK_MAX, NULL);
  r->match = pcre2_match_data_create_from_pattern(t->code, NULL);
  if (!r->match || !r->context) return ml_fail(ML_ENOMEM, "text: no memory to match with");
  if (r->stack) pcre2_jit_stack_assign(r->context, NULL, r->stack);
  return ML_OK;
}

/* bytes of the character at p, 0 if there is none (Unicode 15, table 3-7) */
static size_t char_size(const uint8_t *p, size_t left) {
  uint8_t c = p[0], low = 0x80, high = 0xbf;
  size_t n = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3
             : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n > left) return 0;
  if (c == 0xe0) low = 0xa0;
  if (c == 0xed) high = 0x9f;
  if (c == 0xf0) low = 0x90;
  if (c == 0xf4) high = 0x8f;
  for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
    if (p[i] < low || p[i] > high) return 0;
  return n;
}

/* the bytes from `at` on that are UTF-8, or that are not */
static size_t run(ml_bytes s, size_t at, bool *valid) {
  size_t end = at, n = char_size(s.p + at, s.n - at);
  *valid = n > 0;
  while (end < s.n && (n > 0) == *valid) {
    end += n > 0 ? n : 1;
    n = end < s.n ? char_size(s.p + end, s.n - end) : 0;
  }
  return end;
}

static int no_match(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return ml_fail(ML_EFORMAT, "the pattern gives up on this text: %s", (char *)text);
}

/* How often matching may turn back: a run of spaces is gone back over once, all of it, by the known
** patterns; what goes back at every place gives up. */
static void allow(room *r, size_t n) {
  pcre2_set_match_limit(r->context, TRIES + 4 * (uint32_t)(n < 1 << 29 ? n : 1 << 29));
}

static int valid_run(ml_pretok *t, room *r, ml_bytes s, ml_piece_fn *fn, void *ctx) {
  size_t from = 0, at = 0; /* from: of what no piece has yet; at: where to look */
  int st = ML_OK;
  allow(r, s.n);
  while (st == ML_OK && at < s.n) {
    int found = pcre2_match(t->code, s.p, s.n, at, PCRE2_NO_UTF_CHECK, r->match, r->context);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) return no_match(found);
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);
    size_t start = v[0], end = v[1];
    if (start < from || end < start || end > s.n)
      return ml_fail(ML_EFORMAT, "the pattern goes backwards (\\K)");
    if (start > from) st = fn(ctx, (ml_bytes){s.p + from, start - from});
    if (st == ML_OK && end > start) st = fn(ctx, (ml_bytes){s.p + start, end - start});
    from = at = end;
    if (end == start) at += end < s.n ? char_size(s.p + end, s.n - end) : 1; /* it cuts, too */
  }
  if (st == ML_OK && from < s.n) st = fn(ctx, (ml_bytes){s.p + from, s.n - from});
  return st;
}

int ml_pretok_each(ml_pretok *t, int worker, ml_bytes text, ml_piece_fn *fn, void *ctx) {
  room *r = &t->rooms[worker];
  int st = make_room(t, r);
  for (size_t at = 0; st == ML_OK && at < text.n;) {
    bool valid;
    size_t end = run(text, at, &valid);
    ml_bytes s = {text.p + at, end - at};
    st = valid ? valid_run(t, r, s, fn, ctx) : fn(ctx, s);
    at = end;
  }
  return st;
}

static bool prints(const uint8_t *p, const uint8_t *end) {
  return p < end && *p > ' ' && *p < 0x7f;
}

/* Behind a line's end if marks or letters stand around it, or one space and then a mark or letter
** behind it: every known pattern ends a piece there, whether or not it sees what follows. */
size_t ml_pretok_cut(ml_bytes text, size_t want) {
  const uint8_t *end = text.p + text.n;
  for (size_t i = want < 1 ? 1 : want; i < text.n; i++) {
    const uint8_t *line = memchr(text.p + i, '\n', text.n - i);
    if (!line) break;
    i = (size_t)(line - text.p);
    bool spaced = line + 1 < end && line[1] == ' ' && prints(line + 2, end);
    if (spaced || (prints(line - 1, end) && prints(line + 1, end))) return i + 1;
  }
  return text.n;
}

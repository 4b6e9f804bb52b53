/* regex.c -- PCRE2 over text that is known to be UTF-8. What turns back too often at one place, or
** takes too long for the length of its text, gives up with an error. Machine code does not count
** how often it turns back, so only expressions that are known for being linear are compiled to
** it. */
#include "text/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <time.h>

enum {
  STACK = 32 * 1024,
  STACK_MAX = 16 * 1024 * 1024,
  LONGEST = 1 << 16,
  TRIES = 4000000,  /* how often a match may turn back; a run of spaces is gone back over once */
  HEAP = 64 * 1024, /* KiB */
  WINDOW = 16,
  LINEAR_WINDOW = 4096, /* places tried between looks at the clock */
  CALLS = 512           /* matches between them */
};
static const double SECONDS = 2, SECONDS_PER_BYTE = 5e-6;

/* what one thread needs to match; made when it first does */
typedef struct {
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
  double until; /* of this thread's time; 0: not looked at yet */
  size_t bytes;
  int calls;
} room;

struct ml_regex {
  pcre2_code *code;
  bool linear, jit;
  room rooms[ML_MAX_THREADS];
};

/* What Unicode calls white space. PCRE2's own \s adds U+180E, which has been none since Unicode
** 6.3; tokenizers and all others that read these patterns go by Unicode. */
static const char SPACES[] = "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
                             "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

typedef struct {
  char *text;
  int64_t n, room;
} string;

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
    } else if (p[i] == ']')
      inside = false;
    st = put(out, p + i, len);
    i += len - 1;
  }
  return st;
}

static int compile(pcre2_code **out, const char *pattern, size_t n) {
  int code;
  PCRE2_SIZE at;
  PCRE2_UCHAR text[256];
  *out = pcre2_compile((PCRE2_SPTR)pattern, n,
                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT,
                       &code, &at, NULL);
  if (*out) return ML_OK;
  pcre2_get_error_message(code, text, sizeof text);
  return ml_fail(ML_EFORMAT, "the pattern is no regular expression: %s at its byte %zu",
                 (char *)text, (size_t)at);
}

static int compile_spelled(ml_regex *t, const char *p, size_t n) {
  string spelled = {0};
  int st = compile(&t->code, p, n); /* as it came, so that a message counts its bytes */
  if (st == ML_OK) st = spell_spaces(&spelled, p, n);
  if (st == ML_OK) {
    pcre2_code_free(t->code);
    st = compile(&t->code, spelled.text ? spelled.text : "", (size_t)spelled.n);
  }
  ml_free(spelled.text);
  return st;
}

int ml_regex_new(ml_regex **out, ml_bytes pattern, bool linear) {
  if (pattern.n > LONGEST)
    return ml_fail(ML_EFORMAT, "the pattern has %zu bytes, more than %d", pattern.n, LONGEST);
  ml_regex *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  int st = compile_spelled(t, (const char *)pattern.p, pattern.n);
  if (st != ML_OK) {
    ml_regex_free(t);
    return st;
  }
  t->linear = linear;
  t->jit = linear && pcre2_jit_compile(t->code, PCRE2_JIT_COMPLETE) == 0;
  *out = t;
  return ML_OK;
}

void ml_regex_free(ml_regex *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) {
    pcre2_match_data_free(t->rooms[i].match);
    pcre2_match_context_free(t->rooms[i].context);
    pcre2_jit_stack_free(t->rooms[i].stack);
  }
  pcre2_code_free(t->code);
  ml_free(t);
}

static int make_room(room *r) {
  r->context = pcre2_match_context_create(NULL);
  r->stack = pcre2_jit_stack_create(STACK, STACK_MAX, NULL);
  r->match = pcre2_match_data_create(1, NULL);
  if (!r->match || !r->context) return ml_fail(ML_ENOMEM, "text: no memory to match with");
  pcre2_set_heap_limit(r->context, HEAP);
  if (r->stack) pcre2_jit_stack_assign(r->context, NULL, r->stack);
  return ML_OK;
}

int ml_regex_begin(ml_regex *t, int worker, size_t n) {
  room *r = &t->rooms[worker];
  int st = r->match && r->context ? ML_OK : make_room(r);
  if (st != ML_OK) return st;
  r->bytes = n, r->until = 0, r->calls = 0;
  pcre2_set_match_limit(r->context, TRIES + 4 * (uint32_t)(n < 1 << 29 ? n : 1 << 29));
  return ML_OK;
}

static int no_match(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return ml_fail(ML_EFORMAT, "the pattern gives up on this text: %s", (char *)text);
}

/* The time of this thread alone: a busy machine is no fault of the pattern. */
static int in_time(room *r) {
  struct timespec now;
  r->calls = 0;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  if (r->until == 0) r->until = seconds + SECONDS + SECONDS_PER_BYTE * (double)r->bytes;
  if (seconds <= r->until) return ML_OK;
  return ml_fail(ML_EFORMAT, "the pattern gives up on this text: too slow for its %zu bytes",
                 r->bytes);
}

int ml_regex_next(ml_regex *t, int worker, ml_bytes s, size_t at, size_t *start, size_t *end) {
  room *r = &t->rooms[worker];
  size_t window = t->linear ? LINEAR_WINDOW : WINDOW;
  int found = PCRE2_ERROR_NOMATCH;
  for (size_t from = at; found == PCRE2_ERROR_NOMATCH && from <= s.n; from += window) {
    while (from > at && from < s.n && (s.p[from] & 0xc0) == 0x80) from++;
    r->calls += from > at && t->linear ? CALLS : from > at ? CALLS / 8 : 1;
    if (r->calls >= CALLS && in_time(r) != ML_OK) return ML_EFORMAT;
    pcre2_set_offset_limit(r->context, from + window + 3);
    found = t->jit ? pcre2_jit_match(t->code, s.p, s.n, from, 0, r->match, r->context)
                   : pcre2_match(t->code, s.p, s.n, from, PCRE2_NO_UTF_CHECK, r->match, r->context);
  }
  *start = 1, *end = 0;
  if (found == PCRE2_ERROR_NOMATCH) return ML_OK;
  if (found < 0) return no_match(found);
  const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);
  *start = v[0], *end = v[1];
  if (v[0] < at || v[1] < v[0] || v[1] > s.n)
    return ml_fail(ML_EFORMAT, "the pattern goes backwards (\\K)");
  return ML_OK;
}

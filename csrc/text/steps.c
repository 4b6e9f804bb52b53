/* steps.c -- rewriting and cutting: a step hands what it makes to the next, the last to the caller.
** What is not UTF-8 never meets a regular expression: a run of such bytes is a piece. */
#include "text/text.h"

#include <string.h>

typedef struct {
  int kind, how;
  bool invert;
  ml_regex *regex;
  uint8_t *with;
  size_t with_n;
  ml_rewrite made[ML_MAX_THREADS];
} step;

struct ml_steps {
  step *steps;
  int64_t n;
};

/* ---- pieces ---- */

ml_piece ml_piece_part(const ml_piece *s, size_t start, size_t end) {
  return (ml_piece){s->p + start, end - start, s->at + start, s->from ? s->from + start : NULL,
                    s->valid};
}

ml_origin ml_piece_origin(const ml_piece *s, size_t start, size_t end) {
  if (!s->from) return (ml_origin){s->at + start, s->at + end};
  return (ml_origin){s->from[start].start, s->from[end - 1].end};
}

static int make_room(ml_rewrite *t, size_t n, bool track) {
  int st = ml_room((void **)&t->p, &t->room, t->n + (int64_t)n, 1);
  if (st != ML_OK || !track) return st;
  return ml_room((void **)&t->from, &t->from_room, t->n + (int64_t)n, sizeof *t->from);
}

int ml_rewrite_put(ml_rewrite *t, ml_bytes s, ml_origin all, bool track) {
  int st = make_room(t, s.n, track);
  if (st != ML_OK) return st;
  if (s.n > 0) memcpy(t->p + t->n, s.p, s.n);
  for (size_t i = 0; track && i < s.n; i++) t->from[t->n + (int64_t)i] = all;
  t->n += (int64_t)s.n;
  return ML_OK;
}

int ml_rewrite_copy(ml_rewrite *t, const ml_piece *s, bool track) {
  int st = make_room(t, s->n, track);
  if (st != ML_OK) return st;
  if (s->n > 0) memcpy(t->p + t->n, s->p, s->n);
  for (size_t i = 0; track && i < s->n; i++)
    t->from[t->n + (int64_t)i] = ml_piece_origin(s, i, i + 1);
  t->n += (int64_t)s->n;
  return ML_OK;
}

ml_piece ml_rewrite_piece(const ml_rewrite *t, const ml_piece *of, bool track) {
  return (ml_piece){t->p, (size_t)t->n, of->at, track ? t->from : NULL, of->valid};
}

void ml_rewrite_free(ml_rewrite *t) {
  ml_free(t->p), ml_free(t->from);
  *t = (ml_rewrite){0};
}

/* ---- making them ---- */

static int copy_step(step *to, const ml_step *from) {
  to->kind = from->kind, to->how = from->how, to->invert = from->invert;
  if (from->with.n > 0 && !(to->with = ml_alloc(from->with.n))) return ML_ENOMEM;
  if (from->with.n > 0) memcpy(to->with, from->with.p, from->with.n);
  to->with_n = from->with.n;
  if (from->kind != ML_STEP_REPLACE && from->kind != ML_STEP_CUT) return ML_OK;
  return ml_regex_new(&to->regex, from->pattern, from->linear);
}

int ml_steps_new(ml_steps **out, const ml_step *steps, int64_t n) {
  ml_steps *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  t->steps = ml_alloc0((size_t)(n + 1) * sizeof *t->steps);
  int st = t->steps ? ML_OK : ML_ENOMEM;
  if (st == ML_OK) t->n = n;
  for (int64_t i = 0; i < n && st == ML_OK; i++) st = copy_step(&t->steps[i], &steps[i]);
  if (st != ML_OK)
    ml_steps_free(t);
  else
    *out = t;
  return st;
}

void ml_steps_free(ml_steps *t) {
  if (!t) return;
  for (int64_t i = 0; i < t->n; i++) {
    step *s = &t->steps[i];
    for (int w = 0; w < ML_MAX_THREADS; w++) ml_rewrite_free(&s->made[w]);
    ml_regex_free(s->regex);
    ml_free(s->with);
  }
  ml_free(t->steps);
  ml_free(t);
}

int64_t ml_steps_count(const ml_steps *t) { return t->n; }

/* ---- running ---- */

typedef struct {
  ml_steps *steps;
  int worker;
  bool track;
  ml_piece_fn *fn;
  void *ctx;
} runner;

static int run(const runner *r, int64_t i, const ml_piece *s);

static int prepend(const runner *r, int64_t i, const ml_piece *s) {
  step *a = &r->steps->steps[i];
  ml_rewrite *to = &a->made[r->worker];
  bool there = s->n >= a->with_n && memcmp(s->p, a->with, a->with_n) == 0;
  if (s->n == 0 || (a->how != ML_ALWAYS && there) || (a->how == ML_IF_FIRST && s->at > 0))
    return run(r, i + 1, s);
  to->n = 0;
  size_t begin = ml_piece_origin(s, 0, 1).start;
  int st = ml_rewrite_put(to, (ml_bytes){a->with, a->with_n}, (ml_origin){begin, begin}, r->track);
  if (st == ML_OK) st = ml_rewrite_copy(to, s, r->track);
  ml_piece made = ml_rewrite_piece(to, s, r->track);
  return st == ML_OK ? run(r, i + 1, &made) : st;
}

/* the matches in a run of UTF-8 replaced */
static int replace_run(const runner *r, step *a, const ml_piece *s) {
  ml_rewrite *to = &a->made[r->worker];
  size_t done = 0, at = 0, start, end;
  int st = ml_regex_begin(a->regex, r->worker, s->n);
  while (st == ML_OK && at <= s->n) {
    st = ml_regex_next(a->regex, r->worker, (ml_bytes){s->p, s->n}, at, &start, &end);
    if (st != ML_OK || end < start) break;
    ml_piece before = ml_piece_part(s, done, start);
    ml_origin all =
        end > start ? ml_piece_origin(s, start, end) : (ml_origin){s->at + start, s->at + start};
    st = ml_rewrite_copy(to, &before, r->track);
    if (st == ML_OK) st = ml_rewrite_put(to, (ml_bytes){a->with, a->with_n}, all, r->track);
    done = at = end;
    if (end == start) at += end < s->n ? ml_utf8_size(s->p + end, s->n - end) : 1;
  }
  ml_piece rest = ml_piece_part(s, done, s->n);
  return st == ML_OK ? ml_rewrite_copy(to, &rest, r->track) : st;
}

static int replace(const runner *r, int64_t i, const ml_piece *s) {
  step *a = &r->steps->steps[i];
  ml_rewrite *to = &a->made[r->worker];
  int st = ML_OK;
  to->n = 0;
  for (size_t at = 0; st == ML_OK && at < s->n;) {
    bool valid = true;
    size_t end = s->valid ? s->n : ml_utf8_run((ml_bytes){s->p, s->n}, at, &valid);
    ml_piece part = ml_piece_part(s, at, end);
    st = valid ? replace_run(r, a, &part) : ml_rewrite_copy(to, &part, r->track);
    at = end;
  }
  ml_piece made = ml_rewrite_piece(to, s, r->track);
  return st == ML_OK ? run(r, i + 1, &made) : st;
}

static int normalize(const runner *r, int64_t i, const ml_piece *s) {
  step *a = &r->steps->steps[i];
  ml_rewrite *to = &a->made[r->worker];
  bool changed;
  to->n = 0;
  int st = ml_normalize(a->how, s, r->track, to, &changed);
  ml_piece made = changed ? ml_rewrite_piece(to, s, r->track) : *s;
  return st == ML_OK ? run(r, i + 1, &made) : st;
}

/* ---- cutting ---- */

/* what is held back until it is known what comes next; nothing where end is start */
typedef struct {
  const runner *r;
  int64_t i;
  const ml_piece *s;
  int how;
  size_t start, end;
  bool match;
} cutter;

static int give(const cutter *c, size_t start, size_t end) {
  if (end == start) return ML_OK;
  ml_piece part = ml_piece_part(c->s, start, end);
  return run(c->r, c->i + 1, &part);
}

static int hold(cutter *c, size_t start, size_t end, bool match) {
  int st = give(c, c->start, c->end);
  c->start = start, c->end = end, c->match = match;
  return st;
}

/* a match, or what lies between two */
static int cut_part(cutter *c, size_t start, size_t end, bool match) {
  bool held = c->end > c->start, joins;
  switch (c->how) {
  case ML_CUT_ISOLATED:
    return give(c, start, end);
  case ML_CUT_REMOVED:
    return match ? ML_OK : give(c, start, end);
  case ML_CUT_PREVIOUS:
    joins = held && match && !c->match;
    break;
  case ML_CUT_NEXT:
    joins = held && !match && c->match;
    break;
  default:
    joins = held && match == c->match;
  }
  if (!joins) return hold(c, start, end, match);
  c->end = end;
  c->match = match;
  return ML_OK;
}

static int cut_run(const runner *r, int64_t i, const ml_piece *s) {
  const step *a = &r->steps->steps[i];
  cutter c = {r, i, s, a->how, 0, 0, false};
  size_t done = 0, at = 0, start, end;
  ml_bytes text = {s->p, s->n};
  int st = ml_regex_begin(a->regex, r->worker, s->n);
  while (st == ML_OK && at < s->n) {
    st = ml_regex_next(a->regex, r->worker, text, at, &start, &end);
    if (st != ML_OK || end < start) break;
    if (start > done) st = cut_part(&c, done, start, a->invert);
    if (st == ML_OK && end > start) st = cut_part(&c, start, end, !a->invert);
    done = at = end;
    if (end == start)
      at += end < s->n ? ml_utf8_size(s->p + end, s->n - end) : 1; /* it cuts, too */
  }
  if (st == ML_OK && done < s->n) st = cut_part(&c, done, s->n, a->invert);
  return st == ML_OK ? give(&c, c.start, c.end) : st;
}

static int cut(const runner *r, int64_t i, const ml_piece *s) {
  if (s->valid) return cut_run(r, i, s);
  int st = ML_OK;
  for (size_t at = 0; st == ML_OK && at < s->n;) {
    bool valid;
    size_t end = ml_utf8_run((ml_bytes){s->p, s->n}, at, &valid);
    ml_piece part = ml_piece_part(s, at, end);
    part.valid = valid;
    st = valid ? cut_run(r, i, &part) : run(r, r->steps->n, &part);
    at = end;
  }
  return st;
}

static int run(const runner *r, int64_t i, const ml_piece *s) {
  if (i == r->steps->n) return r->fn(r->ctx, s);
  switch (r->steps->steps[i].kind) {
  case ML_STEP_FORM:
    return normalize(r, i, s);
  case ML_STEP_PREPEND:
    return prepend(r, i, s);
  case ML_STEP_REPLACE:
    return replace(r, i, s);
  default:
    return cut(r, i, s);
  }
}

int ml_steps_run(ml_steps *t, int worker, const ml_piece *s, bool track, ml_piece_fn *fn,
                 void *ctx) {
  runner r = {t, worker, track, fn, ctx};
  return s->n > 0 ? run(&r, 0, s) : ML_OK;
}

/* ---- for threads ---- */

static bool prints(const uint8_t *p, const uint8_t *end) {
  return (p < end) && (*p > ' ') && (*p < 0x7f);
}

/* Behind a line's end if marks or letters stand around it, or one space and then a mark or letter
** behind it: every known pattern ends a piece there, whether or not it sees what follows. */
size_t ml_text_cut(ml_bytes text, size_t want) {
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

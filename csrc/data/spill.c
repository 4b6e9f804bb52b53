/* spill.c -- bytes put aside in a file that has no name: it goes when its owner does, however
** that ends. What was put last is still in memory, and is written before any reading. */
#define _GNU_SOURCE
#include "data/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 18 };

struct ml_spill {
  int fd;
  int64_t written; /* bytes in the file */
  size_t used;     /* and behind them, in the buffer */
  uint8_t buffer[BUFFER];
};

static int io_error(const char *what) {
  return ml_fail(ML_EIO, "temporary file: cannot %s: %s", what, strerror(errno));
}

int ml_spill_new(ml_spill **out, const char *dir) {
  char path[4096];
  int n = snprintf(path, sizeof path, "%s/moonlit.XXXXXX", dir);
  if (n < 0 || (size_t)n >= sizeof path)
    return ml_fail(ML_EIO, "temporary file: the directory's name is too long");
  ml_spill *s = ml_alloc(sizeof *s);
  if (!s) return ML_ENOMEM;
  s->written = 0, s->used = 0;
  s->fd = mkostemp(path, O_CLOEXEC);
  if (s->fd < 0 || unlink(path) != 0) {
    int st = ml_fail(ML_EIO, "temporary file: cannot make one in %s: %s", dir, strerror(errno));
    ml_spill_free(s);
    return st;
  }
  *out = s;
  return ML_OK;
}

void ml_spill_free(ml_spill *s) {
  if (!s) return;
  if (s->fd >= 0) close(s->fd);
  ml_free(s);
}

static int write_all(ml_spill *s, const uint8_t *p, size_t n) {
  while (n > 0) {
    ssize_t k = pwrite(s->fd, p, n, s->written);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return io_error("write");
    p += k, n -= (size_t)k, s->written += k;
  }
  return ML_OK;
}

static int flush(ml_spill *s) {
  size_t n = s->used;
  s->used = 0;
  return write_all(s, s->buffer, n);
}

int ml_spill_put(ml_spill *s, const void *p, size_t n, int64_t *at) {
  int st = n > BUFFER - s->used ? flush(s) : ML_OK;
  if (st != ML_OK) return st;
  *at = s->written + (int64_t)s->used;
  if (n > BUFFER) return write_all(s, p, n);
  if (n) memcpy(s->buffer + s->used, p, n);
  s->used += n;
  return ML_OK;
}

int64_t ml_spill_size(const ml_spill *s) { return s->written + (int64_t)s->used; }

int ml_spill_get(ml_spill *s, int64_t at, void *p, size_t n) {
  int64_t size = ml_spill_size(s);
  if (at < 0 || at > size || n > (size_t)(size - at))
    return ml_fail(ML_ERANGE, "temporary file: %zu bytes at %lld of %lld", n, (long long)at,
                   (long long)size);
  int st = at + (int64_t)n > s->written ? flush(s) : ML_OK;
  for (uint8_t *to = p; st == ML_OK && n > 0;) {
    ssize_t k = pread(s->fd, to, n, at);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return io_error("read");
    if (k == 0) return ml_fail(ML_EIO, "temporary file: it was cut short");
    to += k, n -= (size_t)k, at += k;
  }
  return st;
}

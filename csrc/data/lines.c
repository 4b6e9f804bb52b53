/* lines.c -- a text file line by line. Bytes go from the file through `in`, as they are or
** inflated, into `out`, which holds the line being looked for and never more than the limit and
** a chunk. zlib checks the CRC and the length of every member; a member cut short is an error. */
#define _GNU_SOURCE
#include "data/data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 1 << 18 };

struct ml_lines {
  int fd;               /* -1: the bytes lie at `memory` */
  const uint8_t *memory;
  size_t left;          /* of memory */
  char *name;
  uint8_t *in;          /* CHUNK bytes read; z.next_in and avail_in are what is not used yet */
  z_stream z;
  bool gzip, inflating; /* a z to end; inside a member */
  uint8_t *out;         /* out[pos, end) is decoded and not given */
  size_t pos, end, room;
  bool done;            /* nothing will come after end */
  int64_t limit, number;
};

static int fail_at(const ml_lines *l, int code, const char *what) {
  return ml_fail(code, "%s:%lld: %s", l->name, (long long)l->number + 1, what);
}

static voidpf z_take(voidpf ctx, uInt n, uInt size) { return ml_alloc((size_t)n * size); }
static void z_give(voidpf ctx, voidpf p) { ml_free(p); }

/* ---- in ---- */

static int read_chunk(ml_lines *l, size_t *n) {
  if (l->fd < 0) {
    *n = l->left < CHUNK ? l->left : CHUNK;
    if (*n) memcpy(l->in, l->memory, *n);
    l->memory += *n, l->left -= *n;
    return ML_OK;
  }
  for (;;) {
    ssize_t k = read(l->fd, l->in, CHUNK);
    if (k >= 0) return *n = (size_t)k, ML_OK;
    if (errno != EINTR) return fail_at(l, ML_EIO, strerror(errno));
  }
}

static int more_input(ml_lines *l) {
  size_t n = 0;
  if (l->z.avail_in) return ML_OK;
  int st = read_chunk(l, &n);
  l->z.next_in = l->in, l->z.avail_in = (uInt)n;
  return st;
}

/* ---- out ---- */

/* at most `room` bytes to p as they are */
static size_t copy_plain(ml_lines *l, uint8_t *p, size_t room) {
  size_t n = l->z.avail_in < room ? l->z.avail_in : room;
  memcpy(p, l->z.next_in, n);
  l->z.next_in += n, l->z.avail_in -= (uInt)n;
  return n;
}

static int inflate_some(ml_lines *l, uint8_t *p, size_t room, size_t *n) {
  if (!l->inflating) { /* another member follows the one that ended */
    if (inflateReset(&l->z) != Z_OK) return fail_at(l, ML_EFORMAT, "zlib failed");
    l->inflating = true;
  }
  l->z.next_out = p, l->z.avail_out = (uInt)room;
  int code = inflate(&l->z, Z_NO_FLUSH);
  *n = room - l->z.avail_out;
  if (code == Z_STREAM_END) l->inflating = false;
  if (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR) return ML_OK;
  if (code == Z_MEM_ERROR) return ML_ENOMEM;
  return ml_fail(ML_EFORMAT, "%s:%lld: expected gzip data, got %s", l->name,
                 (long long)l->number + 1, l->z.msg ? l->z.msg : "something else");
}

/* room for CHUNK more bytes behind end; four times what was, as freed blocks are kept for reuse */
static int make_room(ml_lines *l) {
  if (l->pos) memmove(l->out, l->out + l->pos, l->end - l->pos);
  l->end -= l->pos, l->pos = 0;
  if (l->room - l->end >= CHUNK) return ML_OK;
  size_t most = (size_t)l->limit + 3 * CHUNK, room = 4 * l->room < most ? 4 * l->room : most;
  if (room < l->end + CHUNK) room = l->end + CHUNK;
  uint8_t *more = ml_alloc(room);
  if (!more) return ML_ENOMEM;
  memcpy(more, l->out, l->end);
  ml_free(l->out);
  l->out = more, l->room = room;
  return ML_OK;
}

/* some more decoded bytes, or done */
static int fill(ml_lines *l) {
  int st = make_room(l);
  for (size_t n = 0; st == ML_OK && n == 0; l->end += n) {
    st = more_input(l);
    if (st != ML_OK) return st;
    if (!l->z.avail_in) {
      if (l->inflating) return fail_at(l, ML_EFORMAT, "the gzip data ends inside a member");
      l->done = true;
      return ML_OK;
    }
    if (l->gzip) st = inflate_some(l, l->out + l->end, l->room - l->end, &n);
    else n = copy_plain(l, l->out + l->end, l->room - l->end);
  }
  return st;
}

/* ---- life ---- */

static bool named_gz(const char *name) {
  size_t n = strlen(name);
  return n >= 3 && memcmp(name + n - 3, ".gz", 3) == 0;
}

/* what the first bytes say the file is */
static int begin(ml_lines *l) {
  int st = more_input(l);
  if (st != ML_OK) return st;
  l->gzip = l->z.avail_in >= 2 && l->in[0] == 0x1f && l->in[1] == 0x8b;
  if (!l->gzip && named_gz(l->name))
    return fail_at(l, ML_EFORMAT, l->z.avail_in ? "expected gzip data, got something else"
                                                : "expected gzip data, got an empty file");
  if (l->gzip) {
    l->inflating = true;
    if (inflateInit2(&l->z, 15 + 16) != Z_OK) return l->gzip = false, ML_ENOMEM;
  }
  while (st == ML_OK && !l->done && l->end < 3) st = fill(l);
  if (st == ML_OK && l->end >= 3 && memcmp(l->out, "\xEF\xBB\xBF", 3) == 0) l->pos = 3;
  return st;
}

static int start(ml_lines **out, ml_lines l) {
  ml_lines *p = ml_alloc(sizeof *p);
  if (!p) {
    if (l.fd >= 0) close(l.fd);
    return ML_ENOMEM;
  }
  size_t n = strlen(l.name) + 1;
  *p = l;
  p->z = (z_stream){.zalloc = z_take, .zfree = z_give};
  p->room = 2 * CHUNK;
  p->name = ml_alloc(n), p->in = ml_alloc(CHUNK), p->out = ml_alloc(p->room);
  if (p->name) memcpy(p->name, l.name, n);
  int st = p->name && p->in && p->out ? begin(p) : ML_ENOMEM;
  if (st != ML_OK) return ml_lines_close(p), st;
  *out = p;
  return ML_OK;
}

int ml_lines_open(ml_lines **out, const char *path, int64_t limit) {
  struct stat s;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hang us */
  if (fd < 0 || fstat(fd, &s) != 0) {
    int st = ml_fail(ML_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return st;
  }
  if (!S_ISREG(s.st_mode)) {
    close(fd);
    return ml_fail(ML_EIO, "%s: not a regular file", path);
  }
  return start(out, (ml_lines){.fd = fd, .name = (char *)path, .limit = limit});
}

int ml_lines_of(ml_lines **out, const char *name, const void *p, size_t n, int64_t limit) {
  return start(out, (ml_lines){.fd = -1, .memory = p, .left = n, .name = (char *)name,
                               .limit = limit});
}

void ml_lines_close(ml_lines *l) {
  if (!l) return;
  if (l->fd >= 0) close(l->fd);
  if (l->gzip) inflateEnd(&l->z);
  ml_free(l->name), ml_free(l->in), ml_free(l->out), ml_free(l);
}

int64_t ml_lines_number(const ml_lines *l) { return l->number; }

/* ---- lines ---- */

static int too_long(const ml_lines *l, const char *what) {
  return ml_fail(ML_EFORMAT, "%s:%lld: expected %s of at most %lld bytes, got a longer one",
                 l->name, (long long)l->number + 1, what, (long long)l->limit);
}

int ml_lines_next(ml_lines *l, const char **p, size_t *n) {
  uint8_t *newline = NULL;
  for (size_t seen = 0;;) {
    size_t have = l->end - l->pos;
    if (have > seen) newline = memchr(l->out + l->pos + seen, '\n', have - seen);
    if (newline || l->done) break;
    if (have > (size_t)l->limit + 1) return too_long(l, "a line"); /* + 1: a \r may end it */
    seen = have;
    int st = fill(l);
    if (st != ML_OK) return st;
  }
  *p = NULL, *n = 0;
  if (!newline && l->pos == l->end) return ML_OK;
  uint8_t *line = l->out + l->pos;
  size_t len = (size_t)((newline ? newline : l->out + l->end) - line), kept = len;
  if (newline && kept && line[kept - 1] == '\r') kept--;
  if (kept > (size_t)l->limit) return too_long(l, "a line");
  l->pos += len + (newline != NULL);
  l->number++;
  *p = (const char *)line, *n = kept;
  return ML_OK;
}

/* what is decoded, up to and with the line's end; true: that was in it */
static bool drop(ml_lines *l, int64_t *bytes) {
  uint8_t *from = l->out + l->pos, *newline = memchr(from, '\n', l->end - l->pos);
  size_t n = newline ? (size_t)(newline - from) : l->end - l->pos;
  *bytes += (int64_t)n;
  l->pos += n + (newline != NULL);
  return newline != NULL;
}

int ml_lines_skip(ml_lines *l, char *head, size_t *room, int64_t *bytes) {
  size_t have = l->end - l->pos;
  if (*room > have) *room = have;
  if (*room) memcpy(head, l->out + l->pos, *room);
  *bytes = 0;
  while (!drop(l, bytes) && !l->done) {
    int st = fill(l);
    if (st != ML_OK) return st;
  }
  l->number++;
  return ML_OK;
}

int ml_lines_rest(ml_lines *l, const char **p, size_t *n) {
  while (!l->done && l->end - l->pos <= (size_t)l->limit) {
    int st = fill(l);
    if (st != ML_OK) return st;
  }
  if (l->end - l->pos > (size_t)l->limit) return too_long(l, "a text");
  *p = (const char *)l->out + l->pos, *n = l->end - l->pos;
  l->pos = l->end;
  return ML_OK;
}

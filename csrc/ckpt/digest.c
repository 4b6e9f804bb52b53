/* digest.c -- what a manifest says of a file: its size, SHA-256, and the CRC-32C of every chunk, so
** that damage has a place. Files are read, not mapped: a bad sector is an answer then, not a
** signal. */
#include "ckpt/ckpt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ml_digester { ml_sha256 *sha; uint32_t crc; size_t filled, room; };

void ml_digest_free(ml_digest *d) {
  ml_free(d->crc32c);
  *d = (ml_digest){0};
}

/* room for the digits of so many bytes */
static int begin(ml_digest *d, struct ml_digester *g, int64_t bytes) {
  *d = (ml_digest){0};
  *g = (struct ml_digester){.room = (size_t)(bytes / ML_CHUNK + 2) * 8 + 1};
  d->crc32c = ml_alloc0(g->room);
  return d->crc32c ? ml_sha256_new(&g->sha) : ML_ENOMEM;
}

static void end_chunk(ml_digest *d, struct ml_digester *g) {
  size_t used = strlen(d->crc32c);
  if (used + 9 <= g->room) snprintf(d->crc32c + used, 9, "%08x", g->crc);
  g->crc = 0, g->filled = 0;
}

static int add(ml_digest *d, struct ml_digester *g, const uint8_t *p, size_t n) {
  int st = ml_sha256_add(g->sha, p, n);
  d->bytes += (int64_t)n;
  while (n > 0 && st == ML_OK) {
    size_t k = ML_CHUNK - g->filled < n ? ML_CHUNK - g->filled : n;
    g->crc = ml_crc32c(g->crc, p, k);
    g->filled += k, p += k, n -= k;
    if (g->filled == ML_CHUNK) end_chunk(d, g);
  }
  return st;
}

static int end(ml_digest *d, struct ml_digester *g, int st) {
  if (g->filled) end_chunk(d, g);
  if (st == ML_OK) st = ml_sha256_hex(g->sha, d->sha256);
  else ml_sha256_free(g->sha);
  if (st != ML_OK) ml_digest_free(d);
  return st;
}

int ml_digest_bytes(ml_digest *d, const void *p, size_t n) {
  struct ml_digester g;
  int st = begin(d, &g, (int64_t)n);
  if (st == ML_OK) st = add(d, &g, p, n);
  return end(d, &g, st);
}

static int read_all(ml_digest *d, struct ml_digester *g, int fd, const char *path) {
  enum { BUFFER = 1 << 16 }; /* memory may be short */
  uint8_t *buffer = ml_alloc(BUFFER);
  int st = buffer ? ML_OK : ML_ENOMEM;
  while (st == ML_OK) {
    ssize_t k = read(fd, buffer, BUFFER);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) st = ml_fail(ML_EIO, "%s: cannot read: %s", path, strerror(errno));
    if (k <= 0) break;
    st = add(d, g, buffer, (size_t)k);
  }
  ml_free(buffer);
  return st;
}

int ml_digest_file(ml_digest *d, const char *path, bool from_disk) {
  struct ml_digester g;
  struct stat s;
  *d = (ml_digest){0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hang us */
  if (fd < 0) return ml_fail(ML_EIO, "%s: cannot open: %s", path, strerror(errno));
  int st = fstat(fd, &s) == 0 && S_ISREG(s.st_mode)
             ? ML_OK : ml_fail(ML_EIO, "%s: not a regular file", path);
  if (from_disk) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* not what the cache remembers */
  if (st == ML_OK) {
    st = begin(d, &g, s.st_size);
    if (st == ML_OK) st = read_all(d, &g, fd, path);
    st = end(d, &g, st);
  }
  close(fd);
  return st;
}

/* private.c -- what only this user reads: a key to sign with, a directory to work in; and what a
** path stands for. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY = 32 };

static int failed(const char *path) {
  return ml_fail(ML_EIO, "%s: %s", path, strerror(errno));
}

/* 1: there; 0: there is none; below: an error */
static int read_key(const char *path, uint8_t key[KEY], int *st) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return 0;
  struct stat s;
  *st = fd < 0 || fstat(fd, &s) ? failed(path) : ML_OK;
  if (*st == ML_OK && (!S_ISREG(s.st_mode) || s.st_uid != geteuid() || (s.st_mode & 077)
                       || s.st_size != KEY || read(fd, key, KEY) != KEY))
    *st = ml_fail(ML_EIO, "%s: expected %d bytes that only their owner may read", path, KEY);
  if (fd >= 0) close(fd);
  return *st == ML_OK ? 1 : -1;
}

/* whole or not at all, and never over one that another process made meanwhile */
static int make_key(const char *path) {
  char temporary[4096];
  uint8_t key[KEY];
  int n = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
  if (n < 0 || (size_t)n >= sizeof temporary) return ml_fail(ML_EIO, "%s: too long", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed(temporary);
  bool good = getrandom(key, KEY, 0) == KEY && write(fd, key, KEY) == KEY && fsync(fd) == 0;
  if (close(fd)) good = false;
  if (good && link(temporary, path) && errno != EEXIST) good = false;
  int st = good ? ML_OK : failed(path);
  unlink(temporary);
  explicit_bzero(key, KEY);
  return st;
}

int ml_mac(const char *path, const void *text, size_t n, char hex[65]) {
  uint8_t key[KEY], d[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  int st = ML_OK, there = read_key(path, key, &st);
  if (there == 0) {
    st = make_key(path);
    if (st == ML_OK && read_key(path, key, &st) == 0) st = failed(path);
  }
  if (st == ML_OK && !HMAC(EVP_sha256(), key, KEY, text, n, d, &length))
    st = ml_fail(ML_ENOMEM, "mac: libcrypto failed");
  explicit_bzero(key, KEY);
  for (unsigned i = 0; st == ML_OK && i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", d[i]);
  return st;
}

int ml_realpath(const char *path, char **out) {
  *out = realpath(path, NULL);
  return *out ? ML_OK : failed(path);
}

int ml_private_dir(char *path, size_t room) {
  const char *base = getenv("TMPDIR");
  int n = snprintf(path, room, "%s/moonlit-XXXXXX", base && *base == '/' ? base : "/tmp");
  if (n < 0 || (size_t)n >= room) return ml_fail(ML_EIO, "TMPDIR: too long");
  return mkdtemp(path) ? ML_OK : failed(path);
}

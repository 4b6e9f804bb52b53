/* file.c -- files mapped for reading, and files that appear whole or not at all. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_error(const char *what, const char *path) {
  return ml_fail(ML_EIO, "%s: %s: %s", path, what, strerror(errno));
}

int ml_file_map(ml_file *f, const char *path) {
  *f = (ml_file){.fd = -1};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hang us */
  if (fd < 0) return io_error("cannot open", path);
  struct stat s;
  int st = fstat(fd, &s) == 0 ? ML_OK : io_error("cannot stat", path);
  if (st == ML_OK && !S_ISREG(s.st_mode))
    st = ml_fail(ML_EIO, "%s: not a regular file", path);
  if (st == ML_OK && s.st_size > 0) {
    void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) st = io_error("cannot map", path);
    else *f = (ml_file){p, (size_t)s.st_size, -1, true};
  }
  close(fd); /* the mapping stays */
  return st;
}

void ml_file_unmap(ml_file *f) {
  if (f->mapped) munmap(f->data, f->size);
  *f = (ml_file){.fd = -1};
}

struct ml_writer {
  int fd;
  char *path, *temporary;
};

static char *text_of(const char *a, const char *b) {
  size_t n = strlen(a) + strlen(b) + 1;
  char *s = ml_alloc(n);
  if (s) snprintf(s, n, "%s%s", a, b);
  return s;
}

static void writer_free(ml_writer *w) {
  if (!w) return;
  if (w->fd >= 0) close(w->fd);
  ml_free(w->path), ml_free(w->temporary), ml_free(w);
}

int ml_writer_open(ml_writer **out, const char *path) {
  ml_writer *w = ml_alloc0(sizeof *w);
  if (!w) return ML_ENOMEM;
  w->fd = -1;
  w->path = text_of(path, "");
  w->temporary = text_of(path, ".XXXXXX");
  int st = w->path && w->temporary ? ML_OK : ML_ENOMEM;
  if (st == ML_OK) {
    w->fd = mkostemp(w->temporary, O_CLOEXEC);
    if (w->fd < 0) st = io_error("cannot create", path);
  }
  if (st != ML_OK) {
    writer_free(w);
    return st;
  }
  *out = w;
  return ML_OK;
}

int ml_writer_put(ml_writer *w, const void *p, size_t n) {
  for (const char *c = p; n > 0;) {
    ssize_t k = write(w->fd, c, n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return io_error("cannot write", w->path);
    c += k, n -= (size_t)k;
  }
  return ML_OK;
}

/* a rename is only durable once its directory is */
static int sync_directory_of(const char *path) {
  char *dir = text_of(path, "");
  if (!dir) return ML_ENOMEM;
  char *slash = strrchr(dir, '/');
  if (slash) slash[slash == dir] = '\0';
  int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int st = fd >= 0 && fsync(fd) == 0 ? ML_OK : io_error("cannot sync the directory of", path);
  if (fd >= 0) close(fd);
  ml_free(dir);
  return st;
}

static mode_t file_mode(void) {
  mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

int ml_writer_commit(ml_writer *w) {
  int st = ML_OK;
  if (fchmod(w->fd, file_mode()) != 0 || fsync(w->fd) != 0) st = io_error("cannot sync", w->path);
  if (st == ML_OK && rename(w->temporary, w->path) != 0) st = io_error("cannot rename", w->path);
  if (st != ML_OK) {
    ml_writer_abort(w);
    return st;
  }
  st = sync_directory_of(w->path);
  writer_free(w);
  return st;
}

void ml_writer_abort(ml_writer *w) {
  if (!w) return;
  unlink(w->temporary);
  writer_free(w);
}

int ml_mkdir(const char *path) {
  char *p = text_of(path, "");
  if (!p) return ML_ENOMEM;
  int st = ML_OK;
  for (char *s = p + 1; st == ML_OK; s++) {
    char c = *s;
    if (c != '/' && c != '\0') continue;
    *s = '\0';
    if (mkdir(p, 0777) != 0 && errno != EEXIST) st = io_error("cannot make directory", p);
    *s = c;
    if (c == '\0') break;
  }
  struct stat d;
  if (st == ML_OK && (stat(p, &d) != 0 || !S_ISDIR(d.st_mode)))
    st = ml_fail(ML_EIO, "%s: is not a directory", path);
  ml_free(p);
  return st;
}

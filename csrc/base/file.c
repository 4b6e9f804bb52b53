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

static const char TEMPORARY[] = ".0123456789abcdef"; /* room for what is unique */
struct ml_writer {
  int fd, directory;
  char *path, *temporary;
  uint8_t *memory; /* where there is no file */
  size_t used, room;
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
  if (w->directory >= 0) close(w->directory);
  ml_free(w->path), ml_free(w->temporary), ml_free(w->memory), ml_free(w);
}

/* a rename is only durable once its directory is */
static int open_directory_of(ml_writer *w) {
  char *slash = strrchr(w->temporary, '/'), c = 0;
  if (slash) c = slash[1], slash[1] = '\0';
  w->directory = open(slash ? w->temporary : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (slash) slash[1] = c;
  return w->directory < 0 ? io_error("cannot open the directory of", w->path) : ML_OK;
}

/* 0666 at creation, so that the system applies the umask: asking for it means changing it */
static int create_temporary(ml_writer *w) {
  static _Atomic unsigned serial;
  char *tail = w->temporary + strlen(w->path);
  do {
    snprintf(tail, sizeof TEMPORARY, ".%08x%08x", (unsigned)getpid(), ++serial);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (w->fd < 0 && errno == EEXIST); /* left by a process that died */
  return w->fd < 0 ? io_error("cannot create", w->path) : ML_OK;
}

int ml_writer_open(ml_writer **out, const char *path) {
  ml_writer *w = ml_alloc0(sizeof *w);
  if (!w) return ML_ENOMEM;
  w->fd = w->directory = -1;
  w->path = text_of(path, "");
  w->temporary = text_of(path, TEMPORARY);
  int st = w->path && w->temporary ? open_directory_of(w) : ML_ENOMEM;
  if (st == ML_OK) st = create_temporary(w);
  if (st != ML_OK) {
    writer_free(w);
    return st;
  }
  *out = w;
  return ML_OK;
}

int ml_writer_memory(ml_writer **out) {
  ml_writer *w = ml_alloc0(sizeof *w);
  if (!w) return ML_ENOMEM;
  w->fd = w->directory = -1;
  *out = w;
  return ML_OK;
}

static int make_room(ml_writer *w, size_t room) {
  if (room <= w->room) return ML_OK;
  uint8_t *more = ml_alloc(room);
  if (!more) return ML_ENOMEM;
  if (w->used) memcpy(more, w->memory, w->used);
  ml_free(w->memory);
  w->memory = more, w->room = room;
  return ML_OK;
}

static int put_memory(ml_writer *w, const void *p, size_t n) {
  size_t need = w->used + n;
  int st = need > w->room ? make_room(w, need > 2 * w->room ? need : 2 * w->room) : ML_OK;
  if (st != ML_OK) return st;
  memcpy(w->memory + w->used, p, n);
  w->used = need;
  return ML_OK;
}

void ml_writer_take(ml_writer *w, uint8_t **data, size_t *size) {
  *data = w->memory, *size = w->used;
  w->memory = NULL;
  writer_free(w);
}

int ml_writer_put(ml_writer *w, const void *p, size_t n) {
  if (!w->path) return n ? put_memory(w, p, n) : ML_OK;
  for (const char *c = p; n > 0;) {
    ssize_t k = write(w->fd, c, n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return io_error("cannot write", w->path);
    c += k, n -= (size_t)k;
  }
  return ML_OK;
}

int ml_writer_reserve(ml_writer *w, size_t bytes) {
  int bad;
  if (bytes == 0) return ML_OK;
  if (!w->path) return make_room(w, bytes);
  do bad = fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) ? errno : 0;
  while (bad == EINTR);
  if (bad != ENOSPC && bad != EDQUOT && bad != EFBIG) return ML_OK;
  return ml_fail(ML_EIO, "%s: cannot write %zu bytes: %s", w->path, bytes, strerror(bad));
}

int ml_writer_commit(ml_writer *w) {
  int st = fsync(w->fd) == 0 ? ML_OK : io_error("cannot sync", w->path);
  if (st == ML_OK && rename(w->temporary, w->path) != 0) st = io_error("cannot rename", w->path);
  if (st != ML_OK) {
    ml_writer_abort(w);
    return st;
  }
  if (fsync(w->directory) != 0) st = io_error("cannot sync the directory of", w->path);
  writer_free(w);
  return st;
}

void ml_writer_abort(ml_writer *w) {
  if (!w) return;
  if (w->temporary) unlink(w->temporary);
  writer_free(w);
}

int ml_truncate(const char *path, int64_t bytes) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return io_error("cannot open", path);
  int st = ftruncate(fd, (off_t)bytes) == 0 ? ML_OK : io_error("cannot cut", path);
  if (st == ML_OK && fsync(fd) != 0) st = io_error("cannot sync", path);
  close(fd);
  return st;
}

int ml_mkdir(const char *path) {
  char *p = text_of(path, "");
  if (!p) return ML_ENOMEM;
  int st = ML_OK;
  for (char *s = p; st == ML_OK; s++) {
    char c = *s;
    if ((c != '/' && c != '\0') || (c == '/' && s == p)) continue;
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

/* shim.c -- what can happen to a process between two lines of its own. Preloaded (LD_PRELOAD) by
** the crash tests; only calls on files below MOONLIT_IO_DIR count.
**   MOONLIT_IO_KILL=N    kill -9 at the N-th call that changes the disk, before it is made
**   MOONLIT_IO_TORN=1    ... and where that call is a write, after half of its bytes
**   MOONLIT_IO_FULL=N    no space left on the device after N bytes
**   MOONLIT_IO_TRACE=F   a line for every such call, "write 512 ckpt/step-5.tmp/state.json"
**   MOONLIT_IO_CLOCK=1   the time of day jumps, back and forth by days, at every look
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 1024, PATH = 512 };
static char below[PATH], names[FDS][PATH]; /* of the descriptors that are open for writing */
static long kill_at, full_at = -1;
static int torn, trace = -1, jumps;
static _Atomic long calls, written;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *p = dlsym(RTLD_NEXT, name);
  if (!p) abort();
  return p;
}

static long number(const char *name, long otherwise) {
  const char *s = getenv(name);
  return s && *s ? atol(s) : otherwise;
}

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("MOONLIT_IO_DIR"), *log = getenv("MOONLIT_IO_TRACE");
  if (dir) snprintf(below, sizeof below, "%s", dir);
  kill_at = number("MOONLIT_IO_KILL", 0), full_at = number("MOONLIT_IO_FULL", -1);
  torn = (int)number("MOONLIT_IO_TORN", 0), jumps = (int)number("MOONLIT_IO_CLOCK", 0);
  if (log) trace = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
}

static int counts(const char *path) {
  size_t n = strlen(below);
  return n && path && strncmp(path, below, n) == 0 && path[n] == '/';
}
static const char *of_fd(int fd) { return fd >= 0 && fd < FDS && *names[fd] ? names[fd] : NULL; }

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* one call that changes the disk is about to be made; true: it is the last, and the caller tears it */
static int met(const char *what, const char *path, size_t bytes, int can_tear) {
  long n = ++calls;
  if (trace >= 0) {
    char line[PATH + 64];
    int k = snprintf(line, sizeof line, "%s %zu %s\n", what, bytes, path + strlen(below) + 1);
    syscall(SYS_write, trace, line, (size_t)k);
  }
  if (kill_at == 0 || n != kill_at) return 0;
  if (!(torn && can_tear)) die();
  return 1;
}

/* room for so many more bytes? */
static int fits(size_t bytes) { return full_at < 0 || written + (long)bytes <= full_at; }
static int no_space(void) {
  errno = ENOSPC;
  return -1;
}

static int note_open(int fd, const char *path, int flags) {
  if (fd >= 0 && fd < FDS) {
    names[fd][0] = '\0';
    if (counts(path) && flags & (O_WRONLY | O_RDWR | O_DIRECTORY))
      snprintf(names[fd], PATH, "%s", path);
  }
  return fd;
}

static int open_as(const char *which, const char *path, int flags, mode_t mode) {
  if (counts(path) && flags & O_CREAT) met("create", path, 0, 0);
  int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))real(which);
  return note_open(next(path, flags, mode), path, flags);
}

#define OPEN(name)                                  \
  int name(const char *path, int flags, ...) {      \
    va_list rest;                                   \
    va_start(rest, flags);                          \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                   \
    return open_as(#name, path, flags, mode);       \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                       \
  FILE *name(const char *path, const char *mode) {                        \
    int writes = counts(path) && strpbrk(mode, "wa+");                    \
    if (writes) met("create", path, 0, 0);                                \
    FILE *f = REAL(name)(path, mode);                                     \
    if (f) note_open(fileno(f), path, writes ? O_WRONLY : O_RDONLY);      \
    return f;                                                             \
  }
FOPEN(fopen)
FOPEN(fopen64)

/* a stream's bytes go out inside the C library; here is where they are asked to */
static int flush(FILE *f, const char *what) {
  const char *path = f ? of_fd(fileno(f)) : NULL;
  size_t bytes = path ? __fpending(f) : 0;
  if (!bytes) return 0;
  met(what, path, bytes, 0);
  if (!fits(bytes)) return __fpurge(f), no_space();
  written += (long)bytes;
  return 0;
}
int fflush(FILE *f) { return flush(f, "flush") == 0 ? REAL(fflush)(f) : EOF; }
int fclose(FILE *f) {
  int bad = flush(f, "close"), fd = fileno(f);
  if (of_fd(fd)) names[fd][0] = '\0';
  int got = REAL(fclose)(f);
  return bad ? (errno = ENOSPC, EOF) : got;
}

ssize_t write(int fd, const void *p, size_t n) {
  const char *path = of_fd(fd);
  if (!path) return REAL(write)(fd, p, n);
  if (met("write", path, n, 1)) {
    REAL(write)(fd, p, n / 2);
    die();
  }
  if (!fits(n)) {
    long left = full_at - written;
    if (left <= 0) return no_space();
    n = (size_t)left; /* the kernel too writes what still fits */
  }
  ssize_t k = REAL(write)(fd, p, n);
  if (k > 0) written += k;
  return k;
}

int close(int fd) {
  if (of_fd(fd)) names[fd][0] = '\0';
  return REAL(close)(fd);
}
int fsync(int fd) {
  if (of_fd(fd)) met("fsync", of_fd(fd), 0, 0);
  return REAL(fsync)(fd);
}
int fallocate(int fd, int mode, off_t at, off_t bytes) {
  if (of_fd(fd)) {
    met("reserve", of_fd(fd), (size_t)bytes, 0);
    if (!fits((size_t)(at + bytes))) return no_space();
  }
  return REAL(fallocate)(fd, mode, at, bytes);
}
int ftruncate(int fd, off_t bytes) {
  if (of_fd(fd)) met("truncate", of_fd(fd), (size_t)bytes, 0);
  return REAL(ftruncate)(fd, bytes);
}
int truncate(const char *path, off_t bytes) {
  if (counts(path)) met("truncate", path, (size_t)bytes, 0);
  return REAL(truncate)(path, bytes);
}
int rename(const char *from, const char *to) {
  if (counts(to)) met("rename", to, 0, 0);
  return REAL(rename)(from, to);
}

#define PATH_CALL(name, what)                   \
  int name(const char *path) {                  \
    if (counts(path)) met(what, path, 0, 0);    \
    return REAL(name)(path);                    \
  }
PATH_CALL(unlink, "unlink")
PATH_CALL(remove, "unlink")
PATH_CALL(rmdir, "rmdir")

int mkdir(const char *path, mode_t mode) {
  if (counts(path)) {
    met("mkdir", path, 0, 0);
    if (!fits(1)) return no_space();
  }
  return REAL(mkdir)(path, mode);
}

/* ---- the time of day ---- */
static long jump(void) {
  static _Atomic unsigned looks;
  return jumps ? (long)(++looks * 2654435761u >> 12) % 864000 - 432000 : 0;
}
time_t time(time_t *out) {
  time_t now = REAL(time)(NULL) + jump();
  if (out) *out = now;
  return now;
}
int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
  int got = REAL(gettimeofday)(tv, zone);
  tv->tv_sec += jump();
  return got;
}
int clock_gettime(clockid_t id, struct timespec *ts) {
  int got = REAL(clock_gettime)(id, ts);
  if (id == CLOCK_REALTIME) ts->tv_sec += jump();
  return got;
}

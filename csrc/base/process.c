/* process.c -- run a program and wait for it. The arguments reach it as they are: no shell reads
** them. It inherits the terminal, the environment and the working directory. */
#define _GNU_SOURCE
#include "base/process.h"
#include "base/base.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

/* SIGINT and SIGTERM are held back until signal.c knows the child, so that none is lost; the
** child starts with the mask that this process has */
static int start(char *const argv[], pid_t *child) {
  sigset_t held, before;
  posix_spawnattr_t attr;
  sigemptyset(&held);
  sigaddset(&held, SIGINT), sigaddset(&held, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &held, &before);
  int bad = posix_spawnattr_init(&attr);
  if (bad == 0) {
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &before);
    bad = posix_spawnp(child, argv[0], NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
  }
  if (bad == 0) ml_signal_child = (sig_atomic_t)*child;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return bad;
}

/* waits until it ends; one that takes longer than `seconds` is killed (0: no limit) */
static pid_t await(pid_t child, double seconds, int *status) {
  double end = ml_clock() + seconds;
  bool timed = seconds > 0;
  for (;;) {
    pid_t got = waitpid(child, status, timed ? WNOHANG : 0);
    if (got > 0 || (got < 0 && errno != EINTR)) return got;
    if (timed && ml_clock() >= end) kill(child, SIGKILL), timed = false;
    if (timed) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
}

int ml_spawn(char *const argv[], double seconds, int *code, int *number) {
  pid_t child = 0;
  int status = 0, bad = start(argv, &child);
  if (bad) return ml_fail(ML_EIO, "%s: cannot start: %s", argv[0], strerror(bad));
  pid_t got = await(child, seconds, &status);
  ml_signal_child = 0;
  if (got < 0) return ml_fail(ML_EIO, "%s: cannot wait for it: %s", argv[0], strerror(errno));
  *number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  *code = *number ? 128 + *number : WEXITSTATUS(status);
  return ML_OK;
}

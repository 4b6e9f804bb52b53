/* workers.c -- copies of this process (fork) that each do a share of some work, at once. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 2048 }; /* at most PIPE_BUF: one write is one piece */

/* in the child: nothing of the parent's is cleaned up, it is all still the parent's */
static void work_and_end(ml_work work, void *context, int i, pid_t parent, int message_to) {
  char message[MESSAGE] = "";
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL);
  int st = work(context, i, message, sizeof message);
  if (st != ML_OK && write(message_to, message, strnlen(message, MESSAGE - 1) + 1) < 0) _exit(2);
  _exit(st != ML_OK);
}

static void stop(const pid_t *children, int n) {
  for (int i = 0; i < n; i++)
    if (children[i] > 0) kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
}

/* a child that ended: 0, or why that is the end of all */
static int judge(int i, int status, int message_from) {
  char message[MESSAGE];
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ML_OK;
  if (WIFSIGNALED(status))
    return ml_fail(ML_EIO, "worker %d was ended by signal %d", i + 1, WTERMSIG(status));
  ssize_t n = read(message_from, message, sizeof message - 1);
  message[n > 0 ? n : 0] = 0;
  return ml_fail(ML_EIO, "%s", n > 0 ? message : "a worker ended without a word");
}

static int await_all(pid_t *children, int n, int message_from) {
  for (int left = n; left > 0;) {
    int status = 0, at = 0;
    if (ml_signal_pending()) return ml_fail(ML_EIO, "interrupted");
    for (pid_t got = 0; at < n; at++)
      if (children[at] > 0 && (got = waitpid(children[at], &status, WNOHANG)) != 0) break;
    if (at == n) {
      nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
      continue;
    }
    children[at] = 0, left--;
    int st = judge(at, status, message_from);
    if (st != ML_OK) return st;
  }
  return ML_OK;
}

int ml_workers(int n, ml_work work, void *context) {
  int ends[2], st = ML_OK;
  pid_t parent = getpid(), *children = ml_alloc((size_t)n * sizeof *children);
  if (!children) return ML_ENOMEM;
  if (pipe(ends) != 0) {
    ml_free(children);
    return ml_fail(ML_EIO, "workers: %s", strerror(errno));
  }
  fflush(NULL); /* or what is buffered would be written twice */
  int begun = 0;
  for (; st == ML_OK && begun < n; begun += st == ML_OK) {
    children[begun] = fork();
    if (children[begun] == 0) work_and_end(work, context, begun, parent, ends[1]);
    if (children[begun] < 0) st = ml_fail(ML_EIO, "workers: cannot start: %s", strerror(errno));
  }
  if (st == ML_OK) st = await_all(children, n, ends[0]);
  stop(children, begun);
  close(ends[0]), close(ends[1]);
  ml_free(children);
  return st;
}

/* signal.c -- SIGINT and SIGTERM set a flag the training loop looks at between steps; a second
** one ends the process as if nobody had been listening. While a child process runs (process.c)
** they are handed on to it: Ctrl-C reaches a terminal's whole foreground group by itself, what
** kill() sends reaches this process alone. */
#define _GNU_SOURCE
#include "base/base.h"
#include "base/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t ml_signal_child;
static volatile sig_atomic_t pending;
/* whoever stops a whole job signals parent and child, and the parent hands its own on: that is
** asked once, so requests count by where they come from */
static volatile sig_atomic_t asked_by_parent, asked_by_others;
static bool caught;
static struct sigaction before_int, before_term;

static void note(int number, siginfo_t *info, void *context) {
  (void)context;
  int before = errno;
  bool sent = info->si_code <= 0; /* by a process; the terminal's come from the kernel */
  if (ml_signal_child > 0 && sent) kill((pid_t)ml_signal_child, number);
  bool parent = sent && info->si_pid == getppid();
  if (parent ? asked_by_parent : asked_by_others) { /* asked twice: stop now */
    signal(number, SIG_DFL);
    raise(number);
  }
  if (parent) asked_by_parent = 1;
  else asked_by_others = 1;
  pending = number;
  errno = before;
}

int ml_signal_catch(bool on) {
  if (on == caught) return ML_OK;
  struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_RESTART | SA_SIGINFO};
  sigemptyset(&a.sa_mask);
  sigaddset(&a.sa_mask, SIGINT), sigaddset(&a.sa_mask, SIGTERM); /* one note() at a time */
  int bad = on ? sigaction(SIGINT, &a, &before_int) | sigaction(SIGTERM, &a, &before_term)
               : sigaction(SIGINT, &before_int, NULL) | sigaction(SIGTERM, &before_term, NULL);
  if (bad) return ml_fail(ML_EIO, "signals: %s", strerror(errno));
  caught = on;
  return ML_OK;
}

int ml_signal_pending(void) { return pending; }
void ml_signal_clear(void) { pending = asked_by_parent = asked_by_others = 0; }

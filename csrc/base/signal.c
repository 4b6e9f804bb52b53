/* signal.c -- SIGINT and SIGTERM set a flag the training loop looks at between steps; a second
** one ends the process as if nobody had been listening. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t pending;
static bool caught;
static struct sigaction before_int, before_term;

static void note(int number) {
  if (pending) { /* asked twice: stop now */
    signal(number, SIG_DFL);
    raise(number);
  }
  pending = number;
}

int ml_signal_catch(bool on) {
  if (on == caught) return ML_OK;
  struct sigaction a = {.sa_handler = note, .sa_flags = SA_RESTART};
  sigemptyset(&a.sa_mask);
  int bad = on ? sigaction(SIGINT, &a, &before_int) | sigaction(SIGTERM, &a, &before_term)
               : sigaction(SIGINT, &before_int, NULL) | sigaction(SIGTERM, &before_term, NULL);
  if (bad) return ml_fail(ML_EIO, "signals: %s", strerror(errno));
  caught = on;
  return ML_OK;
}

int ml_signal_pending(void) { return pending; }
void ml_signal_clear(void) { pending = 0; }

/* status.c -- a status code and, per thread, the message of the last failure. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

int ml_fail(int code, const char *fmt, ...) {
  char text[sizeof message]; /* an argument may be the old message */
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  strcpy(message, text);
  return code;
}

const char *ml_errmsg(void) { return message; }

const char *ml_status_name(int code) {
  static const char *const names[] = {"ok", "shape", "type", "range", "argument", "state",
                                      "memory", "io", "format", "unsupported", "callback"};
  int n = (int)(sizeof names / sizeof *names);
  return code >= 0 && code < n ? names[code] : "unknown";
}

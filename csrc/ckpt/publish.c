/* publish.c -- rename a directory whose files are already on the disk. The order is the point:
** the directory's own entries first, then the name, then the parent that holds the name. */
#include "ckpt/ckpt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int sync_dir(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ml_fail(ML_EIO, "%s: %s", path, strerror(errno));
  int bad = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return bad ? ml_fail(ML_EIO, "%s: fsync: %s", path, strerror(bad)) : ML_OK;
}

int ml_publish_dir(const char *from, const char *to) {
  size_t n = strlen(to);
  char *parent = ml_alloc(n + 2);
  if (!parent) return ML_ENOMEM;
  memcpy(parent, to, n + 1);
  char *slash = strrchr(parent, '/');
  if (!slash) strcpy(parent, ".");
  else slash[slash == parent ? 1 : 0] = '\0';
  int st = sync_dir(from);
  if (st == ML_OK && rename(from, to) != 0)
    st = ml_fail(ML_EIO, "%s: rename from %s: %s", to, from, strerror(errno));
  if (st == ML_OK) st = sync_dir(parent);
  ml_free(parent);
  return st;
}

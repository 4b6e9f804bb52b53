/* save.c -- a checkpoint's way to the disk. What it holds is copied first, then a thread of its own
** writes it while training goes on:
**   DIR.tmp made; every file's room taken before the first byte goes out; the files written,
**   synced, read back and compared; the logs synced; manifest.json; DIR.tmp becomes DIR; `latest`
**   names it.
** Until the rename there is no DIR, after it there is all of it. A failure anywhere leaves DIR.tmp
** for the caller to remove, and what was there before as it was. */
#include "ckpt/ckpt.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  char *name;
  uint8_t *data; /* NULL: it lies in the directory already */
  size_t size;
  ml_digest digest;
} entry;

struct ml_save {
  char *dir, *temporary, *about;
  entry *file;
  char **log; /* files beside it that must be on the disk first */
  int files, logs;
  pthread_t thread;
  bool joinable;
  _Atomic bool busy;
  int status;
  char message[512];
};

enum { MOST_FILES = 64 };

static char *joined(const char *a, const char *b, const char *c) {
  size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
  char *s = ml_alloc(n);
  if (s) snprintf(s, n, "%s%s%s", a, b, c);
  return s;
}

int ml_save_new(ml_save **out, const char *dir) {
  ml_save *s = ml_alloc0(sizeof *s);
  if (!s) return ML_ENOMEM;
  s->dir = joined(dir, "", ""), s->temporary = joined(dir, ".tmp", "");
  s->file = ml_alloc0(MOST_FILES * sizeof *s->file);
  s->log = ml_alloc0(MOST_FILES * sizeof *s->log);
  if (!s->dir || !s->temporary || !s->file || !s->log) {
    ml_save_free(s);
    return ML_ENOMEM;
  }
  *out = s;
  return ML_OK;
}

void ml_save_free(ml_save *s) {
  if (!s) return;
  ml_save_wait(s);
  for (int i = 0; i < s->files; i++) {
    ml_free(s->file[i].name), ml_free(s->file[i].data);
    ml_digest_free(&s->file[i].digest);
  }
  for (int i = 0; i < s->logs; i++) ml_free(s->log[i]);
  ml_free(s->file), ml_free(s->log), ml_free(s->dir), ml_free(s->temporary), ml_free(s->about);
  ml_free(s);
}

/* ---- what it will hold ---- */

static int add(ml_save *s, const char *name, uint8_t *data, size_t size) {
  char *own = joined(name, "", "");
  if (!own) ml_free(data);
  if (!own) return ML_ENOMEM;
  s->file[s->files++] = (entry){.name = own, .data = data, .size = size};
  return ML_OK;
}

static int has_room(const ml_save *s, int used) {
  if (s->busy || s->joinable) return ml_fail(ML_ESTATE, "save: it is being written");
  if (used < MOST_FILES) return ML_OK;
  return ml_fail(ML_EARG, "save: more than %d files", MOST_FILES);
}

int ml_save_bytes(ml_save *s, const char *name, const void *p, size_t n) {
  int st = has_room(s, s->files);
  if (st != ML_OK) return st;
  uint8_t *copy = ml_alloc(n);
  if (!copy) return ML_ENOMEM;
  memcpy(copy, p, n);
  return add(s, name, copy, n);
}

int ml_save_tensors(ml_save *s, const char *name, const ml_bundle *b) {
  ml_writer *w = NULL;
  uint8_t *data = NULL;
  size_t size = 0;
  int st = has_room(s, s->files);
  if (st == ML_OK) st = ml_writer_memory(&w);
  if (st != ML_OK) return st;
  st = ml_safetensors_write(w, b);
  if (st == ML_OK) ml_writer_take(w, &data, &size);
  else ml_writer_abort(w);
  return st == ML_OK ? add(s, name, data, size) : st;
}

int ml_save_file(ml_save *s, const char *name) {
  int st = has_room(s, s->files);
  return st == ML_OK ? add(s, name, NULL, 0) : st;
}

int ml_save_log(ml_save *s, const char *path) {
  int st = has_room(s, s->logs);
  if (st != ML_OK) return st;
  s->log[s->logs] = joined(path, "", "");
  return s->log[s->logs] ? (s->logs++, ML_OK) : ML_ENOMEM;
}

/* ---- writing it ---- */

static char *path_of(const ml_save *s, const char *name) { return joined(s->temporary, "/", name); }

static int reserve_all(ml_save *s, ml_writer **w) {
  int st = ML_OK;
  for (int i = 0; i < s->files && st == ML_OK; i++) {
    if (!s->file[i].data) continue;
    char *path = path_of(s, s->file[i].name);
    st = path ? ml_writer_open(&w[i], path) : ML_ENOMEM;
    if (st == ML_OK) st = ml_writer_reserve(w[i], s->file[i].size);
    ml_free(path);
  }
  return st;
}

/* in pieces: the disk begins with the first while the next is on its way */
static int put(ml_writer *w, const uint8_t *p, size_t n) {
  int st = ML_OK;
  for (size_t at = 0; at < n && st == ML_OK; at += ML_CHUNK)
    st = ml_writer_put(w, p + at, n - at < ML_CHUNK ? n - at : ML_CHUNK);
  return st;
}

static int digest_there(ml_save *s, entry *f) {
  char *path = path_of(s, f->name);
  int st = path ? ml_digest_file(&f->digest, path, false) : ML_ENOMEM;
  ml_free(path);
  return st;
}

static int write_all(ml_save *s, ml_writer **w) {
  int st = ML_OK;
  for (int i = 0; i < s->files && st == ML_OK; i++) {
    entry *f = &s->file[i];
    if (!f->data) {
      st = digest_there(s, f);
      continue;
    }
    st = put(w[i], f->data, f->size);
    if (st == ML_OK) {
      st = ml_writer_commit(w[i]);
      w[i] = NULL;
    }
    if (st == ML_OK) st = ml_digest_bytes(&f->digest, f->data, f->size);
  }
  return st;
}

static int write_files(ml_save *s) {
  ml_writer *w[MOST_FILES] = {NULL};
  int st = reserve_all(s, w);
  if (st == ML_OK) st = write_all(s, w);
  for (int i = 0; i < s->files; i++) ml_writer_abort(w[i]);
  return st;
}

static int read_back(ml_save *s, const entry *f) {
  ml_digest there;
  char *path = path_of(s, f->name);
  int st = path ? ml_digest_file(&there, path, true) : ML_ENOMEM;
  if (st == ML_OK) {
    if (there.bytes != f->digest.bytes || strcmp(there.crc32c, f->digest.crc32c) != 0)
      st = ml_fail(ML_EIO, "%s: the disk gives back other bytes than were written", path);
    ml_digest_free(&there);
  }
  ml_free(path);
  return st;
}

static int sync_log(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ml_fail(ML_EIO, "%s: cannot open: %s", path, strerror(errno));
  int bad = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return bad ? ml_fail(ML_EIO, "%s: cannot sync: %s", path, strerror(bad)) : ML_OK;
}

static json_t *describe(const ml_save *s) {
  json_t *list = json_object();
  for (int i = 0; i < s->files; i++) {
    const ml_digest *d = &s->file[i].digest;
    json_object_set_new(list, s->file[i].name,
                        json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)d->bytes, "sha256",
                                  d->sha256, "crc32c", d->crc32c));
  }
  return list;
}

/* the text of manifest.json; its last member is the SHA-256 of everything before that member */
static int make_manifest(ml_save *s, char **out) {
  json_error_t e;
  json_t *root = json_loads(s->about, JSON_REJECT_DUPLICATES, &e);
  if (!json_is_object(root)) {
    json_decref(root);
    return ml_fail(ML_EARG, "save: the manifest's fields must be a JSON object");
  }
  json_object_set_new(root, "chunk", json_integer(ML_CHUNK));
  json_object_set_new(root, "files", describe(s));
  char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
  json_decref(root);
  size_t n = text ? strlen(text) : 0;
  if (n < 2) return free(text), ML_ENOMEM;
  ml_digest d;
  int st = ml_digest_bytes(&d, text, n - 2); /* without its "\n}" */
  if (st == ML_OK) {
    text[n - 2] = '\0';
    char tail[96];
    snprintf(tail, sizeof tail, ",\n  \"check\": \"%s\"\n}\n", d.sha256);
    *out = joined(text, tail, "");
    if (!*out) st = ML_ENOMEM;
    ml_digest_free(&d);
  }
  free(text);
  return st;
}

/* one small file, whole or not at all */
static int write_text(const char *path, const char *text) {
  ml_writer *w = NULL;
  int st = path ? ml_writer_open(&w, path) : ML_ENOMEM;
  if (st != ML_OK) return st;
  st = ml_writer_put(w, text, strlen(text));
  if (st == ML_OK) return ml_writer_commit(w);
  ml_writer_abort(w);
  return st;
}

static int write_manifest(ml_save *s) {
  entry m = {.name = (char[]){"manifest.json"}};
  char *text = NULL, *path = path_of(s, m.name);
  int st = make_manifest(s, &text);
  if (st == ML_OK) st = write_text(path, text);
  if (st == ML_OK) st = ml_digest_bytes(&m.digest, text, strlen(text));
  if (st == ML_OK) st = read_back(s, &m);
  ml_digest_free(&m.digest);
  ml_free(text), ml_free(path);
  return st;
}

static int write_latest(const ml_save *s) {
  const char *slash = strrchr(s->dir, '/'), *name = slash ? slash + 1 : s->dir;
  char *line = joined(name, "\n", ""), *path = joined(s->dir, "", "/latest");
  int st = line && path ? ML_OK : ML_ENOMEM;
  if (st == ML_OK) {
    strcpy(path + (name - s->dir), "latest"); /* beside it */
    st = write_text(path, line);
  }
  ml_free(line), ml_free(path);
  return st;
}

static int write_save(ml_save *s) {
  int st = ml_mkdir(s->temporary);
  if (st == ML_OK) st = write_files(s);
  for (int i = 0; i < s->files && st == ML_OK; i++) st = read_back(s, &s->file[i]);
  for (int i = 0; i < s->logs && st == ML_OK; i++) st = sync_log(s->log[i]);
  if (st == ML_OK) st = write_manifest(s);
  if (st == ML_OK) st = ml_publish_dir(s->temporary, s->dir);
  return st == ML_OK ? write_latest(s) : st;
}

/* A process that ends in any way but by a signal has what it began to save. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;
static int running;

static void count(int change) {
  pthread_mutex_lock(&lock);
  running += change;
  if (running == 0) pthread_cond_broadcast(&fewer);
  pthread_mutex_unlock(&lock);
}

static void wait_for_all(void) {
  pthread_mutex_lock(&lock);
  while (running > 0) pthread_cond_wait(&fewer, &lock);
  pthread_mutex_unlock(&lock);
}

/* after libcrypto's own, so that it is called before that */
static void wait_at_exit(void) {
  ml_digest d;
  if (ml_digest_bytes(&d, "", 0) == ML_OK) ml_digest_free(&d);
  atexit(wait_for_all);
}

static void *work(void *p) {
  ml_save *s = p;
  s->status = write_save(s);
  if (s->status != ML_OK) snprintf(s->message, sizeof s->message, "%s", ml_errmsg());
  if (s->status == ML_ENOMEM) s->status = ML_EIO; /* of this save, not of who asks about it */
  for (int i = 0; i < s->files; i++) { /* the copy is not needed a moment longer */
    ml_free(s->file[i].data);
    s->file[i].data = NULL;
  }
  s->busy = false;
  count(-1);
  return NULL;
}

/* signals are for the thread that trains */
static bool start_thread(ml_save *s) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  s->joinable = pthread_create(&s->thread, NULL, work, s) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return s->joinable;
}

int ml_save_start(ml_save *s, const char *about, bool background) {
  int st = has_room(s, 0);
  if (st != ML_OK) return st;
  s->about = joined(about, "", "");
  if (!s->about) return ML_ENOMEM;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, wait_at_exit);
  s->busy = true;
  count(1);
  if (!background || !start_thread(s)) work(s); /* no thread to be had: it takes longer, no more */
  return ML_OK;
}

bool ml_save_busy(const ml_save *s) { return s->busy; }

int ml_save_wait(ml_save *s) {
  if (s->joinable) pthread_join(s->thread, NULL);
  s->joinable = false;
  return s->status == ML_OK ? ML_OK : ml_fail(s->status, "%s", s->message);
}

/* test_box.c -- a process that shut itself in reads and writes what it was left, and nothing else;
** each attempt is a process of its own. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static char place[4096], given[4200], hidden[4200], room[4200], output[4200];

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static int set_up(void **state) {
  (void)state;
  assert_int_equal(ml_private_dir(place, sizeof place), ML_OK);
  snprintf(given, sizeof given, "%s/given", place), put(given, "given");
  snprintf(hidden, sizeof hidden, "%s/hidden", place), put(hidden, "hidden");
  snprintf(room, sizeof room, "%s/room", place), mkdir(room, 0700);
  snprintf(output, sizeof output, "%s/output", place);
  setenv("MOONLIT_SECRET", "a token", 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char command[8300];
  snprintf(command, sizeof command, "rm -r '%s'", place);
  return system(command);
}

enum { REFUSED = 99, KILLED = 1000 };

static int enter(int64_t memory, int64_t seconds) {
  const char *list[] = {given};
  ml_box b = {list, 1, room, output, memory, seconds, 1 << 20};
  return ml_box_enter(&b);
}

/* what `attempt` gives inside: 0 where it succeeds, else errno; KILLED + the signal's number */
static int inside(int (*attempt)(void), int64_t memory, int64_t seconds) {
  int status;
  unlink(output);
  pid_t child = fork();
  if (child == 0) {
    if (enter(memory, seconds) != ML_OK) {
      fprintf(stderr, "%s\n", ml_errmsg());
      _exit(REFUSED);
    }
    errno = 0;
    _exit(attempt());
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int result(long r) { return r < 0 ? errno : 0; }

static int reads(const char *path) { return result(open(path, O_RDONLY)); }
static int read_given(void) { return reads(given); }
static int read_hidden(void) { return reads(hidden); }
static int read_password(void) { return reads("/etc/passwd"); }
static int read_environment(void) { return reads("/proc/self/environ"); }
static int list_place(void) { return reads(place); }
static int write_given(void) { return result(open(given, O_WRONLY)); }
static int cut_given(void) { return result(truncate(given, 0)); }
static int write_beside(void) {
  char path[4300];
  snprintf(path, sizeof path, "%s/beside", place);
  return result(open(path, O_WRONLY | O_CREAT, 0600));
}
static int remove_given(void) { return result(unlink(given)); }
static int open_mode(void) { return result(chmod(given, 0777)); }
static int in_room(char path[4300], const char *name) {
  return snprintf(path, 4300, "%s/%s", room, name);
}
static int write_room(void) {
  char a[4300], b[4300], c[4300];
  in_room(a, "a"), in_room(b, "folder"), in_room(c, "folder/c");
  int fd = open(a, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || write(fd, "xy", 2) != 2 || fsync(fd) || ftruncate(fd, 1) || close(fd)) return errno;
  if (mkdir(b, 0700) || rename(a, c) || unlink(c) || rmdir(b)) return errno;
  return 0;
}
static int large_file(void) {
  char a[4300];
  in_room(a, "large");
  int fd = open(a, O_RDWR | O_CREAT, 0600);
  return fd < 0 ? errno : result(ftruncate(fd, 2 << 20));
}
static int link_room(void) {
  char a[4300];
  in_room(a, "link");
  return result(symlink("/etc/passwd", a));
}
static int pipe_room(void) {
  char a[4300];
  in_room(a, "pipe");
  return result(mkfifo(a, 0600));
}
static int tcp(void) { return result(socket(AF_INET, SOCK_STREAM, 0)); }
static int unix_pair(void) { int fd[2]; return result(socketpair(AF_UNIX, SOCK_STREAM, 0, fd)); }
static int run_program(void) {
  char *argv[] = {"true", NULL};
  return result(execv("/bin/true", argv));
}
static int forks(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  return result(child);
}
static int kill_parent(void) { return result(kill(getppid(), SIGTERM)); }
static int watch_parent(void) { return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)); }
static int signal_owner(void) { return result(fcntl(1, F_SETOWN, getppid())); }
static int other_limits(void) {
  struct rlimit r;
  return result(prlimit(getppid(), RLIMIT_CPU, NULL, &r));
}
static int machine_code(void) {
  int all = PROT_READ | PROT_WRITE | PROT_EXEC;
  void *p = mmap(NULL, 4096, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? errno : 0;
}
static int machine_code_later(void) {
  void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? ENOMEM : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}
static int new_namespace(void) { return result(syscall(SYS_unshare, 0x10000000)); }
static int terminal(void) { return result(syscall(SYS_ioctl, 0, 0x5412, "x")); }
static int variable(void) { return getenv("MOONLIT_SECRET") ? 0 : ENOENT; }
static int inherited(void) { return result(fcntl(7, F_GETFD)); }
static int again(void) { return enter(1 << 30, 10) == ML_OK ? 0 : EPERM; }

static void *nothing(void *x) { return x; }
static int threads(void) {
  pthread_t t;
  int bad = pthread_create(&t, NULL, nothing, NULL);
  return bad ? bad : pthread_join(t, NULL);
}
static int much_memory(void) {
  void *p = mmap(NULL, (size_t)4 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? errno : 0;
}
static int long_time(void) {
  while (getpid() > 0) {}
  return 0;
}

#define N(f) {f, #f}
static const struct attempt { int (*f)(void); const char *name; } kept_out[] = {
  N(read_hidden), N(read_password), N(read_environment), N(list_place), N(write_given),
  N(cut_given), N(write_beside), N(remove_given), N(open_mode), N(link_room), N(pipe_room), N(tcp),
  N(unix_pair), N(run_program), N(forks), N(kill_parent), N(watch_parent), N(signal_owner),
  N(other_limits), N(machine_code), N(machine_code_later), N(new_namespace), N(terminal),
  N(variable), N(inherited), N(again), N(much_memory)};

static bool available(void) {
  int r = inside(read_given, 1 << 30, 10);
  if (r == REFUSED) print_message("no box here; see above\n");
  return r != REFUSED;
}

static void what_was_given_can_be_used(void **state) {
  (void)state;
  if (!available()) skip();
  assert_int_equal(inside(read_given, 1 << 30, 10), 0);
  assert_int_equal(inside(write_room, 1 << 30, 10), 0);
  assert_int_equal(inside(threads, 1 << 30, 10), 0);
}

static void nothing_else_can_be_reached(void **state) {
  (void)state;
  if (!available()) skip();
  assert_true(dup2(1, 7) == 7);
  for (size_t i = 0; i < sizeof kept_out / sizeof *kept_out; i++) {
    int r = inside(kept_out[i].f, 1 << 30, 10);
    if (r == 0 || r == REFUSED || r >= KILLED) fail_msg("%s: %d", kept_out[i].name, r);
  }
  close(7);
}

static void time_and_files_are_bounded(void **state) {
  (void)state;
  if (!available()) skip();
  int r = inside(long_time, 1 << 30, 1);
  assert_true(r == KILLED + SIGKILL || r == KILLED + SIGXCPU);
  r = inside(large_file, 1 << 30, 10);
  assert_true(r == EFBIG || r == KILLED + SIGXFSZ);
}

static void *waits(void *x) { pause(); return x; }
static void other_threads_are_noticed(void **state) {
  (void)state;
  if (!available()) skip();
  int status;
  unlink(output);
  pid_t child = fork();
  if (child == 0) {
    pthread_t t;
    pthread_create(&t, NULL, waits, NULL);
    _exit(enter(1 << 30, 10) == ML_EUNSUPPORTED && strstr(ml_errmsg(), "threads") ? 0 : 1);
  }
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
}

/* ---- the key ---- */

static void a_key_is_its_owners(void **state) {
  (void)state;
  char path[4300], a[65], b[65];
  struct stat s;
  snprintf(path, sizeof path, "%s/key", place);
  assert_int_equal(ml_mac(path, "text", 4, a), ML_OK);
  assert_int_equal(stat(path, &s), 0);
  assert_int_equal(s.st_mode & 0777, 0600);
  assert_int_equal(ml_mac(path, "text", 4, b), ML_OK);
  assert_string_equal(a, b);
  assert_int_equal(ml_mac(path, "texs", 4, b), ML_OK);
  assert_string_not_equal(a, b);
  put(path, "01234567890123456789012345678901"); /* known: RFC 2104 by another program */
  assert_int_equal(ml_mac(path, "text", 4, b), ML_OK);
  assert_string_equal(b, "91fcdc49416dbf4e274309690cea97a1ece7a025739b963536dbf5608be4a925");
  chmod(path, 0644);
  assert_int_equal(ml_mac(path, "text", 4, b), ML_EIO);
  assert_non_null(strstr(ml_errmsg(), "only their owner"));
  unlink(path), put(path, "short"), chmod(path, 0600);
  assert_int_equal(ml_mac(path, "text", 4, b), ML_EIO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_given_can_be_used), cmocka_unit_test(nothing_else_can_be_reached),
    cmocka_unit_test(time_and_files_are_bounded), cmocka_unit_test(other_threads_are_noticed),
    cmocka_unit_test(a_key_is_its_owners)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

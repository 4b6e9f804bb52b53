/* box.c -- a process shuts itself in before it runs code it does not trust: from then on it reads
** the named files, writes below one directory, and reaches nothing else: no network, no program,
** no other process, no new machine code. Landlock keeps the files, seccomp the calls to the
** system, both asked of the kernel without privilege and never to be undone. Where the kernel
** cannot, the answer is an error and nothing of the kind has begun. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <string.h>

/* a sanitizer maps terabytes, and looks at its process from outside */
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(ML_SANITIZED)
#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static int failed(const char *what) {
  return ml_fail(ML_EUNSUPPORTED, "box: %s: %s", what, strerror(errno));
}

/* ---- files: Landlock, whose header may be older than the kernel ---- */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD, LANDLOCK_RESTRICT };
struct ruleset { uint64_t files, net, scoped; };
struct __attribute__((packed)) beneath { uint64_t access; int32_t parent; };
#define BIT(n) (UINT64_C(1) << (n))
static const uint64_t WRITE_FILE = BIT(1), READ_FILE = BIT(2), READ_DIR = BIT(3);
static const uint64_t REMOVE = BIT(4) | BIT(5), MAKE_DIR = BIT(7), MAKE_REG = BIT(8);
static const uint64_t REFER = BIT(13), TRUNCATE = BIT(14);

/* all that a version of Landlock knows to forbid */
static uint64_t all_files(long version) {
  int known = version < 2 ? 13 : version < 3 ? 14 : version < 5 ? 15 : 16;
  return BIT(known) - 1;
}

static int let_in(int rules, const char *path, uint64_t access, uint64_t known) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return failed(path);
  struct stat s;
  int bad = fstat(fd, &s);
  if (!bad && !S_ISDIR(s.st_mode)) access &= WRITE_FILE | READ_FILE | TRUNCATE;
  struct beneath b = {access & known, fd};
  if (!bad) bad = (int)syscall(LANDLOCK_ADD, rules, 1, &b, 0);
  int st = bad ? failed(path) : ML_OK;
  close(fd);
  return st;
}

static int shut_files(const ml_box *b, long version) {
  uint64_t known = all_files(version);
  struct ruleset r = {known, 3 /* bind, connect */, 3 /* abstract sockets, signals */};
  size_t size = version < 4 ? 8 : version < 6 ? 16 : sizeof r;
  int rules = (int)syscall(LANDLOCK_CREATE, &r, size, 0);
  if (rules < 0) return failed("Landlock");
  int st = ML_OK;
  for (size_t i = 0; st == ML_OK && i < b->count; i++)
    st = let_in(rules, b->readable[i], READ_FILE | READ_DIR, known);
  if (st == ML_OK)
    st = let_in(rules, b->writable, WRITE_FILE | READ_FILE | READ_DIR | REMOVE | MAKE_DIR | MAKE_REG
                                    | REFER | TRUNCATE, known);
  if (st == ML_OK && syscall(LANDLOCK_RESTRICT, rules, 0)) st = failed("Landlock");
  close(rules);
  return st;
}

/* ---- calls to the system: a list of those that are fine ---- */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const uint32_t fine[] = {
#if defined(__x86_64__) /* aarch64 has none of these */
  SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_mkdir, SYS_rmdir, SYS_unlink,
  SYS_rename, SYS_dup2, SYS_poll, SYS_getdents, SYS_time, SYS_arch_prctl,
#endif
  SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_openat, SYS_close,
  SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_lseek, SYS_faccessat,
  SYS_faccessat2, SYS_readlinkat, SYS_getcwd, SYS_getdents64, SYS_mkdirat, SYS_unlinkat,
  SYS_renameat, SYS_renameat2, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_fallocate,
  SYS_ftruncate, SYS_fadvise64, SYS_flock, SYS_dup, SYS_dup3, SYS_ppoll, SYS_copy_file_range,
  SYS_sendfile, SYS_munmap, SYS_mremap, SYS_madvise, SYS_msync, SYS_brk, SYS_futex,
  SYS_set_robust_list, SYS_set_tid_address, SYS_rseq, SYS_membarrier, SYS_sched_yield,
  SYS_sched_getaffinity, SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid,
  SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_times, SYS_getrandom, SYS_gettimeofday,
  SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_rt_sigaction,
  SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_exit,
  SYS_exit_group};

enum { ROOM = 256 };
struct program { struct sock_filter code[ROOM]; unsigned short length; };

static void add(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k) {
  p->code[p->length++] = (struct sock_filter){code, yes, no, k};
}
static void load(struct program *p, size_t offset) {
  add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}
static void answer(struct program *p, uint32_t k) { add(p, BPF_RET | BPF_K, 0, 0, k); }
static void refuse(struct program *p, int number) {
  answer(p, SECCOMP_RET_ERRNO | (uint32_t)number);
}

/* the low half of an argument: what is looked at here has no more */
static size_t argument(int i) {
  return offsetof(struct seccomp_data, args) + 8 * (size_t)i
         + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

/* the call `number`, if (argument i & mask) == value */
static void only_if(struct program *p, uint32_t number, int i, uint32_t mask, uint32_t value) {
  add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 5, number);
  load(p, argument(i));
  add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
  add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
  answer(p, SECCOMP_RET_ALLOW);
  refuse(p, EPERM);
}

/* fcntl: duplicates, flags and locks; not who gets a signal */
static void only_locks(struct program *p) {
  static const uint32_t commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_GETLK,
                                      F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK};
  enum { N = sizeof commands / sizeof *commands };
  add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 2 * N + 2, SYS_fcntl);
  load(p, argument(1));
  for (int i = 0; i < N; i++) {
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, commands[i]);
    answer(p, SECCOMP_RET_ALLOW);
  }
  refuse(p, EPERM);
}

static int shut_calls(void) {
  struct program p = {.length = 0};
  uint32_t self = (uint32_t)getpid();
  load(&p, offsetof(struct seccomp_data, arch));
  add(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCH);
  answer(&p, SECCOMP_RET_KILL_PROCESS);
  load(&p, offsetof(struct seccomp_data, nr)); /* x32's numbers are in no list */
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, fine[i]);
    answer(&p, SECCOMP_RET_ALLOW);
  }
  add(&p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_clone3); /* its flags cannot be seen: clone comes */
  refuse(&p, ENOSYS);
  only_if(&p, SYS_clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
  only_if(&p, SYS_mmap, 2, PROT_EXEC, 0);
  only_if(&p, SYS_mprotect, 2, PROT_EXEC, 0);
  only_if(&p, SYS_kill, 0, UINT32_MAX, self);
  only_if(&p, SYS_tgkill, 0, UINT32_MAX, self);
  only_if(&p, SYS_prlimit64, 0, UINT32_MAX, 0);
  only_locks(&p);
  refuse(&p, EPERM);
  struct sock_fprog program = {p.length, p.code};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return failed("seccomp");
  return ML_OK;
}

/* ---- what a process has from its parent ---- */
static int limit(int what, int64_t value) {
  struct rlimit now, r = {(rlim_t)value, (rlim_t)value};
  if (getrlimit(what, &now) == 0 && now.rlim_max < r.rlim_max) r = (struct rlimit){now.rlim_max,
                                                                                 now.rlim_max};
  return setrlimit(what, &r) ? failed("limits") : ML_OK;
}

static int set_limits(const ml_box *b) {
  int st = limit(RLIMIT_AS, b->memory);
  if (st == ML_OK) st = limit(RLIMIT_CPU, b->seconds);
  if (st == ML_OK) st = limit(RLIMIT_FSIZE, b->file);
  if (st == ML_OK) st = limit(RLIMIT_CORE, 0);
  if (st == ML_OK) st = limit(RLIMIT_NOFILE, 256);
  return st;
}

static int drop_capabilities(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}};
  return syscall(SYS_capset, &h, none) ? failed("capabilities") : ML_OK;
}

static void forget_environment(void) {
  static char *none[] = {NULL};
  for (char **e = environ; e && *e; e++) memset(*e, 0, strlen(*e));
  environ = none;
}

/* what is said goes into a file, a terminal takes orders; nothing else stays open */
static int close_files(const ml_box *b) {
  int in = open("/dev/null", O_RDONLY);
  int out = open(b->output, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND, 0600);
  if (in < 0 || out < 0) return failed(b->output);
  fflush(NULL);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) return failed(b->output);
  DIR *d = opendir("/proc/self/fd");
  if (!d) return failed("/proc/self/fd");
  for (struct dirent *e; (e = readdir(d));) {
    int fd = atoi(e->d_name);
    if (fd > 2 && fd != dirfd(d)) close(fd);
  }
  closedir(d);
  return ML_OK;
}

/* a thread that runs already would stay outside */
static int check_alone(void) {
  struct stat s;
  ml_pool_shutdown();
  if (stat("/proc/self/task", &s)) return failed("/proc/self/task");
  if (s.st_nlink == 3) return ML_OK; /* itself, its parent's entry, one thread */
  return ml_fail(ML_EUNSUPPORTED, "box: other threads run in this process");
}

int ml_box_enter(const ml_box *b) {
  int st = close_files(b);
  long version = syscall(LANDLOCK_CREATE, NULL, 0, 1);
  if (st == ML_OK && version < 1) st = failed("Landlock");
  if (st == ML_OK) st = check_alone();
  if (st == ML_OK) st = set_limits(b);
  if (st == ML_OK) st = drop_capabilities();
  if (st == ML_OK && prctl(PR_SET_PDEATHSIG, SIGKILL)) st = failed("PR_SET_PDEATHSIG");
  if (st == ML_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) st = failed("PR_SET_NO_NEW_PRIVS");
  if (st == ML_OK) st = shut_files(b, version);
  if (st == ML_OK) st = shut_calls();
  if (st == ML_OK) forget_environment();
  return st;
}

#else
int ml_box_enter(const ml_box *b) {
  (void)b;
  return ml_fail(ML_EUNSUPPORTED, "box: not built for this system");
}
#endif

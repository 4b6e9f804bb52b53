/* base.h -- what every other folder stands on: status, memory, checked sizes, bytes in,
** random numbers, threads, the processor, the clock, files, hashes.
** Nothing here prints, exits, reads the environment or knows what a tensor is. */
#ifndef ML_BASE_H
#define ML_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- status.c: every fallible function returns one of these and leaves a message ---- */
enum {
  ML_OK,
  ML_ESHAPE, ML_ETYPE, ML_ERANGE, ML_EARG, ML_ESTATE, /* the caller's mistake: bind raises */
  ML_ENOMEM,                                          /* raised too */
  ML_EIO, ML_EFORMAT, ML_EUNSUPPORTED,                /* the world's answer: nil, message, code */
  ML_ECALLBACK                                        /* a Lua function failed; error is kept */
};
int ml_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *ml_errmsg(void);          /* of this thread's last ml_fail; never NULL */
const char *ml_status_name(int code); /* "shape", "type", ... "io", "format" */

/* ---- alloc.c: counted, 64-byte aligned, failable; freed blocks are kept for reuse ---- */
void *ml_alloc(size_t bytes);  /* NULL leaves ML_ENOMEM's message; zero bytes is a valid block */
void *ml_alloc0(size_t bytes); /* the same, filled with zeros */
void ml_free(void *p);         /* accepts NULL */
size_t ml_alloc_size(const void *p); /* bytes asked for */
typedef struct {
  int64_t live_bytes, live_blocks, peak_bytes, cached_bytes, allocations;
} ml_mem_stats;
void ml_mem_get(ml_mem_stats *s);
void ml_mem_reset_peak(void);
void ml_mem_budget(int64_t bytes); /* live bytes beyond this fail; 0 = no limit */
void ml_mem_fail_at(int64_t nth);  /* the nth allocation from now fails once; 0 = off */
void ml_mem_trim(void);            /* give cached blocks back to the system */

/* ---- checked.c: sizes that come from outside ---- */
bool ml_mul_ok(int64_t a, int64_t b, int64_t *out); /* false on overflow or a negative factor */
bool ml_add_ok(int64_t a, int64_t b, int64_t *out);

/* ---- reader.c: the only way a parser touches bytes. Little endian. After a read past the
** end `bad` is set, every further read gives 0, and the caller checks once. ---- */
typedef struct {
  const uint8_t *p;
  size_t size, pos;
  bool bad;
} ml_reader;
ml_reader ml_reader_of(const void *p, size_t size);
uint8_t ml_read_u8(ml_reader *r);
uint16_t ml_read_u16(ml_reader *r);
uint32_t ml_read_u32(ml_reader *r);
uint64_t ml_read_u64(ml_reader *r);
const uint8_t *ml_read_bytes(ml_reader *r, size_t n); /* NULL when fewer remain */
size_t ml_reader_left(const ml_reader *r);

/* ---- philox.c: Philox4x32-10 (Salmon et al. 2011), counter-based random numbers ---- */
typedef struct { uint32_t v[4]; } ml_u32x4;
ml_u32x4 ml_philox(ml_u32x4 counter, uint32_t key0, uint32_t key1);
/* key = (seed lo, stream ^ seed hi), counter = (index lo, index hi, step, site) */
ml_u32x4 ml_random(uint64_t seed, uint32_t stream, uint64_t index, uint32_t step, uint32_t site);
static inline float ml_u01(uint32_t u) { return (float)(u >> 8) * 0x1p-24f; } /* [0, 1) */

/* ---- pool.c: fixed tasks, claimed dynamically; which thread runs one never matters ---- */
#define ML_MAX_THREADS 64
typedef void ml_task(void *ctx, int64_t task, int worker);
/* Runs fn for every task in [0, n), returns when all are done. Never fails: with no threads
** to be had the caller runs them all. From inside a task: all on that task's worker. One host
** thread at a time owns the workers, others wait; a single task, or a pool of one thread, runs
** in the caller and takes no lock. The caller's floating-point mode is set to the IEEE
** default (no FTZ/DAZ, round to nearest) for the tasks and restored; workers check theirs. */
void ml_parallel(int64_t n, ml_task *fn, void *ctx);
int ml_threads(void);       /* 1..64; default: online processors, at most 64 */
int ml_set_threads(int n);  /* status; takes effect at the next ml_parallel */
/* Scratch of the running worker, 64-byte aligned, contents undefined at task start.
** Reserve (fallible, before ml_parallel) what the tasks will use, then take it inside.
** Worker 0 is the calling thread: its scratch is its own and ends with that thread. */
int ml_scratch_reserve(size_t bytes_per_worker);
void *ml_scratch(int worker);
/* Joins the workers and frees their scratch; the next ml_parallel starts them again. Not while
** another host thread is between a reserve and its region. */
void ml_pool_shutdown(void);

/* ---- cpu.c ---- */
enum { ML_ISA_SCALAR, ML_ISA_AVX2, ML_ISA_AVX512, ML_ISA_NEON, ML_ISA_COUNT };
bool ml_cpu_has(int isa);          /* built in and present on this machine (OS support too) */
const char *ml_isa_name(int isa);  /* "scalar", "avx2", "avx512", "neon" */
bool ml_cpu_pairs(void);           /* vdpbf16ps */
bool ml_cpu_tiles(void);           /* tdpbf16ps; the first call asks the system for the tiles */
bool ml_cpu_fast_pairs(void);      /* vdpbf16ps at the rate of an FMA: not so on Intel's */
const char *ml_cpu_name(void);     /* brand string */
int ml_cpu_count(void);            /* processors this process may use */

/* ---- clock.c, signal.c ---- */
double ml_clock(void);               /* monotonic seconds */
int ml_signal_catch(bool on);        /* install / restore SIGINT and SIGTERM handlers */
int ml_signal_pending(void);         /* 0, or the signal's number; does not clear */
void ml_signal_clear(void);
int64_t ml_rss_bytes(void);          /* resident set of this process, 0 if unknown */

/* ---- process.c: argv ends with NULL; argv[0] is looked for in PATH. Waits; a signal noted
** meanwhile (ml_signal_catch) is handed on. number: of the signal that ended it, or 0; code is
** then 128 + number. ---- */
int ml_spawn(char *const argv[], double seconds, int *code, int *number); /* 0: no limit; SIGKILL */

/* ---- workers.c: n copies of this process at once, each does work(context, 0 .. n - 1) and ends;
** what fails leaves a message. The first to fail, and a signal noted, ends them all: ML_EIO. They
** end with this process, too. Without threads: a copy has none but the one that forked. ---- */
typedef int (*ml_work)(void *context, int i, char *message, size_t room);
int ml_workers(int n, ml_work work, void *context);

/* ---- box.c: shuts this process in for good, see there. ML_EUNSUPPORTED where the kernel cannot;
** the caller must then end without running what the box was for. ---- */
typedef struct {
  const char *const *readable; /* files, and directories with all below */
  size_t count;
  const char *writable;        /* a directory: files and folders below it */
  const char *output;          /* a file, made here, that gets stdout and stderr */
  int64_t memory, seconds, file; /* bytes mapped, of processor time, bytes of a file: at most */
} ml_box;
int ml_box_enter(const ml_box *b);

/* ---- private.c ---- */
int ml_mac(const char *path, const void *text, size_t n, char hex[65]); /* HMAC-SHA256 with the key
                                                      ** in the file, which is made if need be */
int ml_realpath(const char *path, char **out);       /* absolute, no links; free(*out) */
int ml_private_dir(char *path, size_t room);             /* a new directory in TMPDIR, mode 0700 */

/* ---- file.c: all paths UTF-8; messages name the path and errno's text ---- */
typedef struct { uint8_t *data; size_t size; int fd; bool mapped; } ml_file;
int ml_file_map(ml_file *f, const char *path); /* read-only; regular files only */
void ml_file_unmap(ml_file *f);                /* idempotent */
/* Writes are atomic: temporary beside the target, fsync, rename, fsync of the directory. */
typedef struct ml_writer ml_writer;
int ml_writer_open(ml_writer **w, const char *path);
int ml_writer_put(ml_writer *w, const void *p, size_t n);
int ml_writer_commit(ml_writer *w); /* frees w whatever happens; a failure changes nothing,
                                    ** unless the disk fails to record the finished rename */
void ml_writer_abort(ml_writer *w); /* accepts NULL; removes the temporary */
/* Takes the room for so many bytes in all, before the first is written: a full disk is known then.
** Fine where the file system cannot promise that. */
int ml_writer_reserve(ml_writer *w, size_t bytes);
/* The same into memory: no file, and take instead of commit. The block is ml_free's. */
int ml_writer_memory(ml_writer **w);
void ml_writer_take(ml_writer *w, uint8_t **data, size_t *size); /* frees w */
int ml_truncate(const char *path, int64_t bytes); /* cut a file back, for good */
int ml_mkdir(const char *path);     /* and parents; existing is fine */

/* ---- hash.c ---- */
typedef struct ml_sha256 ml_sha256; /* libcrypto underneath */
int ml_sha256_new(ml_sha256 **h);
int ml_sha256_add(ml_sha256 *h, const void *p, size_t n);
int ml_sha256_hex(ml_sha256 *h, char hex[65]); /* finishes and frees */
void ml_sha256_free(ml_sha256 *h);             /* accepts NULL */

/* ---- crc32c.c: before is the CRC of the bytes that came earlier, 0 at the start ---- */
uint32_t ml_crc32c(uint32_t before, const void *p, size_t n);
uint32_t ml_crc32c_portable(uint32_t before, const void *p, size_t n); /* without the instruction */

#endif

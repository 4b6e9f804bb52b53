/* test_host.c -- moonlit inside somebody else's C program: require prints nothing, starts no
** thread, leaves the floating-point mode and the signal handlers alone; two states in one process;
** closing a state in the middle of a step; every allocation point failed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static lua_State *fresh(void) {
  lua_State *L = luaL_newstate();
  assert_non_null(L);
  luaL_openlibs(L);
  return L;
}

static void run(lua_State *L, const char *code) {
  if (luaL_dostring(L, code) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
}

static int threads_of_process(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/task");
  for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
  if (d) closedir(d);
  return n;
}

static const char *const STEP =
  "local ml = require 'moonlit'\n"
  "model = ml.model { preset = 'llama', layers = 2, heads = 2, dim = 32, vocab = 11, context = 8 }\n"
  "opt = ml.optim.adamw(model:parameters(), { lr = 1e-3 })\n"
  "batch = { ids = ml.randint(0, 10, 4, 9) }\n"
  "loss = model:loss(batch)\n";

static void changes_nothing(void **state) {
  (void)state;
  char path[] = "/tmp/moonlit-host-XXXXXX";
  int quiet = mkstemp(path), out = dup(1), err = dup(2);
  struct sigaction before, after;
  sigaction(SIGINT, NULL, &before);
#if defined(__x86_64__)
  unsigned mode = _mm_getcsr() & ~0x3fu; /* the sticky exception flags are not a mode */
  _mm_setcsr(mode | 0x8040);             /* this host flushes subnormals: its choice */
#endif
  fflush(stdout), dup2(quiet, 1), dup2(quiet, 2);
  lua_State *L = fresh();
  run(L, "require 'moonlit'");
  int started = threads_of_process();
  run(L, STEP);
  run(L, "loss:backward() opt:step {}");
  lua_close(L);
  fflush(stdout), dup2(out, 1), dup2(err, 2), close(out), close(err);
#if defined(__x86_64__)
  assert_int_equal(_mm_getcsr() & 0xffc0, mode | 0x8040);
  _mm_setcsr(mode);
#endif
  sigaction(SIGINT, NULL, &after);
  assert_ptr_equal(before.sa_handler, after.sa_handler);
  assert_int_equal(started, 1);
  assert_int_equal(lseek(quiet, 0, SEEK_END), 0);
  close(quiet), unlink(path);
}

static void two_states(void **state) {
  (void)state;
  lua_State *a = fresh(), *b = fresh();
  run(a, STEP), run(b, STEP);
  run(a, "loss:backward() opt:step {} w = model:parameters()[1].tensor:detach():clone()");
  lua_close(b); /* with a live graph */
  run(a, "assert(model:loss(batch):item() > 0)");
  lua_close(a);
}

static void close_in_mid_step(void **state) {
  (void)state;
  lua_State *L = fresh();
  run(L, STEP);
  run(L, "for _ = 1, 3 do loss = model:loss(batch) loss:backward() end loss = model:loss(batch)");
  lua_close(L); /* gradients pending, a graph alive */
}

/* the nth allocation of the core fails: an error that says so, and afterwards nothing is held */
static void every_allocation_fails_once(void **state) {
  (void)state;
  lua_State *L = fresh();
  run(L, STEP);
  run(L,
      "local core = require 'moonlit.core'\n"
      "local ml = require 'moonlit'\n"
      "loss = nil\n"
      "local function work()\n"
      "  local m = ml.model { preset = 'gpt2', layers = 1, heads = 2, dim = 16, vocab = 7,\n"
      "                       context = 8 }\n"
      "  local o = ml.optim.adamw(m:parameters(), { lr = 1e-3 })\n"
      "  local x = ml.randn({ 3, 5 }, { grad = true })\n"
      "  local y = (x:matmul(ml.randn(5, 4)):softmax(2):sum() + x:sum()):backward()\n"
      "  m:loss({ ids = ml.randint(0, 6, 2, 9) }):backward()\n"
      "  o:step { clip = 1 }\n"
      "end\n"
      "work() collectgarbage() collectgarbage()\n"
      "local live = core.sys.stats().tensors\n"
      "local n, failures = 0, 0\n"
      "repeat\n"
      "  n = n + 1\n"
      "  core.sys.fail_at(n)\n"
      "  local ok, message = pcall(work)\n"
      "  core.sys.fail_at(0)\n"
      "  if not ok then\n"
      "    failures = failures + 1\n"
      "    assert(tostring(message):find('memory'), message)\n"
      "  end\n"
      "  collectgarbage() collectgarbage()\n"
      "  assert(core.sys.stats().tensors == live, 'leak at allocation ' .. n)\n"
      "until ok\n"
      "assert(failures > 50, 'only ' .. failures .. ' allocation points')\n");
  lua_close(L);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(changes_nothing),
    cmocka_unit_test(two_states),
    cmocka_unit_test(close_in_mid_step),
    cmocka_unit_test(every_allocation_fails_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

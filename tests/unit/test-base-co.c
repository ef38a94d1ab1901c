// SPDX-License-Identifier: Apache-2.0
/* Coroutines: waking, sleeping, nesting, queueing, stacks and their guard. */
#include "base/loop.h"
#include <string.h>
#include <sys/resource.h>

static WsLoop *loop;
static GString *ran;

static void begin(void)
{
  loop = ws_loop_new(ws_clock_system());
  ran = g_string_new(NULL);
}

static void end(void)
{
  ws_loop_free(g_steal_pointer(&loop));
  g_string_free(g_steal_pointer(&ran), TRUE);
}

/* Steps until nothing is ready; timers that are not due stay. */
static void settle(void)
{
  while (ws_loop_next_us(loop) <= ws_clock_monotonic_us(ws_clock_system()))
    ws_loop_step(loop, 0);
}

static void wake(void *co)
{
  ws_co_wake(co);
}

/* ---- running and waiting ---- */

static void just_note(void *arg)
{
  g_assert_nonnull(ws_co_self());
  g_assert_true(ws_co_loop() == loop);
  g_string_append(ran, arg);
}

static void start_runs_at_once(void)
{
  begin();
  g_assert_null(ws_co_self());
  ws_co_start(loop, just_note, "a");
  g_assert_cmpstr(ran->str, ==, "a");
  g_assert_null(ws_co_self());
  end();
}

static WsCo *waiting;

static void yield_twice(void *arg)
{
  waiting = ws_co_self();
  g_string_append(ran, "1");
  ws_co_yield();
  g_string_append(ran, "2");
  ws_co_yield();
  g_string_append(ran, "3");
  waiting = NULL;
}

static void yield_waits_for_wake(void)
{
  begin();
  ws_co_start(loop, yield_twice, NULL);
  settle();
  g_assert_cmpstr(ran->str, ==, "1");
  ws_co_wake(waiting);
  g_assert_cmpstr(ran->str, ==, "1"); /* not nested in the waker */
  settle();
  g_assert_cmpstr(ran->str, ==, "12");
  ws_co_wake(waiting);
  settle();
  g_assert_cmpstr(ran->str, ==, "123");
  g_assert_null(waiting);
  end();
}

static void wake_self_then_yield(void *arg)
{
  ws_co_wake(ws_co_self());
  ws_co_wake(ws_co_self());
  ws_co_yield(); /* returns at once */
  g_string_append(ran, "first ");
  waiting = ws_co_self();
  ws_co_yield(); /* one wake was remembered, not two */
  g_string_append(ran, "second");
}

static void wake_before_yield_is_remembered_once(void)
{
  begin();
  ws_co_start(loop, wake_self_then_yield, NULL);
  settle();
  g_assert_cmpstr(ran->str, ==, "first ");
  ws_co_wake(waiting);
  settle();
  g_assert_cmpstr(ran->str, ==, "first second");
  end();
}

static void two_wakes_before_the_turn_resume_once(void)
{
  begin();
  ws_co_start(loop, yield_twice, NULL);
  ws_co_wake(waiting);
  ws_co_wake(waiting);
  settle();
  g_assert_cmpstr(ran->str, ==, "12");
  ws_co_wake(waiting);
  settle();
  end();
}

static void sleep_then_yield(void *arg)
{
  waiting = ws_co_self();
  gint64 before = g_get_monotonic_time();
  ws_co_sleep(20000);
  g_assert_cmpint(g_get_monotonic_time() - before, >=, 20000);
  g_string_append(ran, "slept ");
  ws_co_yield();
  g_string_append(ran, "woken");
  ws_loop_quit(loop);
}

static void wake_during_sleep_neither_shortens_it_nor_is_lost(void)
{
  begin();
  ws_co_start(loop, sleep_then_yield, NULL);
  ws_co_wake(waiting);
  settle();
  g_assert_cmpstr(ran->str, ==, "");
  ws_loop_run(loop);
  g_assert_cmpstr(ran->str, ==, "slept woken");
  end();
}

static void yield_with_timeouts(void *arg)
{
  waiting = ws_co_self();
  g_string_append(ran, ws_co_yield_timeout(1000) ? "woken " : "late ");
  g_string_append(ran, ws_co_yield_timeout(G_USEC_PER_SEC * 100) ? "woken " : "late ");
  ws_co_wake(waiting);
  g_string_append(ran, ws_co_yield_timeout(0) ? "woken" : "late");
  ws_loop_quit(loop);
}

static void yield_timeout_tells_wake_from_time(void)
{
  begin();
  ws_co_start(loop, yield_with_timeouts, NULL);
  while (ran->len == 0)
    ws_loop_step(loop, 1000);
  g_assert_cmpstr(ran->str, ==, "late ");
  ws_loop_after(loop, 0, wake, waiting);
  ws_loop_run(loop);
  g_assert_cmpstr(ran->str, ==, "late woken woken");
  end();
}

static void yield_zero(void *arg)
{
  waiting = ws_co_self();
  g_string_append(ran, ws_co_yield_timeout(0) ? "woken" : "late");
}

static void wake_and_timeout_on_one_turn_resume_once(void)
{
  begin();
  ws_co_start(loop, yield_zero, NULL);
  ws_loop_post(loop, wake, waiting, NULL); /* posts run before timers */
  settle();
  g_assert_cmpstr(ran->str, ==, "woken");
  settle();
  end();
}

/* ---- nesting ---- */

static void child(void *arg)
{
  g_string_append(ran, "child ");
  ws_co_sleep(0);
  g_string_append(ran, "child-end ");
}

static void parent(void *arg)
{
  WsCo *self = ws_co_self();
  g_string_append(ran, "parent ");
  ws_co_start(loop, child, NULL);
  g_assert_true(ws_co_self() == self);
  g_string_append(ran, "parent-on ");
  ws_co_sleep(0);
  g_string_append(ran, "parent-end");
}

static void coroutine_starts_another(void)
{
  begin();
  ws_co_start(loop, parent, NULL);
  settle();
  g_assert_cmpstr(ran->str, ==, "parent child parent-on child-end parent-end");
  end();
}

static void start_deeper(void *arg)
{
  int depth = GPOINTER_TO_INT(arg);
  if (depth < 50)
    ws_co_start(loop, start_deeper, GINT_TO_POINTER(depth + 1));
  ws_co_sleep(0);
  g_string_append_c(ran, '.');
}

static void starts_nest_deeply(void)
{
  begin();
  ws_co_start(loop, start_deeper, GINT_TO_POINTER(1));
  settle();
  g_assert_cmpuint(ran->len, ==, 50);
  end();
}

/* ---- many ---- */

static guint n_alive, n_alive_max, n_ended;

static void live_for_some_turns(void *arg)
{
  char fill[512];
  memset(fill, GPOINTER_TO_INT(arg) & 0xff, sizeof fill);
  n_alive++;
  n_alive_max = MAX(n_alive_max, n_alive);
  for (int i = 0; i < GPOINTER_TO_INT(arg) % 5; i++)
    ws_co_sleep(0);
  for (guint i = 0; i < sizeof fill; i++)
    g_assert_cmpint((guchar)fill[i], ==, GPOINTER_TO_INT(arg) & 0xff);
  n_alive--;
  n_ended++;
}

static void starts_beyond_the_maximum_queue(void)
{
  begin();
  n_alive = n_alive_max = n_ended = 0;
  for (int i = 0; i < 3 * WS_CO_MAX; i++)
    ws_co_start(loop, live_for_some_turns, GINT_TO_POINTER(i));
  settle();
  g_assert_cmpuint(n_ended, ==, 3 * WS_CO_MAX);
  g_assert_cmpuint(n_alive_max, <=, WS_CO_MAX);
  g_assert_cmpuint(n_alive_max, >, WS_CO_MAX / 2);
  end();
}

static void wait_for_ever(void *arg)
{
  g_autofree char *kept G_GNUC_UNUSED =
      g_strdup("lost with the loop"); /* not a leak that the leak check reports */
  ws_co_yield();
  g_test_fail();
}

static void loop_is_freed_under_waiting_coroutines(void)
{
  begin();
  for (int i = 0; i < 10; i++)
    ws_co_start(loop, wait_for_ever, NULL);
  for (int i = 0; i < WS_CO_MAX; i++)
    ws_co_start(loop, wait_for_ever, NULL);
  settle();
  end();
}

static void leave_memory_on_the_stack(void *arg)
{
  char *kept = g_strdup("held by a waiting coroutine only"); /* the leak check must see it */
  waiting = ws_co_self();
  ws_co_yield();
  g_string_append(ran, kept);
  g_free(kept);
}

static void stacks_are_reused_and_hold_references(void)
{
  begin();
  for (int i = 0; i < 1000; i++) {
    ws_co_start(loop, leave_memory_on_the_stack, NULL);
    ws_co_wake(waiting);
    settle();
  }
  g_assert_cmpuint(ran->len, ==, 1000 * strlen("held by a waiting coroutine only"));
  end();
}

/* ---- the stack's end ---- */

static int __attribute__((noinline)) recurse(int depth, volatile char *above)
{
  volatile char frame[1024];
  frame[0] = above ? above[0] : 1;
  return depth == 0 ? frame[0] : recurse(depth - 1, frame) + frame[0];
}

static void recurse_within(void *arg)
{
  g_string_append_printf(ran, "%d", recurse(30, NULL));
}

static void recurse_beyond(void *arg)
{
  recurse(100000, NULL);
}

static void stack_is_large_enough_for_ordinary_work(void)
{
  begin();
  ws_co_start(loop, recurse_within, NULL);
  g_assert_cmpstr(ran->str, ==, "31");
  end();
}

static void overrunning_the_stack_ends_the_process(void)
{
  if (g_test_subprocess()) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    begin();
    ws_co_start(loop, just_note, "neighbour"); /* a second stack below or above */
    ws_co_start(loop, recurse_beyond, NULL);
    return;
  }
  /* Under the address sanitizer its report is what is wanted: not one for scripts/ci/sanitized to find. */
  g_setenv("ASAN_OPTIONS", "log_path=stderr", TRUE);
  g_setenv("UBSAN_OPTIONS", "log_path=stderr", TRUE);
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_failed();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/co/" #name, name)
  TEST(start_runs_at_once);
  TEST(yield_waits_for_wake);
  TEST(wake_before_yield_is_remembered_once);
  TEST(two_wakes_before_the_turn_resume_once);
  TEST(wake_during_sleep_neither_shortens_it_nor_is_lost);
  TEST(yield_timeout_tells_wake_from_time);
  TEST(wake_and_timeout_on_one_turn_resume_once);
  TEST(coroutine_starts_another);
  TEST(starts_nest_deeply);
  TEST(starts_beyond_the_maximum_queue);
  TEST(loop_is_freed_under_waiting_coroutines);
  TEST(stacks_are_reused_and_hold_references);
  TEST(stack_is_large_enough_for_ordinary_work);
  TEST(overrunning_the_stack_ends_the_process);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* Workers: results, errors, deadlines with calls that hang, order by key, shutting down, many at once. */
#include "base/error.h"
#include "base/loop.h"
#include <string.h>

static WsLoop *loop;
static WsWorkers *workers;
static GString *ran; /* loop's thread only */

static void begin(guint max_threads)
{
  loop = ws_loop_new(ws_clock_system());
  workers = ws_workers_new("test", max_threads);
  ran = g_string_new(NULL);
}

static void end(void)
{
  ws_workers_free(g_steal_pointer(&workers));
  ws_loop_free(g_steal_pointer(&loop));
  g_string_free(g_steal_pointer(&ran), TRUE);
}

/* A gate that holds calls until a test opens it: a call that hangs, but not for ever. */
static GMutex gate_lock;
static GCond gate_opened;
static bool gate_open;
static gint n_at_gate, n_destroyed; /* atomic */

static void shut_gate(void)
{
  gate_open = false;
  n_at_gate = n_destroyed = 0;
}

static void open_gate(void)
{
  g_mutex_lock(&gate_lock);
  gate_open = true;
  g_cond_broadcast(&gate_opened);
  g_mutex_unlock(&gate_lock);
}

static bool pass_gate(void *arg, GError **error)
{
  g_atomic_int_inc(&n_at_gate);
  g_mutex_lock(&gate_lock);
  while (!gate_open)
    g_cond_wait(&gate_opened, &gate_lock);
  g_mutex_unlock(&gate_lock);
  return true;
}

static void hold_at_gate(void *arg)
{
  pass_gate(arg, NULL);
}

static void count_destroyed(void *arg)
{
  g_free(arg);
  g_atomic_int_inc(&n_destroyed);
}

/* Waits for a number that other threads count up; fails after 200 s. */
static void wait_until(gint *number, gint value)
{
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  while (g_atomic_int_get(number) < value) {
    g_assert_cmpint(g_get_monotonic_time(), <, until);
    g_usleep(500);
  }
}

/* Runs the loop until n coroutines have called finished(). */
static int n_to_finish;

static void finished(void)
{
  if (--n_to_finish == 0)
    ws_loop_quit(loop);
}

static void run_until_finished(int n)
{
  n_to_finish += n;
  if (n_to_finish > 0)
    ws_loop_run(loop);
}

/* ---- results ---- */

typedef struct {
  int in, out;
} Square;

static bool square(void *arg, GError **error)
{
  Square *s = arg;
  g_assert_false(ws_loop_is_own_thread(loop));
  g_assert_null(ws_co_self());
  if (s->in < 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "in", NULL);
  s->out = s->in * s->in;
  return true;
}

static void call_square(void *arg)
{
  Square s = {.in = 7};
  g_autoptr(GError) error = NULL;
  g_assert_true(ws_co_blocking(workers, square, &s, NULL, 0, &error));
  g_assert_no_error(error);
  g_assert_true(ws_loop_is_own_thread(loop));
  g_assert_cmpint(s.out, ==, 49);

  Square *bad = g_new0(Square, 1);
  bad->in = -1;
  g_assert_false(ws_co_blocking(workers, square, bad, count_destroyed, 1000, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BAD_VALUE);
  g_assert_cmpint(n_destroyed, ==, 1);

  Square *good = g_new0(Square, 1);
  good->in = 3;
  g_assert_true(ws_co_blocking(workers, square, good, count_destroyed, 60000, NULL));
  g_assert_cmpint(good->out, ==, 9);
  g_assert_cmpint(n_destroyed, ==, 1); /* still ours */
  g_free(good);
  finished();
}

static void call_gives_back_results_and_errors(void)
{
  begin(2);
  shut_gate();
  ws_co_start(loop, call_square, NULL);
  run_until_finished(1);
  end();
}

/* ---- deadlines ---- */

static void call_that_hangs(void *arg)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_co_blocking(workers, pass_gate, g_strdup("x"), count_destroyed, 20, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  g_assert_cmpstr(ws_error_param(error, "timeout"), ==, "20 ms");
  g_assert_cmpint(g_atomic_int_get(&n_destroyed), ==, 0);
  finished();
}

static void hanging_call_is_left_and_destroyed_when_it_ends(void)
{
  begin(1);
  shut_gate();
  ws_co_start(loop, call_that_hangs, NULL);
  wait_until(&n_at_gate, 1); /* while the loop stands still: else its time might be over before it has begun */
  run_until_finished(1);
  open_gate();
  wait_until(&n_destroyed, 1);
  end();
}

static void two_stuck_then_one_more(void *arg)
{
  g_autoptr(GError) error = NULL;
  Square *s = g_new0(Square, 1);
  s->in = 5;
  g_assert_true(ws_co_blocking(workers, square, s, g_free, 200000, &error));
  g_assert_cmpint(s->out, ==, 25);
  g_free(s);
  finished();
}

static void other_calls_go_on_while_some_hang(void)
{
  begin(3);
  shut_gate();
  for (int i = 0; i < 2; i++)
    ws_co_start(loop, call_that_hangs, NULL);
  wait_until(&n_at_gate, 2);
  ws_co_start(loop, two_stuck_then_one_more, NULL);
  run_until_finished(3);
  open_gate();
  wait_until(&n_destroyed, 2);
  end();
}

static void call_that_never_starts(void *arg)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_co_blocking(workers, square, g_new0(Square, 1), count_destroyed, 10, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  g_assert_cmpint(n_destroyed, ==, 1); /* at once: it did not and will not run */
  finished();
}

static void queued_call_is_dropped_at_its_deadline(void)
{
  begin(1);
  shut_gate();
  ws_workers_run(workers, NULL, hold_at_gate, NULL);
  wait_until(&n_at_gate, 1);
  ws_co_start(loop, call_that_never_starts, NULL);
  run_until_finished(1);
  open_gate();
  end();
}

/* ---- keys ---- */

#define KEYS     5
#define JOBS     200
#define ALL_JOBS (KEYS * JOBS)

typedef struct {
  int key, number;
} KeyedJob;

static gint next_of_key[KEYS], busy_of_key[KEYS], n_jobs_done; /* atomic */

static void keyed_job(void *arg)
{
  KeyedJob *job = arg;
  g_assert_true(g_atomic_int_compare_and_exchange(&busy_of_key[job->key], 0, 1));
  g_assert_cmpint(g_atomic_int_add(&next_of_key[job->key], 1), ==, job->number);
  if (job->number % 10 == 0)
    g_usleep(100);
  g_assert_true(g_atomic_int_compare_and_exchange(&busy_of_key[job->key], 1, 0));
  g_free(job);
  g_atomic_int_inc(&n_jobs_done);
}

static void jobs_of_a_key_run_one_at_a_time_in_order(void)
{
  begin(4);
  static const char *const names[KEYS] = {"a", "b", "c", "d", "e"};
  for (int number = 0; number < JOBS; number++)
    for (int key = 0; key < KEYS; key++) {
      KeyedJob *job = g_new(KeyedJob, 1);
      *job = (KeyedJob){key, number};
      ws_workers_run(workers, names[key], keyed_job, job);
    }
  wait_until(&n_jobs_done, ALL_JOBS);
  end();
}

static void keyed_call_behind_a_stuck_one(void *arg)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_co_blocking_keyed(workers, arg, square, g_new0(Square, 1), count_destroyed, 20, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  finished();
}

static void keyed_call_in_a_free_line(void *arg)
{
  Square s = {.in = 2};
  g_assert_true(ws_co_blocking_keyed(workers, arg, square, &s, NULL, 0, NULL));
  finished();
}

static void stuck_key_holds_only_its_own_line(void)
{
  begin(4);
  shut_gate();
  ws_workers_run(workers, "stuck", hold_at_gate, NULL);
  wait_until(&n_at_gate, 1);
  ws_co_start(loop, keyed_call_behind_a_stuck_one, "stuck");
  ws_co_start(loop, keyed_call_in_a_free_line, "free");
  run_until_finished(2);
  g_assert_cmpint(n_destroyed, ==, 1);
  open_gate();
  end();
}

static void key_goes_on_after_a_stuck_call(void)
{
  begin(2);
  shut_gate();
  n_jobs_done = next_of_key[0] = busy_of_key[0] = 0;
  ws_workers_run(workers, "k", hold_at_gate, NULL);
  wait_until(&n_at_gate, 1);
  ws_co_start(loop, keyed_call_behind_a_stuck_one, "k"); /* given up in the middle of the line */
  for (int i = 0; i < 3; i++) {
    KeyedJob *job = g_new(KeyedJob, 1);
    *job = (KeyedJob){0, i};
    ws_workers_run(workers, "k", keyed_job, job);
  }
  run_until_finished(1);
  g_assert_cmpint(g_atomic_int_get(&n_jobs_done), ==, 0);
  open_gate();
  wait_until(&n_jobs_done, 3);
  end();
}

/* ---- the end ---- */

static void call_cancelled_by_free(void *arg)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_co_blocking(workers, pass_gate, g_strdup("x"), count_destroyed, 0, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_CANCELLED);
  g_string_append(ran, "cancelled ");
}

static void free_abandons_what_hangs(void)
{
  begin(1);
  shut_gate();
  ws_co_start(loop, call_cancelled_by_free, NULL); /* runs */
  wait_until(&n_at_gate, 1);
  ws_co_start(loop, call_cancelled_by_free, NULL); /* queued */
  gint64 before = g_get_monotonic_time();
  ws_workers_free(g_steal_pointer(&workers));
  g_assert_cmpint(g_get_monotonic_time() - before, >=, 900000);
  g_assert_cmpint(n_destroyed, ==, 1); /* the queued one */
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "cancelled cancelled ");
  open_gate();
  wait_until(&n_destroyed, 2);
  end();
}

/* How long it took. */
static gint64 free_with_a_queue(void)
{
  begin(1);
  n_jobs_done = next_of_key[0] = busy_of_key[0] = 0;
  for (int i = 0; i < 100; i++) {
    KeyedJob *job = g_new(KeyedJob, 1);
    *job = (KeyedJob){0, i};
    ws_workers_run(workers, "k", keyed_job, job);
  }
  gint64 before = g_get_monotonic_time();
  ws_workers_free(g_steal_pointer(&workers));
  gint64 took_us = g_get_monotonic_time() - before;
  end();
  return took_us;
}

static void free_lets_the_queue_run_out(void)
{
  for (guint i = 0; i < 20; i++) {
    gint64 took_us = free_with_a_queue();
    if (n_jobs_done == 100)
      return;
    g_assert_cmpint(took_us, >=, 900000); /* a machine may stand still for the second that it waits */
    wait_until(&n_jobs_done, next_of_key[0]);
  }
  g_error("it never waits for its queue");
}

/* ---- many ---- */

#define CALLERS 200
#define CALLS   20

static bool random_work(void *arg, GError **error)
{
  Square *s = arg;
  if (s->in % 3 == 0)
    g_usleep((gulong)(s->in % 700));
  s->out = s->in * 2;
  return s->in % 7 != 0 || ws_fail(error, WS_ERROR_BUSY, NULL);
}

static void caller(void *arg)
{
  guint seed = GPOINTER_TO_UINT(arg);
  for (guint i = 0; i < CALLS; i++) {
    seed = seed * 1103515245 + 12345;
    Square *s = g_new0(Square, 1);
    s->in = (int)(seed >> 8 & 0xffff);
    g_autofree char *key = g_strdup_printf("key%u", seed >> 4 & 7);
    guint timeout_ms = seed % 3 == 0 ? 1 + (seed >> 16) % 3 : 0; /* some are too short */
    g_autoptr(GError) error = NULL;
    int in = s->in;
    if (ws_co_blocking_keyed(workers, seed % 2 ? key : NULL, random_work, s, count_destroyed, timeout_ms,
                             &error)) {
      g_assert_cmpint(s->out, ==, in * 2);
      count_destroyed(s);
    } else {
      g_assert_true(g_error_matches(error, WS_ERROR, WS_ERROR_BUSY) ||
                    g_error_matches(error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED));
    }
  }
  finished();
}

static void many_calls_with_short_deadlines_lose_nothing(void)
{
  begin(6);
  shut_gate();
  for (guint i = 0; i < CALLERS; i++)
    ws_co_start(loop, caller, GUINT_TO_POINTER(i * 2654435761u));
  run_until_finished(CALLERS);
  wait_until(&n_destroyed, CALLERS * CALLS);
  end();
  g_assert_cmpint(n_destroyed, ==, CALLERS * CALLS);
}

/* ---- without threads ---- */

static bool note_inline(void *arg, GError **error)
{
  g_assert_true(ws_loop_is_own_thread(loop));
  g_string_append(ran, arg);
  return true;
}

static void call_inline(void *arg)
{
  g_assert_true(ws_co_blocking(workers, note_inline, "call ", NULL, 1, NULL));
  g_string_append(ran, "after");
}

static void no_threads_means_calls_run_on_the_loop(void)
{
  begin(0);
  ws_co_start(loop, call_inline, NULL);
  g_string_append(ran, "between ");
  ws_loop_step(loop, 1000);
  g_assert_cmpstr(ran->str, ==, "call between after");
  end();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/workers/" #name, name)
  TEST(call_gives_back_results_and_errors);
  TEST(hanging_call_is_left_and_destroyed_when_it_ends);
  TEST(other_calls_go_on_while_some_hang);
  TEST(queued_call_is_dropped_at_its_deadline);
  TEST(jobs_of_a_key_run_one_at_a_time_in_order);
  TEST(stuck_key_holds_only_its_own_line);
  TEST(key_goes_on_after_a_stuck_call);
  TEST(free_abandons_what_hangs);
  TEST(free_lets_the_queue_run_out);
  TEST(many_calls_with_short_deadlines_lose_nothing);
  TEST(no_threads_means_calls_run_on_the_loop);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* The core loop: posts, timers, fds, quitting, virtual time. */
#include "base/loop.h"
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- a clock that moves only when the loop waits ---- */

typedef struct {
  WsClock clock;
  gint64 now_us;
  guint n_waits;
} VirtualClock;

static gint64 virtual_now(WsClock *clock)
{
  return ((VirtualClock *)clock)->now_us;
}

static void virtual_wait(WsClock *clock, gint64 until_us)
{
  VirtualClock *virtual = (VirtualClock *)clock;
  g_assert_cmpint(until_us, <, G_MAXINT64); /* would wait for ever: nothing is going to happen */
  g_assert_cmpint(until_us, >, virtual->now_us);
  virtual->now_us = until_us;
  virtual->n_waits++;
}

static VirtualClock virtual_clock(void)
{
  return (VirtualClock){.clock = {.monotonic_us = virtual_now, .wall_us = virtual_now, .wait = virtual_wait},
                        .now_us = 1000000};
}

/* ---- recording what ran ---- */

static WsLoop *loop; /* of the running test */
static GString *ran;

static void begin(WsClock *clock)
{
  loop = ws_loop_new(clock);
  ran = g_string_new(NULL);
}

static void end(void)
{
  ws_loop_free(g_steal_pointer(&loop));
  g_string_free(g_steal_pointer(&ran), TRUE);
}

static void note(void *arg)
{
  g_string_append(ran, arg);
}

static void note_quit(void *arg)
{
  note(arg);
  ws_loop_quit(loop);
}

static void note_destroy(void *arg)
{
  g_string_append_printf(ran, "~%s", (char *)arg);
}

/* ---- posts ---- */

static void posts_run_in_order_and_are_destroyed(void)
{
  begin(ws_clock_system());
  ws_loop_post(loop, note, "a", note_destroy);
  ws_loop_post(loop, note, "b", NULL);
  ws_loop_post(loop, note, "c", note_destroy);
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "a~abc~c");
  end();
}

static void post_again(void *arg)
{
  note(arg);
  ws_loop_post(loop, note, "later", NULL);
}

static void post_from_a_post_runs_on_the_next_turn(void)
{
  begin(ws_clock_system());
  ws_loop_post(loop, post_again, "now ", NULL);
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "now ");
  ws_loop_step(loop, -1); /* must not wait: something is in the inbox */
  g_assert_cmpstr(ran->str, ==, "now later");
  end();
}

static void post_once_more(void *arg)
{
  note_destroy("x");
  ws_loop_post(loop, note, "never", note_destroy);
}

static void pending_posts_are_dropped_by_their_destroy_functions(void)
{
  begin(ws_clock_system());
  ws_loop_post(loop, note, "a", note_destroy);
  ws_loop_post(loop, note, NULL, post_once_more);
  ws_loop_free(loop);
  g_assert_cmpstr(ran->str, ==, "~a~x~never");
  g_string_free(g_steal_pointer(&ran), TRUE);
}

#define POSTERS   8
#define POSTS     20000
#define POSTS_ALL (POSTERS * POSTS)

typedef struct {
  int poster, number;
} Numbered;

static int next_of[POSTERS], n_received;

static void check_order(void *arg)
{
  Numbered *numbered = arg;
  g_assert_true(ws_loop_is_own_thread(loop));
  g_assert_cmpint(numbered->number, ==, next_of[numbered->poster]++);
  if (++n_received == POSTS_ALL)
    ws_loop_quit(loop);
}

static gpointer post_many(gpointer arg)
{
  g_assert_false(ws_loop_is_own_thread(loop));
  for (int i = 0; i < POSTS; i++) {
    Numbered *numbered = g_new(Numbered, 1);
    *numbered = (Numbered){GPOINTER_TO_INT(arg), i};
    ws_loop_post(loop, check_order, numbered, g_free);
    if (i % 1000 == 0)
      g_thread_yield();
  }
  return NULL;
}

static void posts_of_many_threads_arrive_once_and_in_order(void)
{
  begin(ws_clock_system());
  GThread *threads[POSTERS];
  n_received = 0;
  for (int i = 0; i < POSTERS; i++) {
    next_of[i] = 0;
    threads[i] = g_thread_new("poster", post_many, GINT_TO_POINTER(i));
  }
  ws_loop_run(loop);
  for (int i = 0; i < POSTERS; i++)
    g_thread_join(threads[i]);
  g_assert_cmpint(n_received, ==, POSTS_ALL);
  end();
}

/* ---- quitting ---- */

static void on_signal(int number)
{
  ws_loop_quit(loop);
}

static void raise_soon(void *arg)
{
  raise(SIGUSR1);
}

static void quit_works_from_a_signal_handler(void)
{
  begin(ws_clock_system());
  struct sigaction action = {.sa_handler = on_signal}, before;
  sigaction(SIGUSR1, &action, &before);
  ws_loop_after(loop, 1000, raise_soon, NULL);
  ws_loop_run(loop);
  sigaction(SIGUSR1, &before, NULL);
  end();
}

static gpointer quit_from_thread(gpointer arg)
{
  ws_loop_quit(loop);
  return NULL;
}

static void quit_works_from_another_thread_and_before_run(void)
{
  begin(ws_clock_system());
  ws_loop_quit(loop);
  ws_loop_run(loop);
  ws_loop_post(loop, note_quit, "again", NULL); /* a quit is for one run */
  ws_loop_run(loop);
  g_assert_cmpstr(ran->str, ==, "again");
  GThread *thread = g_thread_new("quitter", quit_from_thread, NULL);
  ws_loop_run(loop);
  g_thread_join(thread);
  end();
}

/* ---- timers ---- */

static void timers_fire_in_order_of_time_then_creation(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, 3000, note, "d");
  ws_loop_after(loop, 1000, note, "a");
  ws_loop_after(loop, 2000, note, "b");
  ws_loop_after(loop, 2000, note, "c");
  ws_loop_after(loop, 4000, note_quit, "e");
  ws_loop_run(loop);
  g_assert_cmpstr(ran->str, ==, "abcde");
  g_assert_cmpint(clock.now_us, ==, 1004000);
  end();
}

static gint64 last_due;
static guint n_fired;

static void check_monotonic(void *arg)
{
  gint64 due = (gint64)GPOINTER_TO_SIZE(arg);
  g_assert_cmpint(due, >=, last_due);
  last_due = due;
  n_fired++;
}

static void random_timers_and_cancels_keep_the_heap(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  GRand *random = g_rand_new_with_seed(7);
  last_due = 0;
  n_fired = 0;
  guint n_cancelled = 0;
  WsTimer *timers[5000];
  for (guint i = 0; i < G_N_ELEMENTS(timers); i++) {
    gint64 delay = g_rand_int_range(random, 1, 3000);
    timers[i] = ws_loop_after(loop, delay, check_monotonic, GSIZE_TO_POINTER((gsize)delay));
  }
  for (guint i = 0; i < G_N_ELEMENTS(timers); i++)
    if (g_rand_boolean(random)) {
      ws_timer_cancel(timers[i]);
      n_cancelled++;
    }
  while (ws_loop_next_us(loop) < G_MAXINT64)
    ws_loop_step(loop, -1);
  g_assert_cmpuint(n_fired + n_cancelled, ==, G_N_ELEMENTS(timers));
  g_rand_free(random);
  end();
}

static WsTimer *victim;

static void cancel_victim(void *arg)
{
  note(arg);
  ws_timer_cancel(g_steal_pointer(&victim));
}

static void timer_cancels_another_due_at_the_same_time(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, 10, cancel_victim, "a");
  victim = ws_loop_after(loop, 10, note, "victim");
  ws_loop_after(loop, 10, note_quit, "b");
  ws_loop_run(loop);
  g_assert_cmpstr(ran->str, ==, "ab");
  ws_timer_cancel(NULL);
  end();
}

static void rearm_at_once(void *arg)
{
  note(arg);
  ws_loop_after(loop, 0, rearm_at_once, arg);
}

static void timer_without_delay_cannot_starve_the_loop(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, 0, rearm_at_once, "t");
  for (int i = 0; i < 3; i++)
    ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "ttt");
  end();
}

static void timers_never_fire_early_on_the_real_clock(void)
{
  begin(ws_clock_system());
  gint64 before = g_get_monotonic_time();
  ws_loop_after(loop, 20500, note_quit, "x");
  ws_loop_run(loop);
  g_assert_cmpint(g_get_monotonic_time() - before, >=, 20500);
  end();
}

static void far_timers_do_not_overflow(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, G_MAXINT64, note, "never");
  ws_loop_after(loop, -5, note, "now");
  g_assert_cmpint(ws_loop_next_us(loop), ==, 1000000);
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "now");
  g_assert_cmpint(ws_loop_next_us(loop), ==, G_MAXINT64);
  end();
}

static void step_waits_no_longer_than_told(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, 50000, note, "x");
  ws_loop_step(loop, 20);
  g_assert_cmpint(clock.now_us, ==, 1020000);
  g_assert_cmpstr(ran->str, ==, "");
  ws_loop_step(loop, -1);
  g_assert_cmpstr(ran->str, ==, "x");
  g_assert_cmpuint(clock.n_waits, ==, 2);
  end();

  begin(ws_clock_system());
  gint64 before = g_get_monotonic_time();
  ws_loop_step(loop, 5);
  g_assert_cmpint(g_get_monotonic_time() - before, >=, 5000);
  end();
}

/* ---- fds ---- */

static WsFdWatch *watches[2];

static void read_byte(int fd, guint32 events, void *arg)
{
  char byte[2] = {0};
  g_assert_true(events & EPOLLIN);
  g_assert_cmpint(read(fd, byte, 1), ==, 1);
  g_string_append(ran, byte);
}

static void watch_is_level_triggered(void)
{
  begin(ws_clock_system());
  int fds[2];
  g_assert_cmpint(pipe(fds), ==, 0);
  watches[0] = ws_loop_watch_fd(loop, fds[0], EPOLLIN, read_byte, NULL);
  ws_loop_step(loop, 0);
  g_assert_cmpint(write(fds[1], "abc", 3), ==, 3);
  for (int i = 0; i < 3; i++)
    ws_loop_step(loop, 1000);
  g_assert_cmpstr(ran->str, ==, "abc");
  ws_fd_watch_modify(watches[0], 0);
  g_assert_cmpint(write(fds[1], "d", 1), ==, 1);
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "abc");
  ws_fd_watch_remove(watches[0]);
  ws_fd_watch_remove(NULL);
  close(fds[0]);
  close(fds[1]);
  end();
}

static void remove_both(int fd, guint32 events, void *arg)
{
  g_string_append(ran, "removed");
  ws_fd_watch_remove(watches[0]);
  ws_fd_watch_remove(watches[1]);
}

static void watch_removes_itself_and_others_in_its_callback(void)
{
  begin(ws_clock_system());
  int a[2], b[2];
  g_assert_cmpint(pipe(a), ==, 0);
  g_assert_cmpint(pipe(b), ==, 0);
  watches[0] = ws_loop_watch_fd(loop, a[0], EPOLLIN, remove_both, NULL);
  watches[1] = ws_loop_watch_fd(loop, b[0], EPOLLIN, remove_both, NULL);
  g_assert_cmpint(write(a[1], "x", 1) + write(b[1], "x", 1), ==, 2);
  ws_loop_step(loop, 1000);
  ws_loop_step(loop, 0);
  g_assert_cmpstr(ran->str, ==, "removed");
  for (int i = 0; i < 2; i++) {
    close(a[i]);
    close(b[i]);
  }
  end();
}

static void forgotten_watch_is_freed_with_the_loop(void)
{
  begin(ws_clock_system());
  int fds[2];
  g_assert_cmpint(pipe(fds), ==, 0);
  ws_loop_watch_fd(loop, fds[0], EPOLLIN, read_byte, NULL);
  end();
  close(fds[0]);
  close(fds[1]);
}

/* ---- virtual time ---- */

#define HOUR_US (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)

static void rearm_hourly(void *arg)
{
  int *hours = arg;
  if (++*hours == 24 * 365)
    ws_loop_quit(loop);
  else
    ws_loop_after(loop, HOUR_US, rearm_hourly, hours);
}

static void virtual_year_takes_no_real_time(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  int hours = 0;
  ws_loop_after(loop, HOUR_US, rearm_hourly, &hours);
  ws_loop_run(loop);
  g_assert_cmpint(clock.now_us - 1000000, ==, 365 * 24 * HOUR_US);
  end();
}

static void work_that_is_ready_goes_before_time(void)
{
  VirtualClock clock = virtual_clock();
  begin(&clock.clock);
  ws_loop_after(loop, 1, note, "timer");
  ws_loop_post(loop, note, "post ", NULL);
  g_assert_cmpint(ws_loop_next_us(loop), ==, 1000000);
  ws_loop_step(loop, -1);
  g_assert_cmpstr(ran->str, ==, "post ");
  g_assert_cmpuint(clock.n_waits, ==, 0);
  g_assert_cmpint(ws_loop_next_us(loop), ==, 1000001);
  end();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/loop/" #name, name)
  TEST(posts_run_in_order_and_are_destroyed);
  TEST(post_from_a_post_runs_on_the_next_turn);
  TEST(pending_posts_are_dropped_by_their_destroy_functions);
  TEST(posts_of_many_threads_arrive_once_and_in_order);
  TEST(quit_works_from_a_signal_handler);
  TEST(quit_works_from_another_thread_and_before_run);
  TEST(timers_fire_in_order_of_time_then_creation);
  TEST(random_timers_and_cancels_keep_the_heap);
  TEST(timer_cancels_another_due_at_the_same_time);
  TEST(timer_without_delay_cannot_starve_the_loop);
  TEST(timers_never_fire_early_on_the_real_clock);
  TEST(far_timers_do_not_overflow);
  TEST(step_waits_no_longer_than_told);
  TEST(watch_is_level_triggered);
  TEST(watch_removes_itself_and_others_in_its_callback);
  TEST(forgotten_watch_is_freed_with_the_loop);
  TEST(virtual_year_takes_no_real_time);
  TEST(work_that_is_ready_goes_before_time);
  return g_test_run();
}

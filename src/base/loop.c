// SPDX-License-Identifier: Apache-2.0
/* The core loop. One turn is: wait; callbacks of ready fds; what was posted; timers that are due; woken
 * coroutines. Each part runs what was there when it began, so that work which makes more work cannot starve
 * the rest.
 *
 * Threads: the inbox and the quit flag are for all, everything else belongs to the thread that runs the loop.
 */
#include "base/loop-private.h"
#include "base/log.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
#define PART_US         4000   /* of a turn, for posts, timers and coroutines each */
#define SLOW_TURN_US    250000 /* longer turns are logged: something blocked */

typedef struct {
  WsLoopFunc func;
  void *arg;
  GDestroyNotify destroy;
} Post;

struct WsTimer {
  WsLoop *loop;
  gint64 due_us;
  guint64 number; /* order of creation */
  guint index;    /* in the heap */
  WsLoopFunc func;
  void *arg;
};

struct WsFdWatch {
  WsLoop *loop;
  int fd;
  WsFdFunc func; /* NULL: removed, freed at the end of the turn */
  void *arg;
};

struct WsLoop {
  WsClock *clock;
  int epoll_fd, event_fd;
  GThread *thread; /* atomic */
  gint quit;       /* atomic */

  GMutex inbox_lock; /* guards inbox */
  GArray *inbox;     /* of Post */
  GArray *posts;     /* being run; swapped with the inbox */

  GArray *soon, *soon_running; /* of Post */
  GPtrArray *timers;           /* binary heap of WsTimer, first due on top */
  guint64 next_number;
  GHashTable *watches;     /* set of WsFdWatch */
  GPtrArray *dead_watches; /* removed on this turn */
  WsCoPool *coroutines;
  bool in_turn;
  gint64 cpu_us;                     /* of the thread, at the end of the last turn */
  gint64 longest_us, longest_cpu_us; /* atomic */
};

/* ---- making and ending ---- */

WsLoop *ws_loop_new(WsClock *clock)
{
  WsLoop *loop = g_new0(WsLoop, 1);
  loop->clock = clock;
  loop->thread = g_thread_self();
  loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (loop->epoll_fd < 0 || loop->event_fd < 0 ||
      epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &event) != 0)
    g_error("core loop: %s", g_strerror(errno)); /* no fd at start-up: nothing can work */
  g_mutex_init(&loop->inbox_lock);
  loop->inbox = g_array_new(FALSE, FALSE, sizeof(Post));
  loop->posts = g_array_new(FALSE, FALSE, sizeof(Post));
  loop->soon = g_array_new(FALSE, FALSE, sizeof(Post));
  loop->soon_running = g_array_new(FALSE, FALSE, sizeof(Post));
  loop->timers = g_ptr_array_new_with_free_func(g_free);
  loop->watches = g_hash_table_new_full(NULL, NULL, g_free, NULL);
  loop->dead_watches = g_ptr_array_new_with_free_func(g_free);
  loop->coroutines = ws_co_pool_new(loop);
  return loop;
}

/* The destroy functions may post again: until nothing is left. */
static void drop_posts(WsLoop *loop)
{
  while (loop->inbox->len > 0) {
    GArray *posts = loop->inbox;
    loop->inbox = loop->posts;
    loop->posts = posts;
    for (guint i = 0; i < posts->len; i++) {
      Post *post = &g_array_index(posts, Post, i);
      if (post->destroy)
        post->destroy(post->arg);
    }
    g_array_set_size(posts, 0);
  }
}

void ws_loop_free(WsLoop *loop)
{
  if (!loop)
    return;
  g_assert(!loop->in_turn);
  ws_co_pool_free(loop->coroutines);
  drop_posts(loop);
  g_array_unref(loop->inbox);
  g_array_unref(loop->posts);
  g_array_unref(loop->soon);
  g_array_unref(loop->soon_running);
  g_ptr_array_unref(loop->timers);
  g_hash_table_unref(loop->watches);
  g_ptr_array_unref(loop->dead_watches);
  g_mutex_clear(&loop->inbox_lock);
  close(loop->event_fd);
  close(loop->epoll_fd);
  g_free(loop);
}

void ws_loop_leave_turn(WsLoop *loop)
{
  loop->in_turn = false;
}

WsClock *ws_loop_clock(WsLoop *loop)
{
  return loop->clock;
}

bool ws_loop_is_own_thread(WsLoop *loop)
{
  return g_atomic_pointer_get(&loop->thread) == g_thread_self();
}

bool ws_loop_is_in_turn(WsLoop *loop)
{
  return loop->in_turn;
}

WsCoPool *ws_loop_co_pool(WsLoop *loop)
{
  return loop->coroutines;
}

/* ---- inbox ---- */

/* Makes the loop's wait return. Async-signal-safe. */
static void ring(WsLoop *loop)
{
  int saved_errno = errno;
  guint64 one = 1;
  gssize wrote;
  do
    wrote = write(loop->event_fd, &one, sizeof one);
  while (wrote < 0 && errno == EINTR);
  errno = saved_errno; /* EAGAIN: it has been rung 2^64 times and not been answered; it will be */
}

void ws_loop_post(WsLoop *loop, WsLoopFunc func, void *arg, GDestroyNotify destroy)
{
  Post post = {func, arg, destroy};
  g_mutex_lock(&loop->inbox_lock);
  bool first = loop->inbox->len == 0;
  g_array_append_val(loop->inbox, post);
  /* Who posts from the loop's own thread is inside a turn, and the next wait begins by looking at the inbox.
   */
  if (first && !ws_loop_is_own_thread(loop))
    ring(loop);
  g_mutex_unlock(&loop->inbox_lock);
}

static bool has_posts(WsLoop *loop)
{
  g_mutex_lock(&loop->inbox_lock);
  bool any = loop->inbox->len > 0;
  g_mutex_unlock(&loop->inbox_lock);
  return any;
}

/* A turn gives each kind of work its part and goes round: so a thousand messages that came at once hold up no timer and no descriptor. */
static bool part_is_over(WsLoop *loop, gint64 began_us)
{
  return ws_clock_monotonic_us(loop->clock) - began_us >= PART_US;
}

static void run_posts(WsLoop *loop)
{
  gint64 began_us = ws_clock_monotonic_us(loop->clock);
  guint n = 0;
  g_mutex_lock(&loop->inbox_lock);
  GArray *posts = loop->inbox;
  loop->inbox = loop->posts;
  loop->posts = posts;
  g_mutex_unlock(&loop->inbox_lock);
  while (n < posts->len && (n == 0 || !part_is_over(loop, began_us))) {
    Post post = g_array_index(posts, Post, n++);
    post.func(post.arg);
    if (post.destroy)
      post.destroy(post.arg);
  }
  if (n < posts->len) { /* before what came meanwhile */
    g_mutex_lock(&loop->inbox_lock);
    g_array_prepend_vals(loop->inbox, &g_array_index(posts, Post, n), posts->len - n);
    g_mutex_unlock(&loop->inbox_lock);
  }
  g_array_set_size(posts, 0);
}

void ws_loop_soon(WsLoop *loop, WsLoopFunc func, void *arg)
{
  Post post = {func, arg, NULL};
  g_array_append_val(loop->soon, post);
}

static void run_soon(WsLoop *loop)
{
  GArray *running = loop->soon;
  loop->soon = loop->soon_running;
  loop->soon_running = running;
  gint64 began_us = ws_clock_monotonic_us(loop->clock);
  guint n = 0;
  while (n < running->len && (n == 0 || !part_is_over(loop, began_us))) {
    Post post = g_array_index(running, Post, n++);
    post.func(post.arg);
  }
  if (n < running->len)
    g_array_prepend_vals(loop->soon, &g_array_index(running, Post, n), running->len - n);
  g_array_set_size(running, 0);
}

/* ---- timers: a binary heap ---- */

static WsTimer *timer_at(WsLoop *loop, guint i)
{
  return g_ptr_array_index(loop->timers, i);
}

static bool is_before(const WsTimer *a, const WsTimer *b)
{
  return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void put_timer(WsLoop *loop, WsTimer *timer, guint i)
{
  loop->timers->pdata[i] = timer;
  timer->index = i;
}

/* Finds the place of `timer` from slot i upwards or downwards; slot i is free. */
static void settle_timer(WsLoop *loop, WsTimer *timer, guint i)
{
  while (i > 0 && is_before(timer, timer_at(loop, (i - 1) / 2))) {
    put_timer(loop, timer_at(loop, (i - 1) / 2), i);
    i = (i - 1) / 2;
  }
  for (guint child; (child = 2 * i + 1) < loop->timers->len; i = child) {
    if (child + 1 < loop->timers->len && is_before(timer_at(loop, child + 1), timer_at(loop, child)))
      child++;
    if (!is_before(timer_at(loop, child), timer))
      break;
    put_timer(loop, timer_at(loop, child), i);
  }
  put_timer(loop, timer, i);
}

WsTimer *ws_loop_after(WsLoop *loop, gint64 delay_us, WsLoopFunc func, void *arg)
{
  g_assert(ws_loop_is_own_thread(loop));
  gint64 now = ws_clock_monotonic_us(loop->clock);
  delay_us = MAX(delay_us, 0);
  WsTimer *timer = g_new(WsTimer, 1);
  *timer = (WsTimer){.loop = loop,
                     .due_us = delay_us > G_MAXINT64 - now ? G_MAXINT64 : now + delay_us,
                     .number = loop->next_number++,
                     .func = func,
                     .arg = arg};
  g_ptr_array_add(loop->timers, timer);
  settle_timer(loop, timer, loop->timers->len - 1);
  return timer;
}

static void take_timer(WsTimer *timer)
{
  WsLoop *loop = timer->loop;
  guint i = timer->index;
  g_assert(timer_at(loop, i) == timer);
  WsTimer *last = g_ptr_array_steal_index(loop->timers, loop->timers->len - 1);
  if (last != timer)
    settle_timer(loop, last, i);
}

void ws_timer_cancel(WsTimer *timer)
{
  if (!timer)
    return;
  g_assert(ws_loop_is_own_thread(timer->loop));
  take_timer(timer);
  g_free(timer);
}

/* Timers made by these callbacks wait for the next turn, however short their time. */
static void run_timers(WsLoop *loop)
{
  if (loop->timers->len == 0)
    return;
  gint64 now = ws_clock_monotonic_us(loop->clock);
  guint64 end = loop->next_number;
  for (guint n = 0; loop->timers->len > 0; n++) {
    WsTimer *timer = timer_at(loop, 0);
    if (timer->due_us > now || timer->number >= end || (n > 0 && part_is_over(loop, now)))
      break;
    take_timer(timer);
    WsLoopFunc func = timer->func;
    void *arg = timer->arg;
    g_free(timer);
    func(arg);
  }
}

/* ---- fds ---- */

WsFdWatch *ws_loop_watch_fd(WsLoop *loop, int fd, guint32 epoll_events, WsFdFunc func, void *arg)
{
  g_assert(ws_loop_is_own_thread(loop) && func);
  WsFdWatch *watch = g_new(WsFdWatch, 1);
  *watch = (WsFdWatch){.loop = loop, .fd = fd, .func = func, .arg = arg};
  struct epoll_event event = {.events = epoll_events, .data.ptr = watch};
  if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
    g_error("epoll add fd %d: %s", fd,
            g_strerror(errno)); /* not an fd, or watched already: a mistake of the caller */
  g_hash_table_add(loop->watches, watch);
  return watch;
}

void ws_fd_watch_modify(WsFdWatch *watch, guint32 epoll_events)
{
  g_assert(ws_loop_is_own_thread(watch->loop) && watch->func);
  struct epoll_event event = {.events = epoll_events, .data.ptr = watch};
  if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0)
    g_error("epoll modify fd %d: %s", watch->fd, g_strerror(errno));
}

void ws_fd_watch_remove(WsFdWatch *watch)
{
  if (!watch)
    return;
  WsLoop *loop = watch->loop;
  g_assert(ws_loop_is_own_thread(loop) && watch->func);
  epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd,
            NULL);    /* fails when the fd was closed before: gone all the same */
  watch->func = NULL; /* events of this turn that still point here are skipped */
  g_hash_table_steal(loop->watches, watch);
  g_ptr_array_add(loop->dead_watches, watch);
}

static void run_fds(WsLoop *loop, const struct epoll_event *events, int n)
{
  for (int i = 0; i < n; i++) {
    WsFdWatch *watch = events[i].data.ptr;
    guint64 rings;
    if (!watch) {
      gssize got = read(loop->event_fd, &rings, sizeof rings);
      (void)got; /* empty already: just as well */
    } else if (watch->func) {
      watch->func(watch->fd, events[i].events, watch->arg);
    }
  }
}

/* ---- turns ---- */

static bool is_ready(WsLoop *loop)
{
  return loop->soon->len > 0 || g_atomic_int_get(&loop->quit) || has_posts(loop);
}

gint64 ws_loop_next_us(WsLoop *loop)
{
  if (is_ready(loop))
    return ws_clock_monotonic_us(loop->clock);
  return loop->timers->len > 0 ? timer_at(loop, 0)->due_us : G_MAXINT64;
}

static int wait_for_events(WsLoop *loop, struct epoll_event *events, int timeout_ms)
{
  int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);
  if (n < 0 && errno != EINTR)
    g_error("epoll_wait: %s", g_strerror(errno));
  return MAX(n, 0);
}

/* Until something happens, a timer is due, or timeout_ms has passed. */
static int wait_for_something(WsLoop *loop, struct epoll_event *events, int timeout_ms)
{
  if (timeout_ms == 0 || is_ready(loop))
    return wait_for_events(loop, events, 0);
  gint64 now = ws_clock_monotonic_us(loop->clock);
  gint64 until = timeout_ms < 0 ? G_MAXINT64 : now + timeout_ms * G_GINT64_CONSTANT(1000);
  if (loop->timers->len > 0)
    until = MIN(until, timer_at(loop, 0)->due_us);
  if (loop->clock->wait) {
    int n = wait_for_events(loop, events, 0);
    if (n == 0 && until > now)
      loop->clock->wait(loop->clock, until);
    return n;
  }
  if (until == G_MAXINT64)
    return wait_for_events(loop, events, -1);
  gint64 ms = until > now ? (until - now + 999) / 1000 : 0; /* rounded up: not woken before the time */
  return wait_for_events(loop, events, (int)MIN(ms, G_MAXINT));
}

static gint64 thread_cpu_us(void)
{
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

static void keep_longest(gint64 *longest, gint64 value)
{
  if (value > __atomic_load_n(longest, __ATOMIC_RELAXED))
    __atomic_store_n(longest, value, __ATOMIC_RELAXED);
}

gint64 ws_loop_longest_turn_us(WsLoop *loop, gint64 *cpu_us)
{
  gint64 cpu = __atomic_exchange_n(&loop->longest_cpu_us, 0, __ATOMIC_RELAXED);
  if (cpu_us)
    *cpu_us = cpu;
  return __atomic_exchange_n(&loop->longest_us, 0, __ATOMIC_RELAXED);
}

static void note_turn(WsLoop *loop, gint64 began_us)
{
  gint64 took_us = ws_clock_monotonic_us(loop->clock) - began_us;
  if (loop->clock->wait)
    return;
  gint64 cpu_us = thread_cpu_us(); /* between two turns the thread waits, so its time is the turn's */
  keep_longest(&loop->longest_us, took_us);
  keep_longest(&loop->longest_cpu_us, loop->cpu_us ? cpu_us - loop->cpu_us : 0);
  loop->cpu_us = cpu_us;
  if (took_us < SLOW_TURN_US)
    return;
  char ms[24];
  g_snprintf(ms, sizeof ms, "%" G_GINT64_FORMAT, took_us / 1000);
  ws_log(WS_LOG_WARNING, "loop-blocked", "milliseconds", ms, NULL);
}

void ws_loop_step(WsLoop *loop, int timeout_ms)
{
  g_assert(!loop->in_turn);
  if (!ws_loop_is_own_thread(loop))
    g_atomic_pointer_set(&loop->thread, g_thread_self());
  loop->in_turn = true;
  struct epoll_event events[EVENTS_PER_TURN];
  int n = wait_for_something(loop, events, timeout_ms);
  gint64 began_us = ws_clock_monotonic_us(loop->clock);
  run_fds(loop, events, n);
  run_posts(loop);
  run_timers(loop);
  run_soon(loop);
  g_ptr_array_set_size(loop->dead_watches, 0);
  note_turn(loop, began_us);
  loop->in_turn = false;
}

void ws_loop_run(WsLoop *loop)
{
  while (!g_atomic_int_get(&loop->quit))
    ws_loop_step(loop, -1);
  g_atomic_int_set(&loop->quit, 0);
}

void ws_loop_quit(WsLoop *loop)
{
  g_atomic_int_set(&loop->quit, 1);
  ring(loop);
}

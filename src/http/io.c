// SPDX-License-Identifier: Apache-2.0
/* The I/O thread; see io.h. */
#include "http/io.h"
#include "http/connection.h"
#include "http/fields.h"
#include "http/gate.h"
#include "http/local.h"
#include <signal.h>

/* Deadlines are looked at together, not by a timer each: they move with every byte. No more often than this,
 * so that many connections do not cost more for each: 220 ms for 5,000. */
enum { SWEEP_EVERY_US = 20 * 1000, SWEEP_EACH_US = 40 };

typedef struct {
  WsLoopFunc func;
  void *arg;
  GDestroyNotify destroy;
} Post;

typedef struct {
  WsLoopFunc func;
  void *arg;
  GMutex lock;
  GCond ended;
  bool done, ran;
} Wait;

HttpIo *io_ref(HttpIo *io)
{
  g_atomic_int_inc(&io->refs);
  return io;
}

void io_unref(HttpIo *io)
{
  if (!g_atomic_int_dec_and_test(&io->refs))
    return;
  if (io->gate)
    gate_unref(io->gate);
  g_mutex_clear(&io->lock);
  g_ptr_array_unref(io->later);
  g_free(io->input);
  g_free(io->output);
  g_free(io);
}

void io_block_signals(void)
{
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static gpointer run(gpointer arg)
{
  HttpIo *io = arg;
  io_block_signals();
  ws_loop_run(io->loop);
  return NULL;
}

HttpIo *http_io_new_stepped(WsClock *clock)
{
  HttpIo *io = g_new0(HttpIo, 1);
  io->refs = 1;
  io->clock = clock;
  g_mutex_init(&io->lock);
  io->later = g_ptr_array_new();
  io->loop = ws_loop_new(clock);
  return io;
}

WsLoop *http_io_loop(HttpIo *io)
{
  return io->loop;
}

HttpIo *http_io_new(WsClock *clock, GError **error)
{
  HttpIo *io = http_io_new_stepped(clock);
  io->input = g_malloc(IO_INPUT_BYTES);
  io->output = g_malloc(IO_RECORD_BYTES);
  io->thread = g_thread_new("http-io", run, io);
  io->gate = gate_new(io);
  return io;
}

static void stop(void *arg)
{
  HttpIo *io = arg;
  while (io->live.head)
    connection_shut(io->live.head->data, "shutting down");
  io_settle(io);
  ws_timer_cancel(g_steal_pointer(&io->sweep));
  ws_loop_quit(io->loop);
}

static void drop_post(Post *post)
{
  if (post->destroy)
    post->destroy(post->arg);
  g_free(post);
}

void http_io_free(HttpIo *io)
{
  if (!io)
    return;
  if (io->gate)
    gate_stop(io->gate);
  io_post(io, stop, io, NULL);
  if (io->thread)
    g_thread_join(io->thread);
  else
    ws_loop_run(io->loop);
  g_mutex_lock(&io->lock);
  io->stopped = true;
  GQueue left = io->inbox;
  g_queue_init(&io->inbox);
  g_mutex_unlock(&io->lock);
  for (Post *post; (post = g_queue_pop_head(&left));)
    drop_post(post);
  ws_loop_free(io->loop);
  io_unref(io);
}

bool http_io_is_own_thread(const HttpIo *io)
{
  return io->thread ? g_thread_self() == io->thread : ws_loop_is_in_turn(io->loop);
}

gint64 io_now_us(HttpIo *io)
{
  return ws_clock_monotonic_us(io->clock);
}

const char *io_date(HttpIo *io)
{
  gint64 now_us = ws_clock_wall_us(io->clock);
  if (now_us / G_USEC_PER_SEC != io->date_s) {
    io->date_s = now_us / G_USEC_PER_SEC;
    http_format_date(now_us, io->date);
  }
  return io->date;
}

/* ---- work from other threads ---- */

static void drain_inbox(void *arg)
{
  HttpIo *io = arg;
  g_mutex_lock(&io->lock);
  GQueue posts = io->inbox;
  g_queue_init(&io->inbox);
  g_mutex_unlock(&io->lock);
  for (Post *post; (post = g_queue_pop_head(&posts));) {
    post->func(post->arg);
    drop_post(post);
  }
  io_settle(io);
}

void io_post(HttpIo *io, WsLoopFunc func, void *arg, GDestroyNotify destroy)
{
  Post *post = g_new(Post, 1);
  *post = (Post){func, arg, destroy};
  g_mutex_lock(&io->lock);
  bool stopped = io->stopped;
  if (!stopped) {
    bool was_empty = g_queue_is_empty(&io->inbox);
    g_queue_push_tail(&io->inbox, post);
    if (was_empty) /* under the lock: the loop lives as long as `stopped` is false */
      ws_loop_post(io->loop, drain_inbox, io, NULL);
  }
  g_mutex_unlock(&io->lock);
  if (stopped)
    drop_post(post);
}

void http_io_post(HttpIo *io, void (*func)(void *arg), void *arg)
{
  io_post(io, func, arg, NULL);
}

static void run_wait(void *arg)
{
  Wait *wait = arg;
  wait->func(wait->arg);
  wait->ran = true;
}

static void end_wait(void *arg)
{
  Wait *wait = arg;
  g_mutex_lock(&wait->lock);
  wait->done = true;
  g_cond_signal(&wait->ended);
  g_mutex_unlock(&wait->lock);
}

static bool wait_for(Wait *wait, WsLoop *stepped)
{
  while (stepped && !wait->done)
    ws_loop_step(stepped, 0);
  g_mutex_lock(&wait->lock);
  while (!wait->done)
    g_cond_wait(&wait->ended, &wait->lock);
  g_mutex_unlock(&wait->lock);
  g_mutex_clear(&wait->lock);
  g_cond_clear(&wait->ended);
  return wait->ran;
}

static void start_wait(Wait *wait)
{
  g_mutex_init(&wait->lock);
  g_cond_init(&wait->ended);
}

bool io_call(HttpIo *io, WsLoopFunc func, void *arg)
{
  Wait wait = {.func = func, .arg = arg};
  g_assert(!http_io_is_own_thread(io));
  start_wait(&wait);
  io_post(io, run_wait, &wait, end_wait);
  return wait_for(&wait, io->thread ? NULL : io->loop);
}

void io_call_on_loop(WsLoop *loop, WsLoopFunc func, void *arg)
{
  Wait wait = {.func = func, .arg = arg};
  start_wait(&wait);
  ws_loop_post(loop, run_wait, &wait, end_wait);
  wait_for(&wait, NULL);
}

/* ---- the end of a turn ---- */

void io_settle(HttpIo *io)
{
  if (io->settling)
    return;
  io->settling = true;
  GList *link;
  while (io->hungry.head || io->dirty.head) {
    if ((link = g_queue_pop_head_link(&io->hungry)))
      connection_read(link->data);
    else
      connection_flush(g_queue_pop_head_link(&io->dirty)->data);
  }
  while ((link = g_queue_pop_head_link(&io->dead))) {
    g_ptr_array_remove_fast(io->later, link->data);
    connection_free(link->data);
    if (++io->freed % IO_TIDY_CONNECTIONS == 0 && io->gate)
      gate_tidy(io->gate);
  }
  io->settling = false;
}

static void come_back(void *arg)
{
  HttpIo *io = arg;
  for (guint i = 0; i < io->later->len; i++)
    connection_kick(io->later->pdata[i]);
  g_ptr_array_set_size(io->later, 0);
}

void io_come_back(HttpIo *io, Connection *connection)
{
  if (io->later->len == 0)
    io_post(io, come_back, io, NULL);
  g_ptr_array_add(io->later, connection);
}

/* ---- deadlines ---- */

static void sweep(void *arg)
{
  HttpIo *io = arg;
  gint64 now = io_now_us(io), next = G_MAXINT64;
  io->sweep = NULL;
  for (GList *link = io->live.head, *after; link; link = after) {
    Connection *connection = link->data;
    after = link->next; /* expiry moves at most the connection itself to the dead */
    if (connection->deadline_us && connection->deadline_us <= now)
      connection_expire(connection);
    if (!connection->is_dead && connection->deadline_us)
      next = MIN(next, connection->deadline_us);
  }
  if (next != G_MAXINT64)
    io_watch_deadline(io, next);
  io_settle(io);
}

void io_watch_deadline(HttpIo *io, gint64 when_us)
{
  gint64 now = io_now_us(io);
  when_us = MAX(when_us, now + SWEEP_EVERY_US + (gint64)io->live.length * SWEEP_EACH_US);
  if (io->sweep && io->sweep_us <= when_us)
    return;
  ws_timer_cancel(io->sweep);
  io->sweep_us = when_us;
  io->sweep = ws_loop_after(io->loop, when_us - now, sweep, io);
}

// SPDX-License-Identifier: Apache-2.0
/* The core loop: one epoll, one inbox, one timer heap, and coroutines that run on it.
 *
 * A program has one core loop thread. It owns inventory writes, tasks, timers and link state. Other threads hand work
 * in through ws_loop_post(); nothing on the loop ever blocks. What must block (libvirt, files, hashing) goes to workers
 * with ws_co_blocking() or ws_workers_run().
 *
 * A coroutine is a function on its own small stack. It runs on the loop until it waits; between two waits nothing else runs,
 * so it needs no locks. Waits: ws_co_sleep(), ws_co_yield() until ws_co_wake(), ws_co_blocking().
 * The clock is passed in: under the simulator time is virtual (WsClock.wait) and moves on when nothing is ready. */
#pragma once
#include "base/clock.h"
#include <stdbool.h>

typedef struct WsLoop WsLoop;
typedef struct WsTimer WsTimer;
typedef struct WsFdWatch WsFdWatch;
typedef struct WsCo WsCo;
typedef struct WsWorkers WsWorkers;
typedef void (*WsLoopFunc)(void *arg);
typedef void (*WsFdFunc)(int fd, guint32 epoll_events, void *arg);

WsLoop *ws_loop_new(WsClock *clock);
/* Runs nothing more. Pending posts are dropped by their destroy functions; timers and watches are forgotten; coroutines that
 * still wait never go on, what they hold is lost (a program ends its tasks first; the simulator means it as a crash). Not from
 * inside a coroutine. Workers that may still post here are freed before. */
void ws_loop_free(WsLoop *loop);
void ws_loop_run(WsLoop *loop);  /* until ws_loop_quit() */
void ws_loop_quit(WsLoop *loop); /* any thread, async-signal-safe */
/* One pass; waits at most timeout_ms (-1: until something happens). For tests and the simulator. */
void ws_loop_step(WsLoop *loop, int timeout_ms);
/* When the loop has to run next, by its clock: now if something is ready, else its first timer; G_MAXINT64: none. For a
 * simulator that steps many loops. Readiness of fds is not looked at. */
gint64 ws_loop_next_us(WsLoop *loop);
/* The turn under way was left by a jump out of a callback (never out of a coroutine): what it had taken up is lost, and all that may be
 * done with the loop is to free it. For the simulator, where a program ends without its process. */
void ws_loop_leave_turn(WsLoop *loop);
WsClock *ws_loop_clock(WsLoop *loop);
/* Any thread. The longest turn since the last call, in time and in the thread's processor time: how long something that was due had to wait
 * for what was before it. *cpu_us (may be NULL) leaves out what other programs took. */
gint64 ws_loop_longest_turn_us(WsLoop *loop, gint64 *cpu_us);
bool ws_loop_is_own_thread(WsLoop *loop); /* for asserts */
bool ws_loop_is_in_turn(WsLoop *loop);    /* its thread: something runs on it just now. Tells loops of one thread apart */

/* Any thread. Runs func(arg) on the loop, in order of posting; destroy(arg) afterwards or when dropped. NULL: none. */
void ws_loop_post(WsLoop *loop, WsLoopFunc func, void *arg, GDestroyNotify destroy);

/* Loop thread only. One-shot. Equal times fire in order of creation. Cancel is allowed until it has fired. */
WsTimer *ws_loop_after(WsLoop *loop, gint64 delay_us, WsLoopFunc func, void *arg);
void ws_timer_cancel(WsTimer *timer); /* NULL is fine */

/* Loop thread only. Level-triggered epoll; the fd stays the caller's. */
WsFdWatch *ws_loop_watch_fd(WsLoop *loop, int fd, guint32 epoll_events, WsFdFunc func, void *arg);
void ws_fd_watch_modify(WsFdWatch *watch, guint32 epoll_events);
void ws_fd_watch_remove(WsFdWatch *watch); /* NULL is fine; safe inside its own callback */

/* ---- coroutines (loop thread only) ---- */
typedef void (*WsCoFunc)(void *arg);
/* Starts func(arg) now, on the caller's turn: returns when it first waits or ends. Stacks come from a pool
 * (64 KiB, guard page: overrunning it ends the process). At most WS_CO_MAX live per loop; beyond it, starts queue. */
#define WS_CO_MAX 2000
void ws_co_start(WsLoop *loop, WsCoFunc func, void *arg);
WsCo *ws_co_self(void);   /* NULL outside a coroutine */
WsLoop *ws_co_loop(void); /* of the running coroutine */
/* Waits until ws_co_wake(self). A wake that came first is remembered (one), so nothing is lost. */
void ws_co_yield(void);
void ws_co_wake(WsCo *co);          /* loop thread; resumed on a later turn of the loop, never nested. co must not have ended */
void ws_co_sleep(gint64 delay_us);  /* 0: lets all else that is ready run first. A wake meanwhile is remembered */
/* As ws_co_yield(), but false when timeout_us passed first. */
bool ws_co_yield_timeout(gint64 timeout_us);

/* ---- workers: threads for what blocks ----
 * Threads are started as needed and end after 10 s without work. A call that overstays its deadline cannot be stopped: its
 * thread stays lent to it and another takes its place, while there are fewer than max_threads in all. So max_threads is the
 * number of calls that may hang before the others have to wait. 0: no threads, calls run at once on the caller's (simulator). */
WsWorkers *ws_workers_new(const char *name, guint max_threads);
/* Lets queued and running calls end for at most 1 s. Then drops what is queued and abandons what runs: coroutines that wait for
 * these get WS_ERROR_CANCELLED. On the loop's thread, before the loop is freed. */
void ws_workers_free(WsWorkers *workers);
typedef bool (*WsWorkFunc)(void *arg, GError **error);
/* Runs func(arg) on a worker; the calling coroutine waits.
 *
 *   true   func returned true: `arg` is the caller's again, with the results in it.
 *   false  `arg` is given away: destroy(arg) (NULL: nothing) was or will be called, on any thread, once func has ended or is
 *          known not to start. `error`: what func set; WS_ERROR_DEADLINE_EXCEEDED after timeout_ms (0: no limit; counted from
 *          this call, func may still be running); WS_ERROR_CANCELLED (ws_workers_free).
 *
 * So with a time limit `arg` never lives on the caller's stack. */
bool ws_co_blocking(WsWorkers *workers, WsWorkFunc func, void *arg, GDestroyNotify destroy, guint timeout_ms,
                    GError **error);
/* The same, in line with all calls and jobs of the same `key`: one at a time, in order. What follows a call that overstays
 * its deadline still waits until it has really ended. */
bool ws_co_blocking_keyed(WsWorkers *workers, const char *key, WsWorkFunc func, void *arg, GDestroyNotify destroy,
                          guint timeout_ms, GError **error);
/* Fire and forget from any thread. Jobs of one `key` (NULL: none) run one at a time and in order. */
void ws_workers_run(WsWorkers *workers, const char *key, WsLoopFunc func, void *arg);

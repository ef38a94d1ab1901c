// SPDX-License-Identifier: Apache-2.0
/* Coroutines: functions on stacks of their own, switched by sigsetjmp()/siglongjmp().
 *
 * A stack is entered for the first time by setcontext(); from then on only jumps, which unlike swapcontext()
 * make no system call. A stack whose function has ended waits in the loop's pool inside its trampoline and is
 * entered again by a jump. Who resumes a coroutine leaves its own Context in `back`; when the coroutine
 * waits, it jumps there. So a coroutine may start another one, which returns to it at its first wait, and is
 * later resumed by the loop.
 *
 * Under the address sanitizer every switch is announced, and the stacks are roots for the leak check.
 * Functions that are on a stack while it is switched keep their variables on the real stack, not on the
 * sanitizer's: that is gone when they go on.
 *
 * Threads: a coroutine lives on its loop's thread. */

/* A jump to another stack looks like a jump "down" to the fortified longjmp(), which aborts. Before any
 * include. */
#undef _FORTIFY_SOURCE

#include "base/loop-private.h"
#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif

#ifdef ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define ON_REAL_STACK __attribute__((no_sanitize_address, noinline))
#define STACK_BYTES   (256 * 1024) /* its frames are several times as large */
#else
#define ON_REAL_STACK __attribute__((noinline))
#define STACK_BYTES   (64 * 1024)
#endif

#define POOL_MAX 128 /* stacks kept for reuse per loop */

/* A place to jump to, and the stack it is on. */
typedef struct {
  sigjmp_buf env;
  const void *stack_bottom; /* lowest usable byte; of the thread's own stack: learnt by the sanitizer */
  gsize stack_bytes;
  bool entered; /* env is filled in */
} Context;

typedef enum {
  NOT_WAITING,
  WAITS_FOR_WAKE,
  WAITS_FOR_RESUME,
} Waiting;

struct WsCo {
  WsLoop *loop;
  WsCoFunc func; /* NULL: ended, in the pool */
  void *arg;
  Context context; /* where it waits */
  Context *back;   /* who resumed it */
  Waiting waiting;
  bool woken;     /* a wake not yet consumed by a yield */
  bool queued;    /* go_on_woken() is going to run */
  WsTimer *timer; /* of a yield with time-out */
  void *mapping;  /* guard page and stack */
  guint index;    /* in pool->all */
};

typedef struct {
  WsCoFunc func;
  void *arg;
} Start;

struct WsCoPool {
  WsLoop *loop;
  GPtrArray *all;  /* WsCo, live or idle */
  GPtrArray *idle; /* those with no function */
  guint n_live;
  GQueue starts; /* of Start: beyond WS_CO_MAX */
};

static __thread WsCo *current;

/* ---- switching ---- */

static void announce_switch(void **own_fake_stack, const Context *to)
{
#ifdef ASAN
  __sanitizer_start_switch_fiber(own_fake_stack, to->stack_bottom, to->stack_bytes);
#endif
}

/* Tells where we came from: the only way to learn the bounds of the thread's own stack. */
static void announce_arrival(void *own_fake_stack, Context *came_from)
{
#ifdef ASAN
  __sanitizer_finish_switch_fiber(own_fake_stack, &came_from->stack_bottom, &came_from->stack_bytes);
#endif
}

static ON_REAL_STACK void trampoline(void);

/* First entry to a stack. */
static ON_REAL_STACK G_NORETURN void enter_stack(const Context *to)
{
  ucontext_t context;
  if (getcontext(&context) != 0)
    g_error("getcontext: %s", g_strerror(errno));
  context.uc_stack.ss_sp = (void *)to->stack_bottom;
  context.uc_stack.ss_size = to->stack_bytes;
  context.uc_link = NULL;
  makecontext(&context, trampoline, 0);
  setcontext(&context);
  g_error("setcontext: %s", g_strerror(errno));
}

/* Leaves `from` and returns when somebody jumps back to it; *came_from is then the context that did. With
 * `ending` the frames above are not needed any more. */
static ON_REAL_STACK void switch_context(Context *from, Context *to, Context *const *came_from, bool ending)
{
  void *fake_stack = NULL;
  announce_switch(ending ? NULL : &fake_stack, to);
  from->entered = true;
  if (sigsetjmp(from->env, 0) == 0) {
    if (!to->entered)
      enter_stack(to);
    siglongjmp(to->env, 1);
  }
  announce_arrival(fake_stack, *came_from);
}

/* The bottom frame of every coroutine: runs one function after the other. */
static ON_REAL_STACK void trampoline(void)
{
  announce_arrival(NULL, current->back);
  for (;;) {
    WsCo *co = current;
    co->func(co->arg);
    co->func = NULL;
    switch_context(&co->context, co->back, &co->back, true);
  }
}

static void leave(WsCo *co, Waiting waiting)
{
  co->waiting = waiting;
  switch_context(&co->context, co->back, &co->back, false);
  co->waiting = NOT_WAITING;
}

static void recycle(WsCo *co);

/* Runs `co` until it waits or ends. */
static void enter(WsCo *co)
{
  Context here = {0};
  Context *there = &co->context;
  WsCo *outer = current;
  co->back = &here;
  current = co;
  switch_context(&here, &co->context, &there, false);
  current = outer;
  if (!co->func)
    recycle(co);
}

/* ---- stacks ---- */

static gsize page_bytes(void)
{
  return (gsize)sysconf(_SC_PAGESIZE);
}

static gsize stack_bytes(void)
{
  return MAX(STACK_BYTES, 4 * page_bytes());
}

static WsCo *new_stack(WsCoPool *pool)
{
  gsize guard = page_bytes(), bytes = stack_bytes();
  void *mapping = mmap(NULL, guard + bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED || mprotect(mapping, guard, PROT_NONE) != 0)
    g_error("coroutine stack: %s", g_strerror(errno));
  WsCo *co = g_new0(WsCo, 1);
  co->loop = pool->loop;
  co->mapping = mapping;
  co->context.stack_bottom = (char *)mapping + guard;
  co->context.stack_bytes = bytes;
#ifdef ASAN
  __lsan_register_root_region(co->context.stack_bottom, bytes);
#endif
  co->index = pool->all->len;
  g_ptr_array_add(pool->all, co);
  return co;
}

static void free_stack(WsCo *co)
{
#ifdef ASAN
  __lsan_unregister_root_region(co->context.stack_bottom, co->context.stack_bytes);
  __asan_unpoison_memory_region(co->context.stack_bottom, co->context.stack_bytes);
#endif
  munmap(co->mapping, page_bytes() + co->context.stack_bytes);
  g_free(co);
}

WsCoPool *ws_co_pool_new(WsLoop *loop)
{
  WsCoPool *pool = g_new0(WsCoPool, 1);
  pool->loop = loop;
  pool->all = g_ptr_array_new();
  pool->idle = g_ptr_array_new();
  return pool;
}

void ws_co_pool_free(WsCoPool *pool)
{
  g_assert(!current);
  for (guint i = 0; i < pool->all->len; i++) {
    WsCo *co = g_ptr_array_index(pool->all, i);
#ifdef ASAN
    if (co->func) {        /* what it holds is lost, and nothing else is: the leak check goes on seeing it */
      static GSList *lost; /* their registers */
      lost = g_slist_prepend(lost, co);
      continue;
    }
#endif
    free_stack(co);
  }
  g_ptr_array_unref(pool->all);
  g_ptr_array_unref(pool->idle);
  for (Start *start; (start = g_queue_pop_head(&pool->starts));)
    g_free(start);
  g_free(pool);
}

/* ---- starting and ending ---- */

static void start_queued(void *arg)
{
  WsCoPool *pool = arg;
  g_autofree Start *start = pool->n_live < WS_CO_MAX ? g_queue_pop_head(&pool->starts) : NULL;
  if (start)
    ws_co_start(pool->loop, start->func, start->arg);
}

static void recycle(WsCo *co)
{
  WsCoPool *pool = ws_loop_co_pool(co->loop);
  g_assert(!co->queued && !co->timer);
  pool->n_live--;
  if (pool->starts.length > 0)
    ws_loop_soon(pool->loop, start_queued, pool);
  if (pool->idle->len < POOL_MAX) {
    g_ptr_array_add(pool->idle, co);
    return;
  }
  g_ptr_array_remove_index_fast(pool->all, co->index);
  if (co->index < pool->all->len)
    ((WsCo *)g_ptr_array_index(pool->all, co->index))->index = co->index;
  free_stack(co);
}

void ws_co_start(WsLoop *loop, WsCoFunc func, void *arg)
{
  g_assert(ws_loop_is_own_thread(loop) && func);
  WsCoPool *pool = ws_loop_co_pool(loop);
  if (pool->n_live >= WS_CO_MAX) {
    Start *start = g_new(Start, 1);
    *start = (Start){func, arg};
    g_queue_push_tail(&pool->starts, start);
    return;
  }
  WsCo *co =
      pool->idle->len > 0 ? g_ptr_array_steal_index_fast(pool->idle, pool->idle->len - 1) : new_stack(pool);
  pool->n_live++;
  co->func = func;
  co->arg = arg;
  co->woken = false;
  enter(co);
}

WsCo *ws_co_self(void)
{
  return current;
}

WsLoop *ws_co_loop(void)
{
  g_assert(current);
  return current->loop;
}

/* ---- waiting ---- */

void ws_co_suspend(void)
{
  g_assert(current);
  leave(current, WAITS_FOR_RESUME);
}

void ws_co_resume(WsCo *co)
{
  g_assert(!current && co->waiting == WAITS_FOR_RESUME);
  enter(co);
}

void ws_co_yield(void)
{
  WsCo *co = current;
  g_assert(co);
  if (!co->woken)
    leave(co, WAITS_FOR_WAKE);
  co->woken = false;
}

static void go_on_woken(void *arg)
{
  WsCo *co = arg;
  co->queued = false;
  enter(co);
}

void ws_co_wake(WsCo *co)
{
  g_assert(ws_loop_is_own_thread(co->loop) && co->func);
  co->woken = true;
  if (co->waiting == WAITS_FOR_WAKE && !co->queued) {
    co->queued = true;
    ws_loop_soon(co->loop, go_on_woken, co);
  }
}

static void yield_timed_out(void *arg)
{
  WsCo *co = arg;
  co->timer = NULL;
  if (!co->queued) /* else a wake was just in time */
    enter(co);
}

bool ws_co_yield_timeout(gint64 timeout_us)
{
  WsCo *co = current;
  g_assert(co);
  if (!co->woken) {
    co->timer = ws_loop_after(co->loop, timeout_us, yield_timed_out, co);
    leave(co, WAITS_FOR_WAKE);
    ws_timer_cancel(g_steal_pointer(&co->timer));
  }
  bool woken = co->woken;
  co->woken = false;
  return woken;
}

static void sleep_is_over(void *arg)
{
  ws_co_resume(arg);
}

void ws_co_sleep(gint64 delay_us)
{
  g_assert(current);
  ws_loop_after(current->loop, delay_us, sleep_is_over, current);
  ws_co_suspend();
}

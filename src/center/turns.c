// SPDX-License-Identifier: Apache-2.0
/* See turns.h. A turn that ends is handed to the first in line, so nobody who comes in between gets ahead. */
#include "center/turns.h"

#define LOOK_US G_USEC_PER_SEC /* a cancel wakes the coroutine; this is for one that came before it waited */

static const guint limits[N_TURN_KINDS] = {TURNS_FILE, TURNS_COPY};

/* On the waiting coroutine's stack. */
typedef struct {
  WsCo *co;
  WsId task;
  bool granted;
} Waiter;

typedef struct {
  guint running;
  GQueue waiting; /* Waiter, by task */
} Line;

struct Turns {
  GHashTable *lines[N_TURN_KINDS]; /* host -> Line; one that is empty goes */
  struct {
    gint running, waiting, most; /* atomic: metrics are read on a worker */
  } counts[N_TURN_KINDS];
};

static void line_free(void *arg)
{
  Line *line = arg;
  g_queue_clear(&line->waiting);
  g_free(line);
}

Turns *turns_new(void)
{
  Turns *turns = g_new0(Turns, 1);
  for (guint i = 0; i < N_TURN_KINDS; i++)
    turns->lines[i] = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, line_free);
  return turns;
}

void turns_free(Turns *turns)
{
  if (!turns)
    return;
  for (guint i = 0; i < N_TURN_KINDS; i++)
    g_hash_table_unref(turns->lines[i]);
  g_free(turns);
}

TurnCounts turns_count(const Turns *turns, TurnKind kind)
{
  return (TurnCounts){g_atomic_int_get(&turns->counts[kind].running), g_atomic_int_get(&turns->counts[kind].waiting),
                      g_atomic_int_get(&turns->counts[kind].most)};
}

static Line *line_of(Turns *turns, TurnKind kind, WsId host)
{
  Line *line = g_hash_table_lookup(turns->lines[kind], &host);
  if (!line) {
    line = g_new0(Line, 1);
    g_queue_init(&line->waiting);
    g_hash_table_insert(turns->lines[kind], g_memdup2(&host, sizeof host), line);
  }
  return line;
}

static gint compare_tasks(const void *a, const void *b, void *unused)
{
  const Waiter *x = a, *y = b;
  return x->task < y->task ? -1 : x->task > y->task;
}

void turn_show(Task *task, WsId host, guint limit)
{
  char id[WS_ID_TEXT_MAX], text[16];
  const WsHost *object = inv_find(task_snapshot(task), &ws_type_host, host);
  const char *name = object ? object->name : ws_id_format(ws_type_host.prefix, host, id);
  g_autoptr(GError) why = NULL;
  g_snprintf(text, sizeof text, "%u", limit);
  ws_fail(&why, WS_ERROR_WAITS_TURN, "object", name, "limit", text, NULL);
  task_show_waiting(task, why);
  task_log(task, "turn_waits", "object", name, "limit", text, NULL);
}

/* false: cancelled meanwhile. */
static bool wait_in(Turns *turns, Line *line, Task *task, WsId host, TurnKind kind)
{
  Waiter me = {ws_co_self(), task_id(task), false};
  g_queue_insert_sorted(&line->waiting, &me, compare_tasks, NULL);
  g_atomic_int_inc(&turns->counts[kind].waiting);
  turn_show(task, host, limits[kind]);
  while (!me.granted && !task_cancelled(task))
    ws_co_yield_timeout(LOOK_US);
  if (!me.granted)
    g_queue_remove(&line->waiting, &me);
  g_atomic_int_add(&turns->counts[kind].waiting, -1);
  task_show_waiting(task, NULL);
  return me.granted;
}

bool turn_take(Task *task, WsId host, TurnKind kind, Turn *turn, GError **error)
{
  Turns *turns = ((Center *)task_center(task))->turns;
  Line *line = line_of(turns, kind, host);
  bool free = line->running < limits[kind];
  if (free) {
    line->running++;
    g_atomic_int_inc(&turns->counts[kind].running);
  } else if (!wait_in(turns, line, task, host, kind)) {
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  }
  g_atomic_int_set(&turns->counts[kind].most, MAX(g_atomic_int_get(&turns->counts[kind].most), (gint)line->running));
  *turn = (Turn){turns, host, kind};
  return true;
}

void turn_end(Turn *turn)
{
  Turns *turns = g_steal_pointer(&turn->turns);
  Line *line = turns ? g_hash_table_lookup(turns->lines[turn->kind], &turn->host) : NULL;
  if (!line)
    return;
  Waiter *next = g_queue_pop_head(&line->waiting);
  if (next) {
    next->granted = true;
    ws_co_wake(next->co);
    return;
  }
  g_atomic_int_add(&turns->counts[turn->kind].running, -1);
  if (--line->running == 0)
    g_hash_table_remove(turns->lines[turn->kind], &turn->host);
}

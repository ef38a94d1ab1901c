// SPDX-License-Identifier: Apache-2.0
/* See password_turns.h. The line is short, so it is simply looked through. */
#include "center/auth/password_turns.h"
#include "base/error.h"
#include "base/loop.h"

typedef struct {
  GList link;
  WsCo *co;
  guint64 place, pair;
  guint64 round; /* of two places that wait the one with the lower round is next; of one round, who came
                    first. 0: ahead of all */
  enum { WAITS, SERVED, PUT_OUT } state;
} Waiter;

struct PasswordTurns {
  guint running_max;
  GArray *running; /* pairs */
  GQueue waiting;  /* Waiter, as they came */
  guint64 round;   /* of the one served last */
};

PasswordTurns *password_turns_new(guint running_max)
{
  PasswordTurns *turns = g_new0(PasswordTurns, 1);
  turns->running_max = MAX(1, running_max);
  turns->running = g_array_new(FALSE, FALSE, sizeof(guint64));
  g_queue_init(&turns->waiting);
  return turns;
}

void password_turns_free(PasswordTurns *turns)
{
  if (!turns)
    return;
  g_array_unref(turns->running);
  g_free(turns);
}

static bool is_running(const PasswordTurns *turns, guint64 pair)
{
  for (guint i = 0; i < turns->running->len; i++)
    if (g_array_index(turns->running, guint64, i) == pair)
      return true;
  return false;
}

static Waiter *next(const PasswordTurns *turns)
{
  Waiter *best = NULL;
  for (GList *at = turns->waiting.head; at; at = at->next) {
    Waiter *waiter = at->data;
    if ((!best || waiter->round < best->round) && !is_running(turns, waiter->pair))
      best = waiter;
  }
  return best;
}

static Waiter *last(const PasswordTurns *turns)
{
  Waiter *worst = NULL;
  for (GList *at = turns->waiting.head; at; at = at->next) {
    Waiter *waiter = at->data;
    if (!worst || waiter->round >= worst->round)
      worst = waiter;
  }
  return worst;
}

/* One round after the last that waits of the same place. */
static guint64 round_of(const PasswordTurns *turns, guint64 place, guint64 pair, bool known)
{
  guint64 round = turns->round;
  bool first = known && !is_running(turns, pair);
  for (GList *at = turns->waiting.head; at; at = at->next) {
    const Waiter *waiter = at->data;
    first = first && waiter->pair != pair;
    if (waiter->place == place)
      round = MAX(round, waiter->round);
  }
  return first ? 0 : round + 1;
}

static void leave(PasswordTurns *turns, Waiter *waiter, int state)
{
  g_queue_unlink(&turns->waiting, &waiter->link);
  waiter->state = state;
  ws_co_wake(waiter->co);
}

static void serve(PasswordTurns *turns)
{
  Waiter *waiter;
  while (turns->running->len < turns->running_max && (waiter = next(turns))) {
    turns->round = MAX(turns->round, waiter->round);
    g_array_append_val(turns->running, waiter->pair);
    leave(turns, waiter, SERVED);
  }
}

bool password_turn_take(PasswordTurns *turns, guint64 place, guint64 pair, bool known, GError **error)
{
  Waiter me = {.co = ws_co_self(),
               .place = place,
               .pair = pair,
               .round = round_of(turns, place, pair, known),
               .state = WAITS};
  me.link.data = &me;
  if (turns->running->len < turns->running_max && !is_running(turns, pair) && !next(turns)) {
    g_array_append_val(turns->running, pair);
    return true;
  }
  if (turns->waiting.length >= PASSWORD_WAITING_MAX) {
    Waiter *worst = last(turns);
    if (worst->round <= me.round)
      return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
    leave(turns, worst, PUT_OUT);
  }
  g_queue_push_tail_link(&turns->waiting, &me.link);
  while (me.state == WAITS)
    ws_co_yield();
  return me.state == SERVED || ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
}

void password_turn_end(PasswordTurns *turns, guint64 pair)
{
  for (guint i = 0; i < turns->running->len; i++)
    if (g_array_index(turns->running, guint64, i) == pair) {
      g_array_remove_index_fast(turns->running, i);
      break;
    }
  serve(turns);
}

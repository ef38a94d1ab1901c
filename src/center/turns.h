// SPDX-License-Identifier: Apache-2.0
/* Turns: so many pieces of work of a kind go on at a host at a time, the others wait in the order of their tasks.
 *
 * 200 deployments of one image are 200 programs that read it. All at once they take the workers of the host's agent from everybody else, and each is
 * slower than one by one. So a body takes a turn before it asks a host to make files, and ends it when it has its answer. What waits says so
 * in its task (`waiting`), and can be cancelled. Nothing of it is durable: after a restart the steps are taken anew, and get in line again.
 *
 * A body never waits for a second turn while it has one. Core loop, in a coroutine. */
#pragma once
#include "center/center.h"

typedef enum {
  TURN_FILE, /* a new or linked file: milliseconds */
  TURN_COPY, /* all bytes of a volume: minutes. Apart, so that short ones do not wait for long ones */
  N_TURN_KINDS
} TurnKind;

/* How many of a kind at a host. A file is made by one program that hardly reads; more copies than disks can serve slow each other down. */
#define TURNS_FILE 16
#define TURNS_COPY 4

typedef struct {
  Turns *turns; /* NULL: none is held */
  WsId host;
  TurnKind kind;
} Turn;

Turns *turns_new(void);
void turns_free(Turns *turns); /* with the coroutines that wait already gone; NULL is fine */

/* Returns when it is the task's turn. WS_ERROR_CANCELLED. */
bool turn_take(Task *task, WsId host, TurnKind kind, Turn *turn, GError **error);
void turn_end(Turn *turn); /* the next one's; none held is fine */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Turn, turn_end)

/* Says in the task that it waits at this host, which does so many at a time, and puts it into its log. task_show_waiting(NULL) ends it. */
void turn_show(Task *task, WsId host, guint limit);

/* Of all hosts together; most: that ever had a turn at one host at the same time. */
typedef struct {
  gint running, waiting, most;
} TurnCounts;
TurnCounts turns_count(const Turns *turns, TurnKind kind); /* any thread */

// SPDX-License-Identifier: Apache-2.0
/* Somebody who calls the API, over the simulated network, from a coroutine on the clients' machine.
 *
 * Every mutating call is kept in a list, with what came of it: the audit log is compared with it in the end. */
#pragma once
#include "sim/manager.h"

typedef struct {
  char request_id[24];
  char *method, *target;
  char *key;        /* Idempotency-Key, or NULL */
  bool mutating, dry_run;
  int status;       /* 0: no answer has come */
  guint incarnation; /* of the manager when it was sent */
  bool disk_failed;  /* a write failed meanwhile */
} SimCall;

typedef struct {
  SimManager *manager;
  SimMachine *machine;
  WsLoop *loop;
  GPtrArray *calls; /* SimCall: mutating ones, in order */
  guint64 n_calls, n_answers, n_lost;
  GHashTable *results; /* Idempotency-Key -> the object its first answer named */
} SimClients;

SimClients *sim_clients_new(SimManager *manager);

typedef struct {
  guint node;
  const char *token; /* NULL: none is sent */
  const char *address;
} SimCaller;

typedef struct {
  int status; /* 0: lost */
  char *body, *etag, *location;
} SimAnswer;
void sim_answer_clear(SimAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SimAnswer, sim_answer_clear)

/* In a coroutine on clients->loop: sends and waits; at most a minute. body, key and if_match may be NULL. */
void sim_call(SimClients *clients, const SimCaller *caller, const char *method, const char *target, const char *body,
              const char *key, const char *if_match, SimAnswer *answer);

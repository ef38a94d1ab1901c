// SPDX-License-Identifier: Apache-2.0
/* Users who do everything that the API can do, at random, and make mistakes. */
#pragma once
#include "sim/client.h"
#include "sim/host.h"

typedef struct {
  SimClients *clients;
  SimHost **hosts;
  guint n_hosts;
  const char *admin_token, *reader_token; /* may do everything; may read */
  gint64 pause_us; /* between two calls of one user, usually */
  bool stopped;    /* users make no further calls */
  guint n_busy;    /* calls under way */
  guint done[64];  /* how often each action was taken, for the summary */
} SimWork;

/* Starts `n_users` users. */
void sim_work_start(SimWork *work, guint n_users);
const char *sim_work_action(guint i); /* NULL: no more */

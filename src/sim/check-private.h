// SPDX-License-Identifier: Apache-2.0
/* What check.c and check-quiet.c share. */
#pragma once
#include "sim/check.h"

struct SimCheck {
  SimManager *manager;
  SimHost **hosts;
  guint n_hosts;
  SimClients *clients;
  Revision last_revision;
  bool last_was_end; /* it was the last change of its revision */
  GHashTable *ids;   /* ever seen */
  GPtrArray *heads;  /* InvSnapshot: see follow_head() */
  InvSnapshot *failed; /* what a group that failed would have led to, until something is published after it; NULL: none */
  Revision failed_after; /* what was published then */
  guint64 rollbacks; /* of this incarnation's inventory, when last looked at */
};

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
  guint64 rollbacks; /* of this incarnation's inventory, when last looked at */
};

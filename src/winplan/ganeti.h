// SPDX-License-Identifier: Apache-2.0
/* Clusters in the text format of Ganeti's htools (-t): sections of lines, fields between bars; and their dynamic use (-U). */
#pragma once
#include "plan/balance.h"

typedef struct {
  PlanCluster cluster;
  char **host_names, **vm_names;
} Ganeti;

/* WS_ERROR_BAD_VALUE, field FILE:LINE. */
Ganeti *ganeti_read(const char *name, const char *text, gsize n, GError **error);
bool ganeti_read_use(Ganeti *ganeti, const char *name, const char *text, gsize n, GError **error);
void ganeti_free(Ganeti *ganeti);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ganeti, ganeti_free)

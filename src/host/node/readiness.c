// SPDX-License-Identifier: Apache-2.0
/* What the requirements check wants to know beyond the machine itself: control groups, clock, room. */
#include "host/node/node-private.h"
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#define STATE_DIR "/var/lib" /* where state, pools and logs lie unless told otherwise */
#define GIB ((gint64)1 << 30)

static int cgroup_of(const char *root)
{
  g_autofree char *v2 = tree_read(root, "/sys/fs/cgroup/cgroup.controllers");
  if (v2 && strstr(v2, "cpu") && strstr(v2, "memory"))
    return WS_HOST_READINESS_CGROUP_V2;
  return tree_has(root, "/sys/fs/cgroup/cpu") && tree_has(root, "/sys/fs/cgroup/memory") ? WS_HOST_READINESS_CGROUP_V1
                                                                                          : WS_HOST_READINESS_CGROUP_NONE;
}

/* Whole GiB: that a file has grown is no news. */
static gint64 free_bytes(const char *path)
{
  struct statvfs at;
  return statvfs(path, &at) == 0 ? (gint64)at.f_bavail * (gint64)at.f_frsize / GIB * GIB : WS_INT_UNSET;
}

void node_read_readiness(const char *root, WsHostFacts *facts)
{
  struct timex clock = {0};
  g_autofree char *path = g_strconcat(root, STATE_DIR, NULL);
  facts->readiness = ws_host_readiness_new();
  facts->readiness->cgroup = cgroup_of(root);
  facts->readiness->clock_synchronised = adjtimex(&clock) >= 0 && !(clock.status & STA_UNSYNC);
  facts->readiness->state_free_bytes = free_bytes(path);
}

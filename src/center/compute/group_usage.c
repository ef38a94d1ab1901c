// SPDX-License-Identifier: Apache-2.0
/* What business groups have, and the quotas that they lie under: added up from a snapshot when somebody asks. Any thread (views). */
#include "center/api/view.h"
#include "center/quota.h"
#include "center/verbs.h"

#define DEPTH_MAX 17 /* groups in one another (groups.c), and one */

typedef struct {
  const InvSnapshot *snap;
  WsId without; /* a group that is counted already; 0: none */
  guint depth;
  QuotaFigures sum;
} Walk;

static bool add_vm(const void *object, void *arg)
{
  Walk *walk = arg;
  QuotaFigures figures = quota_of_vm(walk->snap, object);
  for (guint k = 0; k < N_QUOTAS; k++)
    walk->sum.of[k] += figures.of[k];
  return true;
}

static bool add_group(const void *object, void *arg)
{
  Walk *walk = arg;
  WsId id = ((const WsBusinessGroup *)object)->id;
  if (id == walk->without || walk->depth >= DEPTH_MAX)
    return true;
  walk->depth++;
  inv_each_by(walk->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "group", 5), id, NULL, add_vm, walk);
  inv_each_by(walk->snap, &ws_type_business_group, ws_type_field(&ws_type_business_group, "parent", 6), id, NULL, add_group, walk);
  walk->depth--;
  return true;
}

static void add_limits(WsBusinessGroupUsage *usage, const WsBusinessGroup *group, const QuotaFigures *used)
{
  for (guint k = 0; k < N_QUOTAS; k++) {
    gint64 limit = quota_limit(group->quota, k);
    if (limit == WS_INT_UNSET)
      continue;
    WsBusinessGroupLimit *one = ws_business_group_limit_new();
    one->group = group->id;
    one->name = g_strdup(group->name);
    one->what = k + 1;
    one->limit = limit;
    one->used = used->of[k];
    one->free = MAX(0, limit - used->of[k]);
    one->over = used->of[k] > limit;
    ws_array_add(&usage->limits, one);
  }
}

/* Upwards, each group on the way adds what is beside what is counted: nothing is walked over twice. */
bool business_group_usage(const ApiView *view, void **result, GError **error)
{
  G_STATIC_ASSERT((int)QUOTA_VMS + 1 == (int)WS_BUSINESS_GROUP_LIMIT_WHAT_VMS && (int)QUOTA_DISK + 1 == (int)WS_BUSINESS_GROUP_LIMIT_WHAT_DISK_BYTES);
  WsBusinessGroupUsage *usage = ws_business_group_usage_new();
  Walk walk = {.snap = view->snap};
  const WsBusinessGroup *group = view->object;
  add_group(group, &walk);
  usage->vms = walk.sum.of[QUOTA_VMS];
  usage->vcpus = walk.sum.of[QUOTA_VCPUS];
  usage->memory_bytes = walk.sum.of[QUOTA_MEMORY];
  usage->disk_bytes = walk.sum.of[QUOTA_DISK];
  add_limits(usage, group, &walk.sum);
  for (guint depth = 0; group->parent && depth < DEPTH_MAX; depth++) {
    walk.without = group->id;
    group = inv_find(view->snap, &ws_type_business_group, group->parent);
    if (!group)
      break;
    add_group(group, &walk);
    add_limits(usage, group, &walk.sum);
  }
  *result = usage;
  return true;
}

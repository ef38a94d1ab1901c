// SPDX-License-Identifier: Apache-2.0
/* The CPU baseline of a cluster: shown, and what a host that joins does to it. It is computed from its hosts when asked for; a VM keeps the one
 * it was made with. */
#include "center/api/view.h"
#include "center/cluster/cluster.h"
#include "center/room.h"
#include "center/verbs.h"

#define NAMES_MAX 5 /* of VMs, in a refusal */

bool cluster_cpu_baseline(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  *result = room_cpu_baseline(view->snap, cluster->id, 0);
  return true;
}

typedef struct {
  const WsHost *host; /* that would join */
  WsId cluster;
  const InvSnapshot *snap;
  GHashTable *missing; /* names, owned */
  GString *names;      /* of VMs */
  guint n;
} Needs;

static bool add_needs(const void *object, void *arg)
{
  Needs *needs = arg;
  const WsVm *vm = object;
  const WsHost *at = vm->host ? inv_find(needs->snap, &ws_type_host, vm->host) : NULL;
  if (!at || at->cluster != needs->cluster || !plan_vm_is_placed(vm) || !vm->cpu || vm->cpu->mode != WS_VM_CPU_MODE_CUSTOM)
    return true;
  g_auto(GStrv) missing = plan_cpu_missing(needs->host->facts ? needs->host->facts->guest_cpu : NULL, vm->cpu->model,
                                           vm->cpu->features.items, vm->cpu->features.len);
  for (guint i = 0; missing[i]; i++)
    g_hash_table_add(needs->missing, g_strdup(missing[i]));
  if (missing[0] && needs->n++ < NAMES_MAX)
    g_string_append_printf(needs->names, "%s%s", needs->names->len ? ", " : "", vm->name);
  return true;
}

static int by_name(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool cluster_check_cpu(const InvSnapshot *snap, const WsCluster *cluster, const WsHost *host, GError **error)
{
  g_autoptr(GHashTable) missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GString) names = g_string_new(NULL);
  Needs needs = {host, cluster->id, snap, missing, names, 0};
  inv_each(snap, &ws_type_vm, add_needs, &needs);
  if (!needs.n)
    return true;
  g_autoptr(GPtrArray) sorted = g_ptr_array_new();
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, missing);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    g_ptr_array_add(sorted, name);
  g_ptr_array_sort(sorted, by_name);
  g_ptr_array_add(sorted, NULL);
  g_autofree char *features = plan_cpu_names((char *const *)sorted->pdata);
  if (needs.n > NAMES_MAX)
    g_string_append_printf(names, ", %u more", needs.n - NAMES_MAX);
  return ws_fail(error, WS_ERROR_CPU_LACKS, "object", host->name, "container", cluster->name, "features", features, "names", names->str, NULL);
}

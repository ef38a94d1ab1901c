// SPDX-License-Identifier: Apache-2.0
/* The tree site > host pool > cluster > host: made, changed, hosts moved about in it.
 *
 * A host always has a host pool; in a cluster it is the cluster's, which the inventory's checks see to. The site and a first host pool are made
 * when the manager starts, and hosts from before there was a tree are put into it. */
#include "base/log.h"
#include "center/api/call.h"
#include "center/cluster/cluster.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/room.h"
#include "center/verbs.h"

#define FIRST_POOL_NAME "Default"

/* ---- looking up ---- */

static bool take_first(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

static const void *first_of(const InvSnapshot *snap, const WsType *type)
{
  const void *first = NULL;
  inv_each(snap, type, take_first, &first);
  return first;
}

const WsCluster *cluster_of_host(const InvSnapshot *snap, const WsHost *host)
{
  return host->cluster ? inv_find(snap, &ws_type_cluster, host->cluster) : NULL;
}

PlanRatios cluster_ratios(const InvSnapshot *snap, const WsHost *host)
{
  return plan_host_ratios(room_site(snap), cluster_of_host(snap, host), host);
}

static const void *need(const InvSnapshot *snap, const WsType *type, WsId id, const char *field, GError **error)
{
  const void *object = inv_find(snap, type, id);
  char text[WS_ID_TEXT_MAX];
  if (!object)
    ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", field, "object", ws_id_format(type->prefix, id, text), NULL);
  return object;
}

/* ---- start ---- */

typedef struct {
  InvTxn *txn;
  WsId pool;
} Settle;

static bool settle_host(const void *object, void *arg)
{
  Settle *settle = arg;
  const WsHost *host = object;
  if (host->host_pool)
    return true;
  WsHost *edit = inv_edit(settle->txn, host);
  edit->host_pool = settle->pool;
  edit->mode = WS_HOST_MODE_NORMAL;
  return true;
}

void cluster_resume(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GError) error = NULL;
  gint64 now = ws_clock_wall_us(center->clock);
  const WsHostPool *pool = first_of(head, &ws_type_host_pool);
  if (!room_site(head)) {
    WsSite *site = inv_create(txn, &ws_type_site);
    ws_apply_defaults(&ws_type_site, site);
    site->name = g_strdup("Site");
    site->created = now;
  }
  Settle settle = {txn, pool ? pool->id : 0};
  if (!pool) {
    WsHostPool *made = inv_create(txn, &ws_type_host_pool);
    made->name = g_strdup(FIRST_POOL_NAME);
    made->created = now;
    settle.pool = made->id;
  }
  inv_each(head, &ws_type_host, settle_host, &settle);
  if (!inv_commit(txn, NULL, &error))
    ws_log_error(WS_LOG_WARNING, "tree-not-settled", error, NULL);
}

/* ---- host pools and clusters ---- */

bool host_pool_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create host pool", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsHostPool *pool = inv_create(txn, &ws_type_host_pool);
  WsId id = pool->id;
  ws_resource_take_fields(&ws_type_host_pool, pool, api_call_body(call));
  pool->created = ws_clock_wall_us(center->clock);
  api_call_set_object(call, &ws_type_host_pool, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_host_pool, id, error);
}

typedef struct {
  const char *name;
  WsId self;
  const WsCluster *other;
} NameLook;

static bool look_for_name(const void *object, void *arg)
{
  NameLook *look = arg;
  const WsCluster *cluster = object;
  if (cluster->id != look->self && g_strcmp0(cluster->name, look->name) == 0)
    look->other = cluster;
  return !look->other;
}

/* Two clusters of one host pool with one name would be told apart by nobody. */
static bool check_cluster(const InvSnapshot *head, const WsCluster *cluster, WsId self, GError **error)
{
  NameLook look = {cluster->name, self, NULL};
  if (!need(head, &ws_type_host_pool, cluster->host_pool, "host_pool", error))
    return false;
  inv_each_by(head, &ws_type_cluster, ws_type_field(&ws_type_cluster, "host_pool", 9), cluster->host_pool, NULL, look_for_name,
              &look);
  return !look.other || ws_fail(error, WS_ERROR_NAME_TAKEN, "field", "name", "name", cluster->name, NULL);
}

bool cluster_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  WsCluster *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!check_cluster(head, body, 0, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create cluster", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsCluster *cluster = inv_create(txn, &ws_type_cluster);
  WsId id = cluster->id;
  ws_resource_take_fields(&ws_type_cluster, cluster, body);
  cluster->created = ws_clock_wall_us(center->clock);
  api_call_set_object(call, &ws_type_cluster, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_cluster, id, error);
}

static bool take_along(const void *object, void *arg)
{
  Settle *settle = arg;
  ((WsHost *)inv_edit(settle->txn, object))->host_pool = settle->pool;
  return true;
}

static bool cluster_updated(InvTxn *txn, const InvSnapshot *head, const void *before, void *after, GError **error)
{
  const WsCluster *seen = before, *cluster = after;
  if (!check_cluster(head, cluster, seen->id, error))
    return false;
  Settle settle = {txn, cluster->host_pool};
  if (cluster->host_pool != seen->host_pool)
    inv_each_by(head, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), seen->id, NULL, take_along, &settle);
  return true;
}

bool cluster_update(ApiCall *call, GError **error)
{
  return api_call_update(call, cluster_updated, error);
}

/* ---- hosts in the tree ---- */

/* Only hosts of its architecture: what runs in a cluster may run on each of its hosts. */
static bool check_fits(const WsCluster *cluster, const WsHost *host, GError **error)
{
  if (!(int)cluster->architecture || !(int)host->architecture || cluster->architecture == host->architecture)
    return true;
  return ws_fail(error, WS_ERROR_ARCHITECTURE_MISMATCH, "object", host->name, "architecture",
                 ws_architecture_names[host->architecture - 1], "container", cluster->name, "expected",
                 ws_architecture_names[cluster->architecture - 1], NULL);
}

static void enter_cluster(InvTxn *txn, const WsCluster *cluster, WsHost *host)
{
  host->cluster = cluster->id;
  host->host_pool = cluster->host_pool;
  if (!(int)cluster->architecture && (int)host->architecture)
    ((WsCluster *)inv_edit(txn, cluster))->architecture = (int)host->architecture;
}

bool host_assign(ApiCall *call, GError **error)
{
  const WsHostAssign *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsHost *seen = api_call_find_target(call, head, error);
  const WsCluster *cluster = NULL;
  if (!seen)
    return false;
  if (!body->cluster == !body->host_pool)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "cluster", "expected", "either cluster or host_pool", NULL);
  if (body->host_pool && !need(head, &ws_type_host_pool, body->host_pool, "host_pool", error))
    return false;
  if (body->cluster && (!(cluster = need(head, &ws_type_cluster, body->cluster, "cluster", error)) ||
                        !check_fits(cluster, seen, error) || !cluster_check_cpu(head, cluster, seen, error)))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){cluster ? "move host into cluster" : "move host into host pool", NULL});
  WsId id = seen->id, to = cluster ? cluster->id : 0;
  g_auto(GStrv) lowered = cluster ? room_cpu_lowered(head, cluster->id, seen) : g_new0(char *, 1);
  g_autofree char *lacks = plan_cpu_names(lowered);
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsHost *host = inv_edit(txn, seen);
  if (cluster) {
    enter_cluster(txn, cluster, host);
  } else {
    host->cluster = 0;
    host->host_pool = body->host_pool;
  }
  if (!api_call_commit(call, txn, error))
    return false;
  if (lowered[0])
    center_event(api_call_center(call), CENTER_MINOR, &ws_type_cluster, to, "user", "cpu_baseline_lower", "host", seen->name, "features", lacks, NULL);
  return api_call_answer_object(call, 200, &ws_type_host, id, error);
}

/* Whoever changes a host's place, the tree stays one: enforced at every commit. */
static bool check_host(const InvSnapshot *head, const void *old_object, const void *new_object, GError **error)
{
  const WsHost *host = new_object;
  const WsCluster *cluster = host ? cluster_of_host(head, host) : NULL;
  if (!cluster)
    return true;
  if (cluster->host_pool != host->host_pool)
    return ws_fail(error, WS_ERROR_CONFLICT, "object", host->name, NULL);
  return check_fits(cluster, host, error);
}

void cluster_start(Center *center)
{
  inv_add_check(center->inventory, &ws_type_host, check_host);
}

// SPDX-License-Identifier: Apache-2.0
/* Which hosts reach a pool, what that makes of the pool, and which of them works on its files.
 *
 * Any host of a pool can work on its files, because each names its unfinished ones after itself; the first one that is connected and sees the pool
 * is asked. The pool's own state is made of what its hosts say: it is whole when all see it, degraded when some do, unreachable when none does. */
#include "center/storage/storage.h"
#include "plan/estate.h"

/* ---- what hosts say ---- */

static WsPoolHostState *entry_of(WsPool *pool, WsId host)
{
  for (guint i = 0; i < pool->host_states.len; i++)
    if (pool->host_states.items[i]->host == host)
      return pool->host_states.items[i];
  WsPoolHostState *entry = ws_pool_host_state_new();
  entry->host = host;
  ws_array_add(&pool->host_states, entry);
  return entry;
}

static void drop_strangers(WsPool *pool)
{
  guint kept = 0;
  for (guint i = 0; i < pool->host_states.len; i++) {
    WsPoolHostState *entry = pool->host_states.items[i];
    if (plan_pool_has_host(pool, entry->host))
      pool->host_states.items[kept++] = entry;
    else
      ws_pool_host_state_free(entry);
  }
  pool->host_states.len = kept;
}

static void set_entry(Center *center, WsPool *pool, WsId host, int state, const char *reason)
{
  WsPoolHostState *entry = entry_of(pool, host);
  if ((int)entry->state != state)
    entry->since = ws_clock_wall_us(center->clock);
  entry->state = state;
  if (g_strcmp0(entry->reason, reason) != 0) {
    g_free(entry->reason);
    entry->reason = g_strdup(reason);
  }
}

/* ---- what that makes of the pool ---- */

typedef struct {
  guint n, away, full, degraded;
  const WsPoolHostState *worst; /* the first that is away, else the first that is degraded */
} Tally;

static Tally count(const WsPool *pool)
{
  Tally tally = {.n = pool->hosts.len};
  const WsPoolHostState *degraded = NULL;
  guint heard = 0;
  for (guint i = 0; i < pool->host_states.len; i++) {
    const WsPoolHostState *entry = pool->host_states.items[i];
    heard++;
    if (entry->state == WS_POOL_HOST_STATE_STATE_UNREACHABLE) {
      tally.away++;
      tally.worst = tally.worst ? tally.worst : entry;
    } else if (entry->state == WS_POOL_HOST_STATE_STATE_FULL) {
      tally.full++;
    } else if (entry->state == WS_POOL_HOST_STATE_STATE_DEGRADED) {
      tally.degraded++;
      degraded = degraded ? degraded : entry;
    }
  }
  tally.away += tally.n - MIN(heard, tally.n); /* never heard of */
  tally.worst = tally.worst ? tally.worst : degraded;
  return tally;
}

static int state_of(const WsPool *pool, const Tally *tally)
{
  if (tally->away == tally->n)
    return WS_POOL_STATE_UNREACHABLE;
  if (pool->suspended)
    return WS_POOL_STATE_SUSPENDED;
  if (tally->full)
    return WS_POOL_STATE_FULL;
  return tally->away || tally->degraded ? WS_POOL_STATE_DEGRADED : WS_POOL_STATE_ACTIVE;
}

static char *reason_of(const WsPool *pool, const Tally *tally)
{
  char id[WS_ID_TEXT_MAX];
  if (!tally->worst || !tally->worst->reason)
    return NULL;
  if (tally->n == 1)
    return g_strdup(tally->worst->reason);
  return g_strdup_printf("%s: %s (%u / %u)", storage_text(&ws_type_host, tally->worst->host, id), tally->worst->reason,
                         tally->n - tally->away, tally->n);
}

static void settle(Center *center, WsPool *pool)
{
  drop_strangers(pool);
  Tally tally = count(pool);
  int state = state_of(pool, &tally);
  g_autofree char *reason = reason_of(pool, &tally);
  if ((int)pool->state != state)
    pool->state_since = ws_clock_wall_us(center->clock);
  pool->state = state;
  if (g_strcmp0(pool->state_reason, reason) != 0) {
    g_free(pool->state_reason);
    pool->state_reason = g_steal_pointer(&reason);
  }
}

/* ---- the door ---- */

/* The enums of WsPoolStatus and WsPoolHostState share their words and their order. */
G_STATIC_ASSERT((int)WS_POOL_STATUS_STATE_UNREACHABLE == (int)WS_POOL_HOST_STATE_STATE_UNREACHABLE);

void storage_take_status(Center *center, WsPool *pool, WsId host, const WsPoolStatus *status)
{
  if (!status)
    return;
  if ((int)status->state)
    set_entry(center, pool, host, (int)status->state, status->reason);
  if ((int)status->state != WS_POOL_STATUS_STATE_UNREACHABLE) { /* one that is not there has no size */
    if (status->filesystem && g_strcmp0(pool->filesystem, status->filesystem) != 0) {
      g_free(pool->filesystem);
      pool->filesystem = g_strdup(status->filesystem);
    }
    pool->reflink = status->reflink;
    pool->capacity_bytes = status->capacity_bytes;
    pool->available_bytes = status->available_bytes;
    pool->allocated_bytes = status->allocated_bytes;
    pool->read = ws_clock_wall_us(center->clock);
    g_autoptr(InvSnapshot) head = inv_head(center->inventory);
    pool->provisioned_bytes = storage_provisioned_bytes(head, pool->id);
  }
  settle(center, pool);
}

void storage_set_away(Center *center, WsPool *pool, WsId host, const char *reason)
{
  if (!plan_pool_has_host(pool, host))
    return;
  set_entry(center, pool, host, WS_POOL_HOST_STATE_STATE_UNREACHABLE, reason);
  settle(center, pool);
}

void storage_copy_states(Center *center, WsPool *to, const WsPool *from)
{
  for (guint i = 0; i < from->host_states.len; i++) {
    const WsPoolHostState *entry = from->host_states.items[i];
    set_entry(center, to, entry->host, (int)entry->state, entry->reason);
  }
  to->capacity_bytes = from->capacity_bytes;
  to->available_bytes = from->available_bytes;
  to->allocated_bytes = from->allocated_bytes;
  to->read = from->read;
  settle(center, to);
}

void storage_settle_state(Center *center, WsPool *pool)
{
  settle(center, pool);
}

WsId storage_pool_host(Center *center, const WsPool *pool)
{
  WsId connected = 0;
  for (guint i = 0; i < pool->hosts.len; i++) {
    WsId host = pool->hosts.items[i];
    if (!hosts_is_connected(center, host))
      continue;
    if (plan_pool_reaches(pool, host))
      return host;
    connected = connected ? connected : host;
  }
  return connected ? connected : pool->hosts.items[0];
}

WsId storage_common_host(Center *center, const WsPool *a, const WsPool *b)
{
  for (guint i = 0; i < a->hosts.len; i++) {
    WsId host = a->hosts.items[i];
    if (hosts_is_connected(center, host) && plan_pool_reaches(a, host) && plan_pool_reaches(b, host))
      return host;
  }
  return 0;
}

WsId storage_choose_host(Task *task, WsId host)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, host);
  return g_ascii_strtoull(task_choose(task, "host", text), NULL, 10);
}

RpcLink *storage_link_at(Center *center, WsId id, WsId host, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  char text[WS_ID_TEXT_MAX];
  if (pool)
    return host && plan_pool_has_host(pool, host) ? hosts_link(center, host, error) : storage_pool_link(center, pool, error);
  ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_pool, id, text), NULL);
  return NULL;
}

RpcLink *storage_pool_link(Center *center, const WsPool *pool, GError **error)
{
  g_assert(pool->hosts.len > 0);
  return hosts_link(center, storage_pool_host(center, pool), error);
}

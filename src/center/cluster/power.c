// SPDX-License-Identifier: Apache-2.0
/* Power of a host: off and anew in order, through its agent; hard, through its BMC; on, through its BMC or by a magic packet (Wake-on-LAN)
 * that other hosts send.
 *
 * Nobody's word is believed: an order is one step, and the next one looks until it is so - the BMC tells of the power, and a host is back
 * when its agent has come with a later boot time than before. A host whose agent left and that has no BMC counts as unknown, never as off:
 * it may as well be cut off, with its VMs running. An order that was lost is given again while one waits. What it has begun cannot be taken
 * back; a cancel ends the wait only. */
#include "center/cluster/cluster.h"
#include "center/hosts/bmc.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include "rpc/methods.h"

#define POLL_US   (2 * (gint64)G_USEC_PER_SEC)
#define GONE_US   (10 * (gint64)G_USEC_PER_SEC) /* without a BMC: its agent is away for so long */
#define BOOT_US   (2 * (gint64)G_USEC_PER_SEC)  /* boot times are computed from two clocks and waver by less */
#define AGAIN_US  (30 * (gint64)G_USEC_PER_SEC)
#define WAKERS_MAX 8

typedef struct Order Order;
struct Order {
  Center *center;
  WsId host;
  TaskBody again; /* the order, to be given again while nothing changes; NULL: once is enough */
  bool hard, reboot, force;
  gint64 timeout_us, begun_us, boot_us; /* begun_us: wall; boot_us: of the boot before, 0: not known */
};

/* ---- looking ---- */

/* As it is now, referenced: what follows waits. */
static WsHost *host_now(const Order *order, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(order->center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, order->host);
  char id[WS_ID_TEXT_MAX];
  if (!host)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(ws_type_host.prefix, order->host, id), NULL);
  return host ? ws_host_ref(host) : NULL;
}

static void note_power(Task *task, const Order *order, int state, int source)
{
  WsHost *host = inv_edit_id(task_txn(task), &ws_type_host, order->host);
  if (host)
    hosts_set_power(host, state, source, ws_clock_wall_us(order->center->clock));
}

static char *seconds(gint64 us)
{
  return g_strdup_printf("%" G_GINT64_FORMAT " s", us / G_USEC_PER_SEC);
}

static bool fail_unchanged(const WsHost *host, const Order *order, const char *expected, const char *state, GError **error)
{
  g_autofree char *timeout = seconds(order->timeout_us);
  return ws_fail(error, WS_ERROR_POWER_UNCHANGED, "object", host->name, "expected", expected, "state", state, "timeout", timeout, NULL);
}

typedef struct {
  gint64 end_us;  /* monotonic */
  gint64 gone_us; /* its agent is away since; 0: it is there */
  gint64 order_us; /* when the order was given last */
  GError *error;  /* what went wrong last; NULL: nothing since */
} Watch;

/* One look: it is off, and that is noted. */
static bool look_off(Task *task, const Order *order, const WsHost *host, Watch *watch)
{
  gint64 now = ws_clock_monotonic_us(order->center->clock);
  bool on = true;
  if (hosts_is_connected(order->center, order->host))
    watch->gone_us = 0;
  else if (!watch->gone_us)
    watch->gone_us = now;
  if (bmc_is_set(host)) {
    g_clear_error(&watch->error);
    if (!bmc_do(order->center, host, BMC_STATUS, &on, task_cancel_flag(task), &watch->error) || on)
      return false;
    note_power(task, order, WS_HOST_POWER_STATE_OFF, WS_HOST_POWER_SOURCE_BMC);
    return true;
  }
  if (!watch->gone_us || now - watch->gone_us < GONE_US)
    return false;
  note_power(task, order, WS_HOST_POWER_STATE_UNKNOWN, WS_HOST_POWER_SOURCE_NOBODY);
  return true;
}

/* Between two looks: false when the task is cancelled, time is over, or what was ordered cannot be any more. */
static bool rest(Task *task, Order *order, Watch *watch, bool *late, GError **error)
{
  gint64 now = ws_clock_monotonic_us(order->center->clock);
  *late = now >= watch->end_us;
  if (*late)
    return false;
  if (task_cancelled(task))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (order->again && now - watch->order_us >= AGAIN_US) {
    g_clear_error(&watch->error);
    watch->order_us = now;
    if (!order->again(task, order, &watch->error) && ws_error_code(watch->error) == WS_ERROR_HOST_NOT_EMPTY) {
      g_propagate_error(error, g_steal_pointer(&watch->error));
      return false;
    }
  }
  ws_co_sleep(POLL_US);
  return true;
}

static Watch watch_from_now(const Order *order)
{
  gint64 now = ws_clock_monotonic_us(order->center->clock);
  return (Watch){.end_us = now + order->timeout_us, .order_us = now};
}

static bool await_off(Task *task, void *ctx, GError **error)
{
  Order *order = ctx;
  Watch watch = watch_from_now(order);
  for (;;) {
    g_autoptr(WsHost) host = host_now(order, error);
    bool late;
    if (!host)
      return false;
    if (look_off(task, order, host, &watch))
      return true;
    if (rest(task, order, &watch, &late, error))
      continue;
    if (late && watch.error)
      g_propagate_error(error, g_steal_pointer(&watch.error));
    else if (late)
      fail_unchanged(host, order, "off", "on", error);
    g_clear_error(&watch.error);
    return false;
  }
}

static gint64 boot_time(const WsHost *host)
{
  return host->facts ? host->facts->boot_time : 0;
}

/* Its agent is there, and its system is not the one of before. */
static bool is_back(const Order *order, const WsHost *host)
{
  if (!hosts_is_connected(order->center, order->host))
    return false;
  if (order->boot_us)
    return boot_time(host) > order->boot_us + BOOT_US;
  return !order->reboot || (host->connection && host->connection->since > order->begun_us);
}

static bool await_back(Task *task, void *ctx, GError **error)
{
  Order *order = ctx;
  Watch watch = watch_from_now(order);
  for (;;) {
    g_autoptr(WsHost) host = host_now(order, error);
    bool late, on = true;
    if (!host)
      return false;
    if (is_back(order, host))
      return true;
    if (rest(task, order, &watch, &late, error))
      continue;
    if (!late || watch.error) {
      if (late)
        g_propagate_error(error, g_steal_pointer(&watch.error));
      g_clear_error(&watch.error);
      return false;
    }
    if (hosts_is_connected(order->center, order->host))
      return fail_unchanged(host, order, "rebooted", "still the same boot", error);
    if (bmc_is_set(host) && bmc_do(order->center, host, BMC_STATUS, &on, task_cancel_flag(task), NULL) && !on)
      return fail_unchanged(host, order, "on", "off", error);
    g_autofree char *timeout = seconds(order->timeout_us);
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the host's agent", "timeout", timeout, NULL);
  }
}

/* ---- orders ---- */

/* The link ends while it is being said, or has ended: whether it was heard the next step finds out. */
static bool ask_agent(Task *task, void *ctx, GError **error)
{
  const Order *order = ctx;
  g_autoptr(WsHost) host = host_now(order, error);
  WsRpcHostPowerOff params = {.reboot = order->reboot, .force = order->force};
  g_autoptr(GError) failed = NULL;
  if (!host)
    return false;
  RpcLink *link = hosts_link(order->center, order->host, NULL);
  if (!link || (order->reboot && is_back(order, host)))
    return true; /* obeyed before a restart of the manager */
  if (rpc_host_power_off(link, &params, NULL, NULL, task_cancel_flag(task), &failed) ||
      ws_error_code(failed) == WS_ERROR_HOST_UNREACHABLE)
    return true;
  if (ws_error_code(failed) == WS_ERROR_HOST_NOT_EMPTY)
    ws_error_set_param(failed, "object", host->name);
  g_propagate_error(error, g_steal_pointer(&failed));
  return false;
}

static bool tell_bmc(Task *task, const Order *order, BmcAction action, GError **error)
{
  g_autoptr(WsHost) host = host_now(order, error);
  return host && bmc_do(order->center, host, action, NULL, task_cancel_flag(task), error);
}

static bool cut_power(Task *task, void *ctx, GError **error)
{
  return tell_bmc(task, ctx, BMC_OFF, error);
}

/* A machine that is off has no power to cycle. */
static bool cycle_power(Task *task, void *ctx, GError **error)
{
  const Order *order = ctx;
  g_autoptr(WsHost) host = host_now(order, error);
  bool on = true;
  if (host && is_back(order, host))
    return true; /* before a restart of the manager */
  return host && bmc_do(order->center, host, BMC_STATUS, &on, task_cancel_flag(task), error) &&
         bmc_do(order->center, host, on ? BMC_CYCLE : BMC_ON, NULL, task_cancel_flag(task), error);
}

static bool give_power(Task *task, void *ctx, GError **error)
{
  return tell_bmc(task, ctx, BMC_ON, error);
}

/* ---- Wake-on-LAN ---- */

/* The NIC that has the address by which it dials, else its first physical one. */
static const char *mac_of(const WsHost *host)
{
  const char *first = NULL;
  if (host->wake_mac)
    return host->wake_mac;
  for (guint i = 0; host->facts && i < host->facts->nics.len; i++) {
    const WsHostNic *nic = host->facts->nics.items[i];
    if (!nic->mac || nic->kind != WS_HOST_NIC_KIND_PHYSICAL)
      continue;
    for (guint j = 0; host->address && j < nic->addresses.len; j++)
      if (g_str_has_prefix(nic->addresses.items[j], host->address) && nic->addresses.items[j][strlen(host->address)] == '/')
        return nic->mac;
    first = first ? first : nic->mac;
  }
  return first;
}

typedef struct {
  Center *center;
  const WsHost *host;
  bool in_cluster;
  GArray *ids;
} Wakers;

static bool add_waker(const void *object, void *arg)
{
  Wakers *wakers = arg;
  const WsHost *host = object;
  bool near = wakers->in_cluster ? wakers->host->cluster && host->cluster == wakers->host->cluster
                                 : host->host_pool == wakers->host->host_pool;
  if (near && host->id != wakers->host->id && hosts_is_connected(wakers->center, host->id))
    g_array_append_val(wakers->ids, host->id);
  return wakers->ids->len < WAKERS_MAX;
}

/* Hosts that may share a network with it: those of its cluster, else of its host pool. */
static GArray *wakers_of(Center *center, const InvSnapshot *snap, const WsHost *host)
{
  Wakers wakers = {center, host, true, g_array_new(FALSE, FALSE, sizeof(WsId))};
  inv_each(snap, &ws_type_host, add_waker, &wakers);
  wakers.in_cluster = false;
  if (!wakers.ids->len)
    inv_each(snap, &ws_type_host, add_waker, &wakers);
  return wakers.ids;
}

static bool check_wake(Center *center, const InvSnapshot *snap, const WsHost *host, GError **error)
{
  g_autoptr(GArray) wakers = wakers_of(center, snap, host);
  const char *why = !mac_of(host)   ? "the MAC address of its NIC is not known: set wake_mac"
                    : !wakers->len ? "no other host of its cluster or host pool is connected, to send the magic packet"
                                   : NULL;
  return !why || ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", "wake", "reason", why, NULL);
}

static bool wake(Task *task, void *ctx, GError **error)
{
  const Order *order = ctx;
  g_autoptr(WsHost) host = host_now(order, error);
  if (!host || hosts_is_connected(order->center, order->host))
    return host != NULL;
  if (!check_wake(order->center, task_snapshot(task), host, error))
    return false;
  g_autoptr(GArray) wakers = wakers_of(order->center, task_snapshot(task), host);
  g_autofree char *mac = g_strdup(mac_of(host));
  WsRpcHostWake params = {.mac = mac};
  g_autoptr(GError) failed = NULL;
  guint sent = 0;
  for (guint i = 0; i < wakers->len; i++) {
    RpcLink *link = hosts_link(order->center, g_array_index(wakers, WsId, i), NULL);
    g_autoptr(WsRpcHostWakeResult) result = NULL;
    g_clear_error(&failed);
    if (link && rpc_host_wake(link, &params, &result, NULL, NULL, task_cancel_flag(task), &failed))
      sent += result->networks > 0;
  }
  if (sent)
    return true;
  if (failed)
    g_propagate_error(error, g_steal_pointer(&failed));
  else
    ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", mac, "verb", "wake", "reason", "no host has a network to send the magic packet to", NULL);
  return false;
}

/* ---- the verbs ---- */

/* VMs are not to lose their power unasked. The agent looks again, at libvirt. */
static bool check_empty(Task *task, const WsHost *host, bool force, GError **error)
{
  if (force || task_is_resumed(task) || host->mode == WS_HOST_MODE_MAINTENANCE)
    return true;
  g_autoptr(GPtrArray) vms = cluster_placed_on(task_snapshot(task), host->id);
  return !vms->len || cluster_refuse_not_empty(host, vms, error);
}

static bool check_way(Task *task, const Order *order, const WsHost *host, GError **error)
{
  if (task_is_resumed(task))
    return true;
  if (!order->hard)
    return hosts_link(order->center, host->id, error) != NULL;
  return bmc_is_set(host) || ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb",
                                     order->reboot ? "cycle the power" : "switch off", "reason", "it has no BMC settings", NULL);
}

/* Checks and lock, for both ways down. */
static bool begin(Task *task, Order *order, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  TaskLockRef lock = {&ws_type_host, order->host, false};
  return host && check_empty(task, host, order->force, error) && check_way(task, order, host, error) && task_lock(task, &lock, 1, error);
}

bool host_power_off(Task *task, GError **error)
{
  const WsHostPowerOff *args = task_args(task);
  Order order = {.center = task_center(task), .host = task_target(task), .hard = args->how == WS_HOST_POWER_OFF_HOW_HARD,
                 .force = args->force, .timeout_us = args->timeout_s * G_USEC_PER_SEC};
  order.again = order.hard ? cut_power : ask_agent;
  return begin(task, &order, error) &&
         (order.hard ? TASK_STEP(task, "cut the power", cut_power, NULL, &order, error)
                     : TASK_STEP(task, "ask its agent", ask_agent, NULL, &order, error)) &&
         TASK_LAST(task, "wait until it is off", await_off, &order, error);
}

bool host_reboot(Task *task, GError **error)
{
  const WsHostReboot *args = task_args(task);
  Order order = {.center = task_center(task), .host = task_target(task), .hard = args->how == WS_HOST_REBOOT_HOW_HARD,
                 .force = args->force, .reboot = true, .timeout_us = args->timeout_s * G_USEC_PER_SEC};
  order.again = order.hard ? NULL : ask_agent; /* a machine on its way up is not to lose its power again */
  if (!begin(task, &order, error))
    return false;
  const WsHost *host = task_find_target(task, error);
  if (!host)
    return false;
  g_autofree char *boot = g_strdup_printf("%" G_GINT64_FORMAT, boot_time(host));
  g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT, ws_clock_wall_us(order.center->clock));
  order.begun_us = g_ascii_strtoll(task_choose(task, "begun", now), NULL, 10);
  order.boot_us = g_ascii_strtoll(task_choose(task, "boot_time", boot), NULL, 10);
  return (order.hard ? TASK_STEP(task, "cycle the power", cycle_power, NULL, &order, error)
                     : TASK_STEP(task, "ask its agent", ask_agent, NULL, &order, error)) &&
         TASK_LAST(task, "wait until it is back", await_back, &order, error);
}

/* Chosen once: settings may change while it waits. */
static bool by_bmc(Task *task, const WsHost *host, const WsHostPowerOn *args)
{
  bool bmc = args->how == WS_HOST_POWER_ON_HOW_BMC || (args->how != WS_HOST_POWER_ON_HOW_WAKE_ON_LAN && bmc_is_set(host));
  return strcmp(task_choose(task, "way", bmc ? "bmc" : "wake"), "bmc") == 0;
}

bool host_power_on(Task *task, GError **error)
{
  const WsHostPowerOn *args = task_args(task);
  Order order = {.center = task_center(task), .host = task_target(task), .timeout_us = args->timeout_s * G_USEC_PER_SEC};
  const WsHost *host = task_find_target(task, error);
  TaskLockRef lock = {&ws_type_host, order.host, false};
  if (!host)
    return false;
  bool bmc = by_bmc(task, host, args);
  order.again = bmc ? give_power : wake;
  if (!task_is_resumed(task) && bmc && !bmc_is_set(host))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", "switch on", "reason", "it has no BMC settings", NULL);
  if (!task_is_resumed(task) && !bmc && !check_wake(order.center, task_snapshot(task), host, error))
    return false;
  return task_lock(task, &lock, 1, error) &&
         (bmc ? TASK_STEP(task, "switch on", give_power, NULL, &order, error)
              : TASK_STEP(task, "send the magic packet", wake, NULL, &order, error)) &&
         TASK_LAST(task, "wait for its agent", await_back, &order, error);
}

/* ---- asking only ---- */

static bool read_power(Task *task, void *ctx, GError **error)
{
  const Order *order = ctx;
  g_autoptr(WsHost) host = host_now(order, error);
  bool on;
  if (!host || !bmc_do(order->center, host, BMC_STATUS, &on, task_cancel_flag(task), error))
    return false;
  note_power(task, order, on ? WS_HOST_POWER_STATE_ON : WS_HOST_POWER_STATE_OFF, WS_HOST_POWER_SOURCE_BMC);
  return true;
}

bool host_check_power(Task *task, GError **error)
{
  Order order = {.center = task_center(task), .host = task_target(task)};
  const WsHost *host = task_find_target(task, error);
  TaskLockRef lock = {&ws_type_host, order.host, true};
  if (!host)
    return false;
  if (!task_is_resumed(task) && !bmc_is_set(host))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", "tell its power", "reason", "it has no BMC settings", NULL);
  return task_lock(task, &lock, 1, error) && TASK_LAST(task, "ask its BMC", read_power, &order, error);
}

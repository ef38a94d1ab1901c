// SPDX-License-Identifier: Apache-2.0
/* The keeper: a thread that sees to it that what was applied stays so. It waits for Open vSwitch (its socket), the kernel (links and
 * addresses), leases (inotify on the state directory) and its interval; work is done under the network's lock. */
#include "base/error.h"
#include "base/log.h"
#include "host/network/bridge.h"
#include "host/network/dhcp.h"
#include "host/network/netlink.h"
#include "host/network/network-private.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

struct Keeper {
  Network *network;
  Ovsdb *db;   /* NULL: away */
  bool behind; /* something was not made so: try again at the next interval */
  char *told_version;
  int events_fd, inotify_fd, wake_fd;
  gint stop;
  GThread *thread;
};

/* ---- reports ---- */

static void report_failure(Network *network, Switch *s, const GError *error)
{
  if (s->told_failed == (error != NULL) || !network->config.switch_changed)
    return;
  s->told_failed = error != NULL;
  WsRpcNetworkSwitchChanged *changed = ws_rpc_network_switch_changed_new();
  changed->switch_ = s->wanted->switch_;
  changed->failed = error != NULL;
  changed->reason = error ? g_strdup(ws_error_cause(error) ? ws_error_cause(error) : error->message) : NULL;
  network_read_uplinks(s->wanted, (WsArray *)(void *)&changed->uplink_states);
  network->config.switch_changed(changed, network->config.arg);
}

static void report_uplinks(Network *network)
{
  GHashTableIter iter;
  Switch *s;
  g_hash_table_iter_init(&iter, network->switches);
  while (network->config.switch_changed && g_hash_table_iter_next(&iter, NULL, (gpointer *)&s)) {
    g_autoptr(WsRpcNetworkSwitchChanged) changed = ws_rpc_network_switch_changed_new();
    changed->switch_ = s->wanted->switch_;
    network_read_uplinks(s->wanted, (WsArray *)(void *)&changed->uplink_states);
    gsize n;
    char *text = ws_object_to_json(&ws_type_rpc_network_switch_changed, changed, WS_WRITE_PEER, &n);
    bool news = s->told_uplinks && strcmp(text, s->told_uplinks) != 0; /* the first was the answer of apply */
    g_free(s->told_uplinks);
    s->told_uplinks = text;
    if (news)
      network->config.switch_changed(g_steal_pointer(&changed), network->config.arg);
  }
}

static guint hash_leases(GPtrArray *leases)
{
  guint hash = 5381;
  for (guint i = 0; i < leases->len; i++) {
    const WsPortGroupLease *l = leases->pdata[i];
    hash = hash * 33 + g_str_hash(l->mac) * 7 + g_str_hash(l->address) + g_int64_hash(&l->expires) +
           (l->hostname ? g_str_hash(l->hostname) : 0);
  }
  return hash;
}

static void report_leases(Network *network)
{
  GHashTableIter iter;
  PortGroup *g;
  g_hash_table_iter_init(&iter, network->groups);
  while (network->config.leases_changed && g_hash_table_iter_next(&iter, NULL, (gpointer *)&g)) {
    if (!network_has_dhcp(g))
      continue;
    g_autoptr(GPtrArray) leases = dhcp_leases(network->state_dir, g->name);
    guint hash = hash_leases(leases);
    if (hash == g->leases_hash || (g->leases_hash == 0 && leases->len == 0))
      continue;
    g->leases_hash = hash;
    network->config.leases_changed(g->wanted->port_group, leases, network->config.arg);
  }
}

/* ---- making it so again ---- */

static bool make_switches(Keeper *keeper)
{
  Network *network = keeper->network;
  GHashTableIter iter;
  Switch *s;
  bool all = true;
  g_hash_table_iter_init(&iter, network->switches);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&s)) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsRpcNetworkSwitchApplyResult) result = ws_rpc_network_switch_apply_result_new();
    if (!network_make_switch(network, keeper->db, s->wanted, result, &error)) {
      if (!s->told_failed)
        ws_log_error(WS_LOG_WARNING, "switch-not-applied", error, "bridge", s->wanted->bridge, NULL);
      all = false;
    }
    report_failure(network, s, error);
  }
  return all;
}

/* Is all of a port group that can get lost still there? */
static bool stands(Network *network, const PortGroup *g)
{
  return !g->has_subnet || (netlink_is_set(g->name, g->subnet.gateway, g->subnet.prefix) &&
                            (!network_has_dhcp(g) || dhcp_is_running(network->state_dir, g->name)));
}

static bool make_port_groups(Keeper *keeper, bool only_fallen)
{
  Network *network = keeper->network;
  GHashTableIter iter;
  PortGroup *g;
  bool all = true;
  g_hash_table_iter_init(&iter, network->groups);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&g)) {
    g_autoptr(GError) error = NULL;
    if (only_fallen && stands(network, g))
      continue;
    bool made = network_make_port_group(network, keeper->db, g, &error);
    if (made)
      ws_log(WS_LOG_NOTICE, "port-group-applied", "port_group", g->name, NULL);
    else if (!g->told_failed) /* tried again every interval, said once */
      ws_log_error(WS_LOG_WARNING, "port-group-not-applied", error, "port_group", g->name, NULL);
    g->told_failed = !made;
    all &= made;
  }
  return all;
}

/* Open vSwitch is there: for the first time in our life, or again. */
static void on_connected(Keeper *keeper)
{
  Network *network = keeper->network;
  g_autoptr(GError) error = NULL;
  bool made = make_switches(keeper);
  made = make_port_groups(keeper, false) && made;
  /* Only what we have brings our table in: a host without our networks keeps its firewall as it is. */
  if (g_hash_table_size(network->groups) > 0 && !network_make_nat(network, &error)) {
    ws_log_error(WS_LOG_WARNING, "nat-not-applied", error, NULL);
    made = false;
  }
  keeper->behind = !made;
}

static void disconnected(Keeper *keeper)
{
  g_clear_pointer(&keeper->db, ovsdb_free);
  ws_log(WS_LOG_WARNING, "ovs-lost", NULL);
}

static void report_version(Keeper *keeper)
{
  g_autofree char *version = keeper->db ? g_strdup(ovsdb_version(keeper->db)) : NULL;
  if (keeper->db && !version)
    version = keeper->told_version ? g_strdup(keeper->told_version) : ovsdb_ask_version(keeper->network->ovsdb_socket);
  if (g_strcmp0(version, keeper->told_version) == 0 || !keeper->network->config.version_changed)
    return;
  g_free(keeper->told_version);
  keeper->told_version = g_steal_pointer(&version);
  keeper->network->config.version_changed(keeper->told_version, keeper->network->config.arg);
}

static void look(Keeper *keeper)
{
  Network *network = keeper->network;
  g_mutex_lock(&network->lock);
  if (!keeper->db && (keeper->db = ovsdb_connect(network->ovsdb_socket, NULL)))
    on_connected(keeper);
  else if (keeper->db && keeper->behind)
    on_connected(keeper);
  else if (keeper->db)
    keeper->behind = !make_port_groups(keeper, true);
  if (keeper->db && ovsdb_fd(keeper->db) < 0)
    disconnected(keeper);
  report_version(keeper);
  report_uplinks(network);
  report_leases(network);
  g_mutex_unlock(&network->lock);
}

/* ---- the thread ---- */

static void drain(int fd)
{
  char buf[4096];
  while (read(fd, buf, sizeof buf) > 0)
    ;
}

static gpointer keeper_thread(gpointer data)
{
  Keeper *keeper = data;
  while (!g_atomic_int_get(&keeper->stop)) {
    look(keeper);
    struct pollfd fds[] = {{keeper->wake_fd, POLLIN, 0},
                           {keeper->events_fd, POLLIN, 0},
                           {keeper->inotify_fd, POLLIN, 0},
                           {keeper->db ? ovsdb_fd(keeper->db) : -1, POLLIN, 0}};
    if (poll(fds, G_N_ELEMENTS(fds), (int)keeper->network->interval_ms) <= 0)
      continue;
    drain(keeper->wake_fd);
    drain(keeper->inotify_fd);
    if (fds[1].revents)
      netlink_drain_events(keeper->events_fd);
    if (fds[3].revents && !ovsdb_pump(keeper->db))
      disconnected(keeper);
  }
  return NULL;
}

Keeper *keeper_new(Network *network)
{
  Keeper *keeper = g_new0(Keeper, 1);
  keeper->network = network;
  keeper->events_fd = netlink_open_events();
  keeper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  keeper->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  inotify_add_watch(keeper->inotify_fd, network->state_dir,
                    IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
  keeper->thread = g_thread_new("network-keeper", keeper_thread, keeper);
  return keeper;
}

void keeper_wake(Keeper *keeper)
{
  guint64 one = 1;
  if (write(keeper->wake_fd, &one, sizeof one) < 0)
    g_warn_if_fail(errno == EAGAIN); /* already awake */
}

void keeper_free(Keeper *keeper)
{
  if (!keeper)
    return;
  g_atomic_int_set(&keeper->stop, 1);
  keeper_wake(keeper);
  g_thread_join(keeper->thread);
  ovsdb_free(keeper->db);
  g_free(keeper->told_version);
  if (keeper->events_fd >= 0)
    close(keeper->events_fd);
  close(keeper->inotify_fd);
  close(keeper->wake_fd);
  g_free(keeper);
}

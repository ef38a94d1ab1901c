// SPDX-License-Identifier: Apache-2.0
/* The links of the host agents: accepted on the I/O thread, lived on the core loop. See hosts.h.
 *
 * A host has at most one link: a new one from the same host replaces the old, which may be a dead TCP connection that has not
 * been noticed yet. */
#include "base/log.h"
#include "base/plant.h"
#include "center/api/fixed.h"
#include "center/hosts/hosts.h"
#include "model/model.h"
#include "rpc/methods.h"

typedef struct {
  Center *center;
  WsId host;
  RpcLink *link;
  char *address;
  bool came_with_new; /* with its present certificate, not the one before */
  bool replaced;
  GHashTable *looks; /* see hosts_looks() */
  guint flips;       /* how often links from two addresses have taken each other's place, since flips_us */
  gint64 flips_us;
  char *other;       /* the address before, when flips > 0 */
} Peer;

struct HostLinks {
  GHashTable *peers; /* host id -> Peer */
  GPtrArray *resyncs; /* HostResync */
  GPtrArray *downs;   /* HostDown */
  GHashTable *catching_up; /* ids of hosts that are read anew soon */
};

static void peer_free(void *arg)
{
  Peer *peer = arg;
  rpc_link_unref(peer->link);
  g_hash_table_unref(peer->looks);
  g_free(peer->address);
  g_free(peer->other);
  g_free(peer);
}

HostLinks *hosts_new(Center *center)
{
  HostLinks *links = g_new0(HostLinks, 1);
  links->peers = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, NULL);
  links->resyncs = g_ptr_array_new();
  links->downs = g_ptr_array_new();
  links->catching_up = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  return links;
}

void hosts_free(HostLinks *links)
{
  GHashTableIter iter;
  void *value;
  if (!links)
    return;
  g_hash_table_iter_init(&iter, links->peers);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    Peer *peer = value;
    peer->replaced = true; /* the manager stops: the host is not lost */
    rpc_link_close(peer->link, "the manager stops");
  }
  g_hash_table_unref(links->peers);
  g_ptr_array_unref(links->resyncs);
  g_ptr_array_unref(links->downs);
  g_hash_table_unref(links->catching_up);
  g_free(links);
}

static Peer *find_peer(Center *center, WsId host)
{
  return g_hash_table_lookup(center->links->peers, &host);
}

bool hosts_is_connected(Center *center, WsId host)
{
  Peer *peer = find_peer(center, host);
  return peer && rpc_link_is_up(peer->link);
}

GHashTable *hosts_looks(Center *center, WsId host)
{
  Peer *peer = find_peer(center, host);
  return peer ? peer->looks : NULL;
}

static const char *host_name(const InvSnapshot *snap, WsId id, char *buffer)
{
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  return host ? host->name : ws_id_format(ws_type_host.prefix, id, buffer);
}

RpcLink *hosts_link(Center *center, WsId host, GError **error)
{
  Peer *peer = find_peer(center, host);
  if (peer && rpc_link_is_up(peer->link))
    return peer->link;
  char id[WS_ID_TEXT_MAX];
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const char *name = host_name(snap, host, id);
  if (inv_find(snap, &ws_type_host, host))
    ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", name, NULL);
  else
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", name, NULL);
  return NULL;
}

WsId hosts_of_link(Center *center, RpcLink *link)
{
  GHashTableIter iter;
  void *value;
  g_hash_table_iter_init(&iter, center->links->peers);
  while (g_hash_table_iter_next(&iter, NULL, &value))
    if (((Peer *)value)->link == link)
      return ((Peer *)value)->host;
  return 0;
}

Center *hosts_center_of_call(RpcCall *call)
{
  return ((Peer *)rpc_link_arg(rpc_call_link(call)))->center;
}

WsId hosts_of_call(RpcCall *call)
{
  return ((Peer *)rpc_link_arg(rpc_call_link(call)))->host;
}

void hosts_add_resync(Center *center, HostResync func)
{
  g_ptr_array_add(center->links->resyncs, func);
}

void hosts_add_down(Center *center, HostDown func)
{
  g_ptr_array_add(center->links->downs, func);
}

/* ---- the Host object follows its link ---- */

void hosts_set_power(WsHost *host, int state, int source, gint64 now_us)
{
  if (!host->power)
    host->power = ws_host_power_new();
  host->power->state = state;
  host->power->source = source;
  host->power->checked = now_us;
}

/* renewed: it has come with its present certificate, so the one before is done with. */
/* false: it could not be recorded (a full disk); to be tried again. */
/* again: it may be recorded as it is already, and is then since when it was. misfit: why its agent's protocol is none of ours; NULL: it may be. */
static bool set_connection(Center *center, WsId id, bool up, bool again, bool renewed, const char *address, const char *misfit)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsHost *host = inv_edit_id(txn, &ws_type_host, id);
  gint64 now = ws_clock_wall_us(center->clock);
  if (!host)
    return true;
  if (!host->connection)
    host->connection = ws_host_connection_new();
  int connection = up ? WS_HOST_CONNECTION_STATE_UP : WS_HOST_CONNECTION_STATE_DOWN;
  if (!again || (int)host->connection->state != connection)
    host->connection->since = now;
  host->connection->state = connection;
  int state = up ? WS_HOST_STATE_CONNECTED : misfit ? WS_HOST_STATE_INCOMPATIBLE : WS_HOST_STATE_LOST;
  if (!up && again && host->state == WS_HOST_STATE_INCOMPATIBLE)
    state = WS_HOST_STATE_INCOMPATIBLE;
  else {
    g_free(host->connection->reason);
    host->connection->reason = up ? NULL : g_strdup(misfit ? misfit : "the link is down");
  }
  if ((int)host->state != state)
    host->state_since = now;
  host->state = state;
  if (up)
    hosts_set_power(host, WS_HOST_POWER_STATE_ON, WS_HOST_POWER_SOURCE_AGENT, now);
  if (renewed)
    g_clear_pointer(&host->previous_serial, g_free);
  if (address) {
    g_free(host->address);
    host->address = g_strdup(address);
  }
  if (inv_commit(txn, NULL, &error))
    return true;
  ws_log_error(WS_LOG_WARNING, "host-state-not-recorded", error, NULL);
  return false;
}

bool hosts_resync(Center *center, WsId host, GError **error)
{
  bool all = true;
  for (guint i = 0; i < center->links->resyncs->len; i++) {
    g_autoptr(GError) failed = NULL;
    RpcLink *link = hosts_link(center, host, error);
    if (!link)
      return false;
    g_autoptr(RpcLink) keep = rpc_link_ref(link); /* they wait, and the host may go meanwhile */
    if (((HostResync)center->links->resyncs->pdata[i])(center, host, link, &failed))
      continue;
    char id[WS_ID_TEXT_MAX];
    ws_log_error(WS_LOG_WARNING, "host-resync", failed, "host", ws_id_format("host", host, id), NULL);
    if (all && error && !*error)
      g_propagate_error(error, g_steal_pointer(&failed));
    all = false;
  }
  return all;
}

typedef struct {
  Center *center;
  WsId host;
  bool again; /* what its link's beginning or end brought is looked at anew */
  char *misfit; /* of its end; NULL: another reason */
} HostJob;

#define CATCH_UP_US (10 * (gint64)G_USEC_PER_SEC)

static void catch_up(void *arg);

/* What could not be recorded or read now is tried again, as long as it is so: a host that is there must not stay lost, nor what is known
 * of it stay old, because a disk was full or a call failed when it came. */
void hosts_catch_up(Center *center, WsId host)
{
  if (!g_hash_table_add(center->links->catching_up, g_memdup2(&host, sizeof host)))
    return;
  HostJob *job = g_new(HostJob, 1);
  *job = (HostJob){center, host, true, NULL};
  ws_loop_after(center->loop, CATCH_UP_US, catch_up, job);
}

static void follow_up(void *arg)
{
  g_autofree HostJob *job = arg;
  Peer *peer = find_peer(job->center, job->host);
  if (!peer)
    return;
  g_autofree char *address = g_strdup(peer->address);
  bool known = set_connection(job->center, job->host, true, job->again, peer->came_with_new, address, NULL);
  center_alarm_close(job->center, &ws_type_host, job->host, "host_lost");
  if (!job->again)
    center_event(job->center, CENTER_INFO, &ws_type_host, job->host, "host report", "host_connected", "address", address, NULL);
  if (SIM_PLANT(host_not_read))
    return;
  if ((!hosts_resync(job->center, job->host, NULL) || !known) && !SIM_PLANT(host_stays_lost))
    hosts_catch_up(job->center, job->host);
  task_engine_retry_now(job->center->tasks); /* what waited for this host */
}

static void follow_down(void *arg)
{
  g_autofree HostJob *job = arg;
  g_autofree char *misfit = job->misfit;
  if (hosts_is_connected(job->center, job->host))
    return; /* back again meanwhile */
  if (!set_connection(job->center, job->host, false, job->again, false, NULL, misfit))
    hosts_catch_up(job->center, job->host);
  center_alarm_open(job->center, CENTER_MAJOR, &ws_type_host, job->host, "host_lost");
  for (guint i = 0; i < job->center->links->downs->len; i++)
    ((HostDown)job->center->links->downs->pdata[i])(job->center, job->host);
}

static void start_job(Peer *peer, WsCoFunc func, const char *misfit)
{
  HostJob *job = g_new(HostJob, 1);
  *job = (HostJob){peer->center, peer->host, false, g_strdup(misfit)};
  ws_co_start(peer->center->loop, func, job);
}

static void catch_up_now(void *arg)
{
  const HostJob *job = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(job->center->inventory);
  if (!inv_find(snap, &ws_type_host, job->host))
    g_free(arg); /* removed meanwhile */
  else if (hosts_is_connected(job->center, job->host))
    follow_up(arg);
  else
    follow_down(arg);
}

static void catch_up(void *arg)
{
  HostJob *job = arg;
  g_hash_table_remove(job->center->links->catching_up, &job->host);
  ws_co_start(job->center->loop, catch_up_now, job);
}

/* One that was there when the manager stopped, and did not come back to it: nobody heard its link end. */
#define COMES_BACK_US (120 * (gint64)G_USEC_PER_SEC)

typedef struct {
  gint64 before_us; /* wall: links that were down then already */
  GArray *ids;
} LostLook;

static bool look_for_lost(const void *object, void *arg)
{
  const WsHost *host = object;
  LostLook *look = arg;
  if (host->state == WS_HOST_STATE_LOST && host->connection && host->connection->since < look->before_us)
    g_array_append_val(look->ids, host->id);
  return true;
}

void hosts_tell_lost(Center *center)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  LostLook look = {ws_clock_wall_us(center->clock) - COMES_BACK_US, ids};
  InvSnapshot *head = inv_head(center->inventory);
  inv_each(head, &ws_type_host, look_for_lost, &look);
  inv_snapshot_unref(head); /* not kept while waiting */
  for (guint i = 0; i < ids->len; i++) {
    WsId host = g_array_index(ids, WsId, i);
    if (center_alarm_is_open(center, &ws_type_host, host, "host_lost"))
      continue;
    HostJob *job = g_new(HostJob, 1);
    *job = (HostJob){center, host, true, NULL};
    catch_up_now(job);
  }
}

static void on_up(RpcLink *link, void *arg)
{
  start_job(arg, follow_up, NULL);
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  Peer *peer = arg;
  char id[WS_ID_TEXT_MAX];
  ws_log(WS_LOG_NOTICE, "host-link-down", "host", ws_id_format("host", peer->host, id), "reason", reason, NULL);
  if (!peer->replaced) {
    g_hash_table_remove(peer->center->links->peers, &peer->host);
    start_job(peer, follow_down, rpc_link_misfits(link) ? reason : NULL);
  }
  peer_free(peer);
}

void hosts_disconnect(Center *center, WsId host, const char *reason)
{
  Peer *peer = find_peer(center, host);
  if (peer)
    rpc_link_close(peer->link, reason);
}

/* ---- arrival ---- */

#define FLIPS_MAX 3 /* a host that moves to another address does so once */
#define FLIPS_US  (120 * (gint64)G_USEC_PER_SEC)

static void tell_twice(void *arg)
{
  g_autofree HostJob *job = arg;
  const Peer *peer = find_peer(job->center, job->host);
  if (!peer || center_alarm_is_open(job->center, &ws_type_host, job->host, "host_twice"))
    return;
  center_event(job->center, CENTER_CRITICAL, &ws_type_host, job->host, "host report", "host_twice", "address", peer->address, "other",
               peer->other, NULL);
  center_alarm_open(job->center, CENTER_CRITICAL, &ws_type_host, job->host, "host_twice");
}

/* A machine that was cloned with its agent's state comes with the same certificate: the two push each other out, again and again. */
static void watch_for_clones(Peer *peer, const Peer *old)
{
  gint64 now_us = ws_clock_monotonic_us(peer->center->clock);
  if (g_strcmp0(peer->address, old->address) == 0)
    return;
  bool recent = old->flips && now_us - old->flips_us < FLIPS_US;
  peer->flips = recent ? old->flips + 1 : 1;
  peer->flips_us = recent ? old->flips_us : now_us;
  peer->other = g_strdup(old->address);
  if (peer->flips >= FLIPS_MAX)
    start_job(peer, tell_twice, NULL);
}

static void admit(void *arg)
{
  Peer *peer = arg;
  HostLinks *links = peer->center->links;
  Peer *old = g_hash_table_lookup(links->peers, &peer->host);
  if (old) {
    watch_for_clones(peer, old);
    old->replaced = true;
    g_hash_table_remove(links->peers, &peer->host);
    rpc_link_close(old->link, "replaced by a new link");
  }
  g_hash_table_insert(links->peers, &peer->host, peer);
}

static bool is_serial(const char *known, const char *serial)
{
  return known && serial && g_ascii_strcasecmp(known, serial) == 0;
}

bool hosts_certificate_valid(Center *center, const char *cn, const char *serial, WsId *id)
{
  if (!cn || !serial || !ws_id_parse(ws_type_host.prefix, cn, id))
    return false;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, *id);
  return host && host->certificate && (is_serial(host->certificate->serial, serial) || is_serial(host->previous_serial, serial));
}

static bool has_present_certificate(Center *center, ApiCall *call)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, call->target);
  return host && host->certificate && is_serial(host->certificate->serial, http_call_peer_serial(call->http));
}

/* Any thread; the core loop's own from admit() on. */
static Peer *peer_new(Center *center, WsId host, const char *address)
{
  static const RpcEvents events = {.up = on_up, .down = on_down};
  char id[WS_ID_TEXT_MAX];
  Peer *peer = g_new0(Peer, 1);
  peer->center = center;
  peer->host = host;
  peer->address = g_strdup(address);
  peer->looks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  peer->link = rpc_link_new(center->loop, rpc_center_services, rpc_n_center_services, &events, peer);
  rpc_link_set_peer(peer->link, ws_id_format(ws_type_host.prefix, host, id));
  return peer;
}

RpcLink *hosts_admit(Center *center, WsId host, const char *address)
{
  Peer *peer = peer_new(center, host, address);
  admit(peer);
  return rpc_link_ref(peer->link);
}

void fixed_agent(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  Center *center = call->center;
  if (!http_call_wants_upgrade(call->http)) {
    ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "Upgrade", "expected", "a WebSocket handshake", NULL);
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
    api_call_free(call);
    return;
  }
  Peer *peer = peer_new(center, call->target, http_call_peer_address(call->http));
  peer->came_with_new = has_present_certificate(center, call);
  g_autoptr(RpcLink) link = rpc_link_ref(peer->link);
  ws_loop_post(center->loop, admit, peer, NULL);
  rpc_link_upgrade(link, call->http, NULL);
  api_call_free(call);
}

// SPDX-License-Identifier: Apache-2.0
/* Housekeeping. See sweep.h. */
#include "center/sweep.h"
#include "center/api/idempotency.h"
#include "center/auth/audit.h"
#include "center/bin.h"
#include "center/compute/trouble.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/operate/backup.h"
#include "center/operate/retention.h"
#include "center/pki.h"
#include "center/pools.h"
#include "center/quota.h"
#include "model/model.h"

#define SWEEP_US (60 * (gint64)G_USEC_PER_SEC)
#define WATCH_STORE_US (2 * (gint64)G_USEC_PER_SEC)

typedef struct {
  gint64 now;
  gint64 started;
  gint64 idle_us;
  const WsType *type;
  const WsField *expires;
  GArray *ids;
} Expired;

static bool look(const void *object, void *arg)
{
  Expired *expired = arg;
  const WsResource *resource = object;
  gint64 end = *(gint64 *)ws_field_at(expired->expires, object);
  if (expired->type == &ws_type_session) {
    const WsSession *session = object;
    end = MIN(end, MAX(MAX(session->last_used, session->created), expired->started) + expired->idle_us);
  }
  if (end <= expired->now)
    g_array_append_val(expired->ids, resource->id);
  return expired->ids->len < 1000;
}

static void drop_expired(Center *center, const WsType *type)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  Expired expired = {
      .now = ws_clock_wall_us(center->clock),
      .started = center->started_us,
      .idle_us = (gint64)center->config.session_idle_s * G_USEC_PER_SEC,
      .type = type,
      .expires = ws_type_field(type, "expires", 7),
      .ids = ids,
  };
  inv_each(head, type, look, &expired);
  if (!ids->len)
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < ids->len; i++)
    inv_delete(txn, type, g_array_index(ids, WsId, i));
  inv_commit(txn, NULL, NULL);
}

static void sweep(void *arg)
{
  Center *center = arg;
  drop_expired(center, &ws_type_session);
  drop_expired(center, &ws_type_api_token);
  drop_expired(center, &ws_type_join_token);
  idempotency_expire(center);
  retention_tick(center);
  audit_expire(center);
  backup_tick(center);
  center_pki_renew(center);
  hosts_check_certificates(center);
  center_alarms_close_orphans(center);
  leftovers_clean(center);
  bin_watch(center);
  pools_watch_fill(center);
  quota_watch(center);
  troubles_watch(center);
  hosts_tell_lost(center);
}

/* A full disk is told at once, not with the next sweep: until it has room everything that would change something is refused. */
static void watch_store(void *arg)
{
  Center *center = arg;
  if (store_state(center->store) == STORE_WRITABLE)
    center_alarm_close(center, NULL, 0, "store_read_only");
  else
    center_alarm_open(center, CENTER_CRITICAL, NULL, 0, "store_read_only");
}

static void on_store_timer(void *arg)
{
  Center *center = arg;
  center->store_timer = ws_loop_after(center->loop, WATCH_STORE_US, on_store_timer, center);
  ws_co_start(center->loop, watch_store, center);
}

/* Short lives of certificates are looked after in time. */
static gint64 pause_us(const Center *center)
{
  gint64 life_s = MIN(center->config.server_cert_life_s, center->config.host_cert_life_s);
  return CLAMP(life_s * G_USEC_PER_SEC / 20, G_USEC_PER_SEC / 2, SWEEP_US);
}

static void on_timer(void *arg)
{
  Center *center = arg;
  center->sweep_timer = ws_loop_after(center->loop, pause_us(center), on_timer, center);
  ws_co_start(center->loop, sweep, center);
}

void sweep_start(Center *center)
{
  center->store_timer = ws_loop_after(center->loop, WATCH_STORE_US, on_store_timer, center);
  center->sweep_timer = ws_loop_after(center->loop, pause_us(center), on_timer, center);
}

void sweep_stop(Center *center)
{
  g_clear_pointer(&center->sweep_timer, ws_timer_cancel);
  g_clear_pointer(&center->store_timer, ws_timer_cancel);
}

// SPDX-License-Identifier: Apache-2.0
/* Certificates of hosts in the course of time: renewed over the link, watched for those that are not. See hosts.h.
 *
 * A host asks at two thirds of a certificate's life, and again until it succeeds. One whose certificate has expired all the same (switched off for
 * a year) is refused at the door; it comes back by a join token that names it (enrol.c). */
#include "center/center.h"
#include "center/hosts/hosts.h"
#include "center/pki.h"
#include "model/model.h"
#include "rpc/methods.h"

#define KIND "certificate_expiring"

/* ---- the agent asks over its link ---- */

bool serve_host_renew_certificate(RpcCall *call, const WsRpcHostRenewCertificate *params,
                                  WsRpcHostRenewCertificateResult **result, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_auto(CenterCertificate) cert = {.host = hosts_of_call(call)};
  if (!center_pki_issue_host(center, params->csr, &cert, error))
    return false;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsHost *host = inv_edit_id(txn, &ws_type_host, cert.host);
  if (!host)
    return ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the host is not in the inventory any more", NULL);
  if (!host->certificate)
    host->certificate = ws_host_certificate_new();
  /* The old one stays good until the host has come with the new one: the answer may be lost. */
  g_free(host->previous_serial);
  host->previous_serial = g_strdup(host->certificate->serial);
  g_free(host->certificate->serial);
  host->certificate->serial = g_strdup(cert.serial);
  host->certificate->not_after = cert.not_after_us;
  if (!inv_commit(txn, NULL, error))
    return false;
  *result = ws_rpc_host_renew_certificate_result_new();
  (*result)->certificate = g_strdup(cert.pem);
  return true;
}

/* ---- those that did not ---- */

typedef struct {
  gint64 limit_us; /* a certificate that ends before is late */
  GArray *late;    /* WsId */
} Late;

static bool look_at_host(const void *object, void *arg)
{
  const WsHost *host = object;
  Late *late = arg;
  if (host->certificate && host->certificate->not_after < late->limit_us)
    g_array_append_val(late->late, host->id);
  return true;
}

static bool is_late(const Late *late, WsId host)
{
  for (guint i = 0; i < late->late->len; i++)
    if (g_array_index(late->late, WsId, i) == host)
      return true;
  return false;
}

typedef struct {
  const Late *late;
  GArray *over; /* WsId: alarms whose host is fine again */
} Over;

static bool look_at_alarm(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  Over *over = arg;
  if (alarm->object.type == &ws_type_host && g_strcmp0(alarm->kind, KIND) == 0 && !is_late(over->late, alarm->object.id))
    g_array_append_val(over->over, alarm->object.id);
  return true;
}

void hosts_check_certificates(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId)), good = g_array_new(FALSE, FALSE, sizeof(WsId));
  Late late = {ws_clock_wall_us(center->clock) + center->config.host_cert_life_s * G_USEC_PER_SEC / 6, ids};
  Over over = {&late, good};
  inv_each(head, &ws_type_host, look_at_host, &late);
  inv_each(head, &ws_type_alarm, look_at_alarm, &over);
  for (guint i = 0; i < ids->len; i++)
    center_alarm_open(center, CENTER_MAJOR, &ws_type_host, g_array_index(ids, WsId, i), KIND);
  for (guint i = 0; i < good->len; i++)
    center_alarm_close(center, &ws_type_host, g_array_index(good, WsId, i), KIND);
}

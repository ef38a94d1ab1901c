// SPDX-License-Identifier: Apache-2.0
/* What people tell DRS: accept one, accept all, look now. See drs.h. Core loop. */
#include "base/log.h"
#include "center/api/allowed.h"
#include "center/api/call.h"
#include "center/cluster/drs.h"
#include "center/verbs.h"

static void accept(ApiCall *call, WsDrsRecommendation *advice)
{
  advice->state = WS_DRS_RECOMMENDATION_STATE_ACCEPTED;
  g_free(advice->by);
  advice->by = g_strdup(api_call_identity(call)->name);
}

bool drs_recommendation_accept(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsDrsRecommendation *seen = api_call_find_target(call, head, error);
  if (!seen || !allowed_check("drs_recommendation_accept", seen, error))
    return false;
  WsId id = seen->id, cluster = seen->cluster;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"accept", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  accept(call, inv_edit(txn, seen));
  if (!api_call_commit(call, txn, error))
    return false;
  drs_apply(center, cluster);
  return api_call_answer_object(call, 200, &ws_type_drs_recommendation, id, error);
}

typedef struct {
  ApiCall *call;
  InvTxn *txn;
  int kind; /* as in the body; 0: both */
  gint64 n;
} AcceptAll;

static bool is_of(const WsDrsRecommendation *advice, int kind)
{
  return !kind || (kind == WS_DRS_RECOMMENDATION_ACCEPT_ALL_KIND_STORAGE) == (drs_kind_of(advice) == DRS_OF_STORAGE);
}

static bool accept_pending(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  AcceptAll *all = arg;
  if (advice->state == WS_DRS_RECOMMENDATION_STATE_PENDING && is_of(advice, all->kind)) {
    accept(all->call, inv_edit(all->txn, advice));
    all->n++;
  }
  return true;
}

static bool need_cluster(const InvSnapshot *head, WsId id, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  return inv_find(head, &ws_type_cluster, id) ||
         ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "cluster", "object", ws_id_format(ws_type_cluster.prefix, id, text), NULL);
}

bool drs_recommendation_accept_all(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsDrsRecommendationAcceptAll *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!need_cluster(head, body->cluster, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"accept", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  AcceptAll all = {call, txn, (int)body->kind, 0};
  inv_each_by(head, &ws_type_drs_recommendation, ws_type_field(&ws_type_drs_recommendation, "cluster", 7), body->cluster, NULL, accept_pending, &all);
  if (!api_call_commit(call, txn, error))
    return false;
  drs_apply(center, body->cluster);
  g_autoptr(WsDrsRecommendationAcceptAllResult) result = ws_drs_recommendation_accept_all_result_new();
  result->accepted = all.n;
  return api_call_answer_value(call, 200, &ws_type_drs_recommendation_accept_all_result, result);
}

bool drs_recommendation_refresh(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsDrsRecommendationRefresh *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  guint pending, accepted;
  if (!need_cluster(head, body->cluster, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"refresh", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call); /* the audit record */
  g_autoptr(GError) failed = NULL;
  if (!api_call_commit(call, txn, error))
    return false;
  if (!drs_look(center, body->cluster, true, &failed)) /* on record by now: it is looked at again in time */
    ws_log_error(WS_LOG_WARNING, "drs-did-not-look", failed, NULL);
  g_clear_error(&failed);
  if (!storage_drs_look(center, body->cluster, true, &failed))
    ws_log_error(WS_LOG_WARNING, "storage-drs-did-not-look", failed, NULL);
  g_autoptr(InvSnapshot) now = inv_snapshot(center->inventory);
  g_autoptr(WsDrsRecommendationRefreshResult) result = ws_drs_recommendation_refresh_result_new();
  result->pending = result->accepted = 0;
  for (DrsKind kind = 0; kind < DRS_N_KINDS; kind++) {
    drs_count(now, body->cluster, kind, &pending, &accepted);
    result->pending += pending;
    result->accepted += accepted;
  }
  return api_call_answer_value(call, 200, &ws_type_drs_recommendation_refresh_result, result);
}

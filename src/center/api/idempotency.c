// SPDX-License-Identifier: Apache-2.0
/* Idempotency keys. See idempotency.h. */
#include "center/api/idempotency.h"
#include "base/hash.h"

#define KEEP_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define ANSWER_MAX (256 * 1024) /* a longer answer is not replayed but read from the object */

static char *key_hash(ApiCall *call)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT ":%s", call->identity.user, call->idempotency_key);
  return ws_sha256_hex(text, strlen(text));
}

static bool answer_with_record(ApiCall *call, const WsIdempotencyKey *record)
{
  call->status = record->status;
  call->answer = record->answer ? g_string_new(record->answer) : NULL;
  return true;
}

/* The process died between the record and its answer: what is known of the call? */
static bool answer_cut_short(ApiCall *call, const InvSnapshot *head, bool *replayed, GError **error)
{
  const WsTask *task = inv_find_by(head, &ws_type_task, "idempotency_key", 0, call->idempotency_key);
  if (!task || task->user.id != call->identity.user)
    return true;
  *replayed = true;
  return api_call_answer_object(call, 202, &ws_type_task, task->id, error);
}

static bool record_start(ApiCall *call, const char *hash, GError **error)
{
  Center *center = call->center;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsIdempotencyKey *record = inv_create(txn, &ws_type_idempotency_key);
  WsId id = record->id;
  record->key_hash = g_strdup(hash);
  record->request_hash = g_strdup(call->request_hash);
  record->status = 0;
  record->expires = ws_clock_wall_us(center->clock) + KEEP_US;
  if (!inv_commit(txn, NULL, error))
    return false;
  call->idempotency_record = id;
  return true;
}

bool idempotency_begin(ApiCall *call, bool *replayed, GError **error)
{
  if (!call->idempotency_key || call->dry_run)
    return true;
  Center *center = call->center;
  g_autofree char *hash = key_hash(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsIdempotencyKey *record = inv_find_by(head, &ws_type_idempotency_key, "key_hash", 0, hash);
  if (!record)
    return record_start(call, hash, error);
  if (g_strcmp0(record->request_hash, call->request_hash) != 0)
    return ws_fail(error, WS_ERROR_IDEMPOTENCY_REUSED, NULL);
  if (record->status > 0) {
    *replayed = true;
    return answer_with_record(call, record);
  }
  bool from_this_run = record->expires - KEEP_US >= center->started_us;
  if (from_this_run)
    return ws_fail(error, WS_ERROR_BUSY, "object", "Idempotency-Key", "verb", call->route->operation, "task",
                   "the same request", NULL);
  call->idempotency_record = record->id;
  return answer_cut_short(call, head, replayed, error);
}

void idempotency_end(ApiCall *call, bool ok)
{
  if (!call->idempotency_record)
    return;
  g_autoptr(InvTxn) txn = inv_begin(call->center->inventory);
  if (!ok) {
    inv_delete(txn, &ws_type_idempotency_key, call->idempotency_record);
  } else {
    WsIdempotencyKey *record = inv_edit_id(txn, &ws_type_idempotency_key, call->idempotency_record);
    if (!record)
      return;
    record->status = call->status;
    g_free(record->answer);
    record->answer = call->answer && call->answer->len <= ANSWER_MAX ? g_strdup(call->answer->str) : NULL;
  }
  inv_commit(txn, NULL, NULL); /* failing to note it leaves the record open: a repeat is told so */
}

static bool collect_expired(const void *object, void *arg)
{
  const WsIdempotencyKey *record = object;
  GArray *ids = arg;
  gint64 now = g_array_index(ids, gint64, 0);
  if (record->expires <= now)
    g_array_append_val(ids, record->id);
  return ids->len < 1000;
}

void idempotency_expire(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
  gint64 now = ws_clock_wall_us(center->clock);
  g_array_append_val(ids, now);
  inv_each(head, &ws_type_idempotency_key, collect_expired, ids);
  if (ids->len == 1)
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 1; i < ids->len; i++)
    inv_delete(txn, &ws_type_idempotency_key, g_array_index(ids, WsId, i));
  inv_commit(txn, NULL, NULL);
}

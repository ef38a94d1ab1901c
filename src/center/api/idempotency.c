// SPDX-License-Identifier: Apache-2.0
/* Idempotency keys. See idempotency.h. */
#include "center/api/idempotency.h"
#include "base/plant.h"
#include "base/hash.h"

#define KEEP_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define ANSWER_MAX (256 * 1024) /* a longer one is read from the object; of a batch the short one is kept */
#define PRIVATE_MAX (16 * 1024)         /* a longer private answer is not kept, nor one beyond so many: the call is executed again */
#define PRIVATES_MAX 4096
#define RECORDS_MAX 100000              /* the oldest go when there are more: whoever floods it shortens the day, and fills no memory */
#define RECORDS_DROPPED 100             /* ... so many at a time */

static char *key_hash(ApiCall *call)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT ":%s", call->identity.user, call->idempotency_key);
  return ws_sha256_hex(text, strlen(text));
}

/* What was asked is not to be guessed from the record: it may hold a password, and a plain hash of one is tried a thousand million times a
 * second. The key itself stands nowhere. */
static char *stored_request_hash(const ApiCall *call)
{
  g_autofree char *text = g_strconcat(call->idempotency_key, "\n", call->request_hash, NULL);
  return ws_sha256_hex(text, strlen(text));
}

static bool is_same_request(const ApiCall *call, const WsIdempotencyKey *record)
{
  g_autofree char *hash = stored_request_hash(call);
  return g_strcmp0(record->request_hash, hash) == 0 || g_strcmp0(record->request_hash, call->request_hash) == 0; /* of an older manager */
}

/* ---- private answers: a new token, a picture of a screen. In memory only, never on disk ---- */

static void keep_private(Center *center, WsId record, const GString *answer)
{
  if (answer && answer->len <= PRIVATE_MAX && g_hash_table_size(center->keys_under_way) < PRIVATES_MAX)
    g_hash_table_insert(center->keys_under_way, g_memdup2(&record, sizeof record), g_strndup(answer->str, answer->len));
}

static void forget_private(Center *center, WsId record)
{
  if (g_hash_table_lookup(center->keys_under_way, &record))
    g_hash_table_remove(center->keys_under_way, &record);
}

static char *location_of(const char *object)
{
  const char *dash = object ? strchr(object, '-') : NULL;
  g_autofree char *prefix = dash ? g_strndup(object, (gsize)(dash - object)) : NULL;
  const WsType *type = prefix ? ws_type_by_prefix(prefix) : NULL;
  return type ? g_strdup_printf("/api/v1/%s/%s", type->plural, object) : NULL;
}

/* The same answer, with the same headers. */
static bool answer_with_record(ApiCall *call, const WsIdempotencyKey *record, const char *answer)
{
  call->status = record->status;
  call->answer = answer ? g_string_new(answer) : NULL;
  call->etag = record->etag == WS_INT_UNSET ? 0 : (Revision)record->etag;
  if (record->status == 201 || record->status == 202)
    call->location = location_of(record->object);
  return true;
}

/* It acted and was not heard: the object as it is now is the answer. */
static bool answer_with_object(ApiCall *call, const char *object, GError **error)
{
  g_auto(GStrv) parts = g_strsplit(object, "-", 2);
  const WsType *type = ws_type_by_prefix(parts[0]);
  WsId id = 0;
  if (call->route->kind == WS_ROUTE_DELETE)
    return api_call_answer_none(call);
  if (!type || !ws_id_parse(type->prefix, object, &id))
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", object, NULL);
  return api_call_answer_object(call, call->route->kind == WS_ROUTE_CREATE ? 201 : 200, type, id, error);
}

typedef struct {
  WsId user;
  const WsTask *task;
} TaskLook;

/* Two users may use the same words. */
static bool is_of_user(const void *object, void *arg)
{
  TaskLook *look = arg;
  if (((const WsTask *)object)->user.id == look->user)
    look->task = object;
  return !look->task;
}

/* No answer is on record, and nobody is at work: what is known of the call? */
static bool answer_cut_short(ApiCall *call, const InvSnapshot *head, const WsIdempotencyKey *record, bool *replayed, GError **error)
{
  TaskLook look = {call->identity.user, NULL};
  inv_each_by(head, &ws_type_task, ws_type_field(&ws_type_task, "idempotency_key", 15), 0, call->key_hash, is_of_user, &look);
  if (!look.task) /* of an older manager */
    inv_each_by(head, &ws_type_task, ws_type_field(&ws_type_task, "idempotency_key", 15), 0, call->idempotency_key, is_of_user, &look);
  *replayed = true;
  if (look.task)
    return api_call_answer_object(call, 202, &ws_type_task, look.task->id, error);
  if (record->object && call->identity.user) /* a login is tried again: what it made is of no use without its token */
    return answer_with_object(call, record->object, error);
  *replayed = false;
  return true;
}

static bool is_under_way(Center *center, WsId record)
{
  return g_hash_table_contains(center->keys_under_way, &record);
}

static void set_under_way(ApiCall *call, WsId record)
{
  call->idempotency_record = record;
  g_hash_table_insert(call->center->keys_under_way, g_memdup2(&record, sizeof record), NULL);
}

static bool collect_oldest(const void *object, void *arg)
{
  GArray *ids = arg;
  if (((const WsIdempotencyKey *)object)->status > 0)
    g_array_append_val(ids, ((const WsResource *)object)->id);
  return ids->len < RECORDS_DROPPED;
}

static void make_room(Center *center, InvTxn *txn)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  if (inv_count(head, &ws_type_idempotency_key) < RECORDS_MAX)
    return;
  inv_each(head, &ws_type_idempotency_key, collect_oldest, ids);
  for (guint i = 0; i < ids->len; i++) {
    inv_delete(txn, &ws_type_idempotency_key, g_array_index(ids, WsId, i));
    forget_private(center, g_array_index(ids, WsId, i));
  }
}

static bool record_start(ApiCall *call, const char *hash, GError **error)
{
  Center *center = call->center;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  make_room(center, txn);
  WsIdempotencyKey *record = inv_create(txn, &ws_type_idempotency_key);
  const WsId id = record->id;
  record->key_hash = g_strdup(hash);
  record->request_hash = stored_request_hash(call);
  record->status = 0;
  record->expires = ws_clock_wall_us(center->clock) + KEEP_US;
  set_under_way(call, id); /* at once: the commit waits, and a repeat may come meanwhile */
  if (inv_commit(txn, NULL, error))
    return true;
  g_hash_table_remove(center->keys_under_way, &id);
  call->idempotency_record = 0;
  return false;
}

bool idempotency_begin(ApiCall *call, bool *replayed, GError **error)
{
  if (!call->idempotency_key || call->dry_run)
    return true;
  Center *center = call->center;
  call->key_hash = key_hash(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsIdempotencyKey *record = inv_find_by(head, &ws_type_idempotency_key, "key_hash", 0, call->key_hash);
  if (!record)
    return record_start(call, call->key_hash, error);
  if (!is_same_request(call, record))
    return ws_fail(error, WS_ERROR_IDEMPOTENCY_REUSED, NULL);
  const char *private = g_hash_table_lookup(center->keys_under_way, &record->id);
  const char *answer = private ? private : record->answer;
  if (record->status > 0 && (answer || record->status == 204)) {
    *replayed = true;
    return answer_with_record(call, record, answer);
  }
  if (is_under_way(center, record->id))
    return ws_fail(error, WS_ERROR_BUSY, "object", "Idempotency-Key", "verb", call->route->operation, "task",
                   "the same request", NULL);
  if (!answer_cut_short(call, head, record, replayed, error))
    return false;
  if (!*replayed)
    set_under_way(call, record->id);
  return true;
}

void idempotency_note(ApiCall *call, InvTxn *txn, const char *object)
{
  WsIdempotencyKey *record =
      call->idempotency_record && object ? inv_edit_id(txn, &ws_type_idempotency_key, call->idempotency_record) : NULL;
  if (!record)
    return;
  g_free(record->object);
  record->object = g_strdup(object);
}

static const GString *answer_to_keep(const ApiCall *call)
{
  const GString *answer = call->answer;
  if (answer && answer->len > ANSWER_MAX)
    answer = call->answer_short;
  return answer && !call->answer_private && answer->len <= ANSWER_MAX ? answer : NULL;
}

void idempotency_end(ApiCall *call, bool ok)
{
  if (!call->idempotency_record)
    return;
  if (!SIM_PLANT(key_stays_busy) || ok)
    g_hash_table_remove(call->center->keys_under_way, &call->idempotency_record);
  g_autoptr(InvTxn) txn = inv_begin(call->center->inventory);
  if (SIM_PLANT(key_forgotten) || !ok) {
    inv_delete(txn, &ws_type_idempotency_key, call->idempotency_record);
  } else {
    WsIdempotencyKey *record = inv_edit_id(txn, &ws_type_idempotency_key, call->idempotency_record);
    if (!record)
      return;
    record->status = call->status;
    record->etag = (gint64)call->etag;
    if (call->task_text && call->status == 202) {
      g_free(record->object);
      record->object = g_strdup(call->task_text);
    }
    g_free(record->answer);
    const GString *kept = answer_to_keep(call);
    record->answer = kept ? g_strdup(kept->str) : NULL;
    if (call->answer_private)
      keep_private(call->center, call->idempotency_record, call->answer);
  }
  inv_commit(txn, NULL, NULL); /* failing to note it, a repeat finds out by itself */
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
  for (guint i = 1; i < ids->len; i++) {
    inv_delete(txn, &ws_type_idempotency_key, g_array_index(ids, WsId, i));
    forget_private(center, g_array_index(ids, WsId, i));
  }
  inv_commit(txn, NULL, NULL);
}

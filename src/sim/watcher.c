// SPDX-License-Identifier: Apache-2.0
/* A watcher's copy of the inventory. See watcher.h. */
#include "sim/watcher.h"
#include "base/json.h"
#include "model/routes.h"
#include <string.h>

typedef struct {
  Revision revision;
  char *json; /* NULL: gone */
} Copy;

struct SimWatcher {
  SimManager *manager;
  guint node;
  const char *token;
  SimRandom random;
  SimConn *conn;
  bool has_copy;    /* the copy is the inventory as it was at `at` */
  Revision at;
  GHashTable *copies; /* "vm-7" -> Copy */
};

static void connect_watcher(void *arg);

static void free_copy(void *arg)
{
  g_free(((Copy *)arg)->json);
  g_free(arg);
}

static void connect_later(SimWatcher *watcher)
{
  sim_conn_drop(g_steal_pointer(&watcher->conn), true);
  sim_after(watcher->manager->world, sim_between(&watcher->random, 100 * 1000, 2 * G_USEC_PER_SEC), connect_watcher, watcher);
}

/* ---- the list that a watch begins with ---- */

static char *text_of(const WsResource *object, char *id)
{
  gsize n;
  ws_id_format(object->type->prefix, object->id, id);
  return ws_object_to_json(object->type, object, WS_WRITE_CLIENT, &n);
}

static bool copy_object(const void *object, void *arg)
{
  SimWatcher *watcher = arg;
  const WsResource *resource = object;
  char id[WS_ID_TEXT_MAX];
  Copy *copy = g_new(Copy, 1);
  *copy = (Copy){resource->revision, text_of(resource, id)};
  g_hash_table_replace(watcher->copies, g_strdup(id), copy);
  return true;
}

/* What has a list, that a client may have of it. */
static bool is_listed(const WsType *type)
{
  for (guint i = 0; i < ws_n_routes; i++)
    if (ws_routes[i].type == type && ws_routes[i].kind == WS_ROUTE_LIST)
      return !(type->flags & WS_TYPE_HISTORY);
  return false;
}

static void relist(SimWatcher *watcher)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(watcher->manager->center->inventory);
  g_hash_table_remove_all(watcher->copies);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (is_listed(ws_resource_types[i]))
      inv_each(snap, ws_resource_types[i], copy_object, watcher);
  watcher->at = inv_snapshot_revision(snap);
  watcher->has_copy = true;
}

/* ---- messages ---- */

typedef struct {
  char *id, *object;
  bool gone;
  gint64 revision;
} Change;

static void clear_change(Change *change)
{
  g_free(change->id);
  g_free(change->object);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, clear_change)

static bool key_is(const char *key, gsize n, const char *name)
{
  return strlen(name) == n && memcmp(key, name, n) == 0;
}

static gint64 revision_in(const char *json, gsize n)
{
  g_auto(WsJsonReader) r = {0};
  const char *key;
  gint64 revision = 0;
  ws_json_reader_init(&r, json, n);
  for (bool more = ws_json_enter_object(&r, NULL); more && ws_json_next_key(&r, &key, &n, NULL);) {
    const char *raw;
    if (key_is(key, n, "revision"))
      return ws_json_take_int(&r, &revision, NULL) ? revision : 0;
    more = ws_json_take_raw(&r, &raw, &n, NULL);
  }
  return revision;
}

static void take_change(SimWatcher *watcher, const Change *change)
{
  SimWorld *world = watcher->manager->world;
  Copy *known = g_hash_table_lookup(watcher->copies, change->id);
  if (!change->id || (!change->gone && !change->object)) {
    sim_fail(world, "watch", "a change without object");
  } else if (change->gone) {
    if (!known || !known->json)
      sim_fail(world, "watch", "%s is gone for the second time", change->id);
    else
      g_hash_table_remove(watcher->copies, change->id);
  } else {
    Revision revision = (Revision)revision_in(change->object, strlen(change->object));
    if (known && revision <= known->revision)
      sim_fail(world, "watch", "%s comes at revision %" G_GUINT64_FORMAT " after %" G_GUINT64_FORMAT, change->id, revision,
               known->revision);
    Copy *copy = g_new(Copy, 1);
    *copy = (Copy){revision, g_strdup(change->object)};
    g_hash_table_replace(watcher->copies, g_strdup(change->id), copy);
  }
}

static void read_change(SimWatcher *watcher, WsJsonReader *r)
{
  g_auto(Change) change = {0};
  const char *key, *text;
  gsize n, m;
  bool ok = ws_json_enter_object(r, NULL);
  while (ok && ws_json_next_key(r, &key, &n, NULL)) {
    if (key_is(key, n, "id") && (ok = ws_json_take_string(r, &text, &m, NULL)))
      change.id = g_strndup(text, m);
    else if (key_is(key, n, "op") && (ok = ws_json_take_string(r, &text, &m, NULL)))
      change.gone = key_is(text, m, "gone");
    else if (key_is(key, n, "object") && (ok = ws_json_take_raw(r, &text, &m, NULL)))
      change.object = g_strndup(text, m);
    else if (!key_is(key, n, "id") && !key_is(key, n, "op") && !key_is(key, n, "object"))
      ok = ws_json_take_raw(r, &text, &m, NULL);
  }
  take_change(watcher, &change);
}

static void take_revision(SimWatcher *watcher, gint64 revision)
{
  if ((Revision)revision < watcher->at) /* one revision may take several messages */
    sim_fail(watcher->manager->world, "watch", "the stream is at %" G_GINT64_FORMAT " after %" G_GUINT64_FORMAT, revision,
             watcher->at);
  watcher->at = (Revision)revision;
}

static void on_message(SimConn *conn, GBytes *message, void *arg)
{
  SimWatcher *watcher = arg;
  g_auto(WsJsonReader) r = {0};
  const char *key, *raw;
  gsize n, m;
  const char *text = g_bytes_get_data(message, &m);
  ws_json_reader_init(&r, text, m);
  bool ok = ws_json_enter_object(&r, NULL);
  while (ok && ws_json_next_key(&r, &key, &n, NULL)) {
    gint64 revision;
    if (key_is(key, n, "relist")) {
      watcher->has_copy = false;
      return;
    } else if (key_is(key, n, "revision")) {
      ok = ws_json_take_int(&r, &revision, NULL);
      take_revision(watcher, revision);
    } else if (key_is(key, n, "changes")) {
      ok = ws_json_enter_array(&r, NULL);
      while (ok && ws_json_next_item(&r, NULL))
        read_change(watcher, &r);
    } else {
      ok = ws_json_take_raw(&r, &raw, &m, NULL);
    }
  }
}

static void on_lost(SimConn *conn, const char *reason, void *arg)
{
  connect_later(arg);
}

static void on_answered(SimConn *conn, int status, const char *etag, const char *location, GBytes *body, void *arg)
{
  SimWatcher *watcher = arg;
  sim_note(watcher->manager->world, "watcher: refused with %d", status);
  if (status == 410)
    watcher->has_copy = false;
  connect_later(watcher);
}

static const SimConnEvents events = {.answered = on_answered, .message = on_message, .lost = on_lost};

static void connect_watcher(void *arg)
{
  SimWatcher *watcher = arg;
  if (!watcher->manager->center) {
    connect_later(watcher);
    return;
  }
  if (!watcher->has_copy)
    relist(watcher);
  g_autofree char *bearer = g_strconcat("Bearer ", watcher->token, NULL);
  g_autofree char *target = g_strdup_printf("/api/v1/watch?since=%" G_GUINT64_FORMAT, watcher->at);
  const char *const headers[] = {"connection", "upgrade", "upgrade", "websocket", "sec-websocket-version", "13",
                                 "sec-websocket-key", "c2ltdWxhdGVkIGtleSAxMg==", "authorization", bearer, NULL};
  HttpLocalRequest request = {.method = "GET", .target = target, .headers = headers, .address = "10.0.1.1"};
  watcher->conn = sim_net_request(watcher->manager->net, watcher->node, &request, &events, watcher);
}

SimWatcher *sim_watcher_new(SimManager *manager, guint node, const char *token, bool slow)
{
  SimWatcher *watcher = g_new0(SimWatcher, 1);
  watcher->manager = manager;
  watcher->node = node;
  watcher->token = token;
  watcher->copies = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_copy);
  sim_random_seed(&watcher->random, sim_world_seed(manager->world), 2000 + node);
  connect_later(watcher);
  return watcher;
}

/* ---- the comparison ---- */

typedef struct {
  SimWatcher *watcher;
  guint n;
  bool must, same;
} Compare;

static bool compare_object(const void *object, void *arg)
{
  Compare *compare = arg;
  char id[WS_ID_TEXT_MAX];
  g_autofree char *json = text_of(object, id);
  const Copy *copy = g_hash_table_lookup(compare->watcher->copies, id);
  compare->n++;
  if (copy && strcmp(copy->json, json) == 0)
    return true;
  compare->same = false;
  if (compare->must)
    sim_fail(compare->watcher->manager->world, "watch", "the watcher's %s is %s, the manager's %s", id,
             copy ? copy->json : "absent", json);
  return false;
}

bool sim_watcher_check(SimWatcher *watcher, bool must)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(watcher->manager->center->inventory);
  Compare compare = {watcher, 0, must, true};
  for (guint i = 0; compare.same && i < ws_n_resource_types; i++)
    if (is_listed(ws_resource_types[i]))
      inv_each(snap, ws_resource_types[i], compare_object, &compare);
  if (compare.same && compare.n != g_hash_table_size(watcher->copies)) {
    compare.same = false;
    if (must)
      sim_fail(watcher->manager->world, "watch", "the watcher has %u objects, the manager %u",
               g_hash_table_size(watcher->copies), compare.n);
  }
  return compare.same;
}

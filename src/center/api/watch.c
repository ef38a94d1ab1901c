// SPDX-License-Identifier: Apache-2.0
/* The watch hub. See watch.h.
 *
 * Each watcher has the revision it was sent. While its socket's queue is short it is fed from the shared batch that the hub reads
 * for all; when the queue is long the watcher is marked behind, and once it has drained it gets an InvWatch of its own until it
 * has caught up with the hub, when it joins the shared feed again. Nobody's slowness costs another anything. */
#include "center/api/watch.h"
#include "base/plant.h"
#include "base/log.h"
#include "center/api/call-private.h"
#include "center/api/fixed.h"
#include "center/auth/identity.h"
#include "model/model.h"

#define BATCH_MAX           512 /* changes read at a time; a revision with more is read to its end */
#define REST_PER_WATCHER_US 200
#define REST_MAX_US (G_USEC_PER_SEC / 10)
#define IDS_MAX             1024
#define QUEUE_HIGH (1 << 20) /* bytes queued for one watcher before it is left behind */

/* What a watcher wants. Watchers with the same text share a Subscription and its messages. */
typedef struct {
  char *key;            /* canonical text */
  guint64 types;        /* bit per resource type index */
  GHashTable *ids;      /* "vm-7" -> itself; NULL: all */
  WsFilter *filter;     /* of the one type; NULL: none */
  bool delta;           /* of what it knows: the changed fields only */
  GPtrArray *watchers;  /* Watcher; borrowed */
  HttpMessage *message; /* of the batch at hand; NULL: nothing of it concerns this subscription */
} Subscription;

/* Whose it is; token or session 0. */
typedef struct {
  WsId user, session, token;
} Owner;

struct WatchGuard {
  WatchHub *hub;
  Owner owner;
  void (*end)(void *arg);
  void *arg;
};

typedef struct {
  WatchHub *hub;
  HttpSocket *socket;
  Subscription *subscription;
  Owner owner;
  Revision sent;
  InvWatch *own; /* while catching up */
  bool behind;
  bool dismissed; /* being closed */
  bool beat;      /* wants to hear that nothing happened */
} Watcher;

struct WatchHub {
  Center *center;
  InvWatch *feed;
  Revision at; /* last revision fed */
  GArray *changes;           /* InvChange: those at hand, of whole revisions */
  GHashTable *subscriptions; /* key -> Subscription */
  GPtrArray *watchers;       /* all */
  GPtrArray *guards;         /* WatchGuard; borrowed */
  gint pump_posted; /* atomic */
  gint n_watchers;  /* atomic */
  /* core loop */
  gint64 pumped_us; /* monotonic: when the I/O thread was last woken */
  WsTimer *timer;   /* it is to be woken then */
};

/* ---- messages ---- */

/* What becomes of an object from a subscription's point of view. */
typedef enum { NOTHING, PUT, PATCH, GONE } Become;

static void write_change(WsJsonWriter *w, const InvChange *change, Become what)
{
  static const char *const ops[] = {[PUT] = "put", [PATCH] = "patch", [GONE] = "gone"};
  char id[WS_ID_TEXT_MAX];
  ws_json_begin_object(w);
  ws_json_key(w, "type");
  ws_json_string(w, change->type->name);
  ws_json_key(w, "id");
  ws_json_string(w, ws_id_format(change->type->prefix, change->id, id));
  ws_json_key(w, "op");
  ws_json_string(w, ops[what]);
  if (what == PUT) {
    ws_json_key(w, "object");
    ws_object_write(change->type, change->new_object, WS_WRITE_CLIENT, NULL, w);
  } else if (what == PATCH) {
    ws_json_key(w, "base");
    ws_json_uint(w, ((const WsResource *)change->old_object)->revision);
    ws_json_key(w, "object");
    ws_object_write_changes(change->type, change->old_object, change->new_object, w);
  }
  ws_json_end_object(w);
}

static Become concerns(const Subscription *s, const InvChange *change)
{
  char id[WS_ID_TEXT_MAX];
  if (!(s->types & ((guint64)1 << change->type->index)))
    return NOTHING;
  if (s->ids && !g_hash_table_contains(s->ids, ws_id_format(change->type->prefix, change->id, id)))
    return NOTHING;
  bool before = change->old_object && (!s->filter || ws_filter_match(s->filter, change->old_object));
  bool after = change->new_object && (!s->filter || ws_filter_match(s->filter, change->new_object));
  if (!after)
    return before ? GONE : NOTHING;
  return before && s->delta ? PATCH : PUT;
}

static HttpMessage *message_of(const Subscription *s, const GArray *changes, Revision revision)
{
  GString *text = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(text);
  guint written = 0;
  ws_json_begin_object(&w);
  ws_json_key(&w, "revision");
  ws_json_uint(&w, revision);
  ws_json_key(&w, "changes");
  ws_json_begin_array(&w);
  for (guint i = 0; i < changes->len; i++) {
    const InvChange *change = &g_array_index(changes, InvChange, i);
    Become what = concerns(s, change);
    if (what == NOTHING || (SIM_PLANT(watch_drops_change) && i >= 7))
      continue;
    write_change(&w, change, what);
    written++;
  }
  ws_json_end_array(&w);
  ws_json_end_object(&w);
  if (!written && changes->len) {
    g_string_free(text, TRUE);
    return NULL;
  }
  g_autoptr(GBytes) bytes = g_string_free_to_bytes(text);
  return http_message_new(bytes, false);
}

/* ---- subscriptions ---- */

static void subscription_free(void *arg)
{
  Subscription *s = arg;
  g_free(s->key);
  g_clear_pointer(&s->ids, g_hash_table_unref);
  ws_filter_free(s->filter);
  g_ptr_array_unref(s->watchers);
  g_clear_pointer(&s->message, http_message_free);
  g_free(s);
}

static bool add_type(Subscription *s, const ApiIdentity *identity, const WsType *type, bool named, GError **error)
{
  if (api_identity_may_read(identity, type)) {
    s->types |= (guint64)1 << type->index;
    return true;
  }
  return !named || ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "read", "object", type->plural, NULL);
}

static bool parse_types(Subscription *s, ApiCall *call, const char *types, GError **error)
{
  if (!types) { /* the state of now; who wants history says so */
    for (guint i = 0; i < ws_n_resource_types; i++)
      if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY))
        add_type(s, &call->identity, ws_resource_types[i], false, NULL);
    return true;
  }
  g_auto(GStrv) names = g_strsplit(types, ",", 64);
  for (char **name = names; *name; name++) {
    const WsType *type = ws_type_by_plural(*name);
    if (!type)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "types", "expected", "plural names such as vms,tasks", NULL);
    if (!add_type(s, &call->identity, type, true, error))
      return false;
  }
  return true;
}

static bool parse_filter(Subscription *s, const char *types, const char *filter, GError **error)
{
  const WsType *type = types ? ws_type_by_plural(types) : NULL;
  if (!filter)
    return true;
  if (!type)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "types", "expected", "exactly one type with a filter", NULL);
  s->filter = ws_filter_parse(type, filter, error);
  return s->filter != NULL;
}

static bool parse_ids(Subscription *s, const char *ids, GError **error)
{
  if (!ids)
    return true;
  g_auto(GStrv) list = g_strsplit(ids, ",", IDS_MAX + 1);
  if (g_strv_length(list) > IDS_MAX)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "ids", "expected",
                   "at most " G_STRINGIFY(IDS_MAX) " ids", NULL);
  s->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (char **id = list; *id; id++)
    g_hash_table_add(s->ids, g_strdup(*id));
  return true;
}

static bool parse_bool(const char *name, const char *text, GError **error)
{
  return !text || strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", name, "expected", "true or false", NULL);
}

static Subscription *subscription_parse(ApiCall *call, GError **error)
{
  const char *types = http_call_query(call->http, "types"), *ids = http_call_query(call->http, "ids");
  const char *filter = http_call_query(call->http, "filter"), *delta = http_call_query(call->http, "delta");
  Subscription *s = g_new0(Subscription, 1);
  s->watchers = g_ptr_array_new();
  s->delta = delta && *delta == 't';
  if (!parse_bool("delta", delta, error) || !parse_types(s, call, types, error) ||
      !parse_filter(s, types, filter, error) || !parse_ids(s, ids, error)) {
    subscription_free(s);
    return NULL;
  }
  s->key = g_strdup_printf("%" G_GINT64_MODIFIER "x|%s|%s|%d", s->types, ids ? ids : "", filter ? filter : "", s->delta);
  return s;
}

/* The living one of the same text, or this. */
static Subscription *subscription_share(WatchHub *hub, Subscription *s)
{
  Subscription *known = g_hash_table_lookup(hub->subscriptions, s->key);
  if (known) {
    subscription_free(s);
    return known;
  }
  g_hash_table_insert(hub->subscriptions, s->key, s);
  return s;
}

/* ---- feeding ---- */

static void tell_relist(Watcher *watcher, const GError *error)
{
  GString *text = g_string_new("{\"relist\":true,\"error\":");
  GString *detail = api_error_json("", WS_LANG_EN, error, NULL);
  g_string_append_len(text, detail->str, detail->len);
  g_string_append_c(text, '}');
  g_string_free(detail, TRUE);
  g_autoptr(GBytes) message = g_string_free_to_bytes(text);
  http_socket_send(watcher->socket, message, false);
  http_socket_close(watcher->socket, 4410, "relist");
}

static bool is_full(Watcher *watcher)
{
  return http_socket_queued(watcher->socket) > QUEUE_HIGH;
}

/* Adds a batch of whole revisions, however many changes one has: who was sent a revision was sent all of it.
 * Nothing is added: there is none. */
static bool read_whole(InvWatch *from, GArray *into, GError **error)
{
  const guint before = into->len;
  guint got;
  do {
    const guint at = into->len;
    g_array_set_size(into, at + BATCH_MAX);
    if (!inv_watch_next(from, &g_array_index(into, InvChange, at), BATCH_MAX, &got, error)) {
      /* The rest of a revision is lost: so is its beginning. */
      inv_changes_release(&g_array_index(into, InvChange, before), at - before);
      g_array_set_size(into, before);
      return false;
    }
    g_array_set_size(into, at + got);
  } while (got > 0 && !g_array_index(into, InvChange, into->len - 1).last);
  return true;
}

static Revision last_revision(const GArray *changes)
{
  return g_array_index(changes, InvChange, changes->len - 1).revision;
}

static void release_all(GArray *changes)
{
  inv_changes_release((InvChange *)(gpointer)changes->data, changes->len);
  g_array_set_size(changes, 0);
}

/* Reads on from where the watcher is until it is level with the hub or its queue is full. */
static void catch_up(Watcher *watcher)
{
  WatchHub *hub = watcher->hub;
  g_autoptr(GArray) changes = g_array_sized_new(FALSE, FALSE, sizeof(InvChange), BATCH_MAX);
  g_autoptr(GError) error = NULL;
  if (!watcher->own)
    watcher->own = inv_watch_new(hub->center->inventory, watcher->sent, NULL, NULL);
  while (watcher->sent < hub->at && !is_full(watcher)) {
    if (!read_whole(watcher->own, changes, &error)) {
      tell_relist(watcher, error);
      return;
    }
    if (changes->len == 0)
      break;
    watcher->sent = last_revision(changes);
    g_autoptr(HttpMessage) message = message_of(watcher->subscription, changes, watcher->sent);
    release_all(changes);
    if (message)
      http_socket_send_message(watcher->socket, message);
  }
  watcher->behind = watcher->sent < hub->at;
  if (!watcher->behind)
    g_clear_pointer(&watcher->own, inv_watch_free);
}

/* What is fed came after the revision `from`. */
static void feed_one(Watcher *watcher, Revision from, Revision revision)
{
  if (watcher->behind)
    return;
  if (watcher->sent > from && watcher->sent < revision) { /* it knows the beginning of that from its list */
    watcher->behind = true;
    catch_up(watcher);
    return;
  }
  if (is_full(watcher)) {
    watcher->behind = true; /* goes on in on_writable */
    return;
  }
  if (watcher->sent >= revision)
    return;
  watcher->sent = revision;
  if (watcher->subscription->message)
    http_socket_send_message(watcher->socket, watcher->subscription->message);
}

static void feed_all(WatchHub *hub, Revision from, Revision revision)
{
  GHashTableIter iter;
  void *value;
  g_hash_table_iter_init(&iter, hub->subscriptions);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    Subscription *s = value;
    s->message = message_of(s, hub->changes, revision);
    for (guint i = 0; i < s->watchers->len; i++)
      feed_one(s->watchers->pdata[i], from, revision);
    g_clear_pointer(&s->message, http_message_free);
  }
}

/* ---- whoever loses the right to watch ---- */

static void end_guard(WatchGuard *guard)
{
  void (*end)(void *arg) = guard->end;
  guard->end = NULL;
  if (end)
    end(guard->arg);
}

static void dismiss(WatchHub *hub, bool (*whose)(const Owner *owner, const void *arg), const void *arg)
{
  for (guint i = 0; i < hub->watchers->len; i++) {
    Watcher *watcher = hub->watchers->pdata[i];
    if (!whose(&watcher->owner, arg))
      continue;
    watcher->behind = watcher->dismissed = true; /* nothing more is for its eyes */
    http_socket_close(watcher->socket, 4401, "log in again");
  }
  for (guint i = hub->guards->len; i > 0; i--) {
    WatchGuard *guard = i <= hub->guards->len ? hub->guards->pdata[i - 1] : NULL; /* an end may forget others */
    if (guard && whose(&guard->owner, arg))
      end_guard(guard);
  }
}

static bool has_session(const Owner *owner, const void *id)
{
  return owner->session == *(const WsId *)id;
}

static bool has_token(const Owner *owner, const void *id)
{
  return owner->token == *(const WsId *)id;
}

static bool has_user(const Owner *owner, const void *id)
{
  return owner->user == *(const WsId *)id;
}

typedef struct {
  const InvSnapshot *snap;
  WsId role;
} RoleLook;

static bool has_role(const Owner *owner, const void *arg)
{
  const RoleLook *look = arg;
  const WsUser *user = inv_find(look->snap, &ws_type_user, owner->user);
  for (guint i = 0; user && i < user->roles.len; i++)
    if (user->roles.items[i] == look->role)
      return true;
  return !user;
}

static bool rights_changed(const WsUser *before, const WsUser *after)
{
  bool differ = !after || after->frozen || before->roles.len != after->roles.len;
  for (guint i = 0; !differ && i < before->roles.len; i++)
    differ = before->roles.items[i] != after->roles.items[i];
  return differ;
}

/* A session or token that ended, a user who was frozen or has other roles, a role that changed: who watches by it begins anew, and is asked
 * who they are. */
static void dismiss_by(WatchHub *hub, const InvChange *change)
{
  if (change->type == &ws_type_session && !change->new_object)
    dismiss(hub, has_session, &change->id);
  else if (change->type == &ws_type_api_token && !change->new_object)
    dismiss(hub, has_token, &change->id);
  else if (change->type == &ws_type_user && change->old_object && rights_changed(change->old_object, change->new_object))
    dismiss(hub, has_user, &change->id);
  else if (change->type == &ws_type_role && change->old_object) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(hub->center->inventory);
    RoleLook look = {snap, change->id};
    dismiss(hub, has_role, &look);
  }
}

static void notify(void *arg);

/* What there is until now, up to two batches, or a revision that has more. To the end, so that what comes
 * while the watchers are fed is told with the next ones. */
static bool read_feed(WatchHub *hub, GError **error)
{
  guint before;
  do {
    before = hub->changes->len;
    if (!read_whole(hub->feed, hub->changes, error))
      return false;
  } while (hub->changes->len > before && hub->changes->len <= BATCH_MAX);
  return true;
}

static void feed_changes(WatchHub *hub)
{
  Revision from = hub->at;
  hub->at = last_revision(hub->changes);
  for (guint i = 0; i < hub->changes->len; i++)
    dismiss_by(hub, &g_array_index(hub->changes, InvChange, i));
  feed_all(hub, from, hub->at);
  release_all(hub->changes);
}

/* The hub itself fell out of the log: all begin anew from a list. */
static void begin_anew(WatchHub *hub, const GError *error)
{
  for (guint i = 0; i < hub->watchers->len; i++)
    tell_relist(hub->watchers->pdata[i], error);
  inv_watch_free(hub->feed);
  hub->feed = inv_watch_new(hub->center->inventory, 0, notify, hub);
}

static void pump(void *arg)
{
  WatchHub *hub = arg;
  bool more;
  g_atomic_int_set(&hub->pump_posted, 0);
  do {
    g_autoptr(GError) error = NULL;
    bool ok = read_feed(hub, &error);
    more = hub->changes->len > BATCH_MAX;
    if (hub->changes->len > 0)
      feed_changes(hub);
    if (!ok) {
      begin_anew(hub, error);
      return;
    }
  } while (more);
}

static void post_pump(WatchHub *hub)
{
  hub->pumped_us = ws_clock_monotonic_us(hub->center->clock);
  http_io_post(hub->center->io, pump, hub);
}

static void on_pump_timer(void *arg)
{
  WatchHub *hub = arg;
  hub->timer = NULL;
  post_pump(hub);
}

/* Core loop: wakes the I/O thread, once for however many changes. The first change after a rest goes out at once; those that follow go
 * together, the more watchers there are the more of them: 500 changes a second to 1,000 watchers are 10,000 messages a second, not 500,000. */
static void notify(void *arg)
{
  WatchHub *hub = arg;
  if (!g_atomic_int_compare_and_exchange(&hub->pump_posted, 0, 1))
    return;
  gint64 rest_us = MIN((gint64)g_atomic_int_get(&hub->n_watchers) * REST_PER_WATCHER_US, REST_MAX_US);
  gint64 wait_us = hub->pumped_us + rest_us - ws_clock_monotonic_us(hub->center->clock);
  if (wait_us <= 0)
    post_pump(hub);
  else
    hub->timer = ws_loop_after(hub->center->loop, wait_us, on_pump_timer, hub);
}

/* ---- one watcher ---- */

static void on_writable(HttpSocket *socket, void *arg)
{
  Watcher *watcher = arg;
  if (watcher->behind && !watcher->dismissed)
    catch_up(watcher);
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  http_socket_close(socket, 1003, "a watch takes no messages");
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Watcher *watcher = arg;
  Subscription *s = watcher->subscription;
  g_ptr_array_remove_fast(s->watchers, watcher);
  if (s->watchers->len == 0)
    g_hash_table_remove(watcher->hub->subscriptions, s->key);
  g_ptr_array_remove_fast(watcher->hub->watchers, watcher);
  g_atomic_int_add(&watcher->hub->n_watchers, -1);
  g_clear_pointer(&watcher->own, inv_watch_free);
  http_socket_unref(watcher->socket);
  g_free(watcher);
}

static void tell_no_change(const Watcher *watcher)
{
  g_autofree char *text =
      g_strdup_printf("{\"revision\":%" G_GUINT64_FORMAT ",\"changes\":[]}", watcher->sent);
  g_autoptr(GBytes) message = g_bytes_new(text, strlen(text));
  http_socket_send(watcher->socket, message, false);
}

/* A browser's script hears nothing of pings: what goes with them tells it that what it shows is still so, and
 * how far it has been told. */
static void on_pinged(HttpSocket *socket, void *arg)
{
  const Watcher *watcher = arg;
  if (watcher->beat && !watcher->dismissed)
    tell_no_change(watcher);
}

/* The stream begins after `since`, or now. */
static void on_opened(HttpSocket *socket, void *arg)
{
  Watcher *watcher = arg;
  tell_no_change(watcher);
  g_autoptr(InvSnapshot) snap = inv_snapshot(watcher->hub->center->inventory);
  if (watcher->sent > inv_snapshot_revision(snap)) { /* of another database, or of one that was put in this one's place */
    g_autoptr(GError) error = NULL;
    watcher->dismissed = true;
    ws_fail(&error, WS_ERROR_RELIST, NULL);
    tell_relist(watcher, error);
  } else if (watcher->sent < watcher->hub->at)
    catch_up(watcher);
}

static bool read_since(ApiCall *call, Revision *since, GError **error)
{
  const char *text = http_call_query(call->http, "since");
  guint64 value = 0;
  if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &value, NULL))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "since", "expected", "a revision", NULL);
  *since = value;
  return true;
}

static void open_watcher(ApiCall *call, Subscription *s, Revision since, bool beat)
{
  static const HttpSocketEvents events = {.opened = on_opened,
                                          .message = on_message,
                                          .writable = on_writable,
                                          .pinged = on_pinged,
                                          .closed = on_closed,
                                          .max_message_bytes = 4096,
                                          .deflate = true};
  WatchHub *hub = call->center->watch_hub;
  Watcher *watcher = g_new0(Watcher, 1);
  watcher->hub = hub;
  watcher->subscription = subscription_share(hub, s);
  watcher->beat = beat;
  watcher->owner = (Owner){call->identity.user, call->identity.session, call->identity.token};
  watcher->sent = since ? since : hub->at;
  watcher->behind = watcher->sent < hub->at;
  g_ptr_array_add(watcher->subscription->watchers, watcher);
  g_ptr_array_add(hub->watchers, watcher);
  g_atomic_int_inc(&hub->n_watchers);
  watcher->socket = http_call_upgrade(call->http, NULL, &events, watcher);
}

/* What is wrong with the query is told to who comes without a handshake too: few clients can read the body of
 * a refused one. */
void fixed_watch(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  Revision since = 0;
  Subscription *s = NULL;
  const char *beat = http_call_query(call->http, "beat");
  if (read_since(call, &since, &error) && parse_bool("beat", beat, &error))
    s = subscription_parse(call, &error);
  if (s && !http_call_wants_upgrade(call->http)) {
    g_clear_pointer(&s, subscription_free);
    ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "Upgrade", "expected", "a WebSocket handshake", NULL);
  }
  if (s)
    open_watcher(call, s, since, beat && *beat == 't');
  else
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
  api_call_free(call);
}

WatchHub *watch_hub_new(Center *center)
{
  WatchHub *hub = g_new0(WatchHub, 1);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  hub->center = center;
  hub->at = inv_snapshot_revision(snap);
  hub->subscriptions = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, subscription_free);
  hub->changes = g_array_new(FALSE, FALSE, sizeof(InvChange));
  hub->watchers = g_ptr_array_new();
  hub->guards = g_ptr_array_new();
  hub->feed = inv_watch_new(center->inventory, 0, notify, hub);
  return hub;
}

void watch_hub_free(WatchHub *hub)
{
  if (!hub)
    return;
  ws_timer_cancel(hub->timer);
  inv_watch_free(hub->feed);
  g_array_unref(hub->changes);
  g_hash_table_unref(hub->subscriptions);
  g_ptr_array_unref(hub->watchers);
  for (guint i = 0; i < hub->guards->len; i++)
    ((WatchGuard *)hub->guards->pdata[i])->hub = NULL;
  g_ptr_array_unref(hub->guards);
  g_free(hub);
}

guint watch_hub_count(const WatchHub *hub)
{
  return hub->watchers->len;
}

/* ---- what else ends with a login ---- */

WatchGuard *watch_guard_new(WatchHub *hub, WsId user, WsId session, WsId token, void (*end)(void *arg), void *arg)
{
  WatchGuard *guard = g_new(WatchGuard, 1);
  *guard = (WatchGuard){hub, {user, session, token}, end, arg};
  g_ptr_array_add(hub->guards, guard);
  return guard;
}

void watch_guard_free(WatchGuard *guard)
{
  if (guard && guard->hub)
    g_ptr_array_remove_fast(guard->hub->guards, guard);
  g_free(guard);
}

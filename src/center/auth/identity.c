// SPDX-License-Identifier: Apache-2.0
/* From a token to an identity, and from an identity to yes or no. See identity.h. */
#include "center/auth/auth-private.h"
#include "center/auth/identity.h"
#include "base/plant.h"
#include "base/hash.h"
#include "model/model.h"

#define TOKEN_MAX 128
#define USED_GRAIN_US (60 * G_USEC_PER_SEC) /* last_used is kept to the minute */

/* ---- rights ---- */

/* Patterns: "vm.power", "vm.*", "*.read", "*". */
static bool pattern_covers(const char *pattern, const char *permission)
{
  if (strcmp(pattern, "*") == 0 || strcmp(pattern, permission) == 0)
    return true;
  const char *dot = strchr(pattern, '.'), *pdot = strchr(permission, '.');
  if (!dot || !pdot)
    return false;
  gsize n = dot - pattern;
  bool noun = (n == 1 && *pattern == '*') || (n == (gsize)(pdot - permission) && strncmp(pattern, permission, n) == 0);
  return noun && (strcmp(dot, ".*") == 0 || strcmp(dot, pdot) == 0);
}

static bool any_covers(const GPtrArray *patterns, const char *permission)
{
  for (guint i = 0; patterns && i < patterns->len; i++)
    if (pattern_covers(patterns->pdata[i], permission))
      return true;
  return false;
}

static bool is_known(const char *pattern)
{
  for (guint i = 0; i < ws_n_routes; i++) {
    const WsRoute *route = &ws_routes[i];
    if (strchr(route->permission, '.') && pattern_covers(pattern, route->permission))
      return true;
    for (guint j = 0; j < route->n_field_rights; j++)
      if (pattern_covers(pattern, route->field_rights[j].permission))
        return true;
  }
  return false;
}

bool auth_right_check(const char *right, guint i, GError **error)
{
  g_autofree char *field = g_strdup_printf("permissions[%u]", i), *expected = g_strdup_printf("a right such as vm.read, vm.*, *.read; there is no %s", right);
  return is_known(right) || ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

bool api_identity_may(const ApiIdentity *identity, const char *permission)
{
  return any_covers(identity->rights, permission) && (!identity->bound || any_covers(identity->bound, permission));
}

bool api_identity_may_read(const ApiIdentity *identity, const WsType *type)
{
  for (guint i = 0; i < ws_n_routes; i++)
    if (ws_routes[i].type == type && ws_routes[i].kind == WS_ROUTE_LIST)
      return api_identity_may(identity, ws_routes[i].permission);
  return false;
}

/* ---- tokens ---- */

static const char *bearer_of(HttpCall *http)
{
  const char *header = http_call_header(http, "authorization");
  if (header && g_ascii_strncasecmp(header, "bearer ", 7) == 0)
    return header + 7;
  return NULL;
}

/* A browser sends cookies by itself, so one counts only when the request comes from our own pages: the Origin must be this host. Browsers
 * leave it out only where they just read (and the answer is for our own pages alone); so what changes something, or opens a socket, has it. */
static bool is_from_our_pages(HttpCall *http)
{
  const char *origin = http_call_header(http, "origin"), *host = http_call_header(http, "host");
  const char *method = http_call_method(http), *site = http_call_header(http, "sec-fetch-site");
  if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
    return false;
  if (!origin)
    return strcmp(method, "GET") == 0 && !http_call_header(http, "upgrade");
  return host && g_str_has_prefix(origin, "https://") && strcmp(origin + 8, host) == 0;
}

static char *cookie_token(HttpCall *http)
{
  const char *cookies = http_call_header(http, "cookie");
  if (!cookies || !is_from_our_pages(http))
    return NULL;
  g_auto(GStrv) parts = g_strsplit(cookies, ";", 32);
  for (char **part = parts; *part; part++) {
    const char *p = g_strstrip(*part);
    if (g_str_has_prefix(p, "winsphere_session="))
      return g_strdup(p + strlen("winsphere_session="));
  }
  return NULL;
}

static void add_rights(const InvSnapshot *snap, const WsUser *user, ApiIdentity *identity)
{
  identity->rights = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < user->roles.len; i++) {
    const WsRole *role = inv_find(snap, &ws_type_role, user->roles.items[i]);
    for (guint j = 0; role && j < role->permissions.len; j++)
      g_ptr_array_add(identity->rights, g_strdup(role->permissions.items[j]));
  }
}

static bool take_user(const InvSnapshot *snap, WsId id, ApiIdentity *identity)
{
  const WsUser *user = inv_find(snap, &ws_type_user, id);
  if (!user || user->frozen)
    return false;
  identity->user = id;
  identity->name = g_strdup(user->name);
  add_rights(snap, user, identity);
  return true;
}

/* ---- last_used: noted on the core loop, at most once a minute and object ---- */

typedef struct {
  Center *center;
  const WsType *type;
  WsId id;
} Used;

static void note_used(void *arg)
{
  g_autofree Used *used = arg;
  Center *center = used->center;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  void *object = inv_edit_id(txn, used->type, used->id);
  gint64 now = ws_clock_wall_us(center->clock);
  if (!object)
    return;
  if (used->type == &ws_type_session)
    ((WsSession *)object)->last_used = now;
  else
    ((WsApiToken *)object)->last_used = now;
  inv_commit(txn, NULL, NULL); /* a lost minute does no harm */
}

static void start_note_used(void *arg)
{
  Used *used = arg;
  ws_co_start(used->center->loop, note_used, arg);
}

static void mark_used(Center *center, const WsType *type, WsId id, gint64 last_used, gint64 now)
{
  if (now - last_used < USED_GRAIN_US)
    return;
  Used *used = g_new(Used, 1);
  *used = (Used){center, type, id};
  ws_loop_post(center->loop, start_note_used, used, NULL);
}

static bool take_session(Center *center, const InvSnapshot *snap, const WsSession *session, gint64 now,
                         ApiIdentity *identity)
{
  gint64 used = MAX(session->last_used, MAX(session->created, center->started_us));
  if (now >= session->expires || now - used > (gint64)center->config.session_idle_s * G_USEC_PER_SEC)
    return false;
  if (!take_user(snap, session->user, identity))
    return false;
  identity->session = session->id;
  mark_used(center, &ws_type_session, session->id, session->last_used, now);
  return true;
}

static void add_bound(const WsApiToken *token, ApiIdentity *identity)
{
  identity->bound = token->permissions.len ? g_ptr_array_new_with_free_func(g_free) : NULL;
  for (guint i = 0; i < token->permissions.len; i++)
    g_ptr_array_add(identity->bound, g_strdup(token->permissions.items[i]));
}

static bool take_api_token(Center *center, const InvSnapshot *snap, const WsApiToken *token, gint64 now,
                           ApiIdentity *identity)
{
  if (now >= token->expires || !take_user(snap, token->user, identity))
    return false;
  identity->token = token->id;
  add_bound(token, identity);
  mark_used(center, &ws_type_api_token, token->id, token->last_used, now);
  return true;
}

bool auth_identify(Center *center, const InvSnapshot *snap, HttpCall *http, ApiIdentity *identity, GError **error)
{
  g_autofree char *cookie = NULL;
  const char *token = bearer_of(http);
  if (!token)
    token = cookie = cookie_token(http);
  if (!token || !*token || strlen(token) > TOKEN_MAX)
    return ws_fail(error, WS_ERROR_UNAUTHENTICATED, NULL);
  g_autofree char *hash = ws_sha256_hex(token, strlen(token));
  gint64 now = ws_clock_wall_us(center->clock);
  const WsSession *session = inv_find_by(snap, &ws_type_session, "token_hash", 0, hash);
  if (session && take_session(center, snap, session, now, identity))
    return true;
  const WsApiToken *api_token = session ? NULL : inv_find_by(snap, &ws_type_api_token, "token_hash", 0, hash);
  if (api_token && take_api_token(center, snap, api_token, now, identity))
    return true;
  return ws_fail(error, WS_ERROR_UNAUTHENTICATED, NULL);
}

static void clear(ApiIdentity *identity)
{
  g_free(identity->name);
  g_clear_pointer(&identity->rights, g_ptr_array_unref);
  g_clear_pointer(&identity->bound, g_ptr_array_unref);
}

/* Fills *now, empty before, which is to be cleared in any case. */
static bool look_again(Center *center, const InvSnapshot *snap, WsId user, WsId session, WsId token,
                       ApiIdentity *now)
{
  const WsApiToken *by = token ? inv_find(snap, &ws_type_api_token, token) : NULL;
  bool lives = token ? by && by->expires > ws_clock_wall_us(center->clock) : inv_find(snap, &ws_type_session, session) != NULL;
  if (!lives || !take_user(snap, user, now))
    return false;
  now->session = session;
  now->token = token;
  if (by)
    add_bound(by, now);
  return true;
}

bool auth_still_may(Center *center, const InvSnapshot *snap, WsId user, WsId session, WsId token,
                    const char *permission)
{
  ApiIdentity identity = {0};
  bool may =
      look_again(center, snap, user, session, token, &identity) && api_identity_may(&identity, permission);
  clear(&identity);
  return may;
}

bool auth_renew(Center *center, const InvSnapshot *snap, ApiIdentity *identity, GError **error)
{
  ApiIdentity now = {0};
  if (!look_again(center, snap, identity->user, identity->session, identity->token, &now)) {
    clear(&now);
    return ws_fail(error, WS_ERROR_UNAUTHENTICATED, NULL);
  }
  clear(identity);
  *identity = now;
  return true;
}

/* ---- yes or no ---- */

/* `self`: the object is the caller, or belongs to the caller (a field "user"). */
static bool is_own(const InvSnapshot *snap, const ApiIdentity *identity, const WsType *type, WsId target)
{
  if (type == &ws_type_user)
    return target == identity->user;
  const void *object = inv_find(snap, type, target);
  const WsField *owner = ws_type_field(type, "user", 4);
  return object && owner && owner->kind == WS_KIND_REF && *(WsId *)ws_field_at(owner, object) == identity->user;
}

/* The noun of a type's rights is the noun of its list permission: "user.read" -> "user". */
static char *write_right(const WsType *type)
{
  g_autofree char *noun = g_ascii_strdown(type->prefix, -1);
  return g_strconcat(noun, ".write", NULL);
}

static bool needs(const ApiIdentity *identity, const char *permission, const WsRoute *route, WsId target, GError **error)
{
  if (api_identity_may(identity, permission))
    return true;
  char id[WS_ID_TEXT_MAX];
  const char *object = target ? ws_id_format(route->type->prefix, target, id) : (route->type ? route->type->plural : "the site");
  return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", permission, "object", object, NULL);
}

bool auth_authorise(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target,
                    GError **error)
{
  g_autofree char *own = NULL;
  const char *permission = route->permission;
  if (strcmp(permission, "public") == 0 || (SIM_PLANT(rights_of_verbs_ignored) && route->kind == WS_ROUTE_VERB))
    return true;
  if (strcmp(permission, "self") == 0) {
    /* Not by an API token that was given for something else: a scoped one does what its scope names. */
    if (!identity->bound && is_own(snap, identity, route->type, target))
      return true;
    permission = own = write_right(route->type);
  }
  return needs(identity, permission, route, target, error);
}

bool auth_authorise_patch(const ApiIdentity *identity, const WsRoute *route, WsId target, const char *patch, gsize patch_bytes, GError **error)
{
  bool ok = true;
  const char *key;
  gsize key_bytes, raw_bytes;
  g_auto(WsJsonReader) r = {0};
  if (!route->n_field_rights)
    return true;
  ws_json_reader_init(&r, patch, patch_bytes);
  if (!ws_json_enter_object(&r, NULL))
    return true; /* what is wrong with it is said by whoever applies it */
  while (ok && ws_json_next_key(&r, &key, &key_bytes, NULL)) {
    for (guint i = 0; ok && i < route->n_field_rights; i++) {
      const WsFieldRight *of = &route->field_rights[i];
      if (strlen(of->field) == key_bytes && memcmp(of->field, key, key_bytes) == 0)
        ok = needs(identity, of->permission, route, target, error);
    }
    if (!ws_json_take_raw(&r, &key, &raw_bytes, NULL))
      break;
  }
  return ok;
}

// SPDX-License-Identifier: Apache-2.0
/* Users, sessions, API tokens, roles: the `call:` functions of api/user.yaml and its neighbours.
 *
 * Passwords are hashed with argon2id on a worker (50 ms of work must not stop the core loop); tokens are random, given out once, and kept
 * only as SHA-256. A login costs the same whether the user exists or not. */
#include "center/auth/users.h"
#include "base/plant.h"
#include "base/hash.h"
#include "base/log.h"
#include "center/api/call.h"
#include "model/model.h"
#include "center/verbs.h"

#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define HASH_TIMEOUT_MS 30000

/* ---- hashing on a worker ---- */

typedef struct {
  WsClock *clock;
  char *password;
  char *hash; /* in: to verify against; out: made */
  bool fits;
} HashJob;

static void hash_job_free(void *arg)
{
  HashJob *job = arg;
  ws_secret_free(job->password);
  g_free(job->hash);
  g_free(job);
}

static bool make_hash(void *arg, GError **error)
{
  HashJob *job = arg;
  job->hash = ws_password_hash(job->clock, job->password, error);
  return job->hash != NULL;
}

static bool check_hash(void *arg, GError **error)
{
  HashJob *job = arg;
  job->fits = ws_password_verify(job->password, job->hash);
  return true;
}

static char *hash_password(Center *center, const char *password, GError **error)
{
  HashJob *job = g_new0(HashJob, 1);
  job->clock = center->clock;
  job->password = g_strdup(password);
  if (!ws_co_blocking(center->workers, make_hash, job, hash_job_free, HASH_TIMEOUT_MS, error))
    return NULL;
  char *hash = g_steal_pointer(&job->hash);
  hash_job_free(job);
  return hash;
}

static bool password_fits(Center *center, const char *password, const char *hash)
{
  HashJob *job = g_new0(HashJob, 1);
  job->password = g_strdup(password);
  job->hash = g_strdup(hash);
  if (!ws_co_blocking(center->workers, check_hash, job, hash_job_free, HASH_TIMEOUT_MS, NULL))
    return false;
  bool fits = job->fits;
  hash_job_free(job);
  return fits;
}

/* ---- sessions: log in, log out ---- */

/* A user nobody can be: verifying against it takes as long as against a real one. */
static const char *no_user_hash(Center *center)
{
  static char *hash;
  if (!hash)
    hash = hash_password(center, "no user has this password", NULL);
  return hash ? hash : "";
}

static void note_failure(ApiCall *call, const WsUser *user)
{
  Center *center = api_call_center(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsUser *edit = inv_edit_id(txn, &ws_type_user, user->id);
  gint64 now = ws_clock_wall_us(center->clock);
  if (!edit)
    return;
  edit->last_failure = now;
  edit->failures = edit->failures == WS_INT_UNSET ? 1 : edit->failures + 1;
  if (edit->failures % center->config.login_failures_max == 0)
    edit->locked_until = now + (gint64)center->config.login_lock_s * G_USEC_PER_SEC;
  inv_commit(txn, NULL, NULL);
}

static const WsUser *check_login(ApiCall *call, const InvSnapshot *snap, const WsSession *body)
{
  Center *center = api_call_center(call);
  const WsUser *user = inv_find_by(snap, &ws_type_user, "name", 0, body->user_name);
  bool fits = password_fits(center, body->password ? body->password : "",
                            user && user->password_hash ? user->password_hash : no_user_hash(center));
  if (!user || user->frozen || user->locked_until > ws_clock_wall_us(center->clock))
    return NULL;
  if (!fits)
    note_failure(call, user);
  return fits ? user : NULL;
}

static void fill_session(ApiCall *call, WsSession *session, const WsUser *user, const char *token)
{
  Center *center = api_call_center(call);
  const char *agent = api_call_user_agent(call);
  g_autofree char *valid = agent ? g_utf8_make_valid(agent, MIN(strlen(agent), 255)) : NULL;
  gint64 now = ws_clock_wall_us(center->clock);
  session->user = user->id;
  session->user_name = g_strdup(user->name);
  session->token_hash = ws_sha256_hex(token, strlen(token));
  session->address = g_strdup(api_call_origin(call));
  session->agent = g_steal_pointer(&valid);
  session->created = session->last_used = now;
  session->expires = now + (gint64)center->config.session_max_s * G_USEC_PER_SEC;
}

bool session_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsSession *body = api_call_body(call);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsUser *user = check_login(call, snap, body);
  if (SIM_PLANT(secret_in_log))
    ws_log(WS_LOG_INFO, "login", "user", body->user_name, "password", body->password, NULL);
  if (!user)
    return ws_fail(error, WS_ERROR_LOGIN_FAILED, NULL);
  api_call_set_object(call, &ws_type_user, user->id);
  api_call_set_subject(call, user->name);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"log in", NULL});
  g_autofree char *token = ws_token_new(center->clock, "wss_");
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsSession *session = inv_create(txn, &ws_type_session);
  fill_session(call, session, user, token);
  g_autoptr(WsSession) answer = ws_session_copy(session);
  answer->token = g_strdup(token);
  WsUser *edit = inv_edit_id(txn, &ws_type_user, user->id);
  if (!edit)
    return ws_fail(error, WS_ERROR_LOGIN_FAILED, NULL);
  edit->last_login = session->created;
  g_free(edit->last_login_address);
  edit->last_login_address = g_strdup(api_call_origin(call));
  edit->failures = 0;
  edit->locked_until = 0;
  if (!api_call_commit(call, txn, error))
    return false;
  /* For browsers: a cookie that scripts cannot read and that goes only to our own pages' requests. */
  if (g_strcmp0(api_call_query(call, "cookie"), "true") == 0) {
    g_autofree char *cookie =
        g_strdup_printf("winsphere_session=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%u", token, center->config.session_max_s);
    api_call_add_header(call, "set-cookie", cookie);
    ws_secret_clear(&answer->token);
  }
  return api_call_answer_made(call, &ws_type_session, answer);
}

bool session_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  if (!api_call_find_target(call, head, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"log out", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, &ws_type_session, api_call_target(call));
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- what goes with a user ---- */

typedef struct {
  InvTxn *txn;
  const WsType *type;
  WsId keep;
} Drop;

static bool drop_one(const void *object, void *arg)
{
  Drop *drop = arg;
  const WsResource *resource = object;
  if (resource->id != drop->keep)
    inv_delete(drop->txn, drop->type, resource->id);
  return true;
}

/* All of a user's logins but `keep`; tokens too where asked. */
static void drop_logins(InvTxn *txn, const InvSnapshot *head, WsId user, WsId keep, bool tokens)
{
  Drop sessions = {txn, &ws_type_session, keep}, keys = {txn, &ws_type_api_token, 0};
  inv_each_by(head, &ws_type_session, ws_type_field(&ws_type_session, "user", 4), user, NULL, drop_one, &sessions);
  if (tokens)
    inv_each_by(head, &ws_type_api_token, ws_type_field(&ws_type_api_token, "user", 4), user, NULL, drop_one, &keys);
}

/* Nobody may give what they do not have: the rights of the roles given must be covered by the giver's own. */
static bool may_give_roles(ApiCall *call, const InvSnapshot *head, const WsUser *user, GError **error)
{
  for (guint i = 0; i < user->roles.len; i++) {
    const WsRole *role = inv_find(head, &ws_type_role, user->roles.items[i]);
    for (guint j = 0; role && j < role->permissions.len; j++)
      if (!api_identity_may(api_call_identity(call), role->permissions.items[j]))
        return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", role->permissions.items[j], "object", role->name, NULL);
  }
  return true;
}

/* Nobody rules over somebody who may more: else who may only keep users resets the administrator's password. */
static bool may_rule(ApiCall *call, const InvSnapshot *head, const WsUser *user, GError **error)
{
  return api_call_identity(call)->user == user->id || may_give_roles(call, head, user, error);
}

bool user_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  WsUser *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!body->password)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "password", NULL);
  if (!may_give_roles(call, head, body, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create user", NULL});
  g_autofree char *hash = hash_password(center, body->password, error);
  if (!hash)
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_create(txn, &ws_type_user);
  WsId id = user->id;
  ws_resource_take_fields(&ws_type_user, user, body);
  ws_secret_clear(&user->password);
  user->password_hash = g_steal_pointer(&hash);
  user->created = ws_clock_wall_us(center->clock);
  api_call_set_object(call, &ws_type_user, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_user, id, error);
}

/* The last one who may do everything must not lock itself out. */
static bool is_last_administrator(const InvSnapshot *head, WsId user);

bool user_update(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  gsize n;
  const char *patch = api_call_patch(call, &n);
  if (!seen || !may_rule(call, head, seen, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_edit(txn, seen);
  bool changed = false;
  if (!ws_object_merge_patch(&ws_type_user, user, patch, n, &changed, error) || !may_give_roles(call, head, user, error))
    return false;
  if (user->password)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "changing a password by PATCH (use change_password)", NULL);
  if ((user->frozen || user->roles.len < seen->roles.len) && is_last_administrator(head, seen->id))
    return ws_fail(error, WS_ERROR_IN_USE, "object", seen->name, "user", "the platform: it is the last administrator", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){changed ? "update user" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, &ws_type_user, seen);
  if (user->frozen)
    drop_logins(txn, head, seen->id, 0, false);
  WsId id = seen->id;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_user, id, error);
}

bool user_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  if (!seen || !may_rule(call, head, seen, error))
    return false;
  if (seen->built_in || is_last_administrator(head, seen->id))
    return ws_fail(error, WS_ERROR_IN_USE, "object", seen->name, "user", "the platform", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"delete user", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  drop_logins(txn, head, seen->id, 0, true);
  inv_delete(txn, &ws_type_user, seen->id);
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

bool user_change_password(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsUserChangePassword *body = api_call_body(call);
  const ApiIdentity *me = api_call_identity(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  if (!seen || !may_rule(call, head, seen, error))
    return false;
  if (me->user == seen->id && !(body->old_password && password_fits(center, body->old_password, seen->password_hash)))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "old_password", "expected", "the present password", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"change password", NULL});
  char *hash = hash_password(center, body->new_password, error);
  if (!hash)
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_edit_id(txn, &ws_type_user, api_call_target(call));
  if (!user) {
    g_free(hash);
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", "the user", NULL);
  }
  g_free(user->password_hash);
  user->password_hash = hash;
  user->failures = 0;
  user->locked_until = 0;
  drop_logins(txn, head, user->id, me->session, false);
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- API tokens ---- */

bool api_token_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const ApiIdentity *me = api_call_identity(call);
  WsApiToken *body = api_call_body(call);
  for (guint i = 0; i < body->permissions.len; i++)
    if (!api_identity_may(me, body->permissions.items[i]))
      return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", body->permissions.items[i], "object", body->name, NULL);
  if (me->token && !body->permissions.len)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "permissions", NULL); /* a bounded token makes no unbounded one */
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create API token", NULL});
  g_autofree char *secret = ws_token_new(center->clock, "wst_");
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsApiToken *token = inv_create(txn, &ws_type_api_token);
  ws_resource_take_fields(&ws_type_api_token, token, body);
  token->user = me->user;
  token->created = ws_clock_wall_us(center->clock);
  token->expires = token->created + token->days * DAY_US;
  token->token_hash = ws_sha256_hex(secret, strlen(secret));
  g_autoptr(WsApiToken) answer = ws_api_token_copy(token);
  answer->token = g_strdup(secret);
  api_call_set_object(call, &ws_type_api_token, token->id);
  return api_call_commit(call, txn, error) && api_call_answer_made(call, &ws_type_api_token, answer);
}

/* ---- roles ---- */

static bool may_give_rights(ApiCall *call, const WsRole *role, GError **error)
{
  for (guint i = 0; i < role->permissions.len; i++)
    if (!api_identity_may(api_call_identity(call), role->permissions.items[i]))
      return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", role->permissions.items[i], "object", role->name, NULL);
  return true;
}

bool role_create(ApiCall *call, GError **error)
{
  WsRole *body = api_call_body(call);
  if (!may_give_rights(call, body, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsRole *role = inv_create(txn, &ws_type_role);
  WsId id = role->id;
  ws_resource_take_fields(&ws_type_role, role, body);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"create role", NULL});
  api_call_set_object(call, &ws_type_role, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_role, id, error);
}

bool role_update(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsRole *seen = api_call_find_target(call, head, error);
  gsize n;
  const char *patch = api_call_patch(call, &n);
  if (!seen)
    return false;
  if (seen->built_in)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "change", "reason", "it is built in; copy it", NULL);
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsRole *role = inv_edit(txn, seen);
  bool changed = false;
  if (!ws_object_merge_patch(&ws_type_role, role, patch, n, &changed, error) || !may_give_rights(call, role, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){changed ? "update role" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, &ws_type_role, seen);
  WsId id = seen->id;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_role, id, error);
}

bool role_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsRole *seen = api_call_find_target(call, head, error);
  if (!seen)
    return false;
  if (seen->built_in)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "delete", "reason", "it is built in", NULL);
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, &ws_type_role, seen->id);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"delete role", NULL});
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- the first administrator ---- */

static bool is_administrator(const InvSnapshot *head, const WsUser *user)
{
  for (guint i = 0; i < user->roles.len; i++) {
    const WsRole *role = inv_find(head, &ws_type_role, user->roles.items[i]);
    for (guint j = 0; role && j < role->permissions.len; j++)
      if (strcmp(role->permissions.items[j], "*") == 0)
        return !user->frozen;
  }
  return false;
}

typedef struct {
  const InvSnapshot *head;
  WsId but;
  bool found;
} OtherAdmin;

static bool look_for_other(const void *object, void *arg)
{
  OtherAdmin *look = arg;
  const WsUser *user = object;
  if (user->id != look->but && is_administrator(look->head, user))
    look->found = true;
  return !look->found;
}

static bool is_last_administrator(const InvSnapshot *head, WsId id)
{
  const WsUser *user = inv_find(head, &ws_type_user, id);
  OtherAdmin look = {head, id, false};
  if (!user || !is_administrator(head, user))
    return false;
  inv_each(head, &ws_type_user, look_for_other, &look);
  return !look.found;
}

static const struct {
  const char *name, *description;
  const char *permissions[16];
} built_in_roles[] = {
    {"system administrator", "Everything.", {"*"}},
    {"resource administrator",
     "Hosts, storage, networks and virtual machines.",
     {"vm.*", "group.*", "host.*", "cluster.*", "site.*", "pool.*", "volume.*", "image.*", "network.*", "task.*", "event.read", "alarm.*"}},
    {"operations administrator",
     "Sees everything, runs virtual machines, handles alarms.",
     {"*.read", "vm.power", "vm.console", "task.cancel", "alarm.write", "backup.write"}},
};

static void fill_role(WsRole *role, guint i)
{
  guint n = 0;
  while (n < G_N_ELEMENTS(built_in_roles[i].permissions) && built_in_roles[i].permissions[n])
    n++;
  for (guint j = 0; j < role->permissions.len; j++)
    g_free(role->permissions.items[j]);
  g_free(role->permissions.items);
  role->permissions.len = n;
  role->permissions.items = g_new0(char *, n);
  for (guint j = 0; j < n; j++)
    role->permissions.items[j] = g_strdup(built_in_roles[i].permissions[j]);
}

static WsId add_role(InvTxn *txn, guint i)
{
  WsRole *role = inv_create(txn, &ws_type_role);
  role->name = g_strdup(built_in_roles[i].name);
  role->description = g_strdup(built_in_roles[i].description);
  role->built_in = true;
  fill_role(role, i);
  return role->id;
}

static bool follow_program(const void *object, void *arg)
{
  const WsRole *role = object;
  for (guint i = 0; role->built_in && i < G_N_ELEMENTS(built_in_roles); i++)
    if (strcmp(role->name, built_in_roles[i].name) == 0)
      fill_role(inv_edit(arg, role), i);
  return true;
}

bool users_refresh_roles(Center *center, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_each(head, &ws_type_role, follow_program, txn);
  return inv_commit(txn, NULL, error);
}

bool users_make_first(Center *center, const char *password, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  if (inv_count(snap, &ws_type_user) > 0)
    return true;
  char *hash = hash_password(center, password, error);
  if (!hash)
    return false;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsId system_role = add_role(txn, 0);
  for (guint i = 1; i < G_N_ELEMENTS(built_in_roles); i++)
    add_role(txn, i);
  WsUser *admin = inv_create(txn, &ws_type_user);
  admin->name = g_strdup("admin");
  admin->password_hash = hash;
  admin->built_in = true;
  admin->roles.len = 1;
  admin->roles.items = g_memdup2(&system_role, sizeof system_role);
  admin->created = ws_clock_wall_us(center->clock);
  return inv_commit(txn, NULL, error);
}

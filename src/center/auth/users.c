// SPDX-License-Identifier: Apache-2.0
/* Users (api/user.yaml): people, and programs that are known by API tokens alone. */
#include "center/auth/auth-private.h"
#include "center/auth/strangers.h"
#include "base/hash.h"
#include "center/auth/references.h"
#include "center/verbs.h"

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

void auth_drop_logins(InvTxn *txn, const InvSnapshot *head, WsId user, WsId keep, bool tokens)
{
  Drop sessions = {txn, &ws_type_session, keep}, keys = {txn, &ws_type_api_token, 0};
  inv_each_by(head, &ws_type_session, ws_type_field(&ws_type_session, "user", 4), user, NULL, drop_one, &sessions);
  if (tokens)
    inv_each_by(head, &ws_type_api_token, ws_type_field(&ws_type_api_token, "user", 4), user, NULL, drop_one, &keys);
}

bool auth_may_give_roles(ApiCall *call, const InvSnapshot *head, const WsId *roles, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    const WsRole *role = inv_find(head, &ws_type_role, roles[i]);
    for (guint j = 0; role && j < role->permissions.len; j++)
      if (!api_identity_may(api_call_identity(call), role->permissions.items[j]))
        return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", role->permissions.items[j], "object", role->name, NULL);
  }
  return true;
}

bool auth_may_rule(ApiCall *call, const InvSnapshot *head, const WsUser *user, GError **error)
{
  const ApiIdentity *me = api_call_identity(call);
  return me->user == user->id ||
         (auth_may_give_roles(call, head, user->roles.items, user->roles.len, error) &&
          auth_may_rule_group(head, me, user, error));
}

/* Else a key of the administrator's backup goes by the hand of whoever may make keys. */
bool auth_may_take_from_owner(ApiCall *call, const InvSnapshot *head, const WsType *type, const void *object, GError **error)
{
  const WsField *owner = ws_type_field(type, "user", 4);
  bool owned = owner && owner->kind == WS_KIND_REF && owner->sub == &ws_type_user;
  const WsUser *user = owned ? inv_find(head, &ws_type_user, *(const WsId *)ws_field_at(owner, object)) : NULL;
  return !user || auth_may_rule(call, head, user, error);
}

/* ---- the last administrator ---- */

static bool is_of_group(const WsUser *user, WsId role)
{
  for (guint i = 0; i < user->identity_roles.len; i++)
    if (user->identity_roles.items[i] == role)
      return true;
  return false;
}

/* One who can log in without anybody's help, with a password, by a role that no provider takes away. A service account cannot log in at all. */
static bool makes_administrator(const WsRole *role)
{
  for (guint i = 0; role && i < role->permissions.len; i++)
    if (strcmp(role->permissions.items[i], "*") == 0)
      return true;
  return false;
}

/* ... also without that role (0: with all). */
static bool is_administrator_but(const InvSnapshot *head, const WsUser *user, WsId but)
{
  if (!user->password_hash || user->frozen)
    return false;
  for (guint i = 0; i < user->roles.len; i++) {
    const WsRole *role = user->roles.items[i] == but ? NULL : inv_find(head, &ws_type_role, user->roles.items[i]);
    if (makes_administrator(role) && !is_of_group(user, role->id))
      return true;
  }
  return false;
}

static bool is_administrator(const InvSnapshot *head, const WsUser *user)
{
  return is_administrator_but(head, user, 0);
}

typedef struct {
  const InvSnapshot *head;
  WsId role;
  bool with, without; /* is there an administrator? */
} RoleAdmins;

static bool look_for_admins(const void *object, void *arg)
{
  RoleAdmins *look = arg;
  look->with = look->with || is_administrator(look->head, object);
  look->without = look->without || is_administrator_but(look->head, object, look->role);
  return !look->without;
}

bool auth_is_last_role(const InvSnapshot *head, const WsRole *now, const WsRole *after)
{
  RoleAdmins look = {head, now->id, false, false};
  if (!makes_administrator(now) || makes_administrator(after))
    return false;
  inv_each(head, &ws_type_user, look_for_admins, &look);
  return look.with && !look.without;
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

/* The last one who may do everything must not lock itself out. */
static bool is_last_administrator(const InvSnapshot *head, WsId id)
{
  const WsUser *user = inv_find(head, &ws_type_user, id);
  OtherAdmin look = {head, id, false};
  if (!user || !is_administrator(head, user))
    return false;
  inv_each(head, &ws_type_user, look_for_other, &look);
  return !look.found;
}

/* ---- routes ---- */

static bool check_password_given(const WsUser *body, GError **error)
{
  if (auth_is_service(body))
    return !body->password || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "password", "expected", "none: a service account has no password", NULL);
  return body->password || ws_fail(error, WS_ERROR_REQUIRED, "field", "password", NULL);
}

bool user_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  WsUser *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!check_password_given(body, error))
    return false;
  if (!auth_may_give_roles(call, head, body->roles.items, body->roles.len, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create user", NULL});
  g_autofree char *hash = body->password ? auth_hash_password(center, body->password, error) : NULL;
  if (body->password && !hash)
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

bool user_update(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  gsize n;
  const char *patch = api_call_patch(call, &n);
  if (!seen || !auth_may_rule(call, head, seen, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_edit(txn, seen);
  bool changed = false;
  if (!ws_object_merge_patch(&ws_type_user, user, patch, n, &changed, error) || !auth_may_give_roles(call, head, user->roles.items, user->roles.len, error))
    return false;
  if (user->password)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "changing a password by PATCH (use change_password)", NULL);
  if (!is_administrator(head, user) && is_last_administrator(head, seen->id))
    return ws_fail(error, WS_ERROR_IN_USE, "object", seen->name, "user", "the platform: it is the last administrator", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){changed ? "update user" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, &ws_type_user, seen);
  if (user->frozen)
    auth_drop_logins(txn, head, seen->id, 0, false);
  WsId id = seen->id;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_user, id, error);
}

bool user_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  if (!seen || !auth_may_rule(call, head, seen, error))
    return false;
  if (seen->built_in || is_last_administrator(head, seen->id))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "be deleted", "reason",
                   seen->built_in ? "it is built in" : "it is the last administrator", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"delete user", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  auth_drop_logins(txn, head, seen->id, 0, true);
  inv_delete(txn, &ws_type_user, seen->id);
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* A stolen session is no place to try passwords: they count as those of a login do. */
static bool check_old_password(ApiCall *call, const WsUser *user, const char *password, GError **error)
{
  bool fits = false;
  const StrangersLogin login = {user->name, password ? password : "", user->password_hash, user->id, true, true};
  if (user->password_hash && password && !strangers_try(call, &login, &fits, error))
    return false;
  return fits || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "old_password", "expected", "the present password", NULL);
}

bool user_change_password(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsUserChangePassword *body = api_call_body(call);
  const ApiIdentity *me = api_call_identity(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  if (!seen || !auth_may_rule(call, head, seen, error))
    return false;
  if (auth_is_service(seen))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "have a password", "reason", "a service account has no password", NULL);
  if (me->user == seen->id && !check_old_password(call, seen, body->old_password, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"change password", NULL});
  char *hash = auth_hash_password(center, body->new_password, error);
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
  auth_drop_logins(txn, head, user->id, me->session, false);
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

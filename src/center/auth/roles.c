// SPDX-License-Identifier: Apache-2.0
/* Roles (api/role.yaml), those built in, and the first administrator. */
#include "center/auth/auth-private.h"
#include "base/hash.h"
#include "center/verbs.h"

static bool may_give_rights(ApiCall *call, const WsRole *role, GError **error)
{
  for (guint i = 0; i < role->permissions.len; i++)
    if (!api_identity_may(api_call_identity(call), role->permissions.items[i]))
      return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", role->permissions.items[i], "object", role->name, NULL);
  return true;
}

/* Who may not give a role may not take it from those who have it: by what it allows now, and not as the last that may do everything. */
static bool may_take(ApiCall *call, const InvSnapshot *head, const WsRole *now, const WsRole *after, GError **error)
{
  if (!may_give_rights(call, now, error))
    return false;
  return !auth_is_last_role(head, now, after) ||
         ws_fail(error, WS_ERROR_IN_USE, "object", now->name, "user", "the platform: it makes the last administrator", NULL);
}

static bool has_right(const WsRole *role, const char *right)
{
  for (guint i = 0; role && i < role->permissions.len; i++)
    if (strcmp(role->permissions.items[i], right) == 0)
      return true;
  return false;
}

/* A right that is misspelt would give nothing, and nobody would know why. What the role had before (NULL: nothing) it may keep: a right that an older
 * version knew. */
static bool are_known(const WsRole *role, const WsRole *before, GError **error)
{
  for (guint i = 0; i < role->permissions.len; i++) {
    const char *right = role->permissions.items[i];
    if (!has_right(before, right) && !auth_right_check(right, i, error))
      return false;
  }
  return true;
}

bool role_create(ApiCall *call, GError **error)
{
  WsRole *body = api_call_body(call);
  if (!are_known(body, NULL, error) || !may_give_rights(call, body, error))
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
  if (!ws_object_merge_patch(&ws_type_role, role, patch, n, &changed, error) || !are_known(role, seen, error) || !may_give_rights(call, role, error) ||
      !may_take(call, head, seen, role, error))
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
  if (!may_take(call, head, seen, NULL, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, &ws_type_role, seen->id);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"delete role", NULL});
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- built in ---- */

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
     {"*.read", "vm.power", "vm.console", "vm.log", "task.cancel", "alarm.write", "backup.write"}},
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
  char *hash = auth_hash_password(center, password, error);
  if (!hash)
    return false;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsId system_role = add_role(txn, 0);
  for (guint i = 1; i < G_N_ELEMENTS(built_in_roles); i++)
    add_role(txn, i);
  WsUser *admin = inv_create(txn, &ws_type_user);
  admin->name = g_strdup("admin");
  admin->password_hash = hash;
  admin->kind = WS_USER_KIND_PERSON;
  admin->built_in = true;
  admin->roles.len = 1;
  admin->roles.items = g_memdup2(&system_role, sizeof system_role);
  admin->created = ws_clock_wall_us(center->clock);
  return inv_commit(txn, NULL, error);
}

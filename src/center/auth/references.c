// SPDX-License-Identifier: Apache-2.0
/* Rights on what a request names. See references.h. */
#include "center/auth/references.h"
#include "model/model.h"

#define GROUPS_DEEP 17 /* groups in one another (compute/groups.c), and one */

/* ---- what is named ---- */

typedef struct {
  WsAnyRef ref;
  const char *permission; /* NULL: the right to read it */
} Named;

static void add(GArray *names, WsAnyRef ref, const char *permission)
{
  Named named = {ref, permission};
  if (ref.type && ref.id && ref.type != &ws_type_role && ref.type != &ws_type_user)
    g_array_append_val(names, named);
}

static void collect(const WsType *type, const void *object, GArray *names);

static void collect_items(const WsType *type, const WsField *field, const WsArray *array, GArray *names)
{
  for (guint i = 0; i < array->len; i++) {
    if (field->item_kind == WS_KIND_OBJECT)
      collect(field->sub, ((void *const *)array->items)[i], names);
    else if (field->item_kind == WS_KIND_REF)
      add(names, (WsAnyRef){field->sub, ((const WsId *)array->items)[i]}, field->use_right);
    else if (field->item_kind == WS_KIND_ANYREF)
      add(names, ((const WsAnyRef *)array->items)[i], NULL);
  }
}

static void collect(const WsType *type, const void *object, GArray *names)
{
  for (guint i = 0; object && i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    const void *at = ws_field_at(field, (void *)object);
    if (field->kind == WS_KIND_REF)
      add(names, (WsAnyRef){field->sub, *(const WsId *)at}, field->use_right);
    else if (field->kind == WS_KIND_ANYREF)
      add(names, *(const WsAnyRef *)at, NULL);
    else if (field->kind == WS_KIND_OBJECT)
      collect(field->sub, *(void *const *)at, names);
    else if (field->kind == WS_KIND_ARRAY)
      collect_items(type, field, at, names);
  }
}

static bool is_among(const GArray *names, const Named *named)
{
  for (guint i = 0; i < names->len; i++) {
    const Named *other = &g_array_index(names, Named, i);
    if (other->ref.type == named->ref.type && other->ref.id == named->ref.id && other->permission == named->permission)
      return true;
  }
  return false;
}

/* ---- may they? ---- */

static const char *read_right(const WsType *type)
{
  for (guint i = 0; i < ws_n_routes; i++)
    if (ws_routes[i].type == type && ws_routes[i].kind == WS_ROUTE_LIST)
      return ws_routes[i].permission;
  return NULL;
}

static bool needs(const ApiIdentity *identity, const Named *named, GError **error)
{
  const char *permission = named->permission ? named->permission : read_right(named->ref.type);
  char id[WS_ID_TEXT_MAX];
  return !permission || api_identity_may(identity, permission) ||
         ws_fail(error, WS_ERROR_FORBIDDEN, "permission", permission, "object", ws_id_format(named->ref.type->prefix, named->ref.id, id), NULL);
}

bool auth_authorise_references(const ApiIdentity *identity, const WsType *type, const void *body, const void *before, GError **error)
{
  g_autoptr(GArray) names = g_array_new(FALSE, FALSE, sizeof(Named)), known = g_array_new(FALSE, FALSE, sizeof(Named));
  collect(type, body, names);
  collect(type, before, known);
  for (guint i = 0; i < names->len; i++) {
    const Named *named = &g_array_index(names, Named, i);
    if (!is_among(known, named) && !needs(identity, named, error))
      return false;
  }
  return true;
}

bool auth_authorise_patched(const InvSnapshot *snap, const ApiIdentity *identity, const WsType *type, WsId target, const char *patch,
                            gsize patch_bytes, GError **error)
{
  const void *before = inv_find(snap, type, target);
  void *after = before ? ws_object_copy(type, before) : NULL;
  bool changed = false;
  bool ok = !after || !ws_object_merge_patch(type, after, patch, patch_bytes, &changed, NULL) ||
            auth_authorise_references(identity, type, after, before, error);
  if (after)
    ws_object_free(type, after);
  return ok;
}

/* ---- whose group a new VM comes into ---- */

static bool is_within(const InvSnapshot *snap, WsId group, WsId home)
{
  for (guint depth = 0; group && group != home && depth < GROUPS_DEEP; depth++) {
    const WsBusinessGroup *found = inv_find(snap, &ws_type_business_group, group);
    group = found ? found->parent : 0;
  }
  return group == home;
}

/* The group that the caller makes VMs for; 0: it chooses. */
static WsId home_of(const InvSnapshot *snap, const ApiIdentity *identity)
{
  const WsUser *user = inv_find(snap, &ws_type_user, identity->user);
  return user && !api_identity_may(identity, "group.write") ? user->group : 0;
}

static bool settles(const WsRoute *route)
{
  return route->type == &ws_type_vm || (route->type == &ws_type_user && route->kind == WS_ROUTE_CREATE); /* else that one would make them */
}

bool auth_settle_group(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, const WsType *type, void *body, GError **error)
{
  const WsField *field = settles(route) && body ? ws_type_field(type, "group", 5) : NULL;
  WsId home = home_of(snap, identity);
  char id[WS_ID_TEXT_MAX];
  if (!field || field->kind != WS_KIND_REF || !home)
    return true;
  WsId *group = ws_field_at(field, body);
  if (!*group)
    *group = home;
  return is_within(snap, *group, home) ||
         ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "group.write", "object", ws_id_format(ws_type_business_group.prefix, *group, id), NULL);
}

bool auth_may_rule_group(const InvSnapshot *snap, const ApiIdentity *identity, const WsUser *user,
                         GError **error)
{
  WsId home = home_of(snap, identity);
  return !home || is_within(snap, user->group, home) ||
         ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "group.write", "object", user->name, NULL);
}

bool auth_may_adopt(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target, GError **error)
{
  const WsVm *vm = g_strcmp0(route->task, "vm_adopt") == 0 ? inv_find(snap, &ws_type_vm, target) : NULL;
  WsId home = vm ? home_of(snap, identity) : 0;
  char id[WS_ID_TEXT_MAX];
  return !home || is_within(snap, vm->group, home) ||
         ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "group.write", "object", ws_id_format(ws_type_vm.prefix, target, id), NULL);
}

static bool lets_go(const WsRoute *route, const void *body)
{
  if (g_strcmp0(route->task, "vm_detach_disk") == 0)
    return body && ((const WsVmDetachDisk *)body)->volume == WS_VM_DETACH_DISK_VOLUME_KEEP;
  if (g_strcmp0(route->task, "vm_delete") != 0 || !body)
    return false;
  WsVmDeleteHow how = ((const WsVmDelete *)body)->how;
  return how == WS_VM_DELETE_HOW_BIN || how == WS_VM_DELETE_HOW_FORGET;
}

bool auth_may_let_go(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target,
                     const void *body, GError **error)
{
  static const char *const needed = "volume.write";
  char id[WS_ID_TEXT_MAX];
  return !lets_go(route, body) || !home_of(snap, identity) || api_identity_may(identity, needed) ||
         ws_fail(error, WS_ERROR_FORBIDDEN, "permission", needed, "object",
                 ws_id_format(ws_type_vm.prefix, target, id), NULL);
}

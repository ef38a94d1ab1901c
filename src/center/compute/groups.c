// SPDX-License-Identifier: Apache-2.0
/* Business groups: folders of VMs, by whom or what they are for. Only people go by them; no host hears of it. */
#include "center/api/call.h"
#include "center/quota.h"
#include "center/verbs.h"
#include "model/model.h"
#include <string.h>

#define DEPTH_MAX 16
#define NAMES_MAX 20 /* told of what is in a group */

/* ---- the tree ---- */

/* Is `id` the group `above`, or somewhere in it? Also true when it is too deep to say. */
static bool is_within(const InvSnapshot *snap, WsId id, WsId above)
{
  for (guint depth = 0; id; depth++) {
    const WsBusinessGroup *group = inv_find(snap, &ws_type_business_group, id);
    if (id == above || depth > DEPTH_MAX)
      return true;
    id = group ? group->parent : 0;
  }
  return false;
}

static guint depth_of(const InvSnapshot *snap, WsId id)
{
  guint depth = 0;
  for (const WsBusinessGroup *group; id && depth <= DEPTH_MAX && (group = inv_find(snap, &ws_type_business_group, id)); id = group->parent)
    depth++;
  return depth;
}

typedef struct {
  const InvSnapshot *snap;
  guint deepest;
  guint depth;
} Below;

static bool look_below(const void *object, void *arg)
{
  Below *below = arg;
  below->depth++;
  below->deepest = MAX(below->deepest, below->depth);
  if (below->depth <= DEPTH_MAX)
    inv_each_by(below->snap, &ws_type_business_group, ws_type_field(&ws_type_business_group, "parent", 6),
                ((const WsBusinessGroup *)object)->id, NULL, look_below, below);
  below->depth--;
  return true;
}

static guint levels_below(const InvSnapshot *snap, WsId id)
{
  Below below = {snap, 0, 0};
  inv_each_by(snap, &ws_type_business_group, ws_type_field(&ws_type_business_group, "parent", 6), id, NULL, look_below, &below);
  return below.deepest;
}

typedef struct {
  const WsBusinessGroup *group;
  WsId self;
  bool taken;
} NameLook;

static bool look_for_name(const void *object, void *arg)
{
  NameLook *look = arg;
  const WsBusinessGroup *other = object;
  look->taken = other->id != look->self && other->parent == look->group->parent && strcmp(other->name, look->group->name) == 0;
  return !look->taken;
}

/* `self`: 0 for a new one. */
static bool check_group(const InvSnapshot *head, const WsBusinessGroup *group, WsId self, GError **error)
{
  const WsBusinessGroup *parent = group->parent ? inv_find(head, &ws_type_business_group, group->parent) : NULL;
  NameLook look = {group, self, false};
  char id[WS_ID_TEXT_MAX];
  if (group->parent && !parent)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "parent", "object",
                   ws_id_format(ws_type_business_group.prefix, group->parent, id), NULL);
  if (self && parent && is_within(head, parent->id, self))
    return ws_fail(error, WS_ERROR_GROUP_IN_ITSELF, "object", group->name, "container", parent->name, NULL);
  if (depth_of(head, group->parent) + 1 + (self ? levels_below(head, self) : 0) > DEPTH_MAX)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "parent", "expected", "at most 16 groups in one another", NULL);
  inv_each(head, &ws_type_business_group, look_for_name, &look);
  return !look.taken || ws_fail(error, WS_ERROR_NAME_TAKEN, "field", "name", "name", group->name, NULL);
}

/* ---- the groups ---- */

bool business_group_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsBusinessGroup *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!check_group(head, body, 0, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create business group", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsBusinessGroup *group = inv_create(txn, &ws_type_business_group);
  WsId id = group->id;
  ws_resource_take_fields(&ws_type_business_group, group, api_call_body(call));
  group->created = ws_clock_wall_us(center->clock);
  api_call_set_object(call, &ws_type_business_group, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_business_group, id, error);
}

static bool group_updated(InvTxn *txn, const InvSnapshot *head, const void *before, void *after, GError **error)
{
  return check_group(head, after, ((const WsBusinessGroup *)before)->id, error);
}

/* With another parent all that is in it comes under other quotas. A patch that is wrong is refused by the update itself. */
static bool admit_parent(ApiCall *call, QuotaHold *hold, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsBusinessGroup *seen = inv_find(head, &ws_type_business_group, api_call_target(call));
  g_autoptr(WsBusinessGroup) after = seen ? ws_business_group_copy(seen) : NULL;
  gsize n;
  bool changed;
  const char *patch = api_call_patch(call, &n);
  return !after || !ws_object_merge_patch(&ws_type_business_group, after, patch, n, &changed, NULL) || after->parent == seen->parent ||
         !check_group(head, after, seen->id, NULL) ||
         quota_admit_group(center->quotas, api_call_is_dry_run(call) ? NULL : hold, seen->id, after->parent, error);
}

bool business_group_update(ApiCall *call, GError **error)
{
  g_auto(QuotaHold) hold = {NULL};
  return admit_parent(call, &hold, error) && api_call_update(call, group_updated, error);
}

typedef struct {
  GString *names;
  guint n;
} Content;

static void add_name(Content *content, const char *name)
{
  if (content->n++ < NAMES_MAX)
    g_string_append_printf(content->names, "%s%s", content->names->len ? ", " : "", name);
  else if (content->n == NAMES_MAX + 1)
    g_string_append(content->names, ", ...");
}

static bool add_group(const void *object, void *arg)
{
  add_name(arg, ((const WsBusinessGroup *)object)->name);
  return true;
}

static bool add_vm(const void *object, void *arg)
{
  add_name(arg, ((const WsVm *)object)->name);
  return true;
}

bool business_group_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsBusinessGroup *seen = api_call_find_target(call, head, error);
  g_autoptr(GString) names = g_string_new(NULL);
  Content content = {names, 0};
  if (!seen)
    return false;
  inv_each_by(head, &ws_type_business_group, ws_type_field(&ws_type_business_group, "parent", 6), seen->id, NULL, add_group, &content);
  inv_each_by(head, &ws_type_vm, ws_type_field(&ws_type_vm, "group", 5), seen->id, NULL, add_vm, &content);
  if (content.n)
    return ws_fail(error, WS_ERROR_GROUP_NOT_EMPTY, "object", seen->name, "names", names->str, NULL);
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, &ws_type_business_group, seen->id);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"delete business group", NULL});
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- what is in them ---- */

/* All or none. `from` 0: whatever group they are in. */
static bool move_vms(ApiCall *call, const WsId *vms, guint n, WsId from, WsId to, const char *step, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsBusinessGroup *group = api_call_find_target(call, head, error);
  if (!group)
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  g_autoptr(GArray) asks = g_array_new(FALSE, FALSE, sizeof(QuotaAsk));
  g_auto(QuotaHold) hold = {NULL};
  bool changed = false, dry = api_call_is_dry_run(call);
  for (guint i = 0; i < n; i++) {
    QuotaAsk ask = {.vm = vms[i]};
    const WsVm *vm = inv_find(head, &ws_type_vm, vms[i]);
    char id[WS_ID_TEXT_MAX];
    if (!vm) {
      g_autofree char *field = g_strdup_printf("vms[%u]", i);
      return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", field, "object", ws_id_format(ws_type_vm.prefix, vms[i], id), NULL);
    }
    if ((from && vm->group != from) || vm->group == to)
      continue;
    WsVm *edit = inv_edit(txn, vm);
    if (edit->group != to) /* it may be named twice */
      g_array_append_val(asks, ask);
    edit->group = to;
    changed = true;
  }
  if (!quota_admit(center->quotas, dry ? NULL : &hold, (QuotaAsk *)asks->data, asks->len, to, error))
    return false;
  if (dry)
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){changed ? step : NULL, NULL});
  return (!changed || api_call_commit(call, txn, error)) &&
         api_call_answer_object(call, 200, &ws_type_business_group, api_call_target(call), error);
}

bool business_group_take(ApiCall *call, GError **error)
{
  const WsBusinessGroupTake *body = api_call_body(call);
  return move_vms(call, body->vms.items, body->vms.len, 0, api_call_target(call), "move into the business group", error);
}

bool business_group_release(ApiCall *call, GError **error)
{
  const WsBusinessGroupRelease *body = api_call_body(call);
  return move_vms(call, body->vms.items, body->vms.len, api_call_target(call), 0, "take out of the business group", error);
}

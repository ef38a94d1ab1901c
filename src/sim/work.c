// SPDX-License-Identifier: Apache-2.0
/* The workload. See work.h.
 *
 * A user looks at what the manager has (past the API: only to choose well), picks an action, calls, and sometimes repeats a call whose
 * answer was lost, with the same Idempotency-Key. Secrets it gives begin with SECRET-; none may come back. */
#include "sim/work.h"
#include "model/routes.h"
#include <string.h>

typedef struct {
  SimWork *work;
  guint number;
  SimCaller caller;
  SimRandom random;
  guint64 n_names;
} User;

/* ---- choosing ---- */

typedef bool (*Fits)(const void *object, const void *arg);

typedef struct {
  Fits fits;
  const void *arg;
  GArray *ids;
} Pick;

static bool collect(const void *object, void *arg)
{
  Pick *pick = arg;
  if (!pick->fits || pick->fits(object, pick->arg))
    g_array_append_val(pick->ids, ((const WsResource *)object)->id);
  return true;
}

/* An object of the type that fits, as "vm-7"; NULL: there is none, or the manager does not run. Caller frees. */
static char *pick(User *user, const WsType *type, Fits fits, const void *arg)
{
  Center *center = user->work->clients->manager->center;
  char id[WS_ID_TEXT_MAX];
  if (!center || (type->flags & WS_TYPE_HISTORY))
    return NULL;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  Pick look = {fits, arg, ids};
  inv_each(snap, type, collect, &look);
  if (!ids->len)
    return NULL;
  return g_strdup(ws_id_format(type->prefix, g_array_index(ids, WsId, sim_below(&user->random, ids->len)), id));
}

static guint count(User *user, const WsType *type)
{
  Center *center = user->work->clients->manager->center;
  if (!center)
    return 0;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  return inv_count(snap, type);
}

static char *new_name(User *user, const char *stem)
{
  return g_strdup_printf("%s-%u-%" G_GUINT64_FORMAT, stem, user->number, user->n_names++);
}

static bool has_power(const void *object, const void *states)
{
  const WsVm *vm = object;
  return vm->management == WS_VM_MANAGEMENT_MANAGED && vm->power && (*(const guint *)states & (1u << vm->power->state));
}

static bool has_management(const void *object, const void *management)
{
  return (int)((const WsVm *)object)->management == *(const int *)management;
}

static bool pool_is_active(const void *object, const void *arg)
{
  return ((const WsPool *)object)->state == WS_POOL_STATE_ACTIVE;
}

static bool volume_is_free(const void *object, const void *arg)
{
  const WsVolume *volume = object;
  return volume->state == WS_VOLUME_STATE_READY && !volume->used_by && !volume->in_bin_since;
}

static bool volume_in_bin(const void *object, const void *arg)
{
  return ((const WsVolume *)object)->in_bin_since != 0;
}

static bool image_is_ready(const void *object, const void *arg)
{
  return ((const WsImage *)object)->state == WS_IMAGE_STATE_READY;
}

/* ---- calling ---- */

/* Sometimes with a key, and then repeated until it is answered. Sometimes as a dry run. */
static int post_to(User *user, const char *method, const char *target, const char *body)
{
  SimRandom *random = &user->random;
  g_auto(SimAnswer) answer = {0};
  g_autofree char *full = sim_chance(random, 0.04) ? g_strconcat(target, "?dry_run=true", NULL) : g_strdup(target);
  g_autofree char *key = sim_chance(random, 0.5) ? new_name(user, "key") : NULL;
  user->work->n_busy++;
  for (guint tries = 0; tries < (key ? 4 : 1); tries++) {
    if (tries)
      ws_co_sleep(sim_between(random, 100 * 1000, 5 * G_USEC_PER_SEC));
    sim_answer_clear(&answer);
    sim_call(user->work->clients, &user->caller, method, full, body, key, NULL, &answer);
    if (answer.status && answer.status != 503 && !sim_chance(random, 0.1)) /* now and then repeated although answered */
      break;
    if (user->work->stopped)
      break;
  }
  user->work->n_busy--;
  return answer.status;
}

static void post(User *user, const char *target, const char *body)
{
  post_to(user, "POST", target, body);
}

static void verb(User *user, const char *plural, const char *id, const char *name, const char *body)
{
  g_autofree char *target = g_strdup_printf("/api/v1/%s/%s/%s", plural, id, name);
  post(user, target, body);
}

static void change(User *user, const char *plural, const char *id, const char *patch)
{
  g_autofree char *target = g_strdup_printf("/api/v1/%s/%s", plural, id);
  post_to(user, "PATCH", target, patch);
}

static void drop(User *user, const char *plural, const char *id, const char *body)
{
  g_autofree char *target = g_strdup_printf("/api/v1/%s/%s", plural, id);
  post_to(user, "DELETE", target, body);
}

/* ---- actions: storage ---- */

static void make_pool(User *user)
{
  g_autofree char *host = pick(user, &ws_type_host, NULL, NULL), *name = new_name(user, "pool");
  if (!host || count(user, &ws_type_pool) > 6)
    return;
  const SimHost *const *all = (const SimHost *const *)user->work->hosts;
  char ids[3][WS_ID_TEXT_MAX];
  bool shared = sim_chance(&user->random, 0.5) && user->work->n_hosts >= 3;
  for (guint i = 0; shared && i < 3; i++)
    ws_id_format("host", all[i]->id, ids[i]);
  g_autofree char *body =
      shared ? g_strdup_printf("{\"name\":\"%s\",\"kind\":\"shared_directory\",\"hosts\":[\"%s\",\"%s\",\"%s\"],\"path\":\"/srv/pools/%s\"}", name,
                               ids[0], ids[1], ids[2], name)
             : g_strdup_printf("{\"name\":\"%s\",\"hosts\":[\"%s\"],\"path\":\"/srv/pools/%s\"}", name, host, name);
  post(user, "/api/v1/pools", body);
}

static bool pool_is_shared(const void *object, const void *arg)
{
  return ((const WsPool *)object)->kind == WS_POOL_KIND_SHARED_DIRECTORY;
}

static void attach_pool(User *user)
{
  g_autofree char *pool = pick(user, &ws_type_pool, pool_is_shared, NULL), *host = pick(user, &ws_type_host, NULL, NULL);
  g_autofree char *body = host ? g_strdup_printf("{\"host\":\"%s\"}", host) : NULL;
  if (pool && host)
    verb(user, "pools", pool, sim_chance(&user->random, 0.6) ? "attach" : "detach", body);
}

static void change_pool(User *user)
{
  static const char *const verbs[] = {"suspend", "start", "start", "refresh", "refresh"};
  g_autofree char *pool = pick(user, &ws_type_pool, NULL, NULL);
  if (!pool)
    return;
  guint what = (guint)sim_below(&user->random, G_N_ELEMENTS(verbs) + 2);
  if (what < G_N_ELEMENTS(verbs))
    verb(user, "pools", pool, verbs[what], NULL);
  else if (what == G_N_ELEMENTS(verbs))
    change(user, "pools", pool, "{\"overcommit_ratio\":3}");
  else
    drop(user, "pools", pool, sim_chance(&user->random, 0.5) ? "{\"forget_volumes\":true}" : NULL);
}

static void make_volume(User *user)
{
  g_autofree char *pool = pick(user, &ws_type_pool, pool_is_active, NULL), *name = new_name(user, "disk");
  if (!pool || count(user, &ws_type_volume) > 40)
    return;
  gint64 gib = sim_between(&user->random, 1, 60);
  g_autofree char *body = g_strdup_printf(
      "{\"name\":\"%s\",\"pool\":\"%s\",\"size_bytes\":%" G_GINT64_FORMAT ",\"provisioning\":\"%s\"}", name, pool, gib << 30,
      sim_chance(&user->random, 0.8) ? "thin" : "eager_zeroed");
  post(user, "/api/v1/volumes", body);
}

static void change_volume(User *user)
{
  g_autofree char *volume = pick(user, &ws_type_volume, sim_chance(&user->random, 0.7) ? volume_is_free : NULL, NULL);
  g_autofree char *binned = pick(user, &ws_type_volume, volume_in_bin, NULL), *name = new_name(user, "copy");
  g_autofree char *pool = pick(user, &ws_type_pool, pool_is_active, NULL);
  g_autofree char *body = NULL;
  if (!volume)
    return;
  switch (sim_below(&user->random, 7)) {
  case 0:
    body = g_strdup_printf("{\"size_bytes\":%" G_GINT64_FORMAT "}", sim_between(&user->random, 1, 90) << 30);
    verb(user, "volumes", volume, "resize", body);
    break;
  case 1:
    if (count(user, &ws_type_volume) > 40)
      return;
    body = g_strdup_printf("{\"name\":\"%s\",\"linked\":%s}", name, sim_chance(&user->random, 0.5) ? "true" : "false");
    verb(user, "volumes", volume, "clone", body);
    break;
  case 2:
    body = pool ? g_strdup_printf("{\"name\":\"%s\",\"pool\":\"%s\"}", name, pool) : NULL;
    if (body)
      verb(user, "volumes", volume, "clone", body);
    break;
  case 3:
    drop(user, "volumes", volume, "{\"to_bin\":true}");
    break;
  case 4:
    if (binned)
      verb(user, "volumes", binned, "restore", NULL);
    break;
  case 5:
    change(user, "volumes", volume, "{\"description\":\"changed\"}");
    break;
  default:
    drop(user, "volumes", volume, sim_chance(&user->random, 0.3) ? "{\"wipe\":true}" : NULL);
  }
}

static void make_image(User *user)
{
  g_autofree char *volume = pick(user, &ws_type_volume, volume_is_free, NULL), *name = new_name(user, "image");
  g_autofree char *pool = pick(user, &ws_type_pool, pool_is_active, NULL);
  if (!volume || !pool || count(user, &ws_type_image) > 5)
    return;
  g_autofree char *body =
      sim_chance(&user->random, 0.85)
          ? g_strdup_printf("{\"name\":\"%s\",\"pool\":\"%s\",\"source\":\"%s\"}", name, pool, volume)
          : g_strdup_printf("{\"name\":\"%s\",\"pool\":\"%s\",\"upload_bytes\":1048576}", name, pool);
  post(user, "/api/v1/images", body);
}

static void change_image(User *user)
{
  g_autofree char *image = pick(user, &ws_type_image, NULL, NULL);
  if (!image)
    return;
  if (sim_chance(&user->random, 0.4))
    verb(user, "images", image, "verify", NULL);
  else if (sim_chance(&user->random, 0.5))
    change(user, "images", image, "{\"min_vcpus\":2}");
  else
    drop(user, "images", image, NULL);
}

/* ---- actions: networks ---- */

static void make_network(User *user)
{
  g_autofree char *host = pick(user, &ws_type_host, NULL, NULL), *sw = pick(user, &ws_type_switch, NULL, NULL);
  g_autofree char *name = new_name(user, "net"), *body = NULL;
  if (!host)
    return;
  if (!sw || (sim_chance(&user->random, 0.3) && count(user, &ws_type_switch) < 5)) {
    body = g_strdup_printf("{\"name\":\"%s\",\"host\":\"%s\"}", name, host);
    post(user, "/api/v1/switches", body);
  } else if (count(user, &ws_type_port_group) < 8) {
    body = g_strdup_printf("{\"name\":\"%s\",\"switch\":\"%s\",\"vlan\":{\"mode\":\"access\",\"tag\":%u}}", name, sw,
                           1 + (guint)sim_below(&user->random, 4000));
    post(user, "/api/v1/port-groups", body);
  }
}

static void change_network(User *user)
{
  g_autofree char *sw = pick(user, &ws_type_switch, NULL, NULL), *group = pick(user, &ws_type_port_group, NULL, NULL);
  switch (sim_below(&user->random, 6)) {
  case 0:
    if (sw)
      change(user, "switches", sw, sim_chance(&user->random, 0.5) ? "{\"mtu\":9000}" : "{\"mtu\":1500}");
    break;
  case 1:
    if (sw)
      drop(user, "switches", sw, NULL);
    break;
  case 2:
    if (group)
      drop(user, "port-groups", group, NULL);
    break;
  default:
    if (group)
      change(user, "port-groups", group,
             sim_chance(&user->random, 0.5) ? "{\"vlan\":{\"mode\":\"access\",\"tag\":7}}" : "{\"vlan\":{\"mode\":\"none\"}}");
  }
}

/* ---- actions: VMs ---- */

static void make_vm(User *user)
{
  g_autofree char *pool = pick(user, &ws_type_pool, pool_is_active, NULL), *name = new_name(user, "vm");
  g_autofree char *group = pick(user, &ws_type_port_group, NULL, NULL), *volume = pick(user, &ws_type_volume, volume_is_free, NULL);
  if (!pool || count(user, &ws_type_vm) > 25)
    return;
  g_autoptr(GString) body = g_string_new(NULL);
  g_string_append_printf(body, "{\"name\":\"%s\",\"memory_bytes\":%" G_GINT64_FORMAT, name,
                         sim_between(&user->random, 1, 8) << 28);
  if (volume && sim_chance(&user->random, 0.3))
    g_string_append_printf(body, ",\"disks\":[{\"volume\":\"%s\"}]", volume);
  else if (sim_chance(&user->random, 0.9))
    g_string_append_printf(body, ",\"disks\":[{\"new_volume\":{\"pool\":\"%s\",\"size_bytes\":%" G_GINT64_FORMAT "}}]", pool,
                           sim_between(&user->random, 1, 40) << 30);
  if (group && sim_chance(&user->random, 0.5))
    g_string_append_printf(body, ",\"nics\":[{\"port_group\":\"%s\"}]", group);
  if (sim_chance(&user->random, 0.2))
    g_string_append(body, ",\"cloud_init\":{\"user\":\"admin\",\"password\":\"SECRET-cloud-init\"}");
  g_string_append_c(body, '}');
  post(user, "/api/v1/vms", body->str);
}

static void deploy_vm(User *user)
{
  g_autofree char *image = pick(user, &ws_type_image, image_is_ready, NULL), *name = new_name(user, "web");
  if (!image || count(user, &ws_type_vm) > 25)
    return;
  g_autofree char *body = g_strdup_printf(
      "{\"image\":\"%s\",\"name\":\"%s\",\"count\":%u,\"linked\":%s,\"start\":%s%s}", image, name,
      sim_chance(&user->random, 0.3) ? (guint)sim_between(&user->random, 2, 4) : 1, sim_chance(&user->random, 0.5) ? "true" : "false",
      sim_chance(&user->random, 0.7) ? "true" : "false",
      sim_chance(&user->random, 0.3) ? ",\"cloud_init\":{\"user\":\"admin\",\"password\":\"SECRET-deploy\"}" : "");
  post(user, "/api/v1/vms/deploy", body);
}

#define BIT(state) (1u << WS_POWER_STATE_##state)

static void power_vm(User *user)
{
  static const struct {
    const char *verb;
    guint from;
    const char *body;
  } verbs[] = {{"start", BIT(OFF) | BIT(HIBERNATED), NULL},
               {"start", BIT(OFF) | BIT(HIBERNATED), NULL},
               {"start", BIT(OFF), "{\"paused\":true}"},
               {"shutdown", BIT(RUNNING), "{\"timeout_s\":10,\"or_power_off\":true}"},
               {"shutdown", BIT(RUNNING), "{\"timeout_s\":8}"},
               {"power_off", BIT(RUNNING) | BIT(PAUSED), NULL},
               {"reboot", BIT(RUNNING), NULL},
               {"reset", BIT(RUNNING), NULL},
               {"pause", BIT(RUNNING), NULL},
               {"resume", BIT(PAUSED) | BIT(HIBERNATED), NULL},
               {"hibernate", BIT(RUNNING) | BIT(PAUSED), NULL},
               {"discard_saved", BIT(HIBERNATED), NULL}};
  guint i = (guint)sim_below(&user->random, G_N_ELEMENTS(verbs));
  g_autofree char *vm = pick(user, &ws_type_vm, has_power, &verbs[i].from);
  if (vm)
    verb(user, "vms", vm, verbs[i].verb, verbs[i].body);
}

static void batch_power(User *user)
{
  static const char *const verbs[] = {"start", "power_off", "reset", "sync"};
  g_autofree char *a = pick(user, &ws_type_vm, NULL, NULL), *b = pick(user, &ws_type_vm, NULL, NULL);
  g_autofree char *c = pick(user, &ws_type_vm, NULL, NULL);
  if (!a)
    return;
  g_autofree char *body = g_strdup_printf("{\"verb\":\"%s\",\"ids\":[\"%s\",\"%s\",\"%s\"]}",
                                          verbs[sim_below(&user->random, G_N_ELEMENTS(verbs))], a, b, c);
  post(user, "/api/v1/vms/batch", body);
}

static void change_vm(User *user)
{
  const guint any = BIT(OFF) | BIT(RUNNING) | BIT(PAUSED) | BIT(HIBERNATED);
  g_autofree char *vm = pick(user, &ws_type_vm, has_power, &any), *volume = pick(user, &ws_type_volume, volume_is_free, NULL);
  g_autofree char *group = pick(user, &ws_type_port_group, NULL, NULL), *body = NULL;
  if (!vm)
    return;
  switch (sim_below(&user->random, 9)) {
  case 0:
    body = g_strdup_printf("{\"memory_bytes\":%" G_GINT64_FORMAT "}", sim_between(&user->random, 1, 8) << 28);
    change(user, "vms", vm, body);
    break;
  case 1:
    body = g_strdup_printf("{\"name\":\"renamed-%u\",\"cpu\":{\"vcpus\":%u}}", (guint)sim_below(&user->random, 100),
                           1 + (guint)sim_below(&user->random, 4));
    change(user, "vms", vm, body);
    break;
  case 2:
    body = volume ? g_strdup_printf("{\"disk\":{\"volume\":\"%s\"}}", volume) : NULL;
    if (body)
      verb(user, "vms", vm, "attach_disk", body);
    break;
  case 3:
    verb(user, "vms", vm, "attach_disk", "{\"disk\":{\"new_volume\":{\"size_bytes\":1073741824}}}");
    break;
  case 4:
    body = g_strdup_printf("{\"key\":\"disk-%u\",\"volume\":\"%s\"}", (guint)sim_below(&user->random, 2),
                           (const char *const[]){"keep", "bin", "destroy"}[sim_below(&user->random, 3)]);
    verb(user, "vms", vm, "detach_disk", body);
    break;
  case 5:
    body = group ? g_strdup_printf("{\"nic\":{\"port_group\":\"%s\"}}", group) : NULL;
    if (body)
      verb(user, "vms", vm, "attach_nic", body);
    break;
  case 6:
    verb(user, "vms", vm, "detach_nic", "{\"key\":\"nic-0\"}");
    break;
  case 7:
    body = volume ? g_strdup_printf("{\"volume\":\"%s\"}", volume) : NULL;
    if (body)
      verb(user, "vms", vm, "insert_cd", body);
    break;
  default:
    verb(user, "vms", vm, "eject_cd", "{}");
  }
}

static void remove_vm(User *user)
{
  static const char *const hows[] = {"bin", "bin_with_volumes", "destroy", "destroy", "forget"};
  const guint off = BIT(OFF) | BIT(HIBERNATED) | BIT(CRASHED) | BIT(UNKNOWN);
  const int in_bin = WS_VM_MANAGEMENT_IN_BIN;
  g_autofree char *vm = sim_chance(&user->random, 0.7) ? pick(user, &ws_type_vm, has_power, &off)
                                                       : pick(user, &ws_type_vm, has_management, &in_bin);
  if (!vm)
    return;
  g_autofree char *body = g_strdup_printf("{\"how\":\"%s\",\"wipe\":%s}", hows[sim_below(&user->random, G_N_ELEMENTS(hows))],
                                          sim_chance(&user->random, 0.2) ? "true" : "false");
  drop(user, "vms", vm, body);
}

static void other_vm(User *user)
{
  const int in_bin = WS_VM_MANAGEMENT_IN_BIN, found = WS_VM_MANAGEMENT_FOUND;
  static const char *const verbs[] = {"console", "screenshot", "sync", "send_keys"};
  g_autofree char *binned = pick(user, &ws_type_vm, has_management, &in_bin);
  g_autofree char *stranger = pick(user, &ws_type_vm, has_management, &found), *any = pick(user, &ws_type_vm, NULL, NULL);
  guint what = (guint)sim_below(&user->random, 10);
  if (what < 3 && binned)
    verb(user, "vms", binned, "restore", NULL);
  else if (what < 6 && stranger)
    verb(user, "vms", stranger, sim_chance(&user->random, 0.8) ? "adopt" : "ignore", NULL);
  else if (any && what < 10) {
    guint i = (guint)sim_below(&user->random, G_N_ELEMENTS(verbs));
    verb(user, "vms", any, verbs[i], i == 3 ? "{\"keys\":[\"ctrl\",\"alt\",\"delete\"]}" : NULL);
  }
}

static void move_vm(User *user)
{
  const guint on = BIT(RUNNING) | BIT(PAUSED);
  g_autofree char *vm = pick(user, &ws_type_vm, has_power, &on), *host = pick(user, &ws_type_host, NULL, NULL);
  g_autofree char *body = host ? g_strdup_printf("{\"host\":\"%s\"}", host) : NULL;
  if (vm && host)
    verb(user, "vms", vm, "migrate", body);
}

static bool is_not_in_service(const void *object, const void *arg)
{
  return ((const WsHost *)object)->mode == WS_HOST_MODE_MAINTENANCE;
}

static void maintain(User *user)
{
  g_autofree char *host = pick(user, &ws_type_host, NULL, NULL), *resting = pick(user, &ws_type_host, is_not_in_service, NULL);
  if (resting)
    verb(user, "hosts", resting, "leave_maintenance", NULL);
  else if (host)
    verb(user, "hosts", host, "enter_maintenance",
         sim_chance(&user->random, 0.6) ? "{\"vms\":\"migrate\"}" : "{\"vms\":\"shut_down\",\"shut_down_timeout_s\":10}");
}

/* ---- actions: the rest ---- */

static bool task_runs(const void *object, const void *arg)
{
  return ((const WsTask *)object)->cancellable;
}

static void cancel_task(User *user)
{
  g_autofree char *task = pick(user, &ws_type_task, task_runs, NULL);
  if (task)
    verb(user, "tasks", task, "cancel", NULL);
}

static void manage_users(User *user)
{
  g_autofree char *name = new_name(user, "u"), *role = pick(user, &ws_type_role, NULL, NULL), *body = NULL;
  g_autofree char *other = pick(user, &ws_type_user, NULL, NULL), *token = pick(user, &ws_type_api_token, NULL, NULL);
  switch (sim_below(&user->random, 8)) {
  case 0:
    body = g_strdup_printf("{\"name\":\"%s\",\"password\":\"SECRET-%s\",\"roles\":[\"%s\"]}", name, name, role ? role : "role-1");
    post(user, "/api/v1/users", body);
    break;
  case 1:
    body = g_strdup_printf("{\"name\":\"%s\",\"permissions\":[\"vm.read\",\"volume.*\"]}", name);
    post(user, "/api/v1/roles", body);
    break;
  case 2:
    body = g_strdup_printf("{\"name\":\"%s\",\"days\":1}", name);
    post(user, "/api/v1/api-tokens", body);
    break;
  case 3:
    post(user, "/api/v1/sessions", "{\"user_name\":\"admin\",\"password\":\"SECRET-wrong\"}");
    break;
  case 4:
    if (other)
      change(user, "users", other, "{\"full_name\":\"Somebody\"}");
    break;
  case 5:
    if (role && sim_chance(&user->random, 0.5))
      drop(user, "roles", role, NULL);
    break;
  case 6:
    post(user, "/api/v1/join-tokens", "{\"minutes\":5}");
    break;
  default:
    if (token && user->number % 2)
      verb(user, "alarms", "alarm-1", "acknowledge", NULL);
  }
}

static void sync_host(User *user)
{
  g_autofree char *host = pick(user, &ws_type_host, NULL, NULL);
  if (!host)
    return;
  if (sim_chance(&user->random, 0.7))
    verb(user, "hosts", host, "sync", NULL);
  else if (sim_chance(&user->random, 0.8))
    change(user, "hosts", host, "{\"description\":\"rack 3\"}");
  else
    drop(user, "hosts", host, NULL); /* not empty, usually: refused */
}

static void read_something(User *user)
{
  static const char *const targets[] = {"/api/v1/vms?limit=5&sort=name",
                                        "/api/v1/vms?filter=power.state%3Drunning",
                                        "/api/v1/volumes?fields=name,pool,state",
                                        "/api/v1/tasks?sort=-created&limit=10",
                                        "/api/v1/events?limit=20",
                                        "/api/v1/audit-records?limit=20",
                                        "/api/v1/ended-tasks",
                                        "/api/v1/hosts",
                                        "/api/v1/whoami",
                                        "/api/v1/health",
                                        "/api/v1/alarms",
                                        "/api/v1/users",
                                        "/api/v1/nothing-here"};
  g_auto(SimAnswer) answer = {0};
  sim_call(user->work->clients, &user->caller, "GET", targets[sim_below(&user->random, G_N_ELEMENTS(targets))], NULL, NULL, NULL,
           &answer);
}

/* Any route, with a body that is made up from its type: mostly nonsense, always to be answered. */
static void append_value(User *user, GString *out, const WsField *field, guint kind, guint depth);

static void append_object(User *user, GString *out, const WsType *type, guint depth)
{
  bool first = true;
  g_string_append_c(out, '{');
  for (guint i = 0; type && i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    bool wanted = (field->flags & WS_FIELD_REQUIRED) ? sim_chance(&user->random, 0.95) : sim_chance(&user->random, 0.15);
    if (!wanted || ((field->flags & (WS_FIELD_READ_ONLY | WS_FIELD_INTERNAL)) && !sim_chance(&user->random, 0.02)) ||
        (field->flags & WS_FIELD_SECRET) || strcmp(field->name, "password") == 0)
      continue;
    g_string_append_printf(out, "%s\"%s\":", first ? "" : ",", field->name);
    append_value(user, out, field, field->kind, depth);
    first = false;
  }
  g_string_append_c(out, '}');
}

static void append_reference(User *user, GString *out, const WsType *type)
{
  g_autofree char *id = type ? pick(user, type, NULL, NULL) : NULL;
  g_string_append_printf(out, "\"%s\"", id ? id : "vm-1");
}

static void append_value(User *user, GString *out, const WsField *field, guint kind, guint depth)
{
  SimRandom *random = &user->random;
  if (sim_chance(random, 0.03)) {
    g_string_append(out, (const char *const[]){"null", "\"\"", "-1", "[]", "{}", "1e300", "true"}[sim_below(random, 7)]);
    return;
  }
  switch (kind) {
  case WS_KIND_BOOL:
    g_string_append(out, sim_chance(random, 0.5) ? "true" : "false");
    break;
  case WS_KIND_INT: {
    gint64 value = field->max > field->min ? field->min + (gint64)sim_below(random, MIN((guint64)field->max - (guint64)field->min, 1 << 20)) : 1;
    g_string_append_printf(out, "%" G_GINT64_FORMAT, field->multiple_of > 1 ? value / field->multiple_of * field->multiple_of : value);
    break;
  }
  case WS_KIND_DOUBLE:
    g_string_append(out, "1.5");
    break;
  case WS_KIND_ENUM:
    g_string_append_printf(out, "\"%s\"", field->names[0]);
    break;
  case WS_KIND_REF:
    append_reference(user, out, field->sub);
    break;
  case WS_KIND_OBJECT:
    if (depth < 3)
      append_object(user, out, field->sub, depth + 1);
    else
      g_string_append(out, "{}");
    break;
  case WS_KIND_ARRAY:
    g_string_append_c(out, '[');
    for (guint n = (guint)sim_below(random, 3), i = 0; i < n; i++) {
      g_string_append(out, i ? "," : "");
      append_value(user, out, field, field->item_kind, depth + 1);
    }
    g_string_append_c(out, ']');
    break;
  case WS_KIND_MAP:
    g_string_append(out, "{\"a\":\"b\"}");
    break;
  default:
    g_string_append_printf(out, "\"x%u\"", (guint)sim_below(random, 1000));
  }
}

static void try_anything(User *user)
{
  const WsRoute *route = &ws_routes[sim_below(&user->random, ws_n_routes)];
  if (g_strcmp0(route->verb, "abandon") == 0)
    return; /* it leaves behind what it likes: that is what it is for */
  if (route->type == &ws_type_host && route->verb && (g_str_has_prefix(route->verb, "power_") || strcmp(route->verb, "reboot") == 0))
    return; /* they wait for minutes for a machine that the world has switched on again meanwhile */
  if (route->kind == WS_ROUTE_FIXED || route->type == &ws_type_session || route->type == &ws_type_user ||
      (route->type == &ws_type_api_token && route->kind == WS_ROUTE_DELETE) || route->kind == WS_ROUTE_BATCH)
    return; /* sockets; and passwords cost too much */
  g_autofree char *id = route->type ? pick(user, route->type, NULL, NULL) : NULL;
  g_auto(GStrv) parts = g_strsplit(route->path, "{id}", 2);
  g_autofree char *target = parts[0] && parts[1] ? g_strconcat(parts[0], id ? id : "vm-99", parts[1], NULL) : g_strdup(route->path);
  if (strcmp(route->method, "GET") == 0) {
    g_auto(SimAnswer) answer = {0};
    sim_call(user->work->clients, &user->caller, "GET", target, NULL, NULL, NULL, &answer);
    return;
  }
  g_autoptr(GString) body = g_string_new(NULL);
  const WsType *type = route->kind == WS_ROUTE_CREATE || route->kind == WS_ROUTE_UPDATE ? route->type : route->body;
  if (type)
    append_object(user, body, type, 0);
  post_to(user, route->method, target, type ? body->str : NULL);
}

/* What somebody without rights may not, and somebody without a name. */
static void try_without_right(User *user)
{
  SimCaller was = user->caller;
  g_autofree char *vm = pick(user, &ws_type_vm, NULL, NULL);
  user->caller.token = sim_chance(&user->random, 0.5) ? user->work->reader_token : "wst_nonsense";
  g_auto(SimAnswer) answer = {0};
  g_autofree char *target = g_strdup_printf("/api/v1/vms/%s/%s", vm ? vm : "vm-1", sim_chance(&user->random, 0.5) ? "power_off" : "start");
  sim_call(user->work->clients, &user->caller, "POST", target, NULL, NULL, NULL, &answer);
  if (answer.status && answer.status != 401 && answer.status != 403 && answer.status != 429 && answer.status != 503)
    sim_fail(user->work->clients->manager->world, "rights", "%s was answered with %d for somebody without the right", target,
             answer.status);
  user->caller = was;
}

/* ---- users ---- */

static const struct {
  const char *name;
  guint weight;
  void (*func)(User *user);
} actions[] = {
    {"make_pool", 6, make_pool},         {"change_pool", 3, change_pool},       {"make_volume", 8, make_volume},
    {"change_volume", 12, change_volume}, {"make_image", 4, make_image},         {"change_image", 2, change_image},
    {"make_network", 6, make_network},   {"change_network", 4, change_network}, {"make_vm", 14, make_vm},
    {"deploy_vm", 10, deploy_vm},        {"power_vm", 26, power_vm},            {"batch_power", 4, batch_power},
    {"change_vm", 16, change_vm},        {"remove_vm", 10, remove_vm},          {"other_vm", 8, other_vm},
    {"move_vm", 10, move_vm},            {"attach_pool", 3, attach_pool},       {"maintain", 2, maintain},
    {"cancel_task", 6, cancel_task},     {"manage_users", 5, manage_users},     {"sync_host", 4, sync_host},
    {"read", 10, read_something},        {"anything", 10, try_anything},        {"without_right", 3, try_without_right},
};

const char *sim_work_action(guint i)
{
  return i < G_N_ELEMENTS(actions) ? actions[i].name : NULL;
}

static guint choose(SimRandom *random)
{
  guint sum = 0;
  for (guint i = 0; i < G_N_ELEMENTS(actions); i++)
    sum += actions[i].weight;
  guint at = (guint)sim_below(random, sum), i = 0;
  for (; at >= actions[i].weight; i++)
    at -= actions[i].weight;
  return i;
}

static void live(void *arg)
{
  User *user = arg;
  SimWork *work = user->work;
  while (!work->stopped) {
    ws_co_sleep(sim_delay(&user->random, work->pause_us, work->pause_us * 10));
    if (work->stopped)
      break;
    guint i = choose(&user->random);
    work->done[i]++;
    actions[i].func(user);
  }
}

static void start_user(void *arg)
{
  User *user = arg;
  ws_co_start(user->work->clients->loop, live, user);
}

void sim_work_start(SimWork *work, guint n_users)
{
  for (guint i = 0; i < n_users; i++) {
    User *user = g_new0(User, 1);
    user->work = work;
    user->number = i;
    user->caller = (SimCaller){40 + i, work->admin_token, "10.0.2.1"};
    sim_random_seed(&user->random, sim_world_seed(work->clients->manager->world), 3000 + i);
    ws_loop_post(work->clients->loop, start_user, user, NULL);
  }
}

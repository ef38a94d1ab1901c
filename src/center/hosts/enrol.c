// SPDX-License-Identifier: Apache-2.0
/* Hosts come and go: join tokens, enrolment, removal.
 *
 * A join token reads "wsj_<secret>.<fingerprint of the site's CA>": the host checks the manager by the fingerprint before it tells the
 * secret, so neither is fooled by somebody in between. */
#include "base/hash.h"
#include "center/api/call.h"
#include "center/bin.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/hosts/versions.h"
#include "center/pki.h"
#include "model/model.h"
#include "plan/estate.h"
#include "rpc/methods.h"
#include "center/verbs.h"

#define NAMES_MAX 20 /* of each kind, in a refusal */

/* ---- join tokens ---- */

char *hosts_fill_token(Center *center, WsJoinToken *token, GError **error)
{
  g_autofree char *fingerprint = center_pki_fingerprint(center, error);
  if (!fingerprint)
    return NULL;
  char *secret = ws_token_new(center->clock, "wsj_");
  g_free(token->token_hash);
  token->token_hash = ws_sha256_hex(secret, strlen(secret));
  token->expires = ws_clock_wall_us(center->clock) + token->minutes * 60 * (gint64)G_USEC_PER_SEC;
  char *text = g_strdup_printf("%s.%s", secret, fingerprint);
  ws_secret_free(secret);
  return text;
}

bool join_token_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  WsJoinToken *body = api_call_body(call);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create join token", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsJoinToken *token = inv_create(txn, &ws_type_join_token);
  ws_resource_take_fields(&ws_type_join_token, token, body);
  char *text = hosts_fill_token(center, token, error);
  if (!text)
    return false;
  g_autoptr(WsJoinToken) answer = ws_join_token_copy(token);
  answer->token = text;
  api_call_set_object(call, &ws_type_join_token, token->id);
  return api_call_commit(call, txn, error) && api_call_answer_made(call, &ws_type_join_token, answer);
}

/* The token without the part that is for the host itself. */
static const WsJoinToken *find_token(Center *center, const InvSnapshot *head, const char *text)
{
  const char *dot = strchr(text, '.');
  gsize n = dot ? (gsize)(dot - text) : strlen(text);
  g_autofree char *hash = ws_sha256_hex(text, n);
  const WsJoinToken *token = inv_find_by(head, &ws_type_join_token, "token_hash", 0, hash);
  return token && !token->used_by && token->expires > ws_clock_wall_us(center->clock) ? token : NULL;
}

/* ---- enrolment ---- */

static bool take_first(const void *object, void *arg)
{
  *(WsId *)arg = ((const WsResource *)object)->id;
  return false;
}

/* Where the token says, as far as it fits; else a single host of the first host pool. */
static void find_place(Center *center, InvTxn *txn, const InvSnapshot *head, const WsJoinToken *token, WsHost *host)
{
  const WsCluster *cluster = token->cluster ? inv_find(head, &ws_type_cluster, token->cluster) : NULL;
  if (cluster && (!(int)cluster->architecture || !(int)host->architecture || cluster->architecture == host->architecture)) {
    host->cluster = cluster->id;
    host->host_pool = cluster->host_pool;
    if (!(int)cluster->architecture && (int)host->architecture)
      ((WsCluster *)inv_edit(txn, cluster))->architecture = (int)host->architecture;
    return;
  }
  if (token->cluster)
    center_event(center, CENTER_MAJOR, &ws_type_host, host->id, "user", "host_not_in_cluster", "cluster",
                 cluster ? cluster->name : "-", "reason", cluster ? "another architecture" : "it is gone", NULL);
  host->host_pool = token->host_pool && inv_find(head, &ws_type_host_pool, token->host_pool) ? token->host_pool : 0;
  if (!host->host_pool)
    inv_each(head, &ws_type_host_pool, take_first, &host->host_pool);
}

/* The same machine under another name, or one that was cloned from it. `self`: the host that it says to be; 0: a new one. */
static bool check_machine(const InvSnapshot *head, const WsEnrol *body, WsId self, GError **error)
{
  const WsHost *other = body->machine_hash ? inv_find_by(head, &ws_type_host, "machine_hash", 0, body->machine_hash) : NULL;
  if (!other || other->id == self)
    return true;
  bool cloned = body->product_uuid && other->product_uuid && g_ascii_strcasecmp(body->product_uuid, other->product_uuid) != 0;
  return ws_fail(error, cloned ? WS_ERROR_MACHINE_ID_TAKEN : WS_ERROR_HOST_KNOWN, "host", other->name, "address",
                 other->address ? other->address : "-", NULL);
}

static void note_machine(WsHost *host, const WsEnrol *body)
{
  if (body->machine_hash) {
    g_free(host->machine_hash);
    host->machine_hash = g_strdup(body->machine_hash);
  }
  if (body->product_uuid) {
    g_free(host->product_uuid);
    host->product_uuid = g_strdup(body->product_uuid);
  }
}

static void give_certificate(WsHost *host, const CenterCertificate *cert)
{
  ws_host_certificate_free(host->certificate);
  host->certificate = ws_host_certificate_new();
  host->certificate->serial = g_strdup(cert->serial);
  host->certificate->not_after = cert->not_after_us;
  g_clear_pointer(&host->previous_serial, g_free); /* whoever has an older one is a stranger from now on */
}

static WsHost *enter_host(Center *center, InvTxn *txn, const WsEnrol *body, const char *name, const CenterCertificate *cert)
{
  WsHost *host = inv_create_with_id(txn, &ws_type_host, cert->host);
  ws_apply_defaults(&ws_type_host, host);
  g_free(host->name);
  host->name = g_strdup(name ? name : body->hostname);
  host->state = WS_HOST_STATE_JOINING;
  host->state_since = host->joined = ws_clock_wall_us(center->clock);
  for (int i = 0; body->architecture && ws_architecture_names[i]; i++)
    if (strcmp(ws_architecture_names[i], body->architecture) == 0)
      host->architecture = i + 1;
  give_certificate(host, cert);
  note_machine(host, body);
  return host;
}

/* A host that is known comes back as itself: its certificate had expired, or its state is lost. */
static bool enter_again(InvTxn *txn, const WsEnrol *body, const CenterCertificate *cert, GError **error)
{
  WsHost *host = inv_edit_id(txn, &ws_type_host, cert->host);
  if (!host)
    return ws_fail(error, WS_ERROR_TICKET_INVALID, NULL); /* removed meanwhile */
  give_certificate(host, cert);
  note_machine(host, body);
  return true;
}

static GString *answer_of(const CenterCertificate *cert, const char *ca)
{
  char id[WS_ID_TEXT_MAX];
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  ws_json_begin_object(&w);
  ws_json_key(&w, "host");
  ws_json_string(&w, ws_id_format(ws_type_host.prefix, cert->host, id));
  ws_json_key(&w, "certificate");
  ws_json_string(&w, cert->pem);
  ws_json_key(&w, "ca");
  ws_json_string(&w, ca);
  ws_json_end_object(&w);
  return body;
}

/* Its certificate is durable: an old link, if one hangs there still, ends, and the agent comes back with the new one. */
static void welcome(ApiCall *call, WsId host, bool again)
{
  Center *center = api_call_center(call);
  center_event(center, CENTER_INFO, &ws_type_host, host, "user", again ? "host_joined_again" : "host_joined", "address", api_call_origin(call),
               NULL);
  if (again)
    hosts_disconnect(center, host, "the host was enrolled anew");
}

bool enrol_host(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsEnrol *body = api_call_body(call);
  g_autoptr(InvSnapshot) before = inv_head(center->inventory);
  const WsJoinToken *token = find_token(center, before, body->token);
  if (!token)
    return ws_fail(error, WS_ERROR_TICKET_INVALID, NULL);
  if (!check_machine(before, body, token->host, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"enrol host", NULL});
  bool again = token->host != 0;
  g_auto(CenterCertificate) cert = {.host = again ? token->host : inv_new_id(center->inventory)};
  g_autofree char *ca = center_pki_ca_pem(center, error);
  if (!ca || !center_pki_issue_host(center, body->csr, &cert, error))
    return false;
  g_autoptr(InvSnapshot) head = inv_head(center->inventory); /* that took a moment: somebody else may have used it */
  token = find_token(center, head, body->token);
  if (!token)
    return ws_fail(error, WS_ERROR_TICKET_INVALID, NULL);
  if (!check_machine(head, body, token->host, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsJoinToken *used = inv_edit(txn, token);
  char id[WS_ID_TEXT_MAX];
  used->used_by = g_strdup(ws_id_format(ws_type_host.prefix, cert.host, id));
  if (!again)
    find_place(center, txn, head, token, enter_host(center, txn, body, token->host_name, &cert));
  else if (!enter_again(txn, body, &cert, error))
    return false;
  api_call_set_object(call, &ws_type_host, cert.host);
  if (!api_call_commit(call, txn, error))
    return false;
  welcome(call, cert.host, again);
  return api_call_answer_json(call, 201, answer_of(&cert, ca));
}

/* ---- removal ---- */

typedef struct {
  Center *center;
  WsId id;
  bool force;
} Remove;

/* What still belongs to the host: of each kind how many, and the names of the first. */
typedef struct {
  WsId host;
  GString *names;
  guint n;
} Belongings;

static void add_belonging(Belongings *all, const char *name)
{
  if (all->n++ < NAMES_MAX)
    g_string_append_printf(all->names, "%s%s", all->names->len ? ", " : "", name);
}

static bool add_vm(const void *object, void *arg)
{
  add_belonging(arg, ((const WsVm *)object)->name);
  return true;
}

static bool add_pool(const void *object, void *arg)
{
  Belongings *all = arg;
  if (plan_pool_has_host(object, all->host))
    add_belonging(all, ((const WsPool *)object)->name);
  return true;
}

static bool add_switch(const void *object, void *arg)
{
  add_belonging(arg, ((const WsSwitch *)object)->name);
  return true;
}

/* "2 virtual machines: a, b", behind what is there already. */
static void end_kind(Belongings *all, GString *text, const char *kind)
{
  if (all->n > NAMES_MAX)
    g_string_append_printf(all->names, ", %u more", all->n - NAMES_MAX);
  if (all->n)
    g_string_append_printf(text, "%s%u %s: %s", text->len ? "; " : "", all->n, kind, all->names->str);
  g_string_truncate(all->names, 0);
  all->n = 0;
}

/* All that is in the way, in one answer: who removes a host would else be told of one after the other. */
static bool check_empty(Task *task, const WsHost *host, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  g_autoptr(GString) names = g_string_new(NULL), reasons = g_string_new(NULL);
  Belongings all = {host->id, names, 0};
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, add_vm, &all);
  end_kind(&all, reasons, "virtual machines");
  inv_each(snap, &ws_type_pool, add_pool, &all);
  end_kind(&all, reasons, "pools");
  inv_each_by(snap, &ws_type_switch, ws_type_field(&ws_type_switch, "host", 4), host->id, NULL, add_switch,
              &all);
  end_kind(&all, reasons, "switches");
  return !reasons->len || ws_fail(error, WS_ERROR_IN_USE, "object", host->name, "user", reasons->str, NULL);
}

typedef struct {
  InvTxn *txn;
  const InvSnapshot *head;
  WsId host;
  gint64 bin_us; /* volumes of the VM at hand go to the bin at that time; 0: they are free */
} DropAll;

static bool free_volume(const void *object, void *arg)
{
  const DropAll *drop = arg;
  WsVolume *volume = inv_edit(drop->txn, object);
  volume->used_by = 0;
  if (drop->bin_us && !volume->in_bin_since)
    bin_hold_volume(volume, drop->bin_us);
  return true;
}

/* Its disks on pools that other hosts have too stay, used by nobody. A guest that is not known to be off may go on writing them, and its lease says
 * nothing to another VM: these lie in the bin, where nobody takes them without having thought of it. */
static bool drop_vm(const void *object, void *arg)
{
  DropAll *drop = arg;
  const WsVm *vm = object;
  DropAll here = *drop;
  if (vm->power && vm->power->state == WS_POWER_STATE_OFF)
    here.bin_us = 0;
  inv_each_by(drop->head, &ws_type_volume, ws_type_field(&ws_type_volume, "used_by", 7), vm->id, NULL, free_volume, &here);
  inv_delete(drop->txn, &ws_type_vm, vm->id);
  return true;
}

static bool drop_image(const void *object, void *arg)
{
  inv_delete(arg, &ws_type_image, ((const WsImage *)object)->id);
  return true;
}

static bool drop_volume(const void *object, void *arg)
{
  inv_delete(arg, &ws_type_volume, ((const WsVolume *)object)->id);
  return true;
}

static bool drop_pool(const void *object, void *arg)
{
  DropAll *drop = arg;
  const WsPool *pool = object;
  if (!plan_pool_has_host(pool, drop->host))
    return true;
  if (pool->hosts.len > 1) { /* the others go on using it */
    WsPool *edit = inv_edit(drop->txn, pool);
    guint kept = 0;
    for (guint i = 0; i < edit->hosts.len; i++)
      if (edit->hosts.items[i] != drop->host)
        edit->hosts.items[kept++] = edit->hosts.items[i];
    edit->hosts.len = kept;
    return true;
  }
  inv_each_by(drop->head, &ws_type_image, ws_type_field(&ws_type_image, "pool", 4), pool->id, NULL, drop_image, drop->txn);
  inv_each_by(drop->head, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, drop_volume, drop->txn);
  inv_delete(drop->txn, &ws_type_pool, pool->id);
  return true;
}

static bool drop_group(const void *object, void *arg)
{
  inv_delete(arg, &ws_type_port_group, ((const WsPortGroup *)object)->id);
  return true;
}

static bool drop_switch(const void *object, void *arg)
{
  DropAll *drop = arg;
  const WsSwitch *sw = object;
  inv_each_by(drop->head, &ws_type_port_group, ws_type_field(&ws_type_port_group, "switch", 6), sw->id, NULL, drop_group, drop->txn);
  inv_delete(drop->txn, &ws_type_switch, sw->id);
  return true;
}

void hosts_drop(Center *center, InvTxn *txn, WsId host)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  DropAll drop = {txn, head, host, ws_clock_wall_us(center->clock)};
  inv_each_by(head, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, drop_vm, &drop);
  inv_each(head, &ws_type_pool, drop_pool, &drop);
  inv_each_by(head, &ws_type_switch, ws_type_field(&ws_type_switch, "host", 4), host, NULL, drop_switch, &drop);
  inv_delete(txn, &ws_type_host, host);
}

static bool forget_host(Task *task, void *ctx, GError **error)
{
  Remove *r = ctx;
  InvTxn *txn = task_txn(task);
  if (r->force)
    hosts_drop(r->center, txn, r->id);
  else
    inv_delete(txn, &ws_type_host, r->id);
  return true;
}

static void on_change(const InvChange *change, void *arg)
{
  if (change->type != &ws_type_host || change->new_object)
    return;
  hosts_disconnect(arg, change->id, "the host was removed");
  host_versions_forget(arg, change->id);
}

bool host_delete(Task *task, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  const WsHostDelete *args = task_args(task);
  if (!host)
    return false;
  Remove r = {task_center(task), host->id, args && args->force};
  if (!r.force && !task_is_resumed(task) && !check_empty(task, host, error))
    return false;
  TaskLockRef lock = {&ws_type_host, r.id, false};
  g_autoptr(GError) held = NULL;
  /* By force it goes also from under tasks that wait for it, else a dead host that a task waits for would stay for ever: they learn that
   * it is gone, and end. */
  if (!task_lock(task, &lock, 1, &held) && !(r.force && ws_error_code(held) == WS_ERROR_BUSY)) {
    g_propagate_error(error, g_steal_pointer(&held));
    return false;
  }
  return TASK_LAST(task, "forget", forget_host, &r, error);
}

void hosts_watch_removals(Center *center)
{
  inv_add_listener(center->inventory, on_change, center);
}

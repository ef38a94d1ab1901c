// SPDX-License-Identifier: Apache-2.0
/* Adding a machine over SSH: it is looked at, then the agent is installed where it is missing, joins with a token of its own, is started, and is
 * waited for.
 *
 * Password and private key live in the arguments of the task in memory, and nowhere else: its record does not hold them. So a manager that was
 * started anew can go on only from where nothing more is to be said to the machine, which is when it has joined. Otherwise the task
 * is undone as far as that goes without a password: the token and what it let in are worth nothing; a package stays. */
#include "base/hash.h"
#include "base/log.h"
#include "center/hosts/hosts.h"
#include "center/hosts/machine.h"
#include "center/pki.h"
#include "center/verbs.h"
#include "http/http.h"
#include "model/texts.h"
#include <string.h>
#include <sys/stat.h>

#define POLL_US       (1 * (gint64)G_USEC_PER_SEC)
#define CLEAN_TRIES   3
#define CLEAN_WAIT_US (3 * (gint64)G_USEC_PER_SEC)
#define TOKEN_MINUTES 60
#define LINES         3 /* machines at a time: a worker is held for as long as an installation takes */

typedef struct {
  Center *center;
  const WsHostAdd *args;
  WsId token;
  char *secret; /* the token's text; NULL: not made by this process */
} Add;

static void add_clear(Add *add)
{
  ws_secret_free(add->secret);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Add, add_clear)

static bool has_login(const Add *add)
{
  return (add->args->password && *add->args->password) || (add->args->private_key && *add->args->private_key);
}

static bool fail_secret_gone(const Add *add, GError **error)
{
  return ws_fail(error, WS_ERROR_SECRET_GONE, "object", add->args->address, NULL);
}

/* ---- on a worker ---- */

typedef enum { LOOK, INSTALL, JOIN, START, CLEAN } Act;

typedef struct {
  Act act;
  MachineLogin login;
  MachineLook look;
  char *word; /* package, or URL, or host */
  char *token;
  bool purge;
  gint64 size_bytes;
  Task *task; /* for progress; its body waits for all of this */
  WsLoop *loop;
} Job;

static void job_free(void *arg)
{
  Job *job = arg;
  machine_login_clear(&job->login);
  machine_look_clear(&job->look);
  ws_secret_free(job->token);
  g_free(job->word);
  g_free(job);
}

typedef struct {
  Task *task;
  gint64 done, total;
} Progress;

static void show_progress(void *arg)
{
  const Progress *p = arg;
  task_progress(p->task, p->done, p->total, "bytes");
}

/* Posted before the end of the job is: the task is still in the body. */
static void on_progress(gint64 sent_bytes, void *arg)
{
  const Job *job = arg;
  Progress *p = g_new(Progress, 1);
  *p = (Progress){job->task, sent_bytes, job->size_bytes};
  ws_loop_post(job->loop, show_progress, p, g_free);
}

static bool act_on_worker(void *arg, GError **error)
{
  Job *job = arg;
  switch (job->act) {
  case LOOK:
    return machine_look(&job->login, &job->look, error);
  case INSTALL:
    return machine_install(&job->login, job->word, on_progress, job, error);
  case JOIN:
    return machine_join(&job->login, job->word, job->token, error);
  case START:
    return machine_start(&job->login, error);
  case CLEAN:
    return machine_clean(&job->login, job->word, job->purge, error);
  }
  g_assert_not_reached();
}

static Job *job_new(const Add *add, Act act, const char *word)
{
  const WsHostAdd *args = add->args;
  Job *job = g_new0(Job, 1);
  job->act = act;
  job->login = (MachineLogin){.address = g_strdup(args->address), .user = g_strdup(args->user), .password = g_strdup(args->password),
                              .private_key = args->private_key && *args->private_key ? g_strdup(args->private_key) : NULL,
                              .host_key = g_strdup(args->host_key), .port = (guint)args->port};
  job->word = g_strdup(word);
  job->loop = add->center->loop;
  return job;
}

/* True: the job is the caller's again. False: it is gone. */
static bool run_job(const Add *add, Job *job, GError **error)
{
  g_autofree char *line = g_strdup_printf("ssh %u", g_str_hash(add->args->address) % LINES);
  return ws_co_blocking_keyed(add->center->workers, line, act_on_worker, job, job_free, 0, error);
}

/* In a body: one that is not reached (any more) is tried again for a while, as any host is. */
static bool run_in_step(Task *task, const Add *add, Job *job, GError **error)
{
  g_autoptr(GError) failed = NULL;
  job->task = task;
  job->login.cancel = task_cancel_flag(task);
  if (run_job(add, job, &failed)) {
    job_free(job);
    return true;
  }
  if (ws_error_code(failed) == WS_ERROR_SSH_UNREACHABLE)
    return ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", add->args->address, "cause", ws_error_cause(failed), NULL);
  g_propagate_error(error, g_steal_pointer(&failed));
  return false;
}

/* ---- checks ---- */

static bool check_reference(const InvSnapshot *snap, const WsType *type, WsId id, const char *field, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  return !id || inv_find(snap, type, id) ||
         ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", field, "object", ws_id_format(type->prefix, id, text), NULL);
}

typedef struct {
  const WsHostAdd *args;
  const WsTask *other;
  const WsHost *pinned;
} AddLook;

static bool same_address(const WsHostAdd *args, const char *address, gint64 port)
{
  return address && g_ascii_strcasecmp(args->address, address) == 0 && args->port == port;
}

static bool look_for_other(const void *object, void *arg)
{
  AddLook *look = arg;
  const WsTask *rec = object;
  g_autoptr(WsHostAdd) args =
      !rec->ended && rec->args ? ws_object_parse(&ws_type_host_add, rec->args, strlen(rec->args), WS_PARSE_STORED, NULL) : NULL;
  if (args && same_address(look->args, args->address, args->port))
    look->other = rec;
  return !look->other;
}

static bool look_for_pin(const void *object, void *arg)
{
  AddLook *look = arg;
  const WsHost *host = object;
  if (host->ssh && host->ssh->host_key && same_address(look->args, host->ssh->address, host->ssh->port))
    look->pinned = host;
  return !look->pinned;
}

/* Two at once would undo each other's work. */
static bool check_alone(const AddLook *look, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  return !look->other || ws_fail(error, WS_ERROR_BUSY, "object", look->args->address, "verb", "adding", "task",
                                 ws_id_format(ws_type_task.prefix, look->other->id, id), NULL);
}

static const WsHost *find_machine(const InvSnapshot *snap, const MachineLook *look)
{
  return look->machine_hash ? inv_find_by(snap, &ws_type_host, "machine_hash", 0, look->machine_hash) : NULL;
}

/* Is it somebody's host already? What it joined once, and was removed from since, is no hindrance. */
static bool check_free(const Add *add, const InvSnapshot *snap, const MachineLook *look, GError **error)
{
  WsId id = 0;
  g_autofree char *own = center_pki_fingerprint(add->center, error);
  if (!own)
    return false;
  const WsHost *known = find_machine(snap, look);
  bool ours = g_strcmp0(look->ca_fingerprint, own) == 0;
  if (!known && ours && look->host && ws_id_parse(ws_type_host.prefix, look->host, &id))
    known = inv_find(snap, &ws_type_host, id);
  if (known)
    return ws_fail(error, WS_ERROR_HOST_KNOWN, "host", known->name, "address", known->address ? known->address : add->args->address, NULL);
  return !look->ca_fingerprint || ours ||
         ws_fail(error, WS_ERROR_JOINED_ELSEWHERE, "address", add->args->address, "manager", look->manager ? look->manager : "-", NULL);
}

static bool check_architecture(const Add *add, const InvSnapshot *snap, const MachineLook *look, GError **error)
{
  const WsCluster *cluster = add->args->cluster ? inv_find(snap, &ws_type_cluster, add->args->cluster) : NULL;
  const char *needed = cluster && (int)cluster->architecture ? ws_architecture_names[cluster->architecture - 1] : NULL;
  return !needed || strcmp(needed, look->architecture) == 0 ||
         ws_fail(error, WS_ERROR_ARCHITECTURE_MISMATCH, "object", add->args->address, "architecture", look->architecture, "container",
                 cluster->name, "expected", needed, NULL);
}

static bool check_agent(const Add *add, const MachineLook *look, GError **error)
{
  g_autofree char *wanted = g_strdup_printf("winsphere-host_*_%s.deb", look->package_architecture ? look->package_architecture : look->architecture);
  g_autofree char *package = look->package_architecture && !look->agent_version
                                 ? machine_find_package(add->center->config.packages_dir, look->package_architecture, NULL)
                                 : NULL;
  return look->agent_version || package ||
         ws_fail(error, WS_ERROR_AGENT_MISSING, "address", add->args->address, "package", wanted, NULL);
}

static void choose(Task *task, const Add *add, const MachineLook *look)
{
  Center *center = add->center;
  g_autofree char *url = add->args->manager
                             ? g_strdup(add->args->manager)
                             : g_strdup_printf("https://%s:%u", look->own_address ? look->own_address : "localhost",
                                               center->server ? http_server_port(center->server) : center->config.port);
  task_choose(task, "manager", url);
  task_choose(task, "agent", look->agent_version ? look->agent_version : "");
  task_choose(task, "architecture", look->package_architecture ? look->package_architecture : "");
}

/* Asks the machine, and nothing is changed there. */
static bool check_machine(Task *task, const Add *add, const char *pinned, GError **error)
{
  Job *job = job_new(add, LOOK, NULL);
  if (pinned) {
    g_free(job->login.host_key);
    job->login.host_key = g_strdup(pinned);
  }
  if (!run_job(add, job, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  bool ok = check_free(add, snap, &job->look, error) && check_architecture(add, snap, &job->look, error) &&
            check_agent(add, &job->look, error);
  if (ok)
    choose(task, add, &job->look);
  job_free(job);
  return ok;
}

static bool check(Task *task, const Add *add, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  AddLook look = {add->args, NULL, NULL};
  if (!check_reference(snap, &ws_type_cluster, add->args->cluster, "cluster", error) ||
      !check_reference(snap, &ws_type_host_pool, add->args->host_pool, "host_pool", error))
    return false;
  if (add->center->config.stand) /* a simulated manager has no network */
    return ws_fail(error, WS_ERROR_SSH_UNREACHABLE, "address", add->args->address, "port", "22", NULL);
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "host_add", look_for_other, &look);
  inv_each(snap, &ws_type_host, look_for_pin, &look);
  if (!check_alone(&look, error))
    return false;
  /* Without a confirmed key nothing is said, so the password may come later. */
  if (!has_login(add) && (add->args->host_key || look.pinned))
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "password", NULL);
  return check_machine(task, add, look.pinned ? look.pinned->ssh->host_key : NULL, error);
}

/* ---- steps ---- */

/* The host that came with the token; 0: none yet. */
static WsId host_of_token(const Add *add, const InvSnapshot *snap)
{
  const WsJoinToken *token = inv_find(snap, &ws_type_join_token, add->token);
  WsId host = 0;
  return token && token->used_by && ws_id_parse(ws_type_host.prefix, token->used_by, &host) ? host : 0;
}

static bool has_joined(const Add *add)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(add->center->inventory);
  return host_of_token(add, snap) != 0;
}

static bool make_token(Task *task, void *ctx, GError **error)
{
  Add *add = ctx;
  WsJoinToken *token = inv_create_with_id(task_txn(task), &ws_type_join_token, add->token);
  ws_apply_defaults(&ws_type_join_token, token);
  token->minutes = TOKEN_MINUTES;
  token->host_name = g_strdup(add->args->name);
  token->cluster = add->args->cluster;
  token->host_pool = add->args->cluster ? 0 : add->args->host_pool;
  ws_secret_clear(&add->secret);
  add->secret = hosts_fill_token(add->center, token, error);
  return add->secret != NULL;
}

/* With the host that came with it, if one did. */
static bool revoke_token(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  InvTxn *txn = task_txn(task);
  g_autoptr(InvSnapshot) head = inv_head(add->center->inventory);
  WsId host = host_of_token(add, head);
  if (host && inv_find(head, &ws_type_host, host))
    hosts_drop(add->center, txn, host);
  if (inv_find(head, &ws_type_join_token, add->token))
    inv_delete(txn, &ws_type_join_token, add->token);
  return true;
}

static bool install(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  const char *there = task_chosen(task, "agent");
  g_autofree char *version = NULL;
  struct stat st;
  if (*there) {
    task_log(task, "host_add_has_agent", "version", there, NULL);
    return true;
  }
  if (!has_login(add))
    return fail_secret_gone(add, error);
  g_autofree char *package = machine_find_package(add->center->config.packages_dir, task_chosen(task, "architecture"), &version);
  if (!package)
    return ws_fail(error, WS_ERROR_AGENT_MISSING, "address", add->args->address, "package", "winsphere-host", NULL);
  task_log(task, "host_add_installs", "package", "winsphere-host", "version", version, NULL);
  Job *job = job_new(add, INSTALL, package);
  job->size_bytes = stat(package, &st) == 0 ? st.st_size : -1;
  return run_in_step(task, add, job, error);
}

/* As far as it goes: a machine that is away by then, or whose password is not known any more, must not hold the task for ever. */
static bool clean(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  char id[WS_ID_TEXT_MAX];
  WsId host = host_of_token(add, task_snapshot(task));
  for (guint tries = 0; has_login(add) && tries < CLEAN_TRIES; tries++) {
    g_autoptr(GError) failed = NULL;
    Job *job = job_new(add, CLEAN, host ? ws_id_format(ws_type_host.prefix, host, id) : NULL);
    job->purge = !*task_chosen(task, "agent");
    if (run_job(add, job, &failed)) {
      job_free(job);
      return true;
    }
    ws_log_error(WS_LOG_WARNING, "host-add-not-cleaned", failed, "address", add->args->address, NULL);
    ws_co_sleep(CLEAN_WAIT_US);
  }
  task_log(task, "host_add_left", "address", add->args->address, NULL);
  return true;
}

static bool join(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  if (has_joined(add))
    return true; /* its answer was lost */
  if (!has_login(add) || !add->secret)
    return fail_secret_gone(add, error);
  Job *job = job_new(add, JOIN, task_chosen(task, "manager"));
  job->token = g_strdup(add->secret);
  return run_in_step(task, add, job, error);
}

/* Without a password it may run already: the next step sees. */
static bool start(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  return !has_login(add) || run_in_step(task, add, job_new(add, START, NULL), error);
}

static bool enter(Task *task, const Add *add, WsId id)
{
  InvTxn *txn = task_txn(task);
  WsHost *host = inv_edit_id(txn, &ws_type_host, id);
  ws_host_ssh_free(host->ssh);
  host->ssh = ws_host_ssh_new();
  host->ssh->address = g_strdup(add->args->address);
  host->ssh->port = add->args->port;
  host->ssh->user = g_strdup(add->args->user);
  host->ssh->host_key = g_strdup(add->args->host_key);
  if (add->args->fault_domain) {
    g_free(host->fault_domain);
    host->fault_domain = g_strdup(add->args->fault_domain);
  }
  inv_delete(txn, &ws_type_join_token, add->token);
  task_set_object(task, &ws_type_host, id);
  return true;
}

static bool await_host(Task *task, void *ctx, GError **error)
{
  const Add *add = ctx;
  gint64 end_us = ws_clock_monotonic_us(add->center->clock) + add->args->timeout_s * (gint64)G_USEC_PER_SEC;
  for (;;) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(add->center->inventory);
    WsId id = host_of_token(add, snap);
    const WsHost *host = id ? inv_find(snap, &ws_type_host, id) : NULL;
    if (!host)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", add->args->address, NULL); /* removed meanwhile */
    if (host->state == WS_HOST_STATE_CONNECTED && hosts_is_connected(add->center, id))
      return enter(task, add, id);
    if (host->state == WS_HOST_STATE_INCOMPATIBLE)
      return ws_fail(error, WS_ERROR_VERSION_MISMATCH, "ours", WS_VERSION, "theirs", host->agent_version ? host->agent_version : "-", NULL);
    if (task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    if (ws_clock_monotonic_us(add->center->clock) >= end_us) {
      g_autofree char *timeout = g_strdup_printf("%" G_GINT64_FORMAT " s", add->args->timeout_s);
      return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the host's agent", "timeout", timeout, NULL);
    }
    ws_co_sleep(POLL_US);
  }
}

bool host_add(Task *task, GError **error)
{
  g_auto(Add) add = {.center = task_center(task), .args = task_args(task), .token = task_new_id(task, "token")};
  return (task_is_resumed(task) || check(task, &add, error)) && TASK_STEP(task, "token", make_token, revoke_token, &add, error) &&
         TASK_STEP(task, "install", install, clean, &add, error) && TASK_STEP(task, "join", join, NULL, &add, error) &&
         TASK_STEP(task, "start", start, NULL, &add, error) && TASK_LAST(task, "connect", await_host, &add, error);
}

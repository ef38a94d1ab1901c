// SPDX-License-Identifier: Apache-2.0
/* Putting the manager together and taking it apart. See center.h.
 *
 * Order of start: data directory and certificates, store and inventory, tasks, the domains, the first administrator, unfinished tasks,
 * and only then the door: nobody is let in before everything is as it was. */
#include "center/center.h"
#include "base/seal.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pki.h"
#include "center/api/batch.h"
#include "center/api/door.h"
#include "center/api/files.h"
#include "center/bin.h"
#include "center/api/idempotency.h"
#include "center/api/watch.h"
#include "center/auth/audit.h"
#include "center/auth/identity_login.h"
#include "center/auth/strangers.h"
#include "center/auth/users.h"
#include "center/compute/trouble.h"
#include "center/database.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/monitor/history.h"
#include "center/operate/backup.h"
#include "center/pki.h"
#include "center/quota.h"
#include "center/sweep.h"
#include "center/tickets.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "http/local.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#define WORKERS_MAX 8
#define PASSWORD_WORKERS_MAX 6 /* 19 MiB each; two more than strangers can have (auth/strangers.c) */
#define SETTLE_US   (2 * G_USEC_PER_SEC)

static void config_copy(CenterConfig *to, const CenterConfig *from)
{
  *to = *from;
  to->data_dir = g_strdup(from->data_dir);
  to->database = g_strdup(from->database);
  to->packages_dir = g_strdup(from->packages_dir ? from->packages_dir : "/usr/share/winsphere/packages");
  to->web_dir = g_strdup(from->web_dir);
  to->bind_address = g_strdup(from->bind_address ? from->bind_address : "0.0.0.0");
  to->trusted_proxies = g_strdupv(from->trusted_proxies);
  to->names = g_strdupv(from->names);
  if (!to->session_idle_s)
    to->session_idle_s = 8 * 3600;
  if (!to->session_max_s)
    to->session_max_s = 7 * 24 * 3600;
  if (!to->login_failures_max)
    to->login_failures_max = 5;
  if (!to->login_window_s)
    to->login_window_s = 300;
  if (!to->login_failures_address)
    to->login_failures_address = 100;
  if (!to->login_failures_account)
    to->login_failures_account = 100;
  if (!to->refused_calls_address)
    to->refused_calls_address = 1000;
  if (!to->server_cert_life_s)
    to->server_cert_life_s = 398 * WS_PKI_DAY_S;
  if (!to->host_cert_life_s)
    to->host_cert_life_s = 365 * WS_PKI_DAY_S;
}

static void config_clear(CenterConfig *config)
{
  g_free(config->data_dir);
  g_free(config->database);
  g_free(config->packages_dir);
  g_free(config->web_dir);
  g_free(config->bind_address);
  g_strfreev(config->trusted_proxies);
  g_strfreev(config->names);
}

/* Ours alone: it holds the database and the site's keys. */
static bool prepare_data_dir(const char *path, GError **error)
{
  struct stat st;
  if (g_mkdir_with_parents(path, 0700) < 0 || stat(path, &st) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  if ((st.st_mode & 077) && chmod(path, 0700) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  return true;
}

/* The simulator has several managers in one process, and nothing to hide. */
static bool load_seal(Center *center, GError **error)
{
  g_autofree char *path = g_build_filename(center->config.data_dir, CENTER_SECRETS_KEY, NULL);
  return center->config.stand || ws_seal_load(path, error);
}

static bool open_inventory(Center *center, GError **error)
{
  g_autofree char *address = center_database_address(center->config.data_dir, center->config.database, error);
  center->store = address ? store_open_on(address, center->loop, center->config.stand, error) : NULL;
  if (!center->store)
    return false;
  center->inventory = inv_open(center->loop, center->store, error);
  return center->inventory != NULL;
}

static bool open_rooms(Center *center, GError **error)
{
  center->workers = ws_workers_new("center", center->config.stand ? 0 : WORKERS_MAX);
  center->passwords = ws_workers_new("passwords", center->config.stand ? 0 : PASSWORD_WORKERS_MAX);
  center->keys_under_way = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)ws_secret_free);
  center->tickets = tickets_new(center->clock);
  center->turns = turns_new();
  center->identity = identity_logins_new(center);
  center->strangers = strangers_new(center);
  center->tasks = task_engine_new(center->inventory, center->loop, center);
  task_engine_register(center->tasks, ws_task_kinds, ws_n_task_kinds);
  task_engine_register(center->tasks, api_batch_task_kind(), 1);
  center->links = hosts_new(center);
  domains_start(center);
  center->audit = audit_new(center, error);
  if (!center->audit)
    return false;
  center->io = center->config.stand ? http_io_new_stepped(center->clock) : http_io_new(center->clock, error);
  if (!center->io)
    return false;
  center->watch_hub = watch_hub_new(center);
  return files_load(center, error);
}

/* ---- what needs a coroutine ---- */

typedef struct {
  Center *center;
  GError *error;
  bool ended;
} Start;

/* A generated password, told once in a file that only its owner reads; whoever starts the manager shows it. */
static bool make_first_admin(Center *center, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  if (inv_count(snap, ws_type_by_name("User")) > 0)
    return true;
  g_autofree char *password = center_first_password(center, error);
  return password && users_make_first(center, password, error);
}

static bool write_host_anew(const void *object, void *arg)
{
  const WsHost *host = object;
  if (host->bmc && host->bmc->password)
    inv_write_anew(arg, &ws_type_host, host->id);
  return true;
}

static bool write_vm_anew(const void *object, void *arg)
{
  const WsVm *vm = object;
  if (vm->cloud_init && (vm->cloud_init->user_data || vm->cloud_init->password))
    inv_write_anew(arg, &ws_type_vm, vm->id);
  return true;
}

/* A VM that is wrong in itself (a disk that another one has) does not keep the manager from starting. */
static void seal_old_vms(Center *center, const InvSnapshot *snap)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_each(snap, &ws_type_vm, write_vm_anew, txn);
  if (!inv_commit(txn, NULL, &error))
    ws_log_error(WS_LOG_WARNING, "secrets-not-sealed", error, "type", "Vm", NULL);
}

/* Of a version that left them in clear: each is written again, and sealed by that. What tasks under way carry goes with their end. */
static bool seal_old_secrets(Center *center, GError **error)
{
  if (!ws_seal_path() || ws_seal_n_plain() == 0)
    return true;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_each(snap, &ws_type_host, write_host_anew, txn);
  seal_old_vms(center, snap);
  ws_log(WS_LOG_NOTICE, "secrets-sealed", "key", ws_seal_path(), NULL);
  return inv_commit(txn, NULL, error);
}

static void start_in_coroutine(void *arg)
{
  Start *start = arg;
  Center *center = start->center;
  if (make_first_admin(center, &start->error) && users_refresh_roles(center, &start->error) && seal_old_secrets(center, &start->error)) {
    task_engine_resume(center->tasks);
    domains_resume(center);
    sweep_start(center);
    strangers_start(center);
    center->history = monitor_history_new(center);
  }
  start->ended = true;
}

static bool run_start(Center *center, GError **error)
{
  Start start = {center, NULL, false};
  ws_co_start(center->loop, start_in_coroutine, &start);
  while (!start.ended)
    ws_loop_step(center->loop, -1);
  if (!start.error)
    return true;
  g_propagate_error(error, start.error);
  return false;
}

Center *center_new(const CenterConfig *config, WsClock *clock, WsLoop *loop, GError **error)
{
  Center *center = g_new0(Center, 1);
  config_copy(&center->config, config);
  center->clock = clock;
  center->loop = loop;
  center->started_us = ws_clock_wall_us(clock);
  if (prepare_data_dir(center->config.data_dir, error) && center_pki_prepare(center, error) && load_seal(center, error) &&
      open_inventory(center, error) && open_rooms(center, error) && run_start(center, error) && door_open(center, error)) {
    center_event(center, CENTER_INFO, NULL, 0, "start", "manager_started", "version", WS_VERSION, NULL);
    return center;
  }
  center_free(center);
  return NULL;
}

typedef struct {
  Center *center;
  bool ended;
} Settle;

/* Calls have their answers, and what was told of them is durable. */
static void await_calls(Center *center)
{
  gint64 end_us = ws_clock_monotonic_us(center->clock) + SETTLE_US;
  while ((g_atomic_int_get(&center->n_calls) > 0 || center->n_events > 0) && ws_clock_monotonic_us(center->clock) < end_us)
    ws_loop_step(center->loop, 20);
}

static void settle_in_coroutine(void *arg)
{
  Settle *settle = arg;
  strangers_settle(settle->center);
  settle->ended = true;
}

/* What they were counted for is recorded; a store that cannot write does not hold up the end. */
static void settle_strangers(Center *center)
{
  Settle *settle = g_new0(Settle, 1);
  settle->center = center;
  gint64 end_us = ws_clock_monotonic_us(center->clock) + SETTLE_US;
  ws_co_start(center->loop, settle_in_coroutine, settle);
  while (!settle->ended && ws_clock_monotonic_us(center->clock) < end_us)
    ws_loop_step(center->loop, 20);
  if (settle->ended) /* else somebody still writes there */
    g_free(settle);
}

void center_settle(Center *center)
{
  await_calls(center);
  door_close(center);
  await_calls(center); /* those that came in meanwhile */
  settle_strangers(center);
}

void center_free(Center *center)
{
  if (!center)
    return;
  door_close(center);
  sweep_stop(center);
  strangers_stop(center);
  backup_stop(center);
  drs_stop(center);
  g_clear_pointer(&center->links, hosts_free);
  g_clear_pointer(&center->io, http_io_free);
  g_clear_pointer(&center->watch_hub, watch_hub_free);
  identity_logins_stop(center->identity);
  g_clear_pointer(&center->workers, ws_workers_free);
  g_clear_pointer(&center->passwords, ws_workers_free);
  g_clear_pointer(&center->history, monitor_history_free);
  drs_free(center);
  g_clear_pointer(&center->tasks, task_engine_free);
  g_clear_pointer(&center->audit, audit_free);
  g_clear_pointer(&center->inventory, inv_close);
  g_clear_pointer(&center->store, store_close);
  g_clear_pointer(&center->tickets, tickets_free);
  g_clear_pointer(&center->identity, identity_logins_free);
  g_clear_pointer(&center->strangers, strangers_free);
  g_clear_pointer(&center->turns, turns_free);
  g_clear_pointer(&center->dirty_rates, g_hash_table_unref);
  g_clear_pointer(&center->moves_begun, g_hash_table_unref);
  g_clear_pointer(&center->stale_vms, g_hash_table_unref);
  g_clear_pointer(&center->logs_asked, g_hash_table_unref);
  g_clear_pointer(&center->host_versions, g_hash_table_unref);
  g_clear_pointer(&center->pools_of_hosts, g_hash_table_unref);
  g_clear_pointer(&center->pools_attached, g_array_unref);
  g_clear_pointer(&center->firewalls_under_way, g_hash_table_unref);
  g_clear_pointer(&center->promises, g_ptr_array_unref);
  g_clear_pointer(&center->pools_on_paper, g_hash_table_unref);
  g_clear_pointer(&center->pools_held, g_array_unref);
  g_clear_pointer(&center->quotas, quotas_free);
  bin_free(center);
  g_clear_pointer(&center->troubles, troubles_free);
  files_free(center);
  g_clear_pointer(&center->keys_under_way, g_hash_table_unref);
  config_clear(&center->config);
  g_free(center);
}

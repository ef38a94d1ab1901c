// SPDX-License-Identifier: Apache-2.0
/* One run. See run.h.
 *
 * First the safety phase: users call and machines fail, and whatever happens no invariant may break. Then everything is mended, users
 * finish, and within 60 s all must have come to rest, agree, and be on record. */
#include "sim/run.h"
#include "base/hash.h"
#include "base/log.h"
#include "sim/chance.h"
#include "sim/check.h"
#include "sim/faults.h"
#include "sim/plant.h"
#include "sim/schedule.h"
#include "sim/work.h"
#include <string.h>

enum { HOSTS = 3, WATCHERS = 2 };
#define ADMIN_TOKEN  "wst_simulated-administrator"
#define READER_TOKEN "wst_simulated-reader"
#define QUIET_US     (60 * G_USEC_PER_SEC)
#define LOOK_US      (500 * 1000)

struct SimSite {
  SimDisk *disk;
  char *data_dir;
  WsId hosts[HOSTS];
};

/* ---- the site ---- */

static const char *host_serial(guint i)
{
  static const char *const serials[] = {"4a01", "4a02", "4a03", "4a04"};
  return serials[i];
}

static void add_token(InvTxn *txn, const char *text, WsId user, const char *const *rights, gint64 expires)
{
  WsApiToken *token = inv_create(txn, &ws_type_api_token);
  token->name = g_strdup(text);
  token->user = user;
  token->token_hash = ws_sha256_hex(text, strlen(text));
  token->expires = expires;
  for (; rights && *rights; rights++)
    ws_array_add(&token->permissions, g_strdup(*rights));
}

static bool take_id(const void *object, void *arg)
{
  *(WsId *)arg = ((const WsResource *)object)->id;
  return false;
}

typedef struct {
  SimSite *site;
  Center *center;
  bool done;
} Furnish;

static void furnish(void *arg)
{
  Furnish *f = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(f->center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(f->center->inventory);
  WsId admin = 0;
  gint64 expires = ws_clock_wall_us(f->center->clock) + 3650 * (gint64)86400 * G_USEC_PER_SEC;
  inv_each(snap, &ws_type_user, take_id, &admin);
  add_token(txn, ADMIN_TOKEN, admin, NULL, expires);
  add_token(txn, READER_TOKEN, admin, (const char *const[]){"*.read", NULL}, expires);
  for (guint i = 0; i < HOSTS; i++) {
    WsHost *host = inv_create(txn, &ws_type_host);
    host->name = g_strdup_printf("host-%c", 'a' + (char)i);
    host->state = WS_HOST_STATE_JOINING;
    host->architecture = WS_ARCHITECTURE_X86_64;
    host->certificate = ws_host_certificate_new();
    host->certificate->serial = g_strdup(host_serial(i));
    host->certificate->not_after = expires;
    f->site->hosts[i] = host->id;
  }
  f->done = inv_commit(txn, NULL, NULL);
}

static bool is_furnished(void *arg)
{
  return !((Furnish *)arg)->done;
}

SimSite *sim_site_make(const char *data_dir)
{
  SimSite *site = g_new0(SimSite, 1);
  SimWorld *world = sim_world_new(0);
  sim_chance_of_crypto(0);
  site->disk = sim_disk_new();
  site->data_dir = g_strdup(data_dir);
  ws_password_set_memory(16); /* else most of the time would go into passwords */
  SimManager *manager = sim_manager_new(world, sim_net_new(world), site->disk, data_dir);
  manager->stay_down = true;
  sim_manager_start(manager);
  g_assert(manager->center);
  Furnish job = {site, manager->center, false};
  ws_co_start(manager->loop, furnish, &job);
  sim_world_run(world, 10 * G_USEC_PER_SEC, is_furnished, &job);
  g_assert(job.done);
  sim_manager_stop(manager);
  return site;
}

/* ---- a run ---- */

typedef struct {
  const SimOptions *options;
  SimWorld *world;
  SimNet *net;
  SimManager *manager;
  SimHost *hosts[HOSTS];
  SimClients *clients;
  SimWork work;
  SimFaults faults;
  SimWatcher *watchers[WATCHERS];
  SimCheck *check;
} Run;

static bool each_step(void *arg)
{
  sim_check_step(((Run *)arg)->check);
  return true;
}

static void build(Run *run, SimSite *site)
{
  run->world = sim_world_new(run->options->seed);
  sim_world_show(run->world, run->options->show);
  sim_plant_seed(run->options->seed);
  sim_chance_of_crypto(run->options->seed);
  run->net = sim_net_new(run->world);
  run->manager = sim_manager_new(run->world, run->net, site->disk, site->data_dir);
  ws_log_set_clock(&run->manager->machine->clock);
  sim_disk_forget_chance(site->disk);
  for (guint i = 0; i < HOSTS; i++) {
    g_autofree char *name = g_strdup_printf("host-%c", 'a' + (char)i);
    run->hosts[i] = sim_host_new(run->world, run->net, i + 1, name);
    sim_host_enrol(run->hosts[i], site->hosts[i], host_serial(i));
    sim_host_power_on(run->hosts[i]);
  }
  run->clients = sim_clients_new(run->manager);
  run->check = sim_check_new(run->manager, run->hosts, HOSTS, run->clients);
  run->work = (SimWork){.clients = run->clients,
                        .hosts = run->hosts,
                        .n_hosts = HOSTS,
                        .admin_token = ADMIN_TOKEN,
                        .reader_token = READER_TOKEN,
                        .pause_us = G_USEC_PER_SEC};
  run->faults = (SimFaults){
      .manager = run->manager, .net = run->net, .hosts = run->hosts, .n_hosts = HOSTS, .pause_us = 2 * G_USEC_PER_SEC};
  sim_manager_start(run->manager);
  for (guint i = 0; i < WATCHERS; i++)
    run->watchers[i] = sim_watcher_new(run->manager, 30 + i, ADMIN_TOKEN, i == 1);
}

/* Nothing is under way on the clients' side either. */
static char *what_is_not_quiet(Run *run)
{
  char *wrong = sim_check_quiet(run->check);
  for (guint i = 0; !wrong && i < WATCHERS; i++)
    if (!sim_watcher_check(run->watchers[i], false))
      wrong = g_strdup_printf("watcher %u is not up to date", i);
  if (!wrong && run->work.n_busy)
    wrong = g_strdup_printf("%u calls are under way", run->work.n_busy);
  return wrong;
}

static void come_to_rest(Run *run, SimResult *result)
{
  gint64 began = sim_now_us(run->world);
  run->work.stopped = true;
  sim_faults_heal(&run->faults);
  for (;;) {
    sim_world_run(run->world, LOOK_US, each_step, run);
    if (sim_failure(run->world))
      return;
    g_autofree char *wrong = what_is_not_quiet(run);
    result->quiet_us = sim_now_us(run->world) - began;
    if (!wrong)
      return;
    if (result->quiet_us >= QUIET_US) {
      if (run->manager->center)
        for (guint i = 0; i < WATCHERS; i++)
          sim_watcher_check(run->watchers[i], g_str_has_prefix(wrong, "watcher"));
      sim_fail(run->world, "liveness", "after %d s of good health %s", (int)(QUIET_US / G_USEC_PER_SEC), wrong);
      return;
    }
  }
}

void sim_run(SimSite *site, const SimOptions *options, SimResult *result)
{
  Run run = {.options = options};
  build(&run, site);
  sim_work_start(&run.work, options->n_users);
  if (options->seed % SIM_SCHEDULE_EACH == 0)
    sim_schedule_start(&run.work);
  if (!options->no_faults)
    sim_faults_start(&run.faults);
  sim_world_run(run.world, options->safety_us, each_step, &run);
  if (!sim_failure(run.world))
    come_to_rest(&run, result);
  if (!sim_failure(run.world))
    sim_check_end(run.check, options->log_path);
  if (sim_failure(run.world) && options->show)
    sim_check_tell_tasks(run.check);
  result->hash = sim_world_hash(run.world);
  result->n_steps = sim_world_steps(run.world);
  result->n_calls = run.clients->n_calls;
  result->n_answers = run.clients->n_answers;
  result->virtual_us = sim_now_us(run.world);
  result->starts = run.manager->starts;
  result->crashes = run.manager->crashes;
  memcpy(result->actions, run.work.done, sizeof result->actions);
  memcpy(result->faults, run.faults.done, sizeof result->faults);
  g_strlcpy(result->failure, sim_failure(run.world) ? sim_failure(run.world) : "", sizeof result->failure);
}

// SPDX-License-Identifier: Apache-2.0
/* The manager's incarnations. See manager.h. */
#include "sim/manager.h"

static void died(void *arg);

static gint64 store_delay(void *arg)
{
  return sim_disk_delay_us(((SimManager *)arg)->disk);
}

static void store_dies(void *arg)
{
  sim_die(((SimManager *)arg)->machine);
}

SimManager *sim_manager_new(SimWorld *world, SimNet *net, SimDisk *disk, const char *data_dir)
{
  SimManager *manager = g_new0(SimManager, 1);
  manager->world = world;
  manager->net = net;
  manager->disk = disk;
  manager->data_dir = g_strdup(data_dir);
  manager->machine = sim_machine_new(world, "manager");
  manager->stand = (StoreStand){SIM_DISK_VFS, store_delay, store_dies, manager};
  sim_machine_set_died(manager->machine, died, manager);
  sim_disk_set_machine(disk, manager->machine);
  return manager;
}

/* ---- starting ---- */

typedef struct {
  SimManager *manager;
  GError *error;
} Boot;

static void boot(void *arg)
{
  Boot *boot = arg;
  SimManager *manager = boot->manager;
  CenterConfig config = {.data_dir = manager->data_dir, .bind_address = (char *)"sim", .stand = &manager->stand};
  manager->center = center_new(&config, &manager->machine->clock, manager->loop, &boot->error);
}

static void start_again(void *arg)
{
  SimManager *manager = arg;
  manager->restart = NULL;
  sim_manager_start(manager);
}

static void restart_later(SimManager *manager)
{
  if (!manager->stay_down && !manager->restart)
    manager->restart = sim_after(manager->world, sim_between(&manager->machine->random, 200 * 1000, 5 * G_USEC_PER_SEC),
                                 start_again, manager);
}

void sim_manager_start(SimManager *manager)
{
  Boot job = {manager, NULL};
  if (manager->center)
    return;
  if (manager->events.before_start)
    manager->events.before_start(manager, manager->events.arg);
  sim_note(manager->world, "manager: starts");
  manager->loop = ws_loop_new(&manager->machine->clock);
  bool alive = sim_survives(manager->machine, boot, &job);
  if (!alive) {
    sim_note(manager->world, "manager: died while it started");
    ws_loop_leave_turn(manager->loop);
    sim_disk_crash(manager->disk, true);
  } else if (!manager->center) {
    sim_note(manager->world, "manager: does not start: %s", job.error->message);
    manager->failed_starts++;
  }
  g_clear_error(&job.error);
  if (!manager->center || !alive) {
    manager->center = NULL;
    ws_loop_free(g_steal_pointer(&manager->loop));
    restart_later(manager);
    return;
  }
  manager->starts++;
  ws_loop_step(http_io_loop(manager->center->io), 0);
  sim_machine_run(manager->machine, manager->loop);
  sim_machine_run(manager->machine, http_io_loop(manager->center->io));
  sim_net_set_server(manager->net, manager->center->server);
  if (manager->events.started)
    manager->events.started(manager, manager->events.arg);
}

/* ---- going ---- */

static void forget(SimManager *manager, bool power_lost)
{
  WsLoop *io_loop = http_io_loop(manager->center->io);
  if (manager->events.gone)
    manager->events.gone(manager, manager->events.arg);
  sim_net_manager_gone(manager->net, power_lost);
  sim_machine_stop(manager->machine, manager->loop);
  sim_machine_stop(manager->machine, io_loop);
  manager->machine->paused = false;
}

void sim_manager_crash(SimManager *manager, bool power_lost)
{
  if (!manager->center)
    return;
  WsLoop *io_loop = http_io_loop(manager->center->io);
  sim_note(manager->world, "manager: %s", power_lost ? "power lost" : "killed");
  manager->crashes++;
  forget(manager, power_lost);
  manager->center = NULL;
  ws_loop_free(g_steal_pointer(&manager->loop));
  ws_loop_free(io_loop);
  sim_disk_crash(manager->disk, power_lost);
  restart_later(manager);
}

/* A sync failed: the process has ended, and what the system had not written is lost. */
static void died(void *arg)
{
  SimManager *manager = arg;
  ws_loop_leave_turn(manager->loop);
  sim_manager_crash(manager, true);
}

static void shut(void *arg)
{
  center_free(arg);
}

void sim_manager_stop(SimManager *manager)
{
  if (!manager->center)
    return;
  Center *center = manager->center;
  sim_note(manager->world, "manager: stops");
  forget(manager, false);
  manager->center = NULL;
  bool alive = sim_survives(manager->machine, shut, center);
  if (!alive)
    ws_loop_leave_turn(manager->loop);
  ws_loop_free(g_steal_pointer(&manager->loop));
  sim_disk_crash(manager->disk, !alive);
  restart_later(manager);
}

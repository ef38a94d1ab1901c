// SPDX-License-Identifier: Apache-2.0
/* The manager in the simulator: its real code (center/) over the simulated disk, network and clock, killed and started again.
 *
 * What a killed incarnation held is never used again and not freed: a crash has no destructors. So a run's memory grows with its crashes;
 * each run is a process of its own (run.h). All on one thread. */
#pragma once
#include "center/center.h"
#include "sim/disk.h"
#include "sim/net.h"

typedef struct SimManager SimManager;
typedef struct {
  void (*before_start)(SimManager *manager, void *arg); /* the disk is as it was left */
  void (*started)(SimManager *manager, void *arg);
  void (*gone)(SimManager *manager, void *arg);         /* center is still readable */
  void *arg;
} SimManagerEvents;

struct SimManager {
  SimWorld *world;
  SimNet *net;
  SimDisk *disk;
  SimMachine *machine;
  char *data_dir;  /* of this system: keys and certificates */
  WsLoop *loop;
  Center *center;  /* NULL: it does not run */
  StoreStand stand;
  SimManagerEvents events;
  SimEvent *restart;
  bool stay_down;  /* does not start again by itself */
  guint starts, crashes, failed_starts;
};

SimManager *sim_manager_new(SimWorld *world, SimNet *net, SimDisk *disk, const char *data_dir);
void sim_manager_start(SimManager *manager);
void sim_manager_crash(SimManager *manager, bool power_lost); /* starts again after a while */
void sim_manager_stop(SimManager *manager);                   /* in order; starts again after a while, unless it is to stay down */

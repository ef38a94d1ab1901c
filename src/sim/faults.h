// SPDX-License-Identifier: Apache-2.0
/* What goes wrong: at random, every now and then, one thing or several at once. */
#pragma once
#include "sim/host.h"
#include "sim/manager.h"

typedef struct {
  SimManager *manager;
  SimNet *net;
  SimHost **hosts;
  guint n_hosts;
  gint64 pause_us; /* between two faults, usually */
  bool stopped;
  SimRandom random;
  guint done[32];
} SimFaults;

void sim_faults_start(SimFaults *faults);
/* Mends everything: machines up and running, network whole, disks good, clocks right. */
void sim_faults_heal(SimFaults *faults);
const char *sim_faults_name(guint i); /* NULL: no more */

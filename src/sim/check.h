// SPDX-License-Identifier: Apache-2.0
/* The invariants (docs/simulation.md has the list), checked from outside: after every step, after every start, and after quiet. */
#pragma once
#include "sim/client.h"
#include "sim/host.h"
#include "sim/watcher.h"

typedef struct SimCheck SimCheck;
/* Hooks itself into the manager's events. */
SimCheck *sim_check_new(SimManager *manager, SimHost **hosts, guint n_hosts, SimClients *clients);
void sim_check_step(SimCheck *check);
/* Healed machines: has everything come to rest, and do inventory, hosts and disks agree? NULL: yes; else what does not, caller frees. */
char *sim_check_quiet(SimCheck *check);
/* For people: all tasks as they are. */
void sim_check_tell_tasks(SimCheck *check);
/* After quiet: audit log, secrets in what was kept. log_path: what the program logged; may be NULL. */
void sim_check_end(SimCheck *check, const char *log_path);

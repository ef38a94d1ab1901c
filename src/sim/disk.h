// SPDX-License-Identifier: Apache-2.0
/* The manager's simulated disk: an SQLite VFS in memory that tells what is written from what is safe.
 *
 * What was synced is safe. What was written since is seen by readers, and at a power failure each write of it is kept, lost, or torn into
 * sectors of 512 bytes, in any combination (so also in any order). A killed process loses nothing: the system still has its pages.
 * A failed sync loses pages as a power failure does, and is the last thing the process does (store.h).
 *
 * One disk per process; open connections of a program that died are forgotten by sim_disk_crash(). */
#pragma once
#include "sim/world.h"

#define SIM_DISK_VFS "winsphere-sim"

typedef struct SimDisk SimDisk;
SimDisk *sim_disk_new(void); /* registers the VFS */
void sim_disk_set_machine(SimDisk *disk, SimMachine *machine); /* whose clock and chance it has; its world keeps the record */

/* SQLite's own chance begins anew, drawn from the machine's. */
void sim_disk_forget_chance(SimDisk *disk);

/* The program that had files open is gone. power_lost: so is what was not synced, in part. */
void sim_disk_crash(SimDisk *disk, bool power_lost);

/* Faults; each is a probability for one call. */
typedef struct {
  double write_fails;   /* SQLITE_FULL: no space */
  double sync_fails;
  gint64 delay_us;      /* how long a group of the store takes, usually */
  gint64 delay_most_us;
} SimDiskFaults;
void sim_disk_set_faults(SimDisk *disk, const SimDiskFaults *faults);
void sim_disk_swap_faults(SimDisk *disk, SimDiskFaults *faults); /* gives the present ones back */
guint64 sim_disk_n_failed(SimDisk *disk); /* writes that failed, ever */
gint64 sim_disk_delay_us(SimDisk *disk);

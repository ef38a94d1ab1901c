// SPDX-License-Identifier: Apache-2.0
/* Backups of the manager: files in DATA_DIR/backups, each with its Backup in the inventory. See backup.c. */
#pragma once
#include "center/center.h"

/* In a coroutine, after tasks were taken up: the inventory and the folder say the same. */
void backup_resume(Center *center);
/* In a coroutine, now and then: makes a backup when one is due, lets old ones go, and opens the alarm backup_overdue when none
 * has come about for twice the interval. */
void backup_tick(Center *center);
/* Before workers and store are freed: one that is being written ends. */
void backup_stop(Center *center);

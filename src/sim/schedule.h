// SPDX-License-Identifier: Apache-2.0
/* Somebody who has a cluster with DRS: all hosts in it, rules that come and go, settings that change. What DRS moves must keep every invariant, and
 * when nothing changes any more it comes to rest. In each fourth seed, so that the others stay as they were. */
#pragma once
#include "sim/work.h"

#define SIM_SCHEDULE_EACH 4

void sim_schedule_start(SimWork *work);

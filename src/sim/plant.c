// SPDX-License-Identifier: Apache-2.0
/* Planted faults and rare branches. See plant.h. */
#include "sim/plant.h"
#include "sim/world.h"
#include <string.h>

static const char *planted;
static SimRandom random_of_rare;

void sim_plant(const char *name)
{
  planted = name;
}

void sim_plant_seed(guint64 seed)
{
  sim_random_seed(&random_of_rare, seed, 5000);
}

bool ws_sim_is_planted(const char *name)
{
  return planted && strcmp(planted, name) == 0;
}

/* One in twenty: rare for whoever wrote it, often enough for a run. */
bool ws_sim_rarely(const char *name)
{
  return sim_chance(&random_of_rare, 0.05);
}

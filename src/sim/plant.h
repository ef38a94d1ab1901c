// SPDX-License-Identifier: Apache-2.0
/* Which faults are planted in this run, and the chance of rare branches. The product's side is base/plant.h. */
#pragma once
#include <glib.h>
#include <stdbool.h>

void sim_plant(const char *name);       /* NULL: none. Before the run; the name is borrowed for ever */
void sim_plant_seed(guint64 seed);
bool ws_sim_is_planted(const char *name);
bool ws_sim_rarely(const char *name);

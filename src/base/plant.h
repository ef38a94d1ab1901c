// SPDX-License-Identifier: Apache-2.0
/* Points in the product at which the simulator has a word. In a product build all of this is nothing.
 *
 *   SIM_PLANT(name)    a fault put there on purpose: true when the run was asked to have it (winsim --plant name). It proves that
 *                      the simulator would find such a mistake; docs/simulation.md has the table.
 *   SIM_RARELY(name)   a branch that must work and hardly ever runs: true now and then, by the run's own chance.
 *
 * The simulator's build of the product's rooms defines WS_SIM. Thread: the simulator's only one. */
#pragma once
#include <stdbool.h>

#ifdef WS_SIM
bool ws_sim_is_planted(const char *name);
bool ws_sim_rarely(const char *name);
#define SIM_PLANT(name)  ws_sim_is_planted(#name)
#define SIM_RARELY(name) ws_sim_rarely(#name)
#else
#define SIM_PLANT(name)  false
#define SIM_RARELY(name) false
#endif

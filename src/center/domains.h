// SPDX-License-Identifier: Apache-2.0
/* The list of domains: the one place that knows them all. A domain that must hook into host connections, checks or start-up
 * says so in its `<domain>_start()`; the contract's tables find the rest. Core loop. */
#pragma once
#include "center/center.h"

void domains_start(Center *center);  /* before tasks resume: register resyncs, inventory checks */
void domains_resume(Center *center); /* in a coroutine, after tasks were taken up */

void cluster_start(Center *center);
void cluster_resume(Center *center); /* in a coroutine: the site and a first host pool are there */
/* cluster/drs.c. Stopped on the core loop; freed when no worker runs any more. */
void drs_start(Center *center);
void drs_stop(Center *center);
void drs_free(Center *center);
void compute_start(Center *center);
void storage_start(Center *center);
void network_start(Center *center);
void hosts_start(Center *center);
void operate_start(Center *center);

/* Objects in a passing state that no living task holds are set right: operate/limbo.c. In a coroutine, when tasks were taken up again. */
void limbo_end(Center *center);
/* Cleans up after abandoned tasks where hosts are back: operate/leftovers.c. Now and then; returns at once. */
void leftovers_clean(Center *center);

// SPDX-License-Identifier: Apache-2.0
/* What the NICs of a host are for, and whether they do for it. Pure.
 *
 * Two ports each for management, business and storage, so that a cable or a switch may fail; 1 Gbit/s at least, 10 Gbit/s for storage, and
 * advised for business. Business may share ports with management; storage shares with neither. Migration may use any. A bond counts as its
 * members. A purpose that no NIC has is not judged: many hosts have no storage network. */
#pragma once
#include "model/model.h"

/* Finds nic_warnings anew, from nic_roles and facts; before there are facts there are none. True: they have changed. */
bool plan_nics_judge(WsHost *host);
/* Adds a line for each purpose that NICs have to a requirements check, with what there is and what there should be. */
void plan_nics_add_lines(WsHostCheck *check, const WsHost *host);
/* NULL, or a NIC that is named twice. Borrowed. */
const char *plan_nics_named_twice(const WsHost *host);

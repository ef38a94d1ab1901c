// SPDX-License-Identifier: Apache-2.0
/* A host's devices beside the list of what is known (api/compatibility.yaml). Pure functions of facts and list; any thread. */
#pragma once
#include "model/model.h"

/* Lists are GPtrArray of WsCompatibilityEntry; the first of equally good matches counts, so a site's own entries stand before. All answers are
 * borrowed from the list; NULL: nothing is known. */

/* By PCI id, else by the driver that serves it. */
const WsCompatibilityEntry *plan_compatibility_of_pci(const GPtrArray *list, const WsHostPciDevice *device);
/* A processor or a server by the name that it shows. */
const WsCompatibilityEntry *plan_compatibility_of_model(const GPtrArray *list, WsCompatibilityEntryKind kind, const char *model);
/* Adds a line for the machine, the processor, and each kind of NIC and disk controller. What nothing is known of is UNKNOWN, which neither warns nor fails. */
void plan_compatibility_add_lines(WsHostCheck *check, const WsHostFacts *facts, const GPtrArray *list);

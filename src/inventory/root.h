// SPDX-License-Identifier: Apache-2.0
/* One revision of the inventory: for each type its objects by id and its secondary indexes, all persistent
 * maps.
 *
 * Roots form a line. root_edit() begins the next one as a copy that shares everything; root_put() changes it;
 * from then on, once others can see it, it stays as it is. An InvSnapshot is a root with a reference.
 *
 * References: an indexed one is found from its target through that index. All others (in parts, not indexed)
 * are kept in one more map of the root, `referrers`: (target id, referring id). So "who refers to this?"
 * never scans.
 *
 * Threads: building belongs to the core loop; a finished root may be read anywhere. */
#pragma once
#include "inventory/inventory.h"
#include "inventory/plan.h"
#include "inventory/pmap.h"

InvSnapshot *root_new(InvPlan *plan);                         /* empty, revision 0 */
void root_set_revision(InvSnapshot *root, Revision revision); /* while nobody else has it */
/* A private copy to build the next revision in. */
InvSnapshot *root_edit(const InvSnapshot *root, Revision revision);
/* Puts the new version of an object (NULL: removes it) in place of `old_object` (NULL: none), in the map and
 * all indexes. The root takes a reference of its own. */
void root_put(InvSnapshot *root, const WsType *type, WsId id, const void *old_object, const void *new_object);

/* Whether the change to `new_object` keeps the promises of the contract in `root`, which has all changes of
 * the transaction already: unique fields are, what its new references name is there (WS_ERROR_NAME_TAKEN,
 * WS_ERROR_BAD_REFERENCE). */
bool root_check_put(const InvSnapshot *root, const WsType *type, const void *old_object,
                    const void *new_object, GError **error);
/* Whether nothing refers to an object that is gone from `root` (WS_ERROR_IN_USE). */
bool root_check_removed(const InvSnapshot *root, const WsType *type, WsId id, GError **error);

/* "vm-42" as a new string. */
char *inv_object_text(const WsType *type, WsId id);

/* For measuring: bytes of the maps' nodes. */
gsize root_measure(const InvSnapshot *root);

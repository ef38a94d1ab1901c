// SPDX-License-Identifier: Apache-2.0
/* What a request names besides its target: networks, pools, images, volumes, groups. Whoever names an object must be allowed to see its kind, and
 * for some uses more: else a right on VMs alone reaches every network and every volume. Any thread. */
#pragma once
#include "center/api/call.h"

/* All that `body` names; where it is what `before` becomes (NULL: nothing was before), what that named already asks for no right. Roles and users are
 * left out: giving them has rules of its own (auth-private.h). WS_ERROR_FORBIDDEN names right and object. */
bool auth_authorise_references(const ApiIdentity *identity, const WsType *type, const void *body, const void *before, GError **error);
/* The same for a merge patch of `target`. One that is wrong is refused by whoever applies it. */
bool auth_authorise_patched(const InvSnapshot *snap, const ApiIdentity *identity, const WsType *type, WsId target, const char *patch,
                            gsize patch_bytes, GError **error);
/* The business group of a VM that is to be made: who belongs to one (User.group) and may not keep groups makes VMs in it or below, and in it where
 * nothing is said; so nobody leaves a quota by naming no group. The same of users that it makes, who would do it for them. Changes the body.
 * WS_ERROR_FORBIDDEN. */
bool auth_settle_group(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, const WsType *type, void *body, GError **error);
/* Nor does such a one rule over users of other groups, or of none: it would make VMs by their hand.
 * WS_ERROR_FORBIDDEN. */
bool auth_may_rule_group(const InvSnapshot *snap, const ApiIdentity *identity, const WsUser *user,
                         GError **error);
/* Such a one adopts VMs that were put into its group or below, and no others: else a VM that it forgot comes back in none. WS_ERROR_FORBIDDEN. */
bool auth_may_adopt(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target, GError **error);
/* What a VM of such a one lets go counts for no quota any more: disks that it keeps without the VM, a VM that
 * goes on outside the inventory. Who has volume.write may have disks without a VM anyway; others throw them
 * away with it. `body` (may be NULL) is the verb's. WS_ERROR_FORBIDDEN. */
bool auth_may_let_go(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target,
                     const void *body, GError **error);

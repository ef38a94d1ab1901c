// SPDX-License-Identifier: Apache-2.0
/* Inside of the storage domain: what its files share. Core loop; functions that talk to a host run in a coroutine. */
#pragma once
#include "center/center.h"
#include "center/pools.h"
#include "center/hosts/hosts.h"
#include "model/model.h"
#include "rpc/methods.h"

/* The host that works on a pool's files: the first that is connected and sees it. Its link: WS_ERROR_HOST_UNREACHABLE. */
WsId storage_pool_host(Center *center, const WsPool *pool);
/* One that is connected and sees both; 0: none. */
WsId storage_common_host(Center *center, const WsPool *a, const WsPool *b);
RpcLink *storage_pool_link(Center *center, const WsPool *pool, GError **error);
/* The host that a task makes a file with, chosen once: a call that was given up on one host may be at work there still when another is asked,
 * and its file would come after everything was taken back. Not in a body. */
WsId storage_choose_host(Task *task, WsId host);
/* Its link, as long as it is the pool's; then that of any. */
RpcLink *storage_link_at(Center *center, WsId pool, WsId host, GError **error);
/* The pool, if it may be used now: WS_ERROR_NOT_FOUND, WS_ERROR_WRONG_STATE. Borrowed from snap. */
const WsPool *storage_usable_pool(const InvSnapshot *snap, WsId pool, const char *verb, GError **error);
/* Writes what a host says of a pool into an edited copy, and makes the pool's state anew of what all its hosts say. */
void storage_take_status(Center *center, WsPool *pool, WsId host, const WsPoolStatus *status);
void storage_set_away(Center *center, WsPool *pool, WsId host, const char *reason);
void storage_settle_state(Center *center, WsPool *pool);
/* Takes over what hosts said of `from`, a copy of an earlier version. */
void storage_copy_states(Center *center, WsPool *to, const WsPool *from);
/* Tells one host of the pool. create: it makes the folder and marks it where it is no pool yet. */
bool storage_tell_pool(Center *center, const WsPool *pool, WsId host, bool create, bool suspended, WsRpcPoolPrepareResult **result,
                       GError **error);
/* keep: others go on using it. */
bool storage_tell_pool_gone(Center *center, WsId pool, WsId host, bool keep, GError **error);
/* Tells a host which pools are its own, each of them, and to forget others. false: it is worth trying again soon. In a coroutine. */
bool storage_resync_pools(Center *center, WsId host, RpcLink *link, GError **error);
/* Sum of the sizes of a pool's volumes. */
gint64 storage_provisioned_bytes(const InvSnapshot *snap, WsId pool);

/* Asks hosts whether they can use a pool, or (is_pool false) could make and use it: what they found, not yet
 * in words. In a coroutine; little more than a minute at most, whoever is silent. Caller frees. */
WsPoolFindings *storage_check_pool(Center *center, const WsPool *pool, bool is_pool, const WsId *hosts,
                                   guint n);
/* Fills in what findings mean and what to do, for their reader. */
void storage_findings_in_words(void *findings, WsLang lang);
/* In a dry run that is not one of many: asks, and shows what was found in its answer; else nothing. */
void storage_show_check(Task *task, const WsPool *pool, bool is_pool, const WsId *hosts, guint n);

/* Opens and closes the alarms of how full the pool is (fill.c), after its host has said something of it. In a coroutine. */
void storage_tell_fill(Center *center, WsId pool);
void storage_fill_start(Center *center);

/* "vol-7", in a buffer of WS_ID_TEXT_MAX. */
static inline const char *storage_text(const WsType *type, WsId id, char *buffer)
{
  return ws_id_format(type->prefix, id, buffer);
}

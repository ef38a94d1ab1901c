// SPDX-License-Identifier: Apache-2.0
/* Hosts: who may connect, who is connected, and the link to each. Core loop, unless said otherwise.
 *
 * A host is known by its certificate (CN = its id, issued by the site's CA at enrolment). When its link comes up the manager reads all
 * that the host runs and has: each domain registers a resync function for its part. Until these have ended the host counts as
 * connected but what is known of it as old. */
#pragma once
#include "center/center.h"
#include "model/model.h"
#include "rpc/rpc.h"

HostLinks *hosts_new(Center *center);
void hosts_free(HostLinks *links);

/* The link of a connected host, borrowed until the next wait; NULL: WS_ERROR_HOST_UNREACHABLE naming the host;
 * WS_ERROR_NOT_FOUND when it is not in the inventory (any more), so that nobody waits for it. */
RpcLink *hosts_link(Center *center, WsId host, GError **error);
bool hosts_is_connected(Center *center, WsId host);
/* Newest look of each VM that the present link told of (compute/looks.c): char * -> gint64 *, both its own.
 * NULL: not connected. */
GHashTable *hosts_looks(Center *center, WsId host);
/* The host at the other end of a link (in handlers of its notifications); 0: none. */
WsId hosts_of_link(Center *center, RpcLink *link);
/* Inside a handler of a host's call or notification: whose it is. */
Center *hosts_center_of_call(RpcCall *call);
WsId hosts_of_call(RpcCall *call);

/* Called in a coroutine each time a host has connected, in order of registration, and by the verb sync. An error is logged, becomes an event,
 * and the next function runs all the same. */
typedef bool (*HostResync)(Center *center, WsId host, RpcLink *link, GError **error);
void hosts_add_resync(Center *center, HostResync func);
/* Runs them all now. In a coroutine. */
bool hosts_resync(Center *center, WsId host, GError **error);
/* Reads the host anew in some seconds: what it said just now could not be taken in (busy, full disk). Once, however often asked. */
void hosts_catch_up(Center *center, WsId host);
/* Called when a host's link has gone down. */
typedef void (*HostDown)(Center *center, WsId host);
void hosts_add_down(Center *center, HostDown func);
/* A host has come over a carrier that is not a WebSocket (the simulator, tests): its link, to be given to rpc_link_opened(). It takes the
 * place of the one before. Caller unrefs; the link is forgotten when its carrier is lost. */
RpcLink *hosts_admit(Center *center, WsId host, const char *address);
/* Notes in a host that is being edited what is known of its power. */
void hosts_set_power(WsHost *host, int state, int source, gint64 now_us);
/* A minute from now: an event if the host lacks what it needs (check.c). */
void hosts_report_check(Center *center, WsId host);
/* Ends the link and, with the Host gone from the inventory, its right to come back. */
void hosts_disconnect(Center *center, WsId host, const char *reason);

/* Is this certificate one that we issued to a living host and have not replaced? Any thread. */
bool hosts_certificate_valid(Center *center, const char *cn, const char *serial, WsId *host);

/* Opens and closes the alarm certificate_expiring of hosts that have not renewed in time (less than a sixth of a life is left; agents begin
 * at a third). In a coroutine, now and then. */
void hosts_check_certificates(Center *center);

/* Hosts that were connected when the manager stopped, and have not come back for two minutes: as when their links go down. In a coroutine, now
 * and then. */
void hosts_tell_lost(Center *center);

/* Asks a host to dial back a byte stream: issues a one-time name for it; when the host's WebSocket with that name arrives, `events` are
 * attached to it with arg (I/O thread). The name goes into the RPC that asks for the stream. `arg` is destroyed if the stream
 * never comes. Caller frees the name. Any thread. */
char *hosts_expect_stream(Center *center, WsId host, const HttpSocketEvents *events, void *arg, GDestroyNotify destroy);

/* Gives a token that was just made its secret and its end; the text for the host, which is kept nowhere. Caller forgets it (ws_secret_free()). */
char *hosts_fill_token(Center *center, WsJoinToken *token, GError **error);
/* The host and all that lies on it leave the inventory; on the host itself nothing changes. */
void hosts_drop(Center *center, InvTxn *txn, WsId host);

/* Ends the link of a host that leaves the inventory. At start. */
void hosts_watch_removals(Center *center);

// SPDX-License-Identifier: Apache-2.0
/* Watching: WebSockets that get every change they asked for, once and in order.
 *
 * Wire: text messages {"revision": R, "changes": [{"type": "Vm", "id": "vm-7", "op": "put", "object": {...}}, {..., "op": "gone"}]}. The first message
 * is {"revision": R, "changes": []} and says where the stream begins. A watcher resumes with ?since=R. When the log does not reach
 * back that far: {"relist": true, "error": {...}} and the socket closes with code 4410. When the session or token by which it was opened ends, or the
 * user's rights change, it closes with code 4401: the client logs in if it must, and resumes.
 *
 * One reader follows the inventory for all watchers that are up to date; subscriptions that are alike share one message, made once.
 * While changes come without a pause they go out in bundles: each 0.2 ms for each watcher, at most each 100 ms.
 * A watcher that does not take its bytes is left behind (nothing is queued for it) and reads on by itself when it drains.
 * I/O thread, but for watch_hub_new/free. */
#pragma once
#include "center/center.h"

WatchHub *watch_hub_new(Center *center);
void watch_hub_free(WatchHub *hub);
guint watch_hub_count(const WatchHub *hub); /* watchers now */

/* Something else that was opened by a login or token and must end with it (a console): `end` is called once, where a watch would be closed with 4401.
 * I/O thread, all of it. Freeing it forgets it. */
typedef struct WatchGuard WatchGuard;
WatchGuard *watch_guard_new(WatchHub *hub, WsId user, WsId session, WsId token, void (*end)(void *arg), void *arg);
void watch_guard_free(WatchGuard *guard); /* NULL is fine */

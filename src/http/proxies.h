// SPDX-License-Identifier: Apache-2.0
/* Proxies that somebody put before this server: who is behind them comes in X-Forwarded-For, which is believed from nobody else. Pure. (any) */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct Proxies Proxies;

/* Each "10.0.0.7", "10.0.0.0/24" or the same of IPv6. list NULL or empty: NULL without an error, which is nobody. WS_ERROR_BAD_VALUE names the
 * field trusted_proxies. */
Proxies *proxies_new(const char *const *list, GError **error);
void proxies_free(Proxies *proxies); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Proxies, proxies_free)

bool proxies_have(const Proxies *proxies, const char *address); /* proxies may be NULL */

/* The client's address, as the nearest proxy saw it: of `forwarded_for` (NULL: absent) the last one that is no proxy itself. What a client wrote there
 * stands before that and says nothing. `peer` is who is connected. NULL: it is the peer. Caller frees. */
char *proxies_client(const Proxies *proxies, const char *peer, const char *forwarded_for);

// SPDX-License-Identifier: Apache-2.0
/* See identity_talk.h. */
#include "center/auth/identity_talk.h"
#include "base/error.h"
#include "base/loop.h"

#define KNOWN_US    (600 * (gint64)G_USEC_PER_SEC) /* a discovery document is asked for anew after so long */
#define WORKERS     4                              /* that ask one provider; their threads end when there is nothing to ask */
#define WAITING_MAX 32                             /* who asks a provider, or waits to */

struct IdentityTalks {
  bool inline_only;
  bool stopped;
  GHashTable *parties; /* id -> Party. Those of deleted providers stay: few, and somebody may still wait for them */
};

/* A provider, as one who is talked with. */
typedef struct {
  WsWorkers *workers; /* NULL: not needed yet */
  guint n_waiting;
  OidcEndpoints *endpoints; /* NULL: not known */
  Revision revision;        /* of the provider whose they are */
  gint64 asked_us;          /* monotonic */
} Party;

static void party_free(void *arg)
{
  Party *party = arg;
  ws_workers_free(party->workers);
  oidc_endpoints_unref(party->endpoints);
  g_free(party);
}

IdentityTalks *identity_talks_new(bool inline_only)
{
  IdentityTalks *talks = g_new0(IdentityTalks, 1);
  talks->inline_only = inline_only;
  talks->parties = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, party_free);
  return talks;
}

void identity_talks_stop(IdentityTalks *talks)
{
  GHashTableIter iter;
  void *party;
  talks->stopped = true;
  g_hash_table_iter_init(&iter, talks->parties);
  while (g_hash_table_iter_next(&iter, NULL, &party))
    g_clear_pointer(&((Party *)party)->workers, ws_workers_free);
}

void identity_talks_free(IdentityTalks *talks)
{
  if (!talks)
    return;
  g_hash_table_unref(talks->parties);
  g_free(talks);
}

static Party *find_party(IdentityTalks *talks, WsId provider)
{
  gint64 id = (gint64)provider;
  Party *party = g_hash_table_lookup(talks->parties, &id);
  if (!party) {
    party = g_new0(Party, 1);
    g_hash_table_insert(talks->parties, g_memdup2(&id, sizeof id), party);
  }
  return party;
}

OidcSettings identity_settings_of(const WsIdentityProvider *provider)
{
  return (OidcSettings){
      .name = g_strdup(provider->name),
      .issuer = g_strdup(provider->issuer),
      .client_id = g_strdup(provider->client_id),
      .client_secret = g_strdup(provider->client_secret),
      .ca_pem = g_strdup(provider->ca_certificate),
      .name_claim = g_strdup(provider->name_claim ? provider->name_claim : "preferred_username"),
      .groups_claim = g_strdup(provider->groups_claim ? provider->groups_claim : "groups"),
  };
}

bool identity_ask(IdentityTalks *talks, WsId provider, WsWorkFunc what, void *job, GDestroyNotify destroy, GError **error)
{
  Party *party = find_party(talks, provider);
  if (talks->stopped || party->n_waiting >= WAITING_MAX) {
    destroy(job);
    return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
  }
  if (!party->workers)
    party->workers = ws_workers_new("identity", talks->inline_only ? 0 : WORKERS);
  party->n_waiting++;
  bool ok = ws_co_blocking(party->workers, what, job, destroy, 0, error);
  party->n_waiting--;
  return ok;
}

/* ---- discovery ---- */

typedef struct {
  OidcSettings settings;
  OidcEndpoints *endpoints;
} Discovery;

static void discovery_free(void *arg)
{
  Discovery *discovery = arg;
  oidc_settings_clear(&discovery->settings);
  oidc_endpoints_unref(discovery->endpoints);
  g_free(discovery);
}

static bool discover(void *arg, GError **error)
{
  Discovery *discovery = arg;
  discovery->endpoints = oidc_discover(&discovery->settings, error);
  return discovery->endpoints != NULL;
}

OidcEndpoints *identity_endpoints(IdentityTalks *talks, const WsIdentityProvider *provider, gint64 now_us, GError **error)
{
  Party *party = find_party(talks, provider->id);
  if (party->endpoints && party->revision == provider->revision && now_us - party->asked_us < KNOWN_US)
    return oidc_endpoints_ref(party->endpoints);
  Revision revision = provider->revision;
  Discovery *discovery = g_new0(Discovery, 1);
  discovery->settings = identity_settings_of(provider);
  if (!identity_ask(talks, provider->id, discover, discovery, discovery_free, error))
    return NULL;
  oidc_endpoints_unref(party->endpoints);
  party->endpoints = g_steal_pointer(&discovery->endpoints);
  party->revision = revision;
  party->asked_us = now_us;
  discovery_free(discovery);
  return oidc_endpoints_ref(party->endpoints);
}

// SPDX-License-Identifier: Apache-2.0
/* One-time tickets. See tickets.h. The table holds hashes, so a dump of memory's index shows no live ticket. */
#include "center/tickets.h"
#include "base/hash.h"

#define TICKETS_MAX 10000

typedef struct {
  char *purpose;
  gint64 expires_us; /* monotonic: setting the wall clock extends nothing */
  void *value;
  GDestroyNotify destroy;
} Ticket;

struct Tickets {
  GMutex lock; /* guards table */
  GHashTable *table;
  WsClock *clock;
};

static void ticket_free(void *arg)
{
  Ticket *ticket = arg;
  if (ticket->value && ticket->destroy)
    ticket->destroy(ticket->value);
  g_free(ticket->purpose);
  g_free(ticket);
}

Tickets *tickets_new(WsClock *clock)
{
  Tickets *tickets = g_new0(Tickets, 1);
  g_mutex_init(&tickets->lock);
  tickets->clock = clock;
  tickets->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, ticket_free);
  return tickets;
}

void tickets_free(Tickets *tickets)
{
  if (!tickets)
    return;
  g_hash_table_unref(tickets->table);
  g_mutex_clear(&tickets->lock);
  g_free(tickets);
}

static gboolean is_expired(void *key, void *value, void *arg)
{
  return ((Ticket *)value)->expires_us <= *(gint64 *)arg;
}

void tickets_expire(Tickets *tickets)
{
  gint64 now = ws_clock_monotonic_us(tickets->clock);
  g_mutex_lock(&tickets->lock);
  g_hash_table_foreach_remove(tickets->table, is_expired, &now);
  g_mutex_unlock(&tickets->lock);
}

char *tickets_issue(Tickets *tickets, const char *purpose, guint life_s, void *value, GDestroyNotify destroy)
{
  char *text = ws_token_new(tickets->clock, "");
  gint64 now = ws_clock_monotonic_us(tickets->clock);
  Ticket *ticket = g_new(Ticket, 1);
  *ticket = (Ticket){g_strdup(purpose), now + (gint64)life_s * G_USEC_PER_SEC, value, destroy};
  g_mutex_lock(&tickets->lock);
  if (g_hash_table_size(tickets->table) >= TICKETS_MAX)
    g_hash_table_foreach_remove(tickets->table, is_expired, &now);
  g_hash_table_insert(tickets->table, ws_sha256_hex(text, strlen(text)), ticket);
  g_mutex_unlock(&tickets->lock);
  return text;
}

void *tickets_redeem(Tickets *tickets, const char *purpose, const char *text, GError **error)
{
  g_autofree char *hash = ws_sha256_hex(text ? text : "", text ? strlen(text) : 0);
  void *value = NULL;
  gint64 now = ws_clock_monotonic_us(tickets->clock);
  g_mutex_lock(&tickets->lock);
  Ticket *ticket = g_hash_table_lookup(tickets->table, hash);
  if (ticket && strcmp(ticket->purpose, purpose) == 0) {
    if (ticket->expires_us > now)
      value = g_steal_pointer(&ticket->value);
    g_hash_table_remove(tickets->table, hash);
  }
  g_mutex_unlock(&tickets->lock);
  if (!value)
    ws_fail(error, WS_ERROR_TICKET_INVALID, NULL);
  return value;
}

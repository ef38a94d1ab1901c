// SPDX-License-Identifier: Apache-2.0
/* The recycle bin: what hosts have defined that lies there. See bin.h. */
#include "center/bin.h"

typedef struct {
  WsId host;
  gint64 told_us; /* monotonic */
} Seen;

static void make_tables(Center *center)
{
  if (center->bin_defined)
    return;
  center->bin_defined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  center->bin_listed = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void bin_seen_defined(Center *center, WsId host, const char *uuid)
{
  Seen seen = {host, ws_clock_monotonic_us(center->clock)};
  make_tables(center);
  g_hash_table_replace(center->bin_defined, g_strdup(uuid), g_memdup2(&seen, sizeof seen));
}

void bin_seen_undefined(Center *center, WsId host, const char *uuid)
{
  const Seen *seen = center->bin_defined && uuid ? g_hash_table_lookup(center->bin_defined, uuid) : NULL;
  if (seen && (!host || seen->host == host))
    g_hash_table_remove(center->bin_defined, uuid);
}

typedef struct {
  WsId host;
  GHashTable *uuids;
  gint64 began_us;
} List;

static gboolean is_off_list(gpointer uuid, gpointer value, gpointer arg)
{
  const Seen *seen = value;
  const List *list = arg;
  return seen->host == list->host && seen->told_us < list->began_us && !g_hash_table_contains(list->uuids, uuid);
}

void bin_seen_list(Center *center, WsId host, GHashTable *uuids, gint64 began_us)
{
  List list = {host, uuids, began_us};
  make_tables(center);
  g_hash_table_foreach_remove(center->bin_defined, is_off_list, &list);
  g_hash_table_add(center->bin_listed, g_memdup2(&host, sizeof host));
}

void bin_seen_away(Center *center, WsId host)
{
  if (center->bin_listed)
    g_hash_table_remove(center->bin_listed, &host);
}

bool bin_seen_is_listed(const Center *center, WsId host)
{
  return center->bin_listed && g_hash_table_contains(center->bin_listed, &host);
}

WsId bin_seen_where(const Center *center, const char *uuid)
{
  const Seen *seen = center->bin_defined && uuid ? g_hash_table_lookup(center->bin_defined, uuid) : NULL;
  return seen ? seen->host : 0;
}

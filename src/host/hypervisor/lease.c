// SPDX-License-Identifier: Apache-2.0
/* May this host run a VM, and who has the right: the records beside the disks, taken, compared and given back. See lease.h. */
#include "base/log.h"
#include "host/hypervisor/lease-private.h"
#include <string.h>

#define GIVE_BACK_US (3 * (gint64)G_USEC_PER_SEC)

/* ---- the records of its pools, open and locked ---- */

void lease_records_close(LeaseRecords *records)
{
  for (guint i = 0; i < records->n; i++)
    storage_lease_close(records->files[i]);
  records->n = 0;
}

static int compare_ids(const void *a, const void *b)
{
  const WsId *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

bool lease_records_open(Hypervisor *hv, const char *uuid, WsId *pools, guint n, LeaseRecords *records, GError **error)
{
  qsort(pools, n, sizeof *pools, compare_ids);
  for (guint i = 0; i < n; i++) {
    if (i && pools[i] == pools[i - 1])
      continue;
    StorageLeaseFile *file = storage_lease_open(hv->config.storage, pools[i], uuid, true, error);
    if (!file)
      return false;
    records->pools[records->n] = pools[i];
    records->files[records->n++] = file;
  }
  return true;
}

static bool has_pool(const WsId *pools, guint n, WsId pool)
{
  for (guint i = 0; i < n; i++)
    if (pools[i] == pool)
      return true;
  return false;
}

/* By the paths: the notes in a definition that has just come from another host still name pools of that one. */
static bool add_pools(Hypervisor *hv, virDomainPtr domain, bool live, WsId *pools, guint *n, GError **error)
{
  char *text = virt_xml(domain, live);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, error) : NULL;
  if (!text)
    return virt_fail(error, 0, NULL, "read the definition of");
  free(text);
  const xmlNode *devices = doc ? virt_xml_child(xmlDocGetRootElement(doc), "devices") : NULL;
  for (const xmlNode *at = virt_xml_first(devices); at && hv->config.storage && *n < LEASE_POOLS_MAX; at = virt_xml_next(at)) {
    const char *path = virt_xml_is(at, "disk") ? virt_xml_path_get(at, "source", "file") : NULL;
    const char *device = virt_xml_get(at, "device");
    g_autofree char *file = NULL;
    WsId pool;
    if (path && (!device || strcmp(device, "disk") == 0) && !virt_xml_child(at, "readonly") &&
        hv->host.find_pool(hv->host.arg, path, &pool, &file) && !has_pool(pools, *n, pool))
      pools[(*n)++] = pool;
  }
  return doc != NULL;
}

bool lease_pools_of(Hypervisor *hv, virDomainPtr domain, WsId *pools, guint *n, GError **error)
{
  *n = 0;
  return add_pools(hv, domain, false, pools, n, error) &&
         (virDomainIsActive(domain) != 1 || add_pools(hv, domain, true, pools, n, error));
}

/* ---- may it? ---- */

bool lease_is_ours(const Hypervisor *hv, const StorageLease *lease)
{
  return strcmp(lease->holder, hv->leases->holder) == 0;
}

bool lease_outdated(WsId vm, const char *uuid, gint64 generation, gint64 known, const char *host, GError **error)
{
  char object[VIRT_OBJECT_MAX], given[32], seen[32];
  g_snprintf(given, sizeof given, "%" G_GINT64_FORMAT, generation);
  g_snprintf(seen, sizeof seen, "%" G_GINT64_FORMAT, known);
  return ws_fail(error, WS_ERROR_LEASE_OUTDATED, "object", virt_object(vm, uuid, object), "generation", given, "known", seen, "host", host, NULL);
}

static bool held(WsId vm, const char *uuid, const StorageLease *lease, GError **error)
{
  char object[VIRT_OBJECT_MAX], seen[32];
  g_snprintf(seen, sizeof seen, "%" G_GINT64_FORMAT, lease->generation);
  return ws_fail(error, WS_ERROR_LEASE_HELD, "object", virt_object(vm, uuid, object), "host", lease->host, "generation", seen, NULL);
}

bool lease_may_take(Hypervisor *hv, WsId vm, const char *uuid, const VirtAsk *ask, gint64 generation, const StorageLease *there, GError **error)
{
  bool ours = lease_is_ours(hv, there);
  bool over = ask->take_over && there->generation <= ask->over_generation;
  if (!there->generation)
    return true; /* nobody ever had it */
  if (there->held && !ours && !over && !ask->handed_over)
    return held(vm, uuid, there, error);
  if (there->generation > generation || (!ours && there->generation == generation))
    return lease_outdated(vm, uuid, generation, there->generation, there->host, error);
  return ours || !ask->own_only || lease_outdated(vm, uuid, generation, there->generation, there->host, error);
}

/* Without one of the manager's: the one that is known here and beside the disks; a new one when the last was another host's. */
static gint64 own_generation(const Hypervisor *hv, const Lease *lease, const LeaseRecords *records, const VirtAsk *ask)
{
  gint64 generation = MAX(lease->generation, 1);
  for (guint i = 0; i < records->n && !ask->own_only; i++) {
    const StorageLease *there = storage_lease_get(records->files[i]);
    if (there->generation)
      generation = MAX(generation, there->generation + !lease_is_ours(hv, there));
  }
  return generation;
}

static bool may_take_all(Hypervisor *hv, WsId vm, const char *uuid, const VirtAsk *ask, gint64 generation, const Lease *lease,
                         const LeaseRecords *records, GError **error)
{
  if (lease->generation > generation || (lease->state == LEASE_LOST && lease->generation == generation && !ask->handed_over))
    return lease_outdated(vm, uuid, generation, lease->generation, hv->leases->host, error);
  for (guint i = 0; i < records->n; i++)
    if (!lease_may_take(hv, vm, uuid, ask, generation, storage_lease_get(records->files[i]), error))
      return false;
  return true;
}

bool lease_records_write(Hypervisor *hv, const LeaseRecords *records, gint64 generation, bool hold, GError **error)
{
  StorageLease lease = {.generation = generation, .held = hold};
  g_strlcpy(lease.holder, hv->leases->holder, sizeof lease.holder);
  g_strlcpy(lease.host, hv->leases->host, sizeof lease.host);
  for (guint i = 0; i < records->n; i++) {
    const StorageLease *there = storage_lease_get(records->files[i]);
    bool so = there->generation == generation && there->held == hold && lease_is_ours(hv, there);
    if (!so && !storage_lease_put(records->files[i], &lease, error))
      return false;
  }
  return true;
}

/* ---- take, check ---- */

typedef struct {
  WsId pools[LEASE_POOLS_MAX];
  StorageLease leases[LEASE_POOLS_MAX];
  guint n;
} Before;

/* For virt_lease_give_up(). */
static void note_before(Hypervisor *hv, const char *uuid, const LeaseRecords *records)
{
  Before *before = g_new0(Before, 1);
  for (guint i = 0; i < records->n; i++) {
    before->pools[i] = records->pools[i];
    before->leases[i] = *storage_lease_get(records->files[i]);
  }
  before->n = records->n;
  g_mutex_lock(&hv->lock);
  g_hash_table_replace(hv->leases->before, g_strdup(uuid), before);
  g_mutex_unlock(&hv->lock);
}

static bool take_once(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const VirtAsk *ask, GError **error)
{
  g_auto(LeaseRecords) records = {.n = 0};
  WsId pools[LEASE_POOLS_MAX];
  guint n;
  Lease lease = lease_of(hv, uuid);
  if (!lease_pools_of(hv, domain, pools, &n, error) || !lease_records_open(hv, uuid, pools, n, &records, error))
    return false;
  gint64 generation = ask->generation == WS_INT_UNSET ? own_generation(hv, &lease, &records, ask) : ask->generation;
  if (!may_take_all(hv, vm, uuid, ask, generation, &lease, &records, error))
    return false;
  if (ask->take_over)
    ws_log(WS_LOG_WARNING, "lease-taken-over", "uuid", uuid, "reason", ask->take_over, NULL);
  note_before(hv, uuid, &records);
  bool same = lease.state == LEASE_HELD && lease.generation == generation && lease.n_pools == records.n &&
              memcmp(lease.pools, records.pools, records.n * sizeof *records.pools) == 0;
  lease.generation = generation;
  lease.state = LEASE_HELD;
  lease.arriving = 0;
  lease.n_pools = records.n;
  memcpy(lease.pools, records.pools, records.n * sizeof *records.pools);
  return (same || lease_keep(hv, uuid, &lease, error)) && lease_records_write(hv, &records, lease.generation, true, error);
}

/* Another host may be about to give it back: it has just ended its guest. */
bool virt_lease_take(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const VirtAsk *ask, GError **error)
{
  gint64 end_us = g_get_monotonic_time() + (hv->config.lease_wait_us ? hv->config.lease_wait_us : GIVE_BACK_US);
  while (hv->leases) {
    g_autoptr(GError) refused = NULL;
    if (take_once(hv, domain, vm, uuid, ask, &refused))
      return true;
    if (ws_error_code(refused) == WS_ERROR_LEASE_HELD && g_get_monotonic_time() < end_us) {
      g_usleep(G_USEC_PER_SEC / 4);
      continue;
    }
    g_propagate_error(error, g_steal_pointer(&refused));
    return false;
  }
  return true;
}

bool virt_lease_check(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error)
{
  g_auto(LeaseRecords) records = {.n = 0};
  WsId pools[LEASE_POOLS_MAX];
  guint n;
  if (!hv->leases)
    return true;
  Lease lease = lease_of(hv, uuid);
  VirtAsk arrived = {.generation = lease.arriving, .over_generation = WS_INT_UNSET};
  if (lease.arriving) /* it stood still before it came, and does so still: its right waited for it */
    return virt_lease_take(hv, domain, vm, uuid, &arrived, error);
  if (lease.state == LEASE_LOST)
    return lease_outdated(vm, uuid, lease.generation, lease.generation, "another host", error);
  if (!lease_pools_of(hv, domain, pools, &n, error) || !lease_records_open(hv, uuid, pools, n, &records, error))
    return false;
  for (guint i = 0; i < records.n; i++) {
    const StorageLease *there = storage_lease_get(records.files[i]);
    if (there->generation && !lease_is_ours(hv, there))
      return there->held ? held(vm, uuid, there, error) : lease_outdated(vm, uuid, lease.generation, there->generation, there->host, error);
  }
  return true;
}

/* ---- giving it back ---- */

/* Ours in these pools are held no more. false: one could not be written. */
static bool give_back(Hypervisor *hv, const char *uuid, Lease *lease, gint64 generation)
{
  bool all = true;
  for (guint i = 0; i < lease->n_pools; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, lease->pools[i], uuid, false, &error);
    StorageLease there = file ? *storage_lease_get(file) : (StorageLease){0};
    if (!file && ws_error_code(error) == WS_ERROR_NOT_FOUND)
      continue; /* it is gone, or the pool is not this host's any more */
    there.generation = MAX(there.generation, generation);
    there.held = false;
    bool mine = file && lease_is_ours(hv, &there) && there.generation == generation;
    if (file && (!mine || storage_lease_put(file, &there, &error)))
      continue;
    ws_log_error(WS_LOG_WARNING, "lease-not-given-back", error, "uuid", uuid, NULL);
    all = false;
  }
  return all;
}

static void set_due(Hypervisor *hv, const char *uuid, bool due)
{
  g_mutex_lock(&hv->lock);
  if (due)
    g_hash_table_add(hv->leases->due, g_strdup(uuid));
  else
    g_hash_table_remove(hv->leases->due, uuid);
  g_mutex_unlock(&hv->lock);
}

void virt_lease_release(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  if (lease.state != LEASE_HELD)
    return;
  bool all = give_back(hv, uuid, &lease, lease.generation);
  set_due(hv, uuid, !all);
  if (!all)
    return;
  lease.state = LEASE_FREE;
  lease_keep_or_say(hv, uuid, &lease);
}

void virt_lease_give_up(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  Before before = {.n = 0};
  if (!hv->leases)
    return;
  g_mutex_lock(&hv->lock);
  const Before *noted = g_hash_table_lookup(hv->leases->before, uuid);
  if (noted)
    before = *noted;
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < before.n; i++) {
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, before.pools[i], uuid, false, NULL);
    const StorageLease *there = file ? storage_lease_get(file) : NULL;
    bool ours = there && lease_is_ours(hv, there) && there->generation == lease.generation;
    if (ours && before.leases[i].held && !lease_is_ours(hv, &before.leases[i]))
      storage_lease_put(file, &before.leases[i], NULL); /* else it is given back below */
  }
  virt_lease_release(hv, uuid);
}

void virt_lease_lose(Hypervisor *hv, const char *uuid, gint64 generation)
{
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  give_back(hv, uuid, &lease, lease.generation);
  lease.generation = MAX(lease.generation, generation == WS_INT_UNSET ? 0 : generation);
  lease.state = LEASE_LOST;
  lease.autostart = false;
  lease_keep_or_say(hv, uuid, &lease);
  virt_lease_leave(hv, uuid);
}

/* Between enter and leave. */
bool virt_lease_pass(Hypervisor *hv, const char *uuid, gint64 generation, bool back, GError **error)
{
  Lease lease = lease_of(hv, uuid);
  if (!hv->leases || (back && (lease.state != LEASE_LOST || lease.generation != generation)))
    return true; /* it was never passed on */
  if (!back && lease.state == LEASE_HELD)
    give_back(hv, uuid, &lease, lease.generation);
  lease.generation = MAX(lease.generation, generation);
  lease.state = back ? LEASE_FREE : LEASE_LOST;
  lease.autostart = false; /* the manager defines it anew where it stays */
  return lease_keep(hv, uuid, &lease, error);
}

bool virt_lease_expect(Hypervisor *hv, const char *uuid, gint64 generation, GError **error)
{
  if (!hv->leases || generation == WS_INT_UNSET)
    return true;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  lease.arriving = generation;
  bool expected = generation > lease.generation ? lease_keep(hv, uuid, &lease, error)
                                                : lease_outdated(0, uuid, generation, lease.generation, hv->leases->host, error);
  virt_lease_leave(hv, uuid);
  return expected;
}

static void forget(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  for (guint i = 0; i < lease.n_pools; i++) {
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, lease.pools[i], uuid, false, NULL);
    if (file && lease_is_ours(hv, storage_lease_get(file)))
      storage_lease_remove(file, NULL);
  }
  /* That it went to another host is remembered: an old definition of it must not be started here. */
  if (lease.state == LEASE_LOST) {
    lease.arriving = 0;
    lease.n_pools = 0;
    lease_keep_or_say(hv, uuid, &lease);
    return;
  }
  lease_drop(hv, uuid);
}

void virt_lease_forget(Hypervisor *hv, const char *uuid)
{
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  forget(hv, uuid);
  virt_lease_leave(hv, uuid);
}

bool virt_lease_arrive(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error)
{
  Lease lease = lease_of(hv, uuid);
  VirtAsk ask = VIRT_ASK_NONE;
  ask.handed_over = true;
  if (lease.arriving)
    ask.generation = lease.arriving;
  return virt_lease_take(hv, domain, vm, uuid, &ask, error);
}


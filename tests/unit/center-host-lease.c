// SPDX-License-Identifier: Apache-2.0
/* The simulated host's side of docs/leases.md: its own word for each VM, and a record in each pool that the VM's disks lie in, which all
 * hosts of that pool see. The same rules as src/host/hypervisor/lease.c. */
#include "center-host-private.h"
#include <string.h>

static HostLease *find_record(HostDisks *disks, WsId pool, const char *uuid)
{
  for (guint i = 0; i < HOST_LEASES; i++)
    if (disks->leases[i].there && disks->leases[i].pool == pool && strcmp(disks->leases[i].uuid, uuid) == 0)
      return &disks->leases[i];
  return NULL;
}

static HostLease *make_record(HostDisks *disks, WsId pool, const char *uuid)
{
  HostLease *record = find_record(disks, pool, uuid);
  for (guint i = 0; !record && i < HOST_LEASES; i++)
    if (!disks->leases[i].there)
      record = &disks->leases[i];
  g_assert_nonnull(record);
  record->there = true;
  record->pool = pool;
  g_strlcpy(record->uuid, uuid, sizeof record->uuid);
  return record;
}

static bool is_ours(const HostSim *sim, const HostLease *record)
{
  return strcmp(record->holder, sim->name) == 0;
}

static bool may_take(const HostSim *sim, const HostLease *record, const HostAsk *ask, gint64 generation, GError **error)
{
  bool over = ask->over && record->generation <= ask->over_generation;
  if (record->held && !is_ours(sim, record) && !over && !ask->handed_over)
    return ws_fail(error, WS_ERROR_LEASE_HELD, "object", record->uuid, "host", record->holder, "generation", "-", NULL);
  if (record->generation > generation || (record->generation == generation && !is_ours(sim, record)))
    return ws_fail(error, WS_ERROR_LEASE_OUTDATED, "object", record->uuid, "generation", "-", "known", "-", "host", record->holder, NULL);
  return true;
}

bool host_lease_take(HostSim *sim, HostDomain *d, const HostAsk *ask, GError **error)
{
  g_autoptr(WsVmSpec) spec = host_spec(d);
  gint64 generation = ask->generation == WS_INT_UNSET ? MAX(d->generation, 1) : ask->generation;
  if (generation < d->generation || (d->lease == WS_VM_LEASE_STATE_LOST && generation == d->generation && !ask->handed_over))
    return ws_fail(error, WS_ERROR_LEASE_OUTDATED, "object", d->uuid, "generation", "-", "known", "-", "host", sim->name, NULL);
  for (guint i = 0; i < spec->disks.len; i++) {
    const HostLease *record = find_record(sim->disks, spec->disks.items[i]->pool, d->uuid);
    if (record && !may_take(sim, record, ask, generation, error))
      return false;
  }
  d->generation = generation;
  d->lease = WS_VM_LEASE_STATE_HELD;
  for (guint i = 0; i < spec->disks.len; i++) {
    HostLease *record = make_record(sim->disks, spec->disks.items[i]->pool, d->uuid);
    record->generation = generation;
    record->held = true;
    g_strlcpy(record->holder, sim->name, sizeof record->holder);
  }
  return true;
}

void host_lease_release(HostSim *sim, HostDomain *d)
{
  if (d->lease != WS_VM_LEASE_STATE_HELD)
    return;
  d->lease = WS_VM_LEASE_STATE_FREE;
  for (guint i = 0; i < HOST_LEASES; i++) {
    HostLease *record = &sim->disks->leases[i];
    if (record->there && strcmp(record->uuid, d->uuid) == 0 && is_ours(sim, record))
      record->held = false;
  }
}

void host_lease_forget(HostSim *sim, const char *uuid)
{
  for (guint i = 0; i < HOST_LEASES; i++) {
    HostLease *record = &sim->disks->leases[i];
    if (record->there && strcmp(record->uuid, uuid) == 0 && is_ours(sim, record))
      memset(record, 0, sizeof *record);
  }
}

// SPDX-License-Identifier: Apache-2.0
/* The lease goes where the disks go: while disks of a VM change pools there is a record beside each file that the definition or the guest may
 * name. See lease.h.
 *
 * This host's own record names the new pools first, so that whatever is cut short is given back with the guest's end; then the records are
 * written; only then may the definition name files there. Those of the old pools go when nothing names them any more. */
#include "base/log.h"
#include "host/hypervisor/lease-private.h"

static bool has(const Lease *lease, WsId pool)
{
  for (guint i = 0; i < lease->n_pools; i++)
    if (lease->pools[i] == pool)
      return true;
  return false;
}

static bool widen(Hypervisor *hv, WsId vm, const char *uuid, const WsId *pools, guint n, GError **error)
{
  const VirtAsk ask = VIRT_ASK_NONE;
  g_auto(LeaseRecords) records = {.n = 0};
  Lease lease = lease_of(hv, uuid);
  WsId to[LEASE_POOLS_MAX];
  guint n_to = 0;
  for (guint i = 0; i < n && lease.n_pools + n_to < LEASE_POOLS_MAX; i++)
    if (pools[i] && !has(&lease, pools[i]))
      to[n_to++] = pools[i];
  if (lease.state == LEASE_LOST)
    return lease_outdated(vm, uuid, lease.generation, lease.generation, "another host", error);
  if (lease.state == LEASE_NONE)
    return true; /* it never ran under a lease; its next start takes one */
  if (n_to == 0)
    return true;
  if (!lease_records_open(hv, uuid, to, n_to, &records, error))
    return false;
  for (guint i = 0; i < records.n; i++) {
    if (!lease_may_take(hv, vm, uuid, &ask, lease.generation, storage_lease_get(records.files[i]), error))
      return false;
    lease.pools[lease.n_pools++] = records.pools[i];
  }
  return lease_keep(hv, uuid, &lease, error) && lease_records_write(hv, &records, lease.generation, lease.state == LEASE_HELD, error);
}

bool virt_lease_widen(Hypervisor *hv, WsId vm, const char *uuid, const WsId *pools, guint n, GError **error)
{
  if (!hv->leases)
    return true;
  virt_lease_enter(hv, uuid);
  bool ok = widen(hv, vm, uuid, pools, n, error);
  virt_lease_leave(hv, uuid);
  return ok;
}

/* false: it could not be reached now, and is given back with the others later. */
static bool remove_from(Hypervisor *hv, const char *uuid, WsId pool)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, pool, uuid, false, &error);
  if (!file && ws_error_code(error) == WS_ERROR_NOT_FOUND)
    return true;
  if (file && (!lease_is_ours(hv, storage_lease_get(file)) || storage_lease_remove(file, &error)))
    return true;
  ws_log_error(WS_LOG_WARNING, "lease-not-removed", error, "uuid", uuid, NULL);
  return false;
}

static void narrow(Hypervisor *hv, virDomainPtr domain, const char *uuid)
{
  g_autoptr(GError) error = NULL;
  Lease lease = lease_of(hv, uuid), now = {.n_pools = 0};
  if (lease.state != LEASE_HELD && lease.state != LEASE_FREE)
    return;
  if (!lease_pools_of(hv, domain, now.pools, &now.n_pools, &error)) {
    ws_log_error(WS_LOG_WARNING, "lease-not-narrowed", error, "uuid", uuid, NULL);
    return;
  }
  guint before = lease.n_pools, kept = 0;
  for (guint i = 0; i < before; i++)
    if (has(&now, lease.pools[i]) || !remove_from(hv, uuid, lease.pools[i]))
      lease.pools[kept++] = lease.pools[i];
  lease.n_pools = kept;
  if (kept != before)
    lease_keep_or_say(hv, uuid, &lease);
}

void virt_lease_narrow(Hypervisor *hv, virDomainPtr domain, const char *uuid)
{
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  narrow(hv, domain, uuid);
  virt_lease_leave(hv, uuid);
}

// SPDX-License-Identifier: Apache-2.0
/* How fast a running guest writes its memory: QEMU looks at a sample of its pages twice, a second apart
 * (libvirt 7.2, QEMU 5.2), which costs the guest next to nothing. libvirt begins it and is asked until it is
 * there. */
#include "host/hypervisor/hypervisor-private.h"

#define MEASURED_S 1
#define LOOK_US    (G_USEC_PER_SEC / 10)
#define WAIT_US    (3 * G_USEC_PER_SEC)
#define MIB        1048576

/* False: not there yet, or libvirt does not tell. */
static bool read_rate(virDomainPtr domain, gint64 *bytes_per_s)
{
  virDomainPtr list[] = {domain, NULL};
  virDomainStatsRecordPtr *records = NULL;
  long long mib = -1;
  int state = VIR_DOMAIN_DIRTYRATE_UNSTARTED;
  int n = virDomainListGetStats(list, VIR_DOMAIN_STATS_DIRTYRATE, &records, 0);
  if (n > 0) {
    virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_status", &state);
    virTypedParamsGetLLong(records[0]->params, records[0]->nparams, "dirtyrate.megabytes_per_second", &mib);
  }
  virDomainStatsRecordListFree(records);
  *bytes_per_s = MIN(mib, G_MAXINT64 / MIB) * MIB;
  return n > 0 && state == VIR_DOMAIN_DIRTYRATE_MEASURED && mib >= 0;
}

bool hypervisor_vm_dirty_rate(Hypervisor *hv, const WsRpcVmDirtyRate *params, WsRpcVmDirtyRateResult **result,
                              GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  gint64 end_us = g_get_monotonic_time() + WAIT_US, bytes_per_s = 0;
  if (!domain)
    return false;
  if (virt_state(domain) != WS_POWER_STATE_RUNNING)
    return virt_wrong_state(error, params->vm, params->uuid, "be measured", virt_state(domain));
  if (virDomainStartDirtyRateCalc(domain, MEASURED_S, 0) < 0)
    return virt_fail(error, params->vm, params->uuid, "measure");
  g_usleep(MEASURED_S * G_USEC_PER_SEC); /* an old figure is overwritten when it begins */
  while (!read_rate(domain, &bytes_per_s)) {
    if (g_get_monotonic_time() >= end_us)
      return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "measuring the guest's memory", "timeout",
                     "3 s", NULL);
    g_usleep(LOOK_US);
  }
  *result = ws_rpc_vm_dirty_rate_result_new();
  (*result)->bytes_per_s = bytes_per_s;
  return true;
}

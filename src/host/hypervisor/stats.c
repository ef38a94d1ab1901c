// SPDX-License-Identifier: Apache-2.0
/* Load of all running domains in one call to libvirt, without waiting for any guest: a QEMU that does not answer gives what libvirt knows
 * without it. Rates are made of the counters of two calls. */
#include "host/hypervisor/hypervisor-private.h"
#include <math.h>

#define KIB 1024

static gint64 get(const virDomainStatsRecord *record, const char *name, gint64 absent)
{
  unsigned long long value;
  return virTypedParamsGetULLong(record->params, record->nparams, name, &value) == 1 ? (gint64)MIN(value, G_MAXINT64) : absent;
}

static guint get_uint(const virDomainStatsRecord *record, const char *name)
{
  unsigned int value;
  return virTypedParamsGetUInt(record->params, record->nparams, name, &value) == 1 ? value : 0;
}

/* Sum of "block.0.rd.bytes", "block.1.rd.bytes", ...; `before` where the guest did not answer in time to be asked. */
static gint64 sum(const virDomainStatsRecord *record, const char *group, const char *counter, gint64 before)
{
  g_autofree char *count = g_strconcat(group, ".count", NULL), *first = g_strdup_printf("%s.0.%s", group, counter);
  guint n = get_uint(record, count);
  gint64 total = 0;
  if (n > 0 && get(record, first, -1) < 0)
    return before;
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf("%s.%u.%s", group, i, counter);
    total += get(record, name, 0);
  }
  return total;
}

/* Totals in the members of the rates. before: the previous reading, or NULL. */
static WsVmUsage *read_counters(const virDomainStatsRecord *record, const WsVmUsage *before, gint64 now_us)
{
  static const WsVmUsage nothing;
  const WsVmUsage *b = before ? before : &nothing;
  WsVmUsage *usage = ws_vm_usage_new();
  usage->disk_read_bytes_per_s = sum(record, "block", "rd.bytes", b->disk_read_bytes_per_s);
  usage->disk_write_bytes_per_s = sum(record, "block", "wr.bytes", b->disk_write_bytes_per_s);
  usage->disk_read_iops = sum(record, "block", "rd.reqs", b->disk_read_iops);
  usage->disk_write_iops = sum(record, "block", "wr.reqs", b->disk_write_iops);
  usage->net_rx_bytes_per_s = sum(record, "net", "rx.bytes", b->net_rx_bytes_per_s);
  usage->net_tx_bytes_per_s = sum(record, "net", "tx.bytes", b->net_tx_bytes_per_s);
  usage->time = now_us;
  gint64 rss = get(record, "balloon.rss", -1), available = get(record, "balloon.available", -1);
  gint64 usable = get(record, "balloon.usable", get(record, "balloon.unused", -1));
  if (rss >= 0)
    usage->memory_host_bytes = usage->memory_used_bytes = rss * KIB;
  if (available >= 0 && usable >= 0 && usable <= available)
    usage->memory_used_bytes = (available - usable) * KIB;
  return usage;
}

static gint64 rate(gint64 now, gint64 before, gint64 span_us)
{
  /* A counter that went back began anew (the VM was restarted). */
  return now < before || span_us <= 0 ? 0 : (gint64)((double)(now - before) * G_USEC_PER_SEC / (double)span_us);
}

/* Rates between two readings; without an earlier one memory alone. */
static WsVmUsage *rates(const WsVmUsage *now, const VirtFacts *before, gint64 cpu_ns, guint vcpus)
{
  WsVmUsage *usage = ws_vm_usage_new();
  usage->time = now->time;
  usage->memory_used_bytes = now->memory_used_bytes;
  usage->memory_host_bytes = now->memory_host_bytes;
  gint64 span_us = before->counters ? now->time - before->sampled_us : 0;
  if (span_us <= 0)
    return usage;
  const WsVmUsage *then = before->counters;
  double busy_us = cpu_ns < before->cpu_ns ? 0 : (double)(cpu_ns - before->cpu_ns) / 1000;
  usage->cpu_percent = fmin(100.0, 100.0 * busy_us / (double)span_us / MAX(vcpus, 1));
  usage->disk_read_bytes_per_s = rate(now->disk_read_bytes_per_s, then->disk_read_bytes_per_s, span_us);
  usage->disk_write_bytes_per_s = rate(now->disk_write_bytes_per_s, then->disk_write_bytes_per_s, span_us);
  usage->disk_read_iops = rate(now->disk_read_iops, then->disk_read_iops, span_us);
  usage->disk_write_iops = rate(now->disk_write_iops, then->disk_write_iops, span_us);
  usage->net_rx_bytes_per_s = rate(now->net_rx_bytes_per_s, then->net_rx_bytes_per_s, span_us);
  usage->net_tx_bytes_per_s = rate(now->net_tx_bytes_per_s, then->net_tx_bytes_per_s, span_us);
  return usage;
}

static WsVmSample *sample(Hypervisor *hv, const virDomainStatsRecord *record, gint64 now_us)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  gint64 cpu_ns = get(record, "cpu.time", 0);
  WsVmSample *out = ws_vm_sample_new();
  out->uuid = g_strdup(virt_uuid(record->dom, uuid));
  out->time = now_us;
  out->state = (int)virt_state(record->dom);
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  WsVmUsage *counters = read_counters(record, facts->counters, now_us);
  out->vm = facts->vm;
  out->usage = rates(counters, facts, cpu_ns, get_uint(record, "vcpu.current"));
  ws_vm_usage_free(facts->counters);
  facts->counters = counters;
  facts->cpu_ns = cpu_ns;
  facts->sampled_us = now_us;
  g_mutex_unlock(&hv->lock);
  return out;
}

bool hypervisor_vm_stats(Hypervisor *hv, WsRpcVmStatsResult **result, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  if (!conn)
    return false;
  virDomainStatsRecordPtr *records = NULL;
  int n = virConnectGetAllDomainStats(conn->c,
                                      VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_VCPU |
                                        VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_INTERFACE,
                                      &records,
                                      VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (n < 0)
    return virt_fail(error, 0, NULL, "measure domains");
  *result = ws_rpc_vm_stats_result_new();
  gint64 now_us = ws_clock_wall_us(hv->config.clock);
  for (int i = 0; i < n; i++)
    ws_array_add(&(*result)->samples, sample(hv, records[i], now_us));
  virDomainStatsRecordListFree(records);
  return true;
}

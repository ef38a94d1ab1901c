// SPDX-License-Identifier: Apache-2.0
/* Load of all running domains.
 *
 * libvirt knows CPU time and network traffic by itself and never waits for them (CPU time by virDomainGetInfo(): the group of that name
 * in the bulk call asks QEMU). Disks and memory must be asked of each QEMU, and libvirt waits for its answer even when told not
 * to (NOWAIT is about its own locks). So these are read by a
 * *sweep* on a worker, one domain after the other. A sweep that stands still is left to the QEMU it waits for; that domain is stuck
 * until it answers, and a new sweep goes on with the others. So a frozen QEMU costs one thread and its own figures.
 *
 * Rates are made of the totals of two readings. */
#include "host/hypervisor/hypervisor-private.h"
#include <math.h>

#define KIB          1024
#define SWEEP_WAIT_US G_USEC_PER_SEC       /* a call waits so long for fresh figures */
#define STUCK_US      (2 * G_USEC_PER_SEC) /* a QEMU that has not answered by then is stuck */

/* ---- reading what libvirt brings ---- */

static gint64 get(const virDomainStatsRecord *record, const char *name, gint64 absent)
{
  unsigned long long value;
  return virTypedParamsGetULLong(record->params, record->nparams, name, &value) == 1 ? (gint64)MIN(value, G_MAXINT64) : absent;
}

/* Sum of "block.0.rd.bytes", "block.1.rd.bytes", ... */
static gint64 sum(const virDomainStatsRecord *record, const char *group, const char *counter)
{
  g_autofree char *count_name = g_strconcat(group, ".count", NULL);
  unsigned int count = 0;
  gint64 total = 0;
  virTypedParamsGetUInt(record->params, record->nparams, count_name, &count);
  for (guint i = 0; i < count; i++) {
    g_autofree char *name = g_strdup_printf("%s.%u.%s", group, i, counter);
    total += get(record, name, 0);
  }
  return total;
}

/* Time in which vCPUs were ready and had no processor (the kernel's run delay); -1: not told. *n: vCPUs that there are. */
static gint64 waited_ns(const virDomainStatsRecord *record, guint *n)
{
  unsigned int maximum = 0;
  gint64 total = -1;
  *n = 0;
  virTypedParamsGetUInt(record->params, record->nparams, "vcpu.maximum", &maximum);
  for (guint i = 0; i < maximum; i++) {
    g_autofree char *name = g_strdup_printf("vcpu.%u.delay", i);
    gint64 delay = get(record, name, -1);
    if (delay < 0)
      continue;
    total = MAX(total, 0) + delay;
    ++*n;
  }
  return total;
}

static gint64 rate(gint64 now, gint64 before, gint64 span_us)
{
  /* A total that went back began anew: the VM was restarted. */
  return now < before || span_us <= 0 ? 0 : (gint64)((double)(now - before) * G_USEC_PER_SEC / (double)span_us);
}

/* ---- the sweep: disks and memory ---- */

struct VirtSweep {
  gint refs;
  Hypervisor *hv;
  GQueue todo;      /* uuids; the sweep's own worker takes from it. Guarded by hv->lock */
  char *current;    /* uuid asked now, NULL: between two. Guarded by hv->lock */
  gint64 since_us;  /* monotonic; of current */
  bool left;        /* another one took over. Guarded by hv->lock */
};

static void sweep_unref(void *arg)
{
  VirtSweep *sweep = arg;
  if (!g_atomic_int_dec_and_test(&sweep->refs))
    return;
  g_queue_clear_full(&sweep->todo, g_free);
  g_free(sweep->current);
  g_free(sweep);
}

static WsVmUsage *slow_usage(const virDomainStatsRecord *record, const VirtCounters *now, const VirtCounters *before, guint n_vcpus)
{
  WsVmUsage *usage = ws_vm_usage_new();
  gint64 rss = get(record, "balloon.rss", -1), available = get(record, "balloon.available", -1);
  gint64 usable = get(record, "balloon.usable", get(record, "balloon.unused", -1));
  if (rss >= 0)
    usage->memory_host_bytes = usage->memory_used_bytes = rss * KIB;
  if (available >= 0 && usable >= 0 && usable <= available)
    usage->memory_used_bytes = (available - usable) * KIB;
  if (!before->time_us)
    return usage;
  gint64 span_us = now->time_us - before->time_us;
  usage->disk_read_bytes_per_s = rate(now->read_bytes, before->read_bytes, span_us);
  usage->disk_write_bytes_per_s = rate(now->write_bytes, before->write_bytes, span_us);
  usage->disk_read_iops = rate(now->read_requests, before->read_requests, span_us);
  usage->disk_write_iops = rate(now->write_requests, before->write_requests, span_us);
  if (now->wait_ns >= 0 && before->wait_ns >= 0 && span_us > 0 && n_vcpus)
    usage->cpu_wait_percent = fmin(100, 100 * (double)MAX(0, now->wait_ns - before->wait_ns) / 1000 / (double)span_us / n_vcpus);
  return usage;
}

static void take_slow(Hypervisor *hv, const char *uuid, const virDomainStatsRecord *record)
{
  guint n_vcpus;
  VirtCounters now = {.time_us = ws_clock_wall_us(hv->config.clock),
                      .read_bytes = sum(record, "block", "rd.bytes"),
                      .write_bytes = sum(record, "block", "wr.bytes"),
                      .read_requests = sum(record, "block", "rd.reqs"),
                      .write_requests = sum(record, "block", "wr.reqs"),
                      .wait_ns = waited_ns(record, &n_vcpus)};
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  ws_vm_usage_free(facts->slow_usage);
  facts->slow_usage = slow_usage(record, &now, &facts->slow, n_vcpus);
  facts->slow = now;
  g_mutex_unlock(&hv->lock);
}

/* May wait for the QEMU for ever. */
static void ask_one(Hypervisor *hv, VirtConn *conn, const char *uuid)
{
  VIRT_AUTO_DOMAIN domain = virt_find(conn, 0, uuid, NULL);
  virDomainPtr list[] = {domain, NULL};
  virDomainStatsRecordPtr *records = NULL;
  if (!domain)
    return;
  int n = virDomainListGetStats(list, VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_VCPU, &records,
                                VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (n == 1 && virTypedParamsGet(records[0]->params, records[0]->nparams, "block.count"))
    take_slow(hv, uuid, records[0]);
  if (n >= 0)
    virDomainStatsRecordListFree(records);
}

/* The next domain of the sweep, or NULL at its end. Ends what was asked before. */
static const char *next_one(VirtSweep *sweep)
{
  Hypervisor *hv = sweep->hv;
  g_mutex_lock(&hv->lock);
  if (sweep->left)
    virt_facts(hv, sweep->current)->stuck = false; /* it answered after all */
  g_free(sweep->current);
  sweep->current = sweep->left || hv->stop ? NULL : g_queue_pop_head(&sweep->todo);
  sweep->since_us = g_get_monotonic_time();
  if (!sweep->current && hv->sweep == sweep) {
    hv->sweep = NULL;
    g_cond_broadcast(&hv->changed);
  }
  const char *uuid = sweep->current;
  g_mutex_unlock(&hv->lock);
  return uuid;
}

static void run_sweep(void *arg)
{
  VirtSweep *sweep = arg;
  g_autoptr(VirtConn) conn = virt_conn_acquire(sweep->hv, NULL);
  for (const char *uuid; (uuid = next_one(sweep));)
    if (conn)
      ask_one(sweep->hv, conn, uuid);
}

/* Begins a sweep over `uuids`, unless one is under way and moves. One that stands still is left behind, what it had before it is
 * taken over. */
static void keep_sweeping(Hypervisor *hv, GPtrArray *uuids)
{
  VirtSweep *begun = NULL;
  g_mutex_lock(&hv->lock);
  VirtSweep *old = hv->sweep;
  bool stands = old && old->current && g_get_monotonic_time() - old->since_us > STUCK_US;
  if (stands) {
    old->left = true;
    virt_facts(hv, old->current)->stuck = true;
  }
  if (!old || stands) {
    begun = hv->sweep = g_new0(VirtSweep, 1);
    *begun = (VirtSweep){.refs = 1, .hv = hv};
    for (guint i = 0; i < uuids->len; i++)
      if (!virt_facts(hv, uuids->pdata[i])->stuck)
        g_queue_push_tail(&begun->todo, g_strdup(uuids->pdata[i]));
  }
  g_mutex_unlock(&hv->lock);
  if (begun)
    virt_run(hv, NULL, run_sweep, begun, sweep_unref);
}

static void await_sweep(Hypervisor *hv)
{
  gint64 end = g_get_monotonic_time() + SWEEP_WAIT_US;
  g_mutex_lock(&hv->lock);
  while (hv->sweep && !hv->stop && g_cond_wait_until(&hv->changed, &hv->lock, end))
    ;
  g_mutex_unlock(&hv->lock);
}

/* ---- one sample ---- */

/* With the lock held. */
static WsVmUsage *quick_usage(const VirtCounters *now, const VirtFacts *facts, guint vcpus)
{
  WsVmUsage *usage = facts->slow_usage ? ws_vm_usage_copy(facts->slow_usage) : ws_vm_usage_new();
  const VirtCounters *before = &facts->quick;
  gint64 span_us = now->time_us - before->time_us;
  usage->time = now->time_us;
  if (!before->time_us || span_us <= 0)
    return usage;
  double busy_us = (double)MAX(0, now->cpu_ns - before->cpu_ns) / 1000;
  usage->cpu_percent = fmin(100, 100 * busy_us / (double)span_us / MAX(vcpus, 1));
  usage->net_rx_bytes_per_s = rate(now->net_rx_bytes, before->net_rx_bytes, span_us);
  usage->net_tx_bytes_per_s = rate(now->net_tx_bytes, before->net_tx_bytes, span_us);
  return usage;
}

static WsVmSample *sample(Hypervisor *hv, const virDomainStatsRecord *record, gint64 now_us)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  virDomainInfo info = {0};
  virDomainGetInfo(record->dom, &info);
  VirtCounters now = {.time_us = now_us,
                      .cpu_ns = (gint64)info.cpuTime,
                      .net_rx_bytes = sum(record, "net", "rx.bytes"),
                      .net_tx_bytes = sum(record, "net", "tx.bytes")};
  WsVmSample *out = ws_vm_sample_new();
  out->uuid = g_strdup(virt_uuid(record->dom, uuid));
  out->time = now_us;
  out->state = (int)virt_state(record->dom);
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  out->vm = facts->vm;
  out->usage = quick_usage(&now, facts, info.nrVirtCpu);
  facts->quick = now;
  g_mutex_unlock(&hv->lock);
  return out;
}

bool hypervisor_vm_stats(Hypervisor *hv, WsRpcVmStatsResult **result, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  if (!conn)
    return false;
  virDomainStatsRecordPtr *records = NULL;
  int n = virConnectGetAllDomainStats(conn->c, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_INTERFACE, &records,
                                      VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (n < 0)
    return virt_fail(error, 0, NULL, "measure domains");
  gint64 now_us = ws_clock_wall_us(hv->config.clock);
  g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
  for (int i = 0; i < n; i++) {
    char uuid[VIR_UUID_STRING_BUFLEN];
    g_ptr_array_add(uuids, g_strdup(virt_uuid(records[i]->dom, uuid)));
  }
  keep_sweeping(hv, uuids);
  await_sweep(hv);
  *result = ws_rpc_vm_stats_result_new();
  for (int i = 0; i < n; i++)
    ws_array_add(&(*result)->samples, sample(hv, records[i], now_us));
  virDomainStatsRecordListFree(records);
  return true;
}

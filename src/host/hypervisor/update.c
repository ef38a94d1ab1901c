// SPDX-License-Identifier: Apache-2.0
/* Changing a VM that may run: the definition at once, the guest as far as libvirt and QEMU can. See hypervisor.h.
 *
 * The running guest is read as a spec (live), and so is the definition that was just made (next). Where they differ and it can be
 * changed while the guest runs, it is; each such change stands alone, and one that fails is told and waits for a restart like
 * the rest. So the call is idempotent: repeated, it finds less to do. First all that goes is asked for, then it is waited for, then comes
 * what is new: however many devices there are, the call ends while the manager still listens, and says which the guest kept.
 *
 * What was learnt on QEMU 7.2: removing vCPUs without KVM can end QEMU (refused); a removal is a request to the guest, so its event
 * is awaited; guests take memory in pieces of 128 MiB. */
#include "host/hypervisor/hypervisor-private.h"
#include "host/hypervisor/lease.h"
#include <string.h>

#define REMOVE_WAIT_MS    30000 /* for all devices of a call together: they are asked for at once */
#define CALL_US           (90 * (gint64)G_USEC_PER_SEC) /* then no further device is begun: the manager gives up after 120 s (api/rpc/vm.yaml) */
#define MEMORY_STEP_BYTES (128 * G_GINT64_CONSTANT(1048576))
#define KIB               1024

typedef struct {
  Hypervisor *hv;
  virDomainPtr domain;
  VirtHost host;
  VirtDomain *live;        /* the running guest */
  VirtPlaces *live_places;
  VirtDomain *next;        /* the definition */
  VirtPlaces *next_places;
  GPtrArray *refused;      /* char * */
  GPtrArray *leaving;      /* Leaving: what the guest was asked for */
  gint64 until_us;         /* monotonic: what is not begun by then waits */
} Update;

typedef struct {
  char *path, *alias;
  gint64 since_us;
  bool kept; /* the guest did not let go of it */
} Leaving;

static void leaving_free(void *arg)
{
  Leaving *leaving = arg;
  g_free(leaving->path);
  g_free(leaving->alias);
  g_free(leaving);
}

static void refuse(Update *u, const char *path, const char *why)
{
  g_ptr_array_add(u->refused, g_strdup_printf("%s: %.400s", path, why));
}

static void refuse_by_libvirt(Update *u, const char *path)
{
  refuse(u, path, virGetLastErrorMessage());
}

/* ---- devices come and go ---- */

static const char *live_alias(Update *u, const char *key, const char *mac)
{
  return virt_places_alias(u->live_places, key, g_hash_table_lookup(u->live->devs, key), mac);
}

static bool has_time(Update *u, const char *path)
{
  if (g_get_monotonic_time() < u->until_us)
    return true;
  refuse(u, path, "no time was left for it in this call");
  return false;
}

/* Asks the guest; wait_for_guest() says what came of it. */
static void detach(Update *u, const char *path, const char *key, const char *mac)
{
  const char *alias = live_alias(u, key, mac);
  if (!alias || !has_time(u, path))
    return;
  Leaving *leaving = g_new(Leaving, 1);
  *leaving = (Leaving){g_strdup(path), g_strdup(alias), g_get_monotonic_time(), false};
  if (virDomainDetachDeviceAlias(u->domain, alias, VIR_DOMAIN_AFFECT_LIVE) == 0) {
    g_ptr_array_add(u->leaving, leaving);
    return;
  }
  refuse_by_libvirt(u, path);
  leaving_free(leaving);
}

static void wait_for_guest(Update *u)
{
  gint64 end_us = MIN(g_get_monotonic_time() + REMOVE_WAIT_MS * G_GINT64_CONSTANT(1000), u->until_us);
  char uuid[VIR_UUID_STRING_BUFLEN];
  virt_uuid(u->domain, uuid);
  for (guint i = 0; i < u->leaving->len; i++) {
    Leaving *leaving = u->leaving->pdata[i];
    gint64 left_ms = MAX(end_us - g_get_monotonic_time(), 0) / 1000;
    leaving->kept = !virt_wait_removed(u->hv, uuid, leaving->alias, leaving->since_us, (guint)left_ms);
    if (leaving->kept)
      refuse(u, leaving->path, "the guest has not released the device");
  }
}

/* Whether something that was to go is still at this place. */
static bool is_kept(Update *u, const char *path)
{
  for (guint i = 0; i < u->leaving->len; i++) {
    const Leaving *leaving = u->leaving->pdata[i];
    if (leaving->kept && strcmp(leaving->path, path) == 0)
      return true;
  }
  return false;
}

/* At the place that the definition gave it, so that it stays there over the next start; where that is taken, anywhere. */
static void attach(Update *u, const char *path, const char *key)
{
  if (is_kept(u, path) || !has_time(u, path))
    return;
  for (int with_address = 1; with_address >= 0; with_address--) {
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = virt_device_xml(u->next->spec, key, &u->host, u->next_places, with_address, &error);
    if (!xml) {
      refuse(u, path, error->message);
      return;
    }
    if (virDomainAttachDeviceFlags(u->domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
      return;
  }
  refuse_by_libvirt(u, path);
}

static bool disk_plugs(WsVmSpecDiskBus bus)
{
  return bus == WS_VM_SPEC_DISK_BUS_VIRTIO_BLK || bus == WS_VM_SPEC_DISK_BUS_VIRTIO_SCSI || bus == WS_VM_SPEC_DISK_BUS_USB;
}

static bool cdrom_plugs(WsVmSpecCdromBus bus)
{
  return bus == WS_VM_SPEC_CDROM_BUS_VIRTIO_SCSI || bus == WS_VM_SPEC_CDROM_BUS_USB;
}

static const char no_plug[] = "its bus cannot be plugged while the VM runs";

/* ---- disks ---- */

static WsVmSpecDisk *find_disk(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; i < spec->disks.len; i++)
    if (strcmp(spec->disks.items[i]->key, key) == 0)
      return spec->disks.items[i];
  return NULL;
}

static bool same_file(const WsVmSpecDisk *a, const WsVmSpecDisk *b)
{
  return a->pool == b->pool && g_strcmp0(a->file, b->file) == 0 && g_strcmp0(a->path, b->path) == 0 && a->bus == b->bus;
}

static void set_limits(Update *u, const char *path, const char *key, const WsVmIoLimits *limits)
{
  static const WsVmIoLimits none = {WS_INT_UNSET, WS_INT_UNSET, WS_INT_UNSET, WS_INT_UNSET, WS_INT_UNSET, WS_INT_UNSET};
  const WsVmIoLimits *l = limits ? limits : &none;
  const struct { const char *name; gint64 value; } rows[] = {
    {VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, l->total_bytes_per_s}, {VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC, l->read_bytes_per_s},
    {VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC, l->write_bytes_per_s}, {VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, l->total_iops},
    {VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC, l->read_iops},           {VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC, l->write_iops},
  };
  virTypedParameterPtr params = NULL;
  int n = 0, max = 0;
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    virTypedParamsAddULLong(&params, &n, &max, rows[i].name, rows[i].value == WS_INT_UNSET ? 0 : (unsigned long long)rows[i].value);
  if (virDomainSetBlockIoTune(u->domain, g_hash_table_lookup(u->live->devs, key), params, n, VIR_DOMAIN_AFFECT_LIVE) < 0)
    refuse_by_libvirt(u, path);
  virTypedParamsFree(params, n);
}

static bool limits_equal(const WsVmIoLimits *a, const WsVmIoLimits *b)
{
  return a && b ? ws_vm_io_limits_equal(a, b) : a == b;
}

static void disks_leave(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < live->disks.len; i++) {
    const WsVmSpecDisk *disk = live->disks.items[i], *wanted = find_disk(next, disk->key);
    g_autofree char *path = g_strdup_printf("disks[%s]", disk->key);
    if (wanted && same_file(disk, wanted)) {
      if (!limits_equal(disk->limits, wanted->limits))
        set_limits(u, path, disk->key, wanted->limits);
    } else if (disk_plugs(disk->bus)) {
      detach(u, path, disk->key, NULL);
    } else {
      refuse(u, path, no_plug);
    }
  }
}

static void disks_come(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < next->disks.len; i++) {
    const WsVmSpecDisk *disk = next->disks.items[i], *there = find_disk(live, disk->key);
    g_autofree char *path = g_strdup_printf("disks[%s]", disk->key);
    if (there && (same_file(there, disk) || !disk_plugs(there->bus)))
      continue;
    if (disk_plugs(disk->bus))
      attach(u, path, disk->key);
    else
      refuse(u, path, no_plug);
  }
}

/* ---- CDs ---- */

static WsVmSpecCdrom *find_cdrom(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (strcmp(spec->cdroms.items[i]->key, key) == 0)
      return spec->cdroms.items[i];
  return NULL;
}

static bool same_medium(const WsVmSpecCdrom *a, const WsVmSpecCdrom *b)
{
  return a->pool == b->pool && g_strcmp0(a->file, b->file) == 0 && g_strcmp0(a->path, b->path) == 0;
}

/* First as the guest lets; a drive that it locked is opened by force. */
static void change_medium(Update *u, const char *path, const char *key)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *xml = virt_device_xml(u->next->spec, key, &u->host, u->next_places, true, &error);
  if (!xml)
    refuse(u, path, error->message);
  else if (virDomainUpdateDeviceFlags(u->domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0 &&
           virDomainUpdateDeviceFlags(u->domain, xml, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_DEVICE_MODIFY_FORCE) < 0)
    refuse_by_libvirt(u, path);
}

static void cdroms_leave(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < live->cdroms.len; i++) {
    const WsVmSpecCdrom *cdrom = live->cdroms.items[i], *wanted = find_cdrom(next, cdrom->key);
    g_autofree char *path = g_strdup_printf("cdroms[%s]", cdrom->key);
    if (wanted && wanted->bus == cdrom->bus) {
      if (!same_medium(cdrom, wanted))
        change_medium(u, path, cdrom->key);
    } else if (cdrom_plugs(cdrom->bus)) {
      detach(u, path, cdrom->key, NULL);
    } else {
      refuse(u, path, no_plug);
    }
  }
}

static void cdroms_come(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < next->cdroms.len; i++) {
    const WsVmSpecCdrom *cdrom = next->cdroms.items[i], *there = find_cdrom(live, cdrom->key);
    g_autofree char *path = g_strdup_printf("cdroms[%s]", cdrom->key);
    if (there && (there->bus == cdrom->bus || !cdrom_plugs(there->bus)))
      continue;
    if (cdrom_plugs(cdrom->bus))
      attach(u, path, cdrom->key);
    else
      refuse(u, path, no_plug);
  }
}

/* ---- NICs ---- */

static WsVmSpecNic *find_nic(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; i < spec->nics.len; i++)
    if (strcmp(spec->nics.items[i]->key, key) == 0)
      return spec->nics.items[i];
  return NULL;
}

static bool same_device(const WsVmSpecNic *a, const WsVmSpecNic *b)
{
  return a->model == b->model && g_strcmp0(a->mac, b->mac) == 0;
}

static bool same_trunks(const WsVmSpecNic *a, const WsVmSpecNic *b)
{
  return a->trunks.len == b->trunks.len &&
         (a->trunks.len == 0 || memcmp(a->trunks.items, b->trunks.items, a->trunks.len * sizeof *a->trunks.items) == 0);
}

/* The part of a NIC that libvirt changes while the guest runs. */
static bool same_cable(const WsVmSpecNic *a, const WsVmSpecNic *b)
{
  return a->connected == b->connected && g_strcmp0(a->bridge, b->bridge) == 0 && a->vlan == b->vlan && same_trunks(a, b) &&
         a->in_kib_per_s == b->in_kib_per_s && a->in_burst_kib == b->in_burst_kib && a->out_kib_per_s == b->out_kib_per_s &&
         a->out_burst_kib == b->out_burst_kib;
}

/* libvirt takes a whole NIC and refuses if anything else differs: so the running one with another cable. */
static void change_cable(Update *u, const char *path, const WsVmSpecNic *wanted)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = ws_vm_spec_copy(u->live->spec);
  WsVmSpecNic *nic = find_nic(spec, wanted->key);
  nic->connected = wanted->connected;
  nic->vlan = wanted->vlan;
  nic->in_kib_per_s = wanted->in_kib_per_s;
  nic->in_burst_kib = wanted->in_burst_kib;
  nic->out_kib_per_s = wanted->out_kib_per_s;
  nic->out_burst_kib = wanted->out_burst_kib;
  g_free(nic->bridge);
  nic->bridge = g_strdup(wanted->bridge);
  g_free(nic->trunks.items);
  nic->trunks.len = wanted->trunks.len;
  nic->trunks.items = g_memdup2(wanted->trunks.items, wanted->trunks.len * sizeof *wanted->trunks.items);
  g_autofree char *xml = virt_device_xml(spec, nic->key, &u->host, u->live_places, true, &error);
  if (!xml)
    refuse(u, path, error->message);
  else if (virDomainUpdateDeviceFlags(u->domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
    refuse_by_libvirt(u, path);
}

static void nics_leave(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < live->nics.len; i++) {
    const WsVmSpecNic *nic = live->nics.items[i], *wanted = find_nic(next, nic->key);
    g_autofree char *path = g_strdup_printf("nics[%s]", nic->key);
    if (!wanted || !same_device(nic, wanted))
      detach(u, path, nic->key, nic->mac);
    else if (!same_cable(nic, wanted))
      change_cable(u, path, wanted);
  }
}

static void nics_come(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  for (guint i = 0; i < next->nics.len; i++) {
    const WsVmSpecNic *nic = next->nics.items[i], *there = find_nic(live, nic->key);
    g_autofree char *path = g_strdup_printf("nics[%s]", nic->key);
    if (!there || !same_device(there, nic))
      attach(u, path, nic->key);
  }
}

/* ---- vCPUs ---- */

static void update_vcpus(Update *u)
{
  const WsVmCpu *live = u->live->spec->cpu, *next = u->next->spec->cpu;
  if (next->vcpus == live->vcpus)
    return;
  if (next->vcpus > live->max_vcpus)
    refuse(u, "cpu.vcpus", "more than the maximum the VM was started with");
  else if (next->vcpus < live->vcpus && u->live->spec->accelerator == WS_VM_SPEC_ACCELERATOR_TCG)
    refuse(u, "cpu.vcpus", "vCPUs cannot be taken from a running VM without KVM");
  else if (virDomainSetVcpusFlags(u->domain, (unsigned int)next->vcpus, VIR_DOMAIN_VCPU_LIVE) < 0)
    refuse_by_libvirt(u, "cpu.vcpus");
}

static void update_cpu_quality(Update *u)
{
  const WsVmCpu *live = u->live->spec->cpu, *next = u->next->spec->cpu;
  virTypedParameterPtr params = NULL;
  int n = 0, max = 0;
  int weight = virt_cpu_weight(next);
  bool heavier =
      u->live->cpu_weight != weight; /* as it is: the definition may tell of a floor that was never given */
  if (heavier)
    virTypedParamsAddULLong(&params, &n, &max, VIR_DOMAIN_SCHEDULER_CPU_SHARES, (unsigned long long)weight);
  if (live->limit_percent != next->limit_percent) {
    gint64 quota_us = next->limit_percent == WS_INT_UNSET ? -1 : next->limit_percent * VIRT_CPU_PERIOD_US / 100;
    virTypedParamsAddULLong(&params, &n, &max, VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, VIRT_CPU_PERIOD_US);
    virTypedParamsAddLLong(&params, &n, &max, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, quota_us);
  }
  if (n > 0 && virDomainSetSchedulerParametersFlags(u->domain, params, n, VIR_DOMAIN_AFFECT_LIVE) < 0)
    refuse_by_libvirt(u, live->shares != next->shares ? "cpu.shares"
                         : heavier                    ? "cpu.reservation_percent"
                                                      : "cpu.limit_percent");
  virTypedParamsFree(params, n);
}

/* "0-3,6" as the bitmap libvirt takes; NULL: all CPUs. */
static void fill_map(const char *cpus, unsigned char *map, guint n)
{
  if (!cpus)
    memset(map, 0xff, VIR_CPU_MAPLEN(n));
  for (const char *at = cpus; at && *at;) {
    char *end;
    guint64 first = g_ascii_strtoull(at, &end, 10), last = first;
    if (*end == '-')
      last = g_ascii_strtoull(end + 1, &end, 10);
    for (guint64 cpu = first; cpu <= last && cpu < n; cpu++)
      VIR_USE_CPU(map, cpu);
    at = *end == ',' ? end + 1 : end;
  }
}

static const char *pin_of(const WsVmCpu *cpu, gint64 vcpu)
{
  for (guint i = 0; i < cpu->pinning.len; i++)
    if (cpu->pinning.items[i]->vcpu == vcpu)
      return cpu->pinning.items[i]->cpus;
  return NULL;
}

static void update_pinning(Update *u)
{
  const WsVmCpu *live = u->live->spec->cpu, *next = u->next->spec->cpu;
  virNodeInfo node;
  if (virNodeGetInfo(virDomainGetConnect(u->domain), &node) < 0)
    return;
  guint n = VIR_NODEINFO_MAXCPUS(node);
  g_autofree unsigned char *map = g_malloc(VIR_CPU_MAPLEN(n));
  for (gint64 vcpu = 0; vcpu < next->max_vcpus; vcpu++) {
    const char *wanted = pin_of(next, vcpu);
    if (g_strcmp0(wanted, pin_of(live, vcpu)) == 0)
      continue;
    memset(map, 0, VIR_CPU_MAPLEN(n));
    fill_map(wanted, map, n);
    g_autofree char *path = g_strdup_printf("cpu.pinning[%" G_GINT64_FORMAT "]", vcpu);
    if (virDomainPinVcpuFlags(u->domain, (unsigned int)vcpu, map, VIR_CPU_MAPLEN(n), VIR_DOMAIN_AFFECT_LIVE) < 0)
      refuse_by_libvirt(u, path);
  }
}

/* ---- memory: up to what is plugged in by the balloon, beyond by a DIMM ---- */

static void plug_memory(Update *u, gint64 bytes)
{
  if (bytes % MEMORY_STEP_BYTES) {
    refuse(u, "memory_bytes", "memory is added to a running VM in steps of 128 MiB");
    return;
  }
  g_autofree char *xml = virt_dimm_xml(bytes);
  if (virDomainAttachDeviceFlags(u->domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
    refuse_by_libvirt(u, "memory_bytes");
}

static void update_memory(Update *u)
{
  gint64 wanted = u->next->spec->memory_bytes;
  virDomainInfo info;
  if (wanted == u->live->spec->memory_bytes || virDomainGetInfo(u->domain, &info) < 0)
    return;
  gint64 plugged = (gint64)info.maxMem * KIB, current = (gint64)info.memory * KIB;
  gint64 by_balloon = MIN(wanted, plugged);
  if (by_balloon != current && !u->live->spec->balloon) {
    refuse(u, "memory_bytes", "the VM has no balloon device");
    return;
  }
  if (by_balloon != current && virDomainSetMemoryFlags(u->domain, (unsigned long)(by_balloon / KIB), VIR_DOMAIN_AFFECT_LIVE) < 0) {
    refuse_by_libvirt(u, "memory_bytes");
    return;
  }
  if (wanted > plugged && u->live->spec->memory_max_bytes == WS_INT_UNSET)
    refuse(u, "memory_bytes", "the VM was started without room to grow (memory_max_bytes)");
  else if (wanted > plugged)
    plug_memory(u, wanted - plugged);
}

/* ---- names and notes ---- */

static void update_notes(Update *u)
{
  const WsVmSpec *live = u->live->spec, *next = u->next->spec;
  if (g_strcmp0(live->name, next->name) != 0)
    virDomainSetMetadata(u->domain, VIR_DOMAIN_METADATA_TITLE, next->name, NULL, NULL, VIR_DOMAIN_AFFECT_LIVE);
  if (g_strcmp0(live->description, next->description) != 0)
    virDomainSetMetadata(u->domain, VIR_DOMAIN_METADATA_DESCRIPTION, next->description, NULL, NULL, VIR_DOMAIN_AFFECT_LIVE);
  /* Ids of devices that came; the CPU stays what the guest was started with. */
  g_autoptr(WsVmSpec) spec = ws_vm_spec_copy(next);
  spec->cpu->mode = live->cpu->mode;
  g_autofree char *was = virt_metadata_xml(live, NULL), *note = virt_metadata_xml(spec, NULL);
  if (strcmp(was, note) != 0)
    virDomainSetMetadata(u->domain, VIR_DOMAIN_METADATA_ELEMENT, note, VIRT_METADATA_PREFIX, VIRT_METADATA_URI,
                         VIR_DOMAIN_AFFECT_LIVE);
}

/* ---- all of it ---- */

static bool read_both(Update *u, GError **error)
{
  char *live = virt_xml(u->domain, true), *next = virt_xml(u->domain, false);
  u->live = live ? virt_domain_parse(live, &u->host, error) : NULL;
  u->next = next && (u->live || !live) ? virt_domain_parse(next, &u->host, error) : NULL;
  u->live_places = virt_places_new(live);
  u->next_places = virt_places_new(next);
  bool read = live && next;
  free(live);
  free(next);
  return read ? u->live && u->next : virt_fail(error, 0, NULL, "read the definition of");
}

static void update_clear(Update *u)
{
  g_clear_pointer(&u->live, virt_domain_free);
  g_clear_pointer(&u->next, virt_domain_free);
  g_clear_pointer(&u->live_places, virt_places_free);
  g_clear_pointer(&u->next_places, virt_places_free);
}

static bool update_guest(Hypervisor *hv, virDomainPtr domain, GPtrArray *refused, GError **error)
{
  g_autoptr(GPtrArray) leaving = g_ptr_array_new_with_free_func(leaving_free);
  Update u = {.hv = hv, .domain = domain, .host = virt_host(hv), .refused = refused, .leaving = leaving,
              .until_us = g_get_monotonic_time() + CALL_US};
  bool ok = read_both(&u, error);
  if (ok && u.live->live) {
    disks_leave(&u);
    cdroms_leave(&u);
    nics_leave(&u);
    wait_for_guest(&u);
    disks_come(&u);
    cdroms_come(&u);
    nics_come(&u);
    update_memory(&u);
    update_vcpus(&u);
    update_cpu_quality(&u);
    update_pinning(&u);
    update_notes(&u);
  }
  update_clear(&u);
  return ok;
}

/* A running VM that gets a disk in another pool has its lease there before the disk is its own. */
static bool take_lease_along(Hypervisor *hv, VirtConn *conn, const WsVmSpec *spec, GError **error)
{
  VIRT_AUTO_DOMAIN domain = virDomainLookupByUUIDString(conn->c, spec->uuid);
  WsId pools[64];
  guint n = 0;
  for (; n < spec->disks.len && n < G_N_ELEMENTS(pools); n++)
    pools[n] = spec->disks.items[n]->pool;
  return !domain || virDomainIsActive(domain) != 1 || virt_lease_widen(hv, spec->vm, spec->uuid, pools, n, error);
}

bool hypervisor_vm_update_live(Hypervisor *hv, const WsRpcVmUpdateLive *params, WsVmReport **report, GPtrArray **refused,
                               GError **error)
{
  g_autoptr(WsVmSpec) spec = virt_prepare_spec(hv, params->spec, error);
  g_autoptr(VirtConn) conn = spec ? virt_conn_acquire(hv, error) : NULL;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  VIRT_AUTO_DOMAIN domain = NULL;
  if (!conn || !take_lease_along(hv, conn, spec, error) || !virt_define(hv, conn, spec, params->cloud_init, NULL, &domain, error))
    return false;
  if (virDomainIsActive(domain) == 1 && !update_guest(hv, domain, list, error))
    return false;
  virt_lease_narrow(hv, domain, spec->uuid);
  *report = virt_report(hv, domain, error);
  if (!*report)
    return false;
  *refused = g_steal_pointer(&list);
  return true;
}

bool hypervisor_vm_disk_resize(Hypervisor *hv, const WsRpcVmDiskResize *params, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  if (virDomainIsActive(domain) != 1)
    return virt_wrong_state(error, params->vm, params->uuid, "grow a disk", virt_state(domain));
  VirtHost host = virt_host(hv);
  char *xml = virt_xml(domain, true);
  g_autoptr(VirtDomain) live = xml ? virt_domain_parse(xml, &host, error) : NULL;
  free(xml);
  if (!live)
    return xml ? false : virt_fail(error, params->vm, params->uuid, "read the definition of");
  const char *dev = g_hash_table_lookup(live->devs, params->key);
  if (!dev || !find_disk(live->spec, params->key))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "key", "expected", "the key of a disk of this VM", NULL);
  virDomainBlockInfo info;
  if (virDomainGetBlockInfo(domain, dev, &info, 0) < 0)
    return virt_fail(error, params->vm, params->uuid, "read the size of a disk of");
  if ((gint64)info.capacity >= params->size_bytes)
    return true;
  return virDomainBlockResize(domain, dev, (unsigned long long)params->size_bytes, VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0 ||
         virt_fail(error, params->vm, params->uuid, "grow a disk of");
}

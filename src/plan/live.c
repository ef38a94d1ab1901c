// SPDX-License-Identifier: Apache-2.0
/* See live.h. */
#include "plan/live.h"
#include <string.h>

#define MEMORY_STEP_BYTES (128 * G_GINT64_CONSTANT(1048576))

const char *const live_unseen[] = {
    "vm",     "name",       "description", "autostart",           "start_order",
    "volume", "port_group", "port_id",     "reservation_percent", NULL,
};

/* "disks[disk-0].bus" of the list "disks": its key, and what stands behind (""; ".bus"). NULL: it is of
 * something else. */
static char *key_in(const char *path, const char *list, const char **rest)
{
  gsize n = strlen(list);
  const char *end = strncmp(path, list, n) == 0 && path[n] == '[' ? strchr(path, ']') : NULL;
  *rest = end ? end + 1 : "";
  return end ? g_strndup(path + n + 1, (gsize)(end - path) - n - 1) : NULL;
}

#define FIND(spec, list, key_text, found)                                                                    \
  do {                                                                                                       \
    for (guint i = 0; i < (spec)->list.len; i++)                                                             \
      if (g_strcmp0((spec)->list.items[i]->key, (key_text)) == 0)                                            \
        (found) = (spec)->list.items[i];                                                                     \
  } while (0)

/* ---- devices ---- */

static bool disk_plugs(const WsVmSpecDisk *disk)
{
  int bus = disk ? (int)disk->bus : 0;
  return bus == 0 || bus == WS_VM_SPEC_DISK_BUS_VIRTIO_BLK || bus == WS_VM_SPEC_DISK_BUS_VIRTIO_SCSI ||
         bus == WS_VM_SPEC_DISK_BUS_USB;
}

static bool disk_at_once(const WsVmSpec *now, const WsVmSpec *next, const char *key, const char *rest)
{
  const WsVmSpecDisk *before = NULL, *after = NULL;
  FIND(now, disks, key, before);
  FIND(next, disks, key, after);
  if (!before || !after)
    return disk_plugs(before ? before : after);
  bool other =
      before->pool != after->pool || g_strcmp0(before->file, after->file) != 0 || before->bus != after->bus;
  return other ? disk_plugs(before) && disk_plugs(after) : g_str_has_prefix(rest, ".limits");
}

static bool cdrom_plugs(const WsVmSpecCdrom *cdrom)
{
  return cdrom->bus == WS_VM_SPEC_CDROM_BUS_VIRTIO_SCSI || cdrom->bus == WS_VM_SPEC_CDROM_BUS_USB;
}

static bool cdrom_at_once(const WsVmSpec *now, const WsVmSpec *next, const char *key, const char *rest)
{
  const WsVmSpecCdrom *before = NULL, *after = NULL;
  FIND(now, cdroms, key, before);
  FIND(next, cdroms, key, after);
  if (!before || !after)
    return cdrom_plugs(before ? before : after);
  if (before->bus != after->bus)
    return cdrom_plugs(before) && cdrom_plugs(after);
  return strcmp(rest, ".boot_order") != 0; /* another medium */
}

static bool nic_at_once(const WsVmSpec *now, const WsVmSpec *next, const char *key, const char *rest)
{
  static const char *const cable[] = {".connected",     ".bridge",        ".vlan",
                                      ".trunks",        ".in_kib_per_s",  ".in_burst_kib",
                                      ".out_kib_per_s", ".out_burst_kib", NULL};
  const WsVmSpecNic *before = NULL, *after = NULL;
  FIND(now, nics, key, before);
  FIND(next, nics, key, after);
  bool other = !before || !after || before->model != after->model || g_strcmp0(before->mac, after->mac) != 0;
  return other || g_strv_contains(cable, rest);
}

/* ---- processors and memory ---- */

static bool vcpus_at_once(const WsVmCpu *now, const WsVmCpu *next, bool emulated)
{
  gint64 most = now->max_vcpus == WS_INT_UNSET ? now->vcpus : now->max_vcpus;
  return next->vcpus <= most && (next->vcpus > now->vcpus || !emulated);
}

/* Less goes into the balloon; more is plugged in, in steps, where there is room. */
static bool memory_at_once(const WsVmSpec *now, const WsVmSpec *next)
{
  gint64 more = next->memory_bytes - now->memory_bytes;
  if (more < 0)
    return now->balloon;
  return now->memory_max_bytes != WS_INT_UNSET && next->memory_bytes <= now->memory_max_bytes &&
         more % MEMORY_STEP_BYTES == 0;
}

static bool at_once(const WsVmSpec *now, const WsVmSpec *next, bool emulated, const char *path)
{
  const char *rest;
  g_autofree char *disk = key_in(path, "disks", &rest);
  if (disk && strcmp(rest, ".format") == 0)
    return true; /* is another one only with another file */
  if (disk)
    return disk_at_once(now, next, disk, rest);
  g_autofree char *cdrom = key_in(path, "cdroms", &rest);
  if (cdrom)
    return cdrom_at_once(now, next, cdrom, rest);
  g_autofree char *nic = key_in(path, "nics", &rest);
  if (nic)
    return nic_at_once(now, next, nic, rest);
  if (strcmp(path, "cpu.vcpus") == 0)
    return vcpus_at_once(now->cpu, next->cpu, emulated);
  if (strcmp(path, "memory_bytes") == 0)
    return memory_at_once(now, next);
  return strcmp(path, "cpu.shares") == 0 || strcmp(path, "cpu.limit_percent") == 0 ||
         strcmp(path, "cpu.pinning") == 0;
}

GPtrArray *live_waits(const WsVmSpec *now, const WsVmSpec *next, bool emulated)
{
  GPtrArray *paths = ws_object_diff(&ws_type_vm_spec, now, next, live_unseen);
  for (guint i = paths->len; i > 0; i--)
    if (at_once(now, next, emulated, paths->pdata[i - 1]))
      g_ptr_array_remove_index(paths, i - 1);
  return paths;
}

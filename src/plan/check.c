// SPDX-License-Identifier: Apache-2.0
#include "plan/check.h"
#include "plan/nics.h"
#include <string.h>

#define GIB ((gint64)1 << 30)
/* The product description's figures only warn; below our own minimum it fails. */
#define MEMORY_MIN  (1 * GIB)
#define MEMORY_GOOD (64 * GIB - 4 * GIB) /* what a kernel leaves of 64 GiB */
#define ROOM_MIN    (1 * GIB)
#define ROOM_GOOD   (20 * GIB)
#define CLOCK_BAD_MS  60000 /* certificates and tickets go by it */
#define CLOCK_GOOD_MS 1000

bool plan_version_is_at_least(const char *version, guint major, guint minor)
{
  char *end;
  if (!version || !g_ascii_isdigit(*version))
    return false;
  guint64 first = g_ascii_strtoull(version, &end, 10);
  guint64 second = *end == '.' ? g_ascii_strtoull(end + 1, NULL, 10) : 0;
  return first > major || (first == major && second >= minor);
}

static void add(WsHostCheck *check, int what, int state, const char *found, const char *needed)
{
  WsHostCheckLine *line = ws_host_check_line_new();
  line->check = what;
  line->state = state;
  line->found = g_strdup(found);
  line->needed = g_strdup(needed);
  ws_array_add(&check->lines, line);
  check->failed += state == WS_HOST_CHECK_LINE_STATE_FAIL;
  check->warned += state == WS_HOST_CHECK_LINE_STATE_WARN;
}

#define PASS    WS_HOST_CHECK_LINE_STATE_PASS
#define WARN    WS_HOST_CHECK_LINE_STATE_WARN
#define FAIL    WS_HOST_CHECK_LINE_STATE_FAIL
#define UNKNOWN WS_HOST_CHECK_LINE_STATE_UNKNOWN
#define LINE(name) WS_HOST_CHECK_LINE_CHECK_##name

static void add_version(WsHostCheck *check, int what, const char *version, guint major, guint minor, const char *needed)
{
  add(check, what, plan_version_is_at_least(version, major, minor) ? PASS : FAIL, version, needed);
}

static char *gib(gint64 bytes)
{
  return g_strdup_printf("%.1f GiB", (double)bytes / (double)GIB);
}

static void add_amount(WsHostCheck *check, int what, gint64 bytes, gint64 least, gint64 good, const char *needed)
{
  g_autofree char *found = bytes == WS_INT_UNSET ? NULL : gib(bytes);
  add(check, what, !found ? UNKNOWN : bytes < least ? FAIL : bytes < good ? WARN : PASS, found, needed);
}

static void add_processor(WsHostCheck *check, const WsHostFacts *facts)
{
  const WsHostCpu *cpu = facts->cpu;
  gint64 cores = cpu && cpu->cores != WS_INT_UNSET && cpu->cores > 0 ? cpu->cores : cpu ? cpu->threads : WS_INT_UNSET;
  g_autofree char *found = cores == WS_INT_UNSET ? NULL : g_strdup_printf("%" G_GINT64_FORMAT, cores);
  add(check, LINE(PROCESSOR), !found ? UNKNOWN : cores < 2 ? WARN : PASS, found, ">= 2");
  const WsHostVirtualisation *how = facts->virtualisation;
  bool kvm = how && how->kind == WS_HOST_VIRTUALISATION_KIND_KVM;
  add(check, LINE(VIRTUALISATION), !how ? UNKNOWN : kvm ? PASS : WARN, !how ? NULL : kvm ? "kvm" : "tcg", "kvm");
}

static void add_measured(WsHostCheck *check, const WsHostReadiness *ready)
{
  static const char *const words[] = {"v2", "v1", "none"};
  int cgroup = ready ? (int)ready->cgroup : 0;
  add(check, LINE(CGROUP), !cgroup ? UNKNOWN : cgroup == WS_HOST_READINESS_CGROUP_NONE ? WARN : PASS, cgroup ? words[cgroup - 1] : NULL, "v2 / v1");
  add(check, LINE(TIME_SYNC), !ready ? UNKNOWN : ready->clock_synchronised ? PASS : WARN,
      !ready ? NULL : ready->clock_synchronised ? "yes" : "no", "yes");
  add_amount(check, LINE(DISK_SPACE), ready ? ready->state_free_bytes : WS_INT_UNSET, ROOM_MIN, ROOM_GOOD, ">= 20 GiB");
}

static void add_clock(WsHostCheck *check, const WsHost *host)
{
  gint64 off = host->clock_offset_ms, far = off == WS_INT_UNSET ? 0 : off < 0 ? -off : off;
  g_autofree char *found = off == WS_INT_UNSET ? NULL : g_strdup_printf("%+.1f s", (double)off / 1000);
  add(check, LINE(CLOCK), !found ? UNKNOWN : far > CLOCK_BAD_MS ? FAIL : far > CLOCK_GOOD_MS ? WARN : PASS, found, "<= 1 s");
}

WsHostCheck *plan_host_check(const WsHost *host, const WsHost *twin)
{
  WsHostCheck *check = ws_host_check_new();
  const WsHostFacts *facts = host->facts;
  check->failed = check->warned = 0;
  if (!facts)
    return check;
  const WsHostVersions *v = facts->versions;
  add_processor(check, facts);
  add_amount(check, LINE(MEMORY), facts->memory_bytes, MEMORY_MIN, MEMORY_GOOD, ">= 64 GiB");
  add_version(check, LINE(KERNEL), v ? v->kernel : NULL, 4, 19, ">= 4.19");
  if (host->load && host->load->libvirt_down)
    add(check, LINE(LIBVIRT), FAIL, NULL, ">= 7.0");
  else
    add_version(check, LINE(LIBVIRT), v ? v->libvirt : NULL, 7, 0, ">= 7.0");
  add_version(check, LINE(QEMU), v ? v->qemu : NULL, 5, 2, ">= 5.2");
  add_version(check, LINE(OPEN_VSWITCH), v ? v->ovs : NULL, 2, 13, ">= 2.13");
  add_measured(check, facts->readiness);
  add_clock(check, host);
  add(check, LINE(MACHINE_ID), !facts->machine_id ? FAIL : twin ? FAIL : PASS, twin ? twin->name : facts->machine_id, NULL);
  plan_nics_add_lines(check, host);
  return check;
}

// SPDX-License-Identifier: Apache-2.0
/* The requirements check: each line by its limits. */
#include "plan/check.h"
#include <string.h>

#define GIB ((gint64)1 << 30)

/* A machine that has all it needs. */
static WsHost *good_host(void)
{
  WsHost *host = ws_host_new();
  host->name = g_strdup("h");
  host->clock_offset_ms = 3;
  WsHostFacts *f = host->facts = ws_host_facts_new();
  f->machine_id = g_strdup("m");
  f->memory_bytes = 128 * GIB;
  f->cpu = ws_host_cpu_new();
  f->cpu->cores = 16;
  f->virtualisation = ws_host_virtualisation_new();
  f->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_KVM;
  f->versions = ws_host_versions_new();
  f->versions->kernel = g_strdup("6.1.0-18-amd64");
  f->versions->libvirt = g_strdup("9.0.0");
  f->versions->qemu = g_strdup("7.2.9");
  f->versions->ovs = g_strdup("3.1.0");
  f->readiness = ws_host_readiness_new();
  f->readiness->cgroup = WS_HOST_READINESS_CGROUP_V2;
  f->readiness->clock_synchronised = true;
  f->readiness->state_free_bytes = 100 * GIB;
  return host;
}

static int state_of(const WsHost *host, const WsHost *twin, int what)
{
  g_autoptr(WsHostCheck) check = plan_host_check(host, twin);
  for (guint i = 0; i < check->lines.len; i++)
    if ((int)check->lines.items[i]->check == what)
      return check->lines.items[i]->state;
  g_error("no line %d", what);
}

#define IS(host, what, word) g_assert_cmpint(state_of(host, NULL, WS_HOST_CHECK_LINE_CHECK_##what), ==, WS_HOST_CHECK_LINE_STATE_##word)

static void replace(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

static void good_machine_passes_in_every_line(void)
{
  g_autoptr(WsHost) host = good_host();
  g_autoptr(WsHostCheck) check = plan_host_check(host, NULL);
  for (guint i = 0; i < check->lines.len; i++)
    if (check->lines.items[i]->state != WS_HOST_CHECK_LINE_STATE_PASS)
      g_error("%s: %s", ws_host_check_line_check_names[check->lines.items[i]->check - 1], check->lines.items[i]->found);
  g_assert_cmpint(check->failed + check->warned, ==, 0);
  g_assert_cmpuint(check->lines.len, ==, 12);
}

static void each_line_has_its_limits(void)
{
  g_autoptr(WsHost) host = good_host(), twin = good_host();
  host->facts->memory_bytes = 32 * GIB;
  IS(host, MEMORY, WARN);
  host->facts->memory_bytes = GIB / 2;
  IS(host, MEMORY, FAIL);
  host->facts->cpu->cores = 1;
  IS(host, PROCESSOR, WARN);
  host->facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_TCG;
  IS(host, VIRTUALISATION, WARN);
  replace(&host->facts->versions->kernel, "4.18.9");
  IS(host, KERNEL, FAIL);
  replace(&host->facts->versions->kernel, "4.19");
  IS(host, KERNEL, PASS);
  host->load = ws_host_load_new();
  host->load->libvirt_down = true; /* it is installed, and nobody answers */
  IS(host, LIBVIRT, FAIL);
  host->load->libvirt_down = false;
  IS(host, LIBVIRT, PASS);
  replace(&host->facts->versions->libvirt, NULL);
  IS(host, LIBVIRT, FAIL);
  replace(&host->facts->versions->qemu, "4.2.0");
  IS(host, QEMU, FAIL);
  replace(&host->facts->versions->ovs, "nonsense");
  IS(host, OPEN_VSWITCH, FAIL);
  host->facts->readiness->cgroup = WS_HOST_READINESS_CGROUP_NONE;
  IS(host, CGROUP, WARN);
  host->facts->readiness->clock_synchronised = false;
  IS(host, TIME_SYNC, WARN);
  host->facts->readiness->state_free_bytes = 5 * GIB;
  IS(host, DISK_SPACE, WARN);
  host->facts->readiness->state_free_bytes = 0;
  IS(host, DISK_SPACE, FAIL);
  host->clock_offset_ms = -5000;
  IS(host, CLOCK, WARN);
  host->clock_offset_ms = 3600000;
  IS(host, CLOCK, FAIL);
  IS(host, MACHINE_ID, PASS);
  g_assert_cmpint(state_of(host, twin, WS_HOST_CHECK_LINE_CHECK_MACHINE_ID), ==, WS_HOST_CHECK_LINE_STATE_FAIL);
}

static void what_is_not_known_is_said_to_be_so(void)
{
  g_autoptr(WsHost) host = ws_host_new();
  g_autoptr(WsHostCheck) none = plan_host_check(host, NULL);
  g_assert_cmpuint(none->lines.len, ==, 0);
  host->clock_offset_ms = WS_INT_UNSET;
  host->facts = ws_host_facts_new(); /* of an older agent */
  IS(host, CGROUP, UNKNOWN);
  IS(host, DISK_SPACE, UNKNOWN);
  IS(host, CLOCK, UNKNOWN);
  IS(host, VIRTUALISATION, UNKNOWN);
  IS(host, KERNEL, FAIL);
}

static void versions_are_numbers(void)
{
  g_assert_true(plan_version_is_at_least("10.0", 9, 1));
  g_assert_true(plan_version_is_at_least("9.1", 9, 1));
  g_assert_true(plan_version_is_at_least("9", 9, 0));
  g_assert_false(plan_version_is_at_least("9.0.9", 9, 1));
  g_assert_false(plan_version_is_at_least("", 0, 0));
  g_assert_false(plan_version_is_at_least("v10", 9, 0));
  g_assert_false(plan_version_is_at_least(NULL, 0, 0));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/plan/check/" #name, name)
  ADD(good_machine_passes_in_every_line);
  ADD(each_line_has_its_limits);
  ADD(what_is_not_known_is_said_to_be_so);
  ADD(versions_are_numbers);
  return g_test_run();
}

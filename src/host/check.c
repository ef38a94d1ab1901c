// SPDX-License-Identifier: Apache-2.0
/* `winserverd --check`: does this machine have what a host needs? The manager's own check (plan/check.h) of what the agent itself would tell, before
 * it has joined; with it the programs that the agent runs, and whether the manager answers. What only a site knows (NICs' purposes, the clock
 * beside the manager's, a twin's machine id) is left to `winctl host check`. Blocking; changes nothing, and starts nothing. */
#include "host/agent-private.h"
#include "host/hypervisor/hypervisor.h"
#include "host/network/ovsdb.h"
#include "host/node/node.h"
#include "model/texts.h"
#include "plan/check.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Program and Debian package; packaging/programs has the same, and scripts/ci/programs compares. */
static const char *const programs[][2] = {
    {"qemu-img", "qemu-utils"}, {"nft", "nftables"}, {"dnsmasq", "dnsmasq-base"}, {"mount", "mount"}, {"umount", "mount"}, {"mount.nfs", "nfs-common"},
};

static WsLang own_language(void)
{
  static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *value = g_getenv(names[i]);
    if (value && *value)
      return g_str_has_prefix(value, "zh") ? WS_LANG_ZH : WS_LANG_EN;
  }
  return WS_LANG_EN;
}

/* ---- lines ---- */

typedef struct {
  WsLang lang;
  guint failed, warned;
} Said;

static void say(Said *said, int state, const char *check, const char *found, const char *needed)
{
  g_autofree char *name = g_strconcat("check_", check, NULL), *advice = ws_text_format(name, said->lang, NULL);
  said->failed += state == WS_HOST_CHECK_LINE_STATE_FAIL;
  said->warned += state == WS_HOST_CHECK_LINE_STATE_WARN;
  g_print("%-8s%-18s%s%s%s%s\n", ws_host_check_line_state_names[state - 1], check, found ? found : "-", needed ? "  (" : "", needed ? needed : "",
          needed ? ")" : "");
  if (state == WS_HOST_CHECK_LINE_STATE_FAIL || state == WS_HOST_CHECK_LINE_STATE_WARN)
    g_print("        %s\n", advice);
}

/* Of these nothing can be said before it is a host. */
static bool is_of_a_site(int check)
{
  switch (check) {
  case WS_HOST_CHECK_LINE_CHECK_CLOCK:
  case WS_HOST_CHECK_LINE_CHECK_MANAGEMENT_NICS:
  case WS_HOST_CHECK_LINE_CHECK_BUSINESS_NICS:
  case WS_HOST_CHECK_LINE_CHECK_STORAGE_NICS:
  case WS_HOST_CHECK_LINE_CHECK_MIGRATION_NICS:
  case WS_HOST_CHECK_LINE_CHECK_DEVICE:
    return true;
  default:
    return false;
  }
}

static void say_machine(Said *said, const AgentConfig *config)
{
  g_autoptr(WsHost) host = ws_host_new();
  host->facts = node_read_facts("");
  host->clock_offset_ms = WS_INT_UNSET;
  if (!host->facts->versions)
    host->facts->versions = ws_host_versions_new();
  hypervisor_ask_versions(config->libvirt_uri, &host->facts->versions->libvirt, &host->facts->versions->qemu);
  host->facts->versions->ovs = ovsdb_ask_version(config->ovsdb_socket);
  g_autoptr(WsHostCheck) check = plan_host_check(host, NULL);
  for (guint i = 0; i < check->lines.len; i++) {
    const WsHostCheckLine *line = check->lines.items[i];
    if (!is_of_a_site((int)line->check))
      say(said, (int)line->state, ws_host_check_line_check_names[line->check - 1], line->found, line->needed);
  }
}

/* Where the agent looks for them (base/exec.h). */
static bool is_there(const char *program)
{
  static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    g_autofree char *path = g_build_filename(folders[i], program, NULL);
    if (access(path, X_OK) == 0)
      return true;
  }
  return false;
}

static void say_programs(Said *said)
{
  g_autoptr(GString) missing = g_string_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(programs); i++)
    if (!is_there(programs[i][0]))
      g_string_append_printf(missing, "%s%s (%s)", missing->len ? ", " : "", programs[i][0], programs[i][1]);
  if (missing->len)
    g_string_prepend(missing, "missing: ");
  say(said, missing->len ? WS_HOST_CHECK_LINE_STATE_FAIL : WS_HOST_CHECK_LINE_STATE_PASS, "programs", missing->len ? missing->str : "all there", NULL);
}

/* The one port that a host needs open, and that is the manager's. Nothing secret is said. */
static void say_manager(Said *said, const char *url)
{
  g_auto(RestAnswer) answer = {0};
  g_autoptr(GError) error = NULL;
  const RestPeer stranger = {.url = url};
  bool ok = rest_call(&stranger, "GET", "/api/v1/ca", NULL, NULL, &answer, &error) && answer.status == 200;
  say(said, ok ? WS_HOST_CHECK_LINE_STATE_PASS : WS_HOST_CHECK_LINE_STATE_FAIL, "manager",
      ok ? url : error ? error->message : "what answers there is no manager", NULL);
}

bool agent_check(const AgentConfig *config)
{
  Said said = {.lang = own_language()};
  say_machine(&said, config);
  say_programs(&said);
  if (config->manager_url)
    say_manager(&said, config->manager_url);
  g_print("%u failed, %u warned\n", said.failed, said.warned);
  return said.failed == 0;
}

// SPDX-License-Identifier: Apache-2.0
/* What this host remembers of each VM's lease: a small file for each, and the table of them. See lease-private.h. */
#include "base/files.h"
#include "base/log.h"
#include "host/hypervisor/lease-private.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE  "winsphere-host-lease 1\n"
#define HOLDER_FILE "holder"
#define RECORD_MAX  4096

static const char *const state_words[] = {"none", "free", "held", "lost"};

/* ---- one record as text ---- */

static char *record_path(Hypervisor *hv, const char *uuid)
{
  return g_build_filename(hv->config.lease_dir, uuid, NULL);
}

static char *record_text(const Lease *lease)
{
  GString *text = g_string_new(FIRST_LINE);
  g_string_append_printf(text, "generation %" G_GINT64_FORMAT "\nstate %s\narriving %" G_GINT64_FORMAT "\nautostart %d\npools", lease->generation,
                         state_words[lease->state], lease->arriving, lease->autostart);
  for (guint i = 0; i < lease->n_pools; i++)
    g_string_append_printf(text, " %" G_GUINT64_FORMAT, (guint64)lease->pools[i]);
  g_string_append_c(text, '\n');
  return g_string_free(text, FALSE);
}

static void take_line(Lease *lease, const char *line)
{
  if (g_str_has_prefix(line, "generation "))
    lease->generation = g_ascii_strtoll(line + 11, NULL, 10);
  else if (g_str_has_prefix(line, "arriving "))
    lease->arriving = g_ascii_strtoll(line + 9, NULL, 10);
  else if (g_str_has_prefix(line, "autostart "))
    lease->autostart = line[10] == '1';
  for (guint i = 0; g_str_has_prefix(line, "state ") && i < G_N_ELEMENTS(state_words); i++)
    if (strcmp(line + 6, state_words[i]) == 0)
      lease->state = (LeaseState)i;
  if (!g_str_has_prefix(line, "pools"))
    return;
  for (const char *at = line + 5; *at == ' ' && lease->n_pools < LEASE_POOLS_MAX;) {
    char *end;
    lease->pools[lease->n_pools++] = g_ascii_strtoull(at + 1, &end, 10);
    at = end;
  }
}

static Lease *parse_record(const char *text)
{
  if (!g_str_has_prefix(text, FIRST_LINE))
    return NULL;
  Lease *lease = g_new0(Lease, 1);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines + 1; *line; line++)
    take_line(lease, *line);
  return lease;
}

Lease lease_of(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  const Lease *known = hv->leases ? g_hash_table_lookup(hv->leases->known, uuid) : NULL;
  Lease lease = known ? *known : (Lease){0};
  g_mutex_unlock(&hv->lock);
  return lease;
}

bool lease_keep(Hypervisor *hv, const char *uuid, const Lease *lease, GError **error)
{
  g_autofree char *path = record_path(hv, uuid), *text = record_text(lease);
  if (!ws_file_write(path, text, strlen(text), 0600, error))
    return false;
  g_mutex_lock(&hv->lock);
  g_hash_table_replace(hv->leases->known, g_strdup(uuid), g_memdup2(lease, sizeof *lease));
  g_mutex_unlock(&hv->lock);
  return true;
}

void lease_keep_or_say(Hypervisor *hv, const char *uuid, const Lease *lease)
{
  g_autoptr(GError) error = NULL;
  if (!lease_keep(hv, uuid, lease, &error))
    ws_log_error(WS_LOG_ERROR, "lease-not-kept", error, "uuid", uuid, NULL);
}

static char *load_holder(Hypervisor *hv)
{
  g_autofree char *path = record_path(hv, HOLDER_FILE);
  g_autofree char *text = ws_file_read(path, RECORD_MAX, NULL, NULL);
  g_autoptr(GError) error = NULL;
  if (text && g_uuid_string_is_valid(g_strchomp(text)))
    return g_steal_pointer(&text);
  char *made = g_uuid_string_random();
  if (!ws_file_write(path, made, strlen(made), 0600, &error))
    ws_log_error(WS_LOG_ERROR, "lease-holder-not-kept", error, NULL);
  return made;
}

void virt_leases_load(Hypervisor *hv)
{
  char name[65] = "host";
  if (!hv->config.lease_dir)
    return;
  struct VirtLeases *leases = g_new0(struct VirtLeases, 1);
  gethostname(name, sizeof name - 1);
  leases->host = g_strdelimit(g_strdup(name), "\n ", '-');
  leases->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  leases->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  leases->before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  leases->due = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  hv->leases = leases;
  leases->holder = load_holder(hv);
  GDir *dir = g_dir_open(hv->config.lease_dir, 0, NULL);
  for (const char *uuid; dir && (uuid = g_dir_read_name(dir));) {
    g_autofree char *path = record_path(hv, uuid);
    g_autofree char *text = g_uuid_string_is_valid(uuid) ? ws_file_read(path, RECORD_MAX, NULL, NULL) : NULL;
    Lease *lease = text ? parse_record(text) : NULL;
    if (lease)
      g_hash_table_insert(leases->known, g_strdup(uuid), lease);
  }
  if (dir)
    g_dir_close(dir);
}

void virt_leases_free(Hypervisor *hv)
{
  if (!hv->leases)
    return;
  g_hash_table_unref(hv->leases->known);
  g_hash_table_unref(hv->leases->busy);
  g_hash_table_unref(hv->leases->before);
  g_hash_table_unref(hv->leases->due);
  g_free(hv->leases->holder);
  g_free(hv->leases->host);
  g_clear_pointer(&hv->leases, g_free);
}

void lease_drop(Hypervisor *hv, const char *uuid)
{
  g_autofree char *path = record_path(hv, uuid);
  g_unlink(path);
  g_mutex_lock(&hv->lock);
  g_hash_table_remove(hv->leases->known, uuid);
  g_hash_table_remove(hv->leases->due, uuid);
  g_mutex_unlock(&hv->lock);
}

/* ---- one at a time for each VM ---- */

void virt_lease_enter(Hypervisor *hv, const char *uuid)
{
  if (!hv->leases)
    return;
  g_mutex_lock(&hv->lock);
  while (g_hash_table_contains(hv->leases->busy, uuid))
    g_cond_wait(&hv->changed, &hv->lock);
  g_hash_table_add(hv->leases->busy, g_strdup(uuid));
  g_mutex_unlock(&hv->lock);
}

void virt_lease_leave(Hypervisor *hv, const char *uuid)
{
  if (!hv->leases)
    return;
  g_mutex_lock(&hv->lock);
  g_hash_table_remove(hv->leases->busy, uuid);
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
}

/* ---- what it says ---- */

WsVmLease *virt_lease_report(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  if (lease.state == LEASE_NONE)
    return NULL;
  WsVmLease *report = ws_vm_lease_new();
  report->generation = lease.generation;
  report->state = lease.state == LEASE_HELD ? WS_VM_LEASE_STATE_HELD : lease.state == LEASE_FREE ? WS_VM_LEASE_STATE_FREE : WS_VM_LEASE_STATE_LOST;
  return report;
}

bool virt_lease_set_autostart(Hypervisor *hv, const char *uuid, bool autostart, GError **error)
{
  if (!hv->leases)
    return true;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  bool same = lease.autostart == autostart;
  lease.autostart = autostart;
  bool kept = same || lease_keep(hv, uuid, &lease, error);
  virt_lease_leave(hv, uuid);
  return kept;
}

bool virt_lease_autostart(Hypervisor *hv, const char *uuid)
{
  return lease_of(hv, uuid).autostart;
}


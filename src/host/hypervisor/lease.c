// SPDX-License-Identifier: Apache-2.0
/* See lease.h. */
#include "host/hypervisor/lease.h"
#include "base/files.h"
#include "base/log.h"
#include "host/storage/storage.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE  "winsphere-host-lease 1\n"
#define HOLDER_FILE "holder"
#define RECORD_MAX  4096
#define POOLS_MAX   64
#define GIVE_BACK_US (3 * (gint64)G_USEC_PER_SEC)
#define RETRY_US    (10 * (gint64)G_USEC_PER_SEC)

typedef enum { NONE, FREE, HELD, LOST } State;
static const char *const state_words[] = {"none", "free", "held", "lost"};

/* This host's own record of one VM. */
typedef struct {
  gint64 generation; /* the last that was seen; 0: none */
  State state;
  gint64 arriving;   /* a guest is about to come with this one; 0: none */
  bool autostart;
  WsId pools[POOLS_MAX]; /* in which records were written */
  guint n_pools;
} Lease;

struct VirtLeases {
  char *holder;      /* who we are, in records: made once, at random */
  char *host;        /* for people */
  GHashTable *known; /* uuid -> Lease */
  GHashTable *busy;  /* set of uuids between enter and leave */
  GHashTable *before; /* uuid -> Before: what a right that was taken now has replaced */
  GHashTable *due;   /* set of uuids whose record in a pool could not be given back yet */
  gint64 retry_us;   /* monotonic */
  gint losses;       /* how often a guest that runs here was seen to have lost its right; atomic */
};

/* ---- this host's own records: all under hv->lock, written by whoever has entered ---- */

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
      lease->state = (State)i;
  if (!g_str_has_prefix(line, "pools"))
    return;
  for (const char *at = line + 5; *at == ' ' && lease->n_pools < POOLS_MAX;) {
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

/* A copy; all zero: nothing is known. */
static Lease lease_of(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  const Lease *known = hv->leases ? g_hash_table_lookup(hv->leases->known, uuid) : NULL;
  Lease lease = known ? *known : (Lease){0};
  g_mutex_unlock(&hv->lock);
  return lease;
}

/* Durable first. */
static bool keep(Hypervisor *hv, const char *uuid, const Lease *lease, GError **error)
{
  g_autofree char *path = record_path(hv, uuid), *text = record_text(lease);
  if (!ws_file_write(path, text, strlen(text), 0600, error))
    return false;
  g_mutex_lock(&hv->lock);
  g_hash_table_replace(hv->leases->known, g_strdup(uuid), g_memdup2(lease, sizeof *lease));
  g_mutex_unlock(&hv->lock);
  return true;
}

static void keep_or_say(Hypervisor *hv, const char *uuid, const Lease *lease)
{
  g_autoptr(GError) error = NULL;
  if (!keep(hv, uuid, lease, &error))
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

/* ---- the records of its pools, open and locked ---- */

typedef struct {
  StorageLeaseFile *files[POOLS_MAX];
  WsId pools[POOLS_MAX];
  guint n;
} Records;

static void records_close(Records *records)
{
  for (guint i = 0; i < records->n; i++)
    storage_lease_close(records->files[i]);
  records->n = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Records, records_close)

static int compare_ids(const void *a, const void *b)
{
  const WsId *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* In order of their ids, so that two hosts never wait for each other. */
static bool records_open(Hypervisor *hv, const char *uuid, WsId *pools, guint n, Records *records, GError **error)
{
  qsort(pools, n, sizeof *pools, compare_ids);
  for (guint i = 0; i < n; i++) {
    if (i && pools[i] == pools[i - 1])
      continue;
    StorageLeaseFile *file = storage_lease_open(hv->config.storage, pools[i], uuid, true, error);
    if (!file)
      return false;
    records->pools[records->n] = pools[i];
    records->files[records->n++] = file;
  }
  return true;
}

/* Pools in which files lie that the VM writes to. By their paths: the notes in a definition that has just come from another host still name pools
 * of that one. */
static bool pools_of(Hypervisor *hv, virDomainPtr domain, WsId *pools, guint *n, GError **error)
{
  char *text = virt_xml(domain, false);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, error) : NULL;
  *n = 0;
  if (!text)
    return virt_fail(error, 0, NULL, "read the definition of");
  free(text);
  const xmlNode *devices = doc ? virt_xml_child(xmlDocGetRootElement(doc), "devices") : NULL;
  for (const xmlNode *at = virt_xml_first(devices); at && hv->config.storage && *n < POOLS_MAX; at = virt_xml_next(at)) {
    const char *path = virt_xml_is(at, "disk") ? virt_xml_path_get(at, "source", "file") : NULL;
    const char *device = virt_xml_get(at, "device");
    g_autofree char *file = NULL;
    if (path && (!device || strcmp(device, "disk") == 0) && !virt_xml_child(at, "readonly") &&
        hv->host.find_pool(hv->host.arg, path, &pools[*n], &file))
      (*n)++;
  }
  return doc != NULL;
}

/* ---- may it? ---- */

static bool is_ours(const Hypervisor *hv, const StorageLease *lease)
{
  return strcmp(lease->holder, hv->leases->holder) == 0;
}

static bool outdated(WsId vm, const char *uuid, gint64 generation, gint64 known, const char *host, GError **error)
{
  char object[VIRT_OBJECT_MAX], given[32], seen[32];
  g_snprintf(given, sizeof given, "%" G_GINT64_FORMAT, generation);
  g_snprintf(seen, sizeof seen, "%" G_GINT64_FORMAT, known);
  return ws_fail(error, WS_ERROR_LEASE_OUTDATED, "object", virt_object(vm, uuid, object), "generation", given, "known", seen, "host", host, NULL);
}

static bool held(WsId vm, const char *uuid, const StorageLease *lease, GError **error)
{
  char object[VIRT_OBJECT_MAX], seen[32];
  g_snprintf(seen, sizeof seen, "%" G_GINT64_FORMAT, lease->generation);
  return ws_fail(error, WS_ERROR_LEASE_HELD, "object", virt_object(vm, uuid, object), "host", lease->host, "generation", seen, NULL);
}

typedef struct {
  Hypervisor *hv;
  WsId vm;
  const char *uuid;
  const VirtAsk *ask;
  gint64 generation;
} Claim;

static bool may_take(const Claim *c, const StorageLease *lease, GError **error)
{
  bool ours = is_ours(c->hv, lease);
  bool over = c->ask->take_over && lease->generation <= c->ask->over_generation;
  if (!lease->generation)
    return true; /* nobody ever had it */
  if (lease->held && !ours && !over && !c->ask->handed_over)
    return held(c->vm, c->uuid, lease, error);
  if (lease->generation > c->generation || (!ours && lease->generation == c->generation))
    return outdated(c->vm, c->uuid, c->generation, lease->generation, lease->host, error);
  return ours || !c->ask->own_only || outdated(c->vm, c->uuid, c->generation, lease->generation, lease->host, error);
}

/* Without one of the manager's: the one that is known here and beside the disks; a new one when the last was another host's. */
static gint64 own_generation(const Hypervisor *hv, const Lease *lease, const Records *records, const VirtAsk *ask)
{
  gint64 generation = MAX(lease->generation, 1);
  for (guint i = 0; i < records->n && !ask->own_only; i++) {
    const StorageLease *there = storage_lease_get(records->files[i]);
    if (there->generation)
      generation = MAX(generation, there->generation + !is_ours(hv, there));
  }
  return generation;
}

static bool may_take_all(const Claim *c, const Lease *lease, const Records *records, GError **error)
{
  if (lease->generation > c->generation || (lease->state == LOST && lease->generation == c->generation && !c->ask->handed_over))
    return outdated(c->vm, c->uuid, c->generation, lease->generation, c->hv->leases->host, error);
  for (guint i = 0; i < records->n; i++)
    if (!may_take(c, storage_lease_get(records->files[i]), error))
      return false;
  return true;
}

static bool write_all(Hypervisor *hv, const Records *records, gint64 generation, bool hold, GError **error)
{
  StorageLease lease = {.generation = generation, .held = hold};
  g_strlcpy(lease.holder, hv->leases->holder, sizeof lease.holder);
  g_strlcpy(lease.host, hv->leases->host, sizeof lease.host);
  for (guint i = 0; i < records->n; i++) {
    const StorageLease *there = storage_lease_get(records->files[i]);
    bool so = there->generation == generation && there->held == hold && is_ours(hv, there);
    if (!so && !storage_lease_put(records->files[i], &lease, error))
      return false;
  }
  return true;
}

/* ---- take, check ---- */

typedef struct {
  WsId pools[POOLS_MAX];
  StorageLease leases[POOLS_MAX];
  guint n;
} Before;

/* For virt_lease_give_up(). */
static void note_before(Hypervisor *hv, const char *uuid, const Records *records)
{
  Before *before = g_new0(Before, 1);
  for (guint i = 0; i < records->n; i++) {
    before->pools[i] = records->pools[i];
    before->leases[i] = *storage_lease_get(records->files[i]);
  }
  before->n = records->n;
  g_mutex_lock(&hv->lock);
  g_hash_table_replace(hv->leases->before, g_strdup(uuid), before);
  g_mutex_unlock(&hv->lock);
}

static bool take_once(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const VirtAsk *ask, GError **error)
{
  g_auto(Records) records = {.n = 0};
  WsId pools[POOLS_MAX];
  guint n;
  Lease lease = lease_of(hv, uuid);
  if (!pools_of(hv, domain, pools, &n, error) || !records_open(hv, uuid, pools, n, &records, error))
    return false;
  Claim claim = {hv, vm, uuid, ask, ask->generation};
  if (claim.generation == WS_INT_UNSET)
    claim.generation = own_generation(hv, &lease, &records, ask);
  if (!may_take_all(&claim, &lease, &records, error))
    return false;
  if (ask->take_over)
    ws_log(WS_LOG_WARNING, "lease-taken-over", "uuid", uuid, "reason", ask->take_over, NULL);
  note_before(hv, uuid, &records);
  bool same = lease.state == HELD && lease.generation == claim.generation && lease.n_pools == records.n &&
              memcmp(lease.pools, records.pools, records.n * sizeof *records.pools) == 0;
  lease.generation = claim.generation;
  lease.state = HELD;
  lease.arriving = 0;
  lease.n_pools = records.n;
  memcpy(lease.pools, records.pools, records.n * sizeof *records.pools);
  return (same || keep(hv, uuid, &lease, error)) && write_all(hv, &records, lease.generation, true, error);
}

/* Another host may be about to give it back: it has just ended its guest. */
bool virt_lease_take(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const VirtAsk *ask, GError **error)
{
  gint64 end_us = g_get_monotonic_time() + (hv->config.lease_wait_us ? hv->config.lease_wait_us : GIVE_BACK_US);
  while (hv->leases) {
    g_autoptr(GError) refused = NULL;
    if (take_once(hv, domain, vm, uuid, ask, &refused))
      return true;
    if (ws_error_code(refused) == WS_ERROR_LEASE_HELD && g_get_monotonic_time() < end_us) {
      g_usleep(G_USEC_PER_SEC / 4);
      continue;
    }
    g_propagate_error(error, g_steal_pointer(&refused));
    return false;
  }
  return true;
}

bool virt_lease_check(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error)
{
  g_auto(Records) records = {.n = 0};
  WsId pools[POOLS_MAX];
  guint n;
  if (!hv->leases)
    return true;
  Lease lease = lease_of(hv, uuid);
  VirtAsk arrived = {.generation = lease.arriving, .over_generation = WS_INT_UNSET};
  if (lease.arriving) /* it stood still before it came, and does so still: its right waited for it */
    return virt_lease_take(hv, domain, vm, uuid, &arrived, error);
  if (lease.state == LOST)
    return outdated(vm, uuid, lease.generation, lease.generation, "another host", error);
  if (!pools_of(hv, domain, pools, &n, error) || !records_open(hv, uuid, pools, n, &records, error))
    return false;
  for (guint i = 0; i < records.n; i++) {
    const StorageLease *there = storage_lease_get(records.files[i]);
    if (there->generation && !is_ours(hv, there))
      return there->held ? held(vm, uuid, there, error) : outdated(vm, uuid, lease.generation, there->generation, there->host, error);
  }
  return true;
}

/* ---- giving it back ---- */

/* Ours in these pools are held no more. false: one could not be written. */
static bool give_back(Hypervisor *hv, const char *uuid, Lease *lease, gint64 generation)
{
  bool all = true;
  for (guint i = 0; i < lease->n_pools; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, lease->pools[i], uuid, false, &error);
    StorageLease there = file ? *storage_lease_get(file) : (StorageLease){0};
    if (!file && ws_error_code(error) == WS_ERROR_NOT_FOUND)
      continue; /* it is gone, or the pool is not this host's any more */
    there.generation = MAX(there.generation, generation);
    there.held = false;
    bool mine = file && is_ours(hv, &there) && there.generation == generation;
    if (file && (!mine || storage_lease_put(file, &there, &error)))
      continue;
    ws_log_error(WS_LOG_WARNING, "lease-not-given-back", error, "uuid", uuid, NULL);
    all = false;
  }
  return all;
}

static void set_due(Hypervisor *hv, const char *uuid, bool due)
{
  g_mutex_lock(&hv->lock);
  if (due)
    g_hash_table_add(hv->leases->due, g_strdup(uuid));
  else
    g_hash_table_remove(hv->leases->due, uuid);
  g_mutex_unlock(&hv->lock);
}

void virt_lease_release(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  if (lease.state != HELD)
    return;
  bool all = give_back(hv, uuid, &lease, lease.generation);
  set_due(hv, uuid, !all);
  if (!all)
    return;
  lease.state = FREE;
  keep_or_say(hv, uuid, &lease);
}

void virt_lease_give_up(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  Before before = {.n = 0};
  if (!hv->leases)
    return;
  g_mutex_lock(&hv->lock);
  const Before *noted = g_hash_table_lookup(hv->leases->before, uuid);
  if (noted)
    before = *noted;
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < before.n; i++) {
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, before.pools[i], uuid, false, NULL);
    const StorageLease *there = file ? storage_lease_get(file) : NULL;
    bool ours = there && is_ours(hv, there) && there->generation == lease.generation;
    if (ours && before.leases[i].held && !is_ours(hv, &before.leases[i]))
      storage_lease_put(file, &before.leases[i], NULL); /* else it is given back below */
  }
  virt_lease_release(hv, uuid);
}

void virt_lease_lose(Hypervisor *hv, const char *uuid, gint64 generation)
{
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  give_back(hv, uuid, &lease, lease.generation);
  lease.generation = MAX(lease.generation, generation == WS_INT_UNSET ? 0 : generation);
  lease.state = LOST;
  lease.autostart = false;
  keep_or_say(hv, uuid, &lease);
  virt_lease_leave(hv, uuid);
}

bool virt_lease_expect(Hypervisor *hv, const char *uuid, gint64 generation, GError **error)
{
  if (!hv->leases || generation == WS_INT_UNSET)
    return true;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  lease.arriving = generation;
  bool expected = generation > lease.generation ? keep(hv, uuid, &lease, error)
                                                : outdated(0, uuid, generation, lease.generation, hv->leases->host, error);
  virt_lease_leave(hv, uuid);
  return expected;
}

static void forget(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  for (guint i = 0; i < lease.n_pools; i++) {
    g_autoptr(StorageLeaseFile) file = storage_lease_open(hv->config.storage, lease.pools[i], uuid, false, NULL);
    if (file && is_ours(hv, storage_lease_get(file)))
      storage_lease_remove(file, NULL);
  }
  /* That it went to another host is remembered: an old definition of it must not be started here. */
  if (lease.state == LOST) {
    lease.arriving = 0;
    lease.n_pools = 0;
    keep_or_say(hv, uuid, &lease);
    return;
  }
  g_autofree char *path = record_path(hv, uuid);
  g_unlink(path);
  g_mutex_lock(&hv->lock);
  g_hash_table_remove(hv->leases->known, uuid);
  g_hash_table_remove(hv->leases->due, uuid);
  g_mutex_unlock(&hv->lock);
}

void virt_lease_forget(Hypervisor *hv, const char *uuid)
{
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  forget(hv, uuid);
  virt_lease_leave(hv, uuid);
}

WsVmLease *virt_lease_report(Hypervisor *hv, const char *uuid)
{
  Lease lease = lease_of(hv, uuid);
  if (lease.state == NONE)
    return NULL;
  WsVmLease *report = ws_vm_lease_new();
  report->generation = lease.generation;
  report->state = lease.state == HELD ? WS_VM_LEASE_STATE_HELD : lease.state == FREE ? WS_VM_LEASE_STATE_FREE : WS_VM_LEASE_STATE_LOST;
  return report;
}

/* ---- following what is ---- */

bool virt_lease_arrive(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error)
{
  Lease lease = lease_of(hv, uuid);
  VirtAsk ask = VIRT_ASK_NONE;
  ask.handed_over = true;
  if (lease.arriving)
    ask.generation = lease.arriving;
  return virt_lease_take(hv, domain, vm, uuid, &ask, error);
}

static bool has_right(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const Lease *lease, GError **error)
{
  VirtAsk ask = VIRT_ASK_NONE;
  if (lease->arriving)
    return virt_lease_arrive(hv, domain, vm, uuid, error);
  return lease->state == HELD ? virt_lease_check(hv, domain, vm, uuid, error) : virt_lease_take(hv, domain, vm, uuid, &ask, error);
}

static void take_for_running(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, bool check)
{
  Lease lease = lease_of(hv, uuid);
  g_autoptr(GError) error = NULL;
  /* One that lost its right does not get it again while it runs: others may have written its disks. */
  bool settled = !lease.arriving && (lease.state == LOST || (lease.state == HELD && !check));
  if (settled || has_right(hv, domain, vm, uuid, &lease, &error))
    return;
  ws_log_error(WS_LOG_ERROR, "vm-runs-without-lease", error, "uuid", uuid, NULL);
  if (ws_error_code(error) != WS_ERROR_LEASE_HELD && ws_error_code(error) != WS_ERROR_LEASE_OUTDATED)
    return; /* its pool is away: asked again when libvirt tells more of it */
  lease.state = LOST;
  keep_or_say(hv, uuid, &lease);
  g_atomic_int_inc(&hv->leases->losses);
}

static void follow(Hypervisor *hv, virDomainPtr domain, bool check)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  WsId vm = virt_facts_vm(hv, virt_uuid(domain, uuid));
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  WsPowerState state = virt_state(domain);
  if (state == WS_POWER_STATE_RUNNING && vm)
    take_for_running(hv, domain, vm, uuid, check);
  else if (state == WS_POWER_STATE_OFF)
    virt_lease_release(hv, uuid);
  virt_lease_leave(hv, uuid);
}

void virt_lease_follow(Hypervisor *hv, virDomainPtr domain)
{
  follow(hv, domain, false);
}

static void follow_checking(Hypervisor *hv, virDomainPtr domain)
{
  follow(hv, domain, true);
}

static void release_gone(Hypervisor *hv, VirtConn *conn)
{
  g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  void *uuid, *lease;
  g_mutex_lock(&hv->lock);
  for (g_hash_table_iter_init(&iter, hv->leases->known); g_hash_table_iter_next(&iter, &uuid, &lease);)
    if (((Lease *)lease)->state == HELD)
      g_ptr_array_add(uuids, g_strdup(uuid));
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < uuids->len; i++) {
    VIRT_AUTO_DOMAIN domain = virDomainLookupByUUIDString(conn->c, uuids->pdata[i]);
    if (domain || !virt_error_is(VIR_ERR_NO_DOMAIN))
      continue;
    virt_lease_enter(hv, uuids->pdata[i]);
    virt_lease_release(hv, uuids->pdata[i]);
    virt_lease_leave(hv, uuids->pdata[i]);
  }
}

typedef void (*Each)(Hypervisor *hv, virDomainPtr domain);

static void each_domain(Hypervisor *hv, VirtConn *conn, Each func)
{
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains(conn->c, &domains, 0);
  for (int i = 0; i < n; i++) {
    func(hv, domains[i]);
    virDomainFree(domains[i]);
  }
  free(domains);
}

void virt_lease_follow_all(Hypervisor *hv, VirtConn *conn)
{
  if (!hv->leases)
    return;
  each_domain(hv, conn, virt_lease_follow);
  release_gone(hv, conn);
}

static void check_all(void *arg)
{
  Hypervisor *hv = arg;
  gint losses = g_atomic_int_get(&hv->leases->losses);
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, NULL);
  if (!conn)
    return; /* when libvirt is back all is followed */
  each_domain(hv, conn, follow_checking);
  if (g_atomic_int_get(&hv->leases->losses) != losses)
    virt_report_all(hv, conn, NULL);
}

void hypervisor_check_leases(Hypervisor *hv)
{
  if (hv->leases)
    virt_run(hv, "leases", check_all, virt_hv_ref(hv), virt_hv_unref);
}

static void try_again(void *arg)
{
  void **job = arg;
  virt_lease_enter(job[0], job[1]);
  g_autoptr(VirtConn) conn = virt_conn_acquire(job[0], NULL);
  VIRT_AUTO_DOMAIN domain = conn ? virDomainLookupByUUIDString(conn->c, job[1]) : NULL;
  bool off = conn && (domain ? virt_state(domain) == WS_POWER_STATE_OFF : virt_error_is(VIR_ERR_NO_DOMAIN));
  if (off)
    virt_lease_release(job[0], job[1]);
  virt_lease_leave(job[0], job[1]);
}

static void job_free(void *arg)
{
  void **job = arg;
  virt_hv_unref(job[0]);
  g_free(job[1]);
  g_free(job);
}

void virt_lease_tick(Hypervisor *hv)
{
  gint64 now_us = g_get_monotonic_time();
  if (!hv->leases || now_us < hv->leases->retry_us)
    return;
  hv->leases->retry_us = now_us + RETRY_US;
  g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  void *uuid;
  g_mutex_lock(&hv->lock);
  for (g_hash_table_iter_init(&iter, hv->leases->due); g_hash_table_iter_next(&iter, &uuid, NULL);)
    g_ptr_array_add(uuids, g_strdup(uuid));
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < uuids->len; i++) {
    void **job = g_new(void *, 2);
    job[0] = virt_hv_ref(hv);
    job[1] = g_strdup(uuids->pdata[i]);
    virt_run(hv, uuids->pdata[i], try_again, job, job_free);
  }
}

/* ---- starting with the host ---- */

bool virt_lease_set_autostart(Hypervisor *hv, const char *uuid, bool autostart, GError **error)
{
  if (!hv->leases)
    return true;
  virt_lease_enter(hv, uuid);
  Lease lease = lease_of(hv, uuid);
  bool same = lease.autostart == autostart;
  lease.autostart = autostart;
  bool kept = same || keep(hv, uuid, &lease, error);
  virt_lease_leave(hv, uuid);
  return kept;
}

bool virt_lease_autostart(Hypervisor *hv, const char *uuid)
{
  return lease_of(hv, uuid).autostart;
}

static void start_marked(Hypervisor *hv, virDomainPtr domain)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  g_autoptr(GError) error = NULL;
  VirtAsk ask = VIRT_ASK_NONE;
  ask.own_only = true;
  WsId vm = virt_facts_vm(hv, virt_uuid(domain, uuid));
  if (!vm || !virt_lease_autostart(hv, uuid))
    return;
  virt_lease_enter(hv, uuid);
  if (virDomainIsActive(domain) == 0) {
    bool may = virt_lease_take(hv, domain, vm, uuid, &ask, &error);
    if (may && virDomainCreate(domain) < 0)
      virt_fail(&error, vm, uuid, "start");
    if (may && error && virt_state(domain) == WS_POWER_STATE_OFF)
      virt_lease_release(hv, uuid);
  }
  virt_lease_leave(hv, uuid);
  if (error)
    ws_log_error(WS_LOG_WARNING, "vm-not-started-with-host", error, "uuid", uuid, NULL);
  else
    ws_log(WS_LOG_NOTICE, "vm-started-with-host", "uuid", uuid, NULL);
}

void virt_lease_start_marked(Hypervisor *hv, VirtConn *conn)
{
  g_autoptr(GError) error = NULL;
  if (!hv->leases || !hv->config.started_file || g_file_test(hv->config.started_file, G_FILE_TEST_EXISTS))
    return;
  g_autofree char *folder = g_path_get_dirname(hv->config.started_file);
  g_mkdir_with_parents(folder, 0755);
  if (!ws_file_write(hv->config.started_file, "", 0, 0644, &error)) {
    ws_log_error(WS_LOG_ERROR, "start-of-the-host-not-noted", error, NULL); /* else it would be done again with each restart of ours */
    return;
  }
  each_domain(hv, conn, start_marked);
}

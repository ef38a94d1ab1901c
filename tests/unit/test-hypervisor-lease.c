// SPDX-License-Identifier: Apache-2.0
/* Leases of two hosts that share a pool (docs/leases.md): real records in a real folder, locked against each other; libvirt's test driver has the
 * domain. What needs a real QEMU is in tests/lab/e2e/leases.py. */
#include "host/hypervisor/domain.h"
#include "host/hypervisor/lease.h"
#include "host/storage/storage.h"
#include <glib/gstdio.h>
#include <string.h>

#define UUID "22222222-2222-4222-8222-222222222222"
#define POOL_UUID "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a01"
#define OTHER_UUID "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a02"
#define ROUNDS 12

typedef struct {
  char *leases, *started; /* started: of its configuration; NULL: it starts nothing by itself */
  Storage *storage;
  Hypervisor *hv;
} Host;

typedef struct {
  char *top, *roots, *pool, *other; /* pools 1 and 2 */
  WsWorkers *workers;
  virConnectPtr c;
  virDomainPtr domain;
  Host a, b;
} Fixture;

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  if (!g_str_has_prefix(path, "/pools/1/") && !g_str_has_prefix(path, "/pools/2/"))
    return false;
  *pool = (WsId)(path[strlen("/pools/")] - '0');
  *file = g_strdup(path + strlen("/pools/1/"));
  return true;
}

static void host_up(Fixture *f, Host *host)
{
  const HypervisorConfig config = {.uri = "test:///default",
                                   .clock = ws_clock_system(),
                                   .workers = f->workers,
                                   .seed_dir = "/nowhere",
                                   .lease_dir = host->leases,
                                   .lease_wait_us = 1000,
                                   .started_file = host->started,
                                   .storage = host->storage,
                                   .pool_file = pool_file,
                                   .find_pool = find_pool};
  host->hv = hypervisor_new(&config);
  g_assert_true(hypervisor_wait_ready(host->hv, 60000));
}

static void prepare_pool(Host *host, WsId pool, const char *path, const char *uuid)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcPoolPrepare) params = ws_rpc_pool_prepare_new();
  g_autoptr(WsPoolStatus) status = NULL;
  params->pool = pool;
  params->kind = WS_RPC_POOL_PREPARE_KIND_DIRECTORY;
  params->path = g_strdup(path);
  params->uuid = g_strdup(uuid);
  params->create = true;
  storage_pool_prepare(host->storage, params, &status, &error);
  g_assert_no_error(error);
}

static void host_new(Fixture *f, Host *host, const char *name)
{
  const char *roots[] = {f->roots, NULL};
  g_autofree char *state = g_build_filename(f->top, name, NULL);
  const StorageConfig config = {.state_dir = state, .allowed_roots = roots, .clock = ws_clock_system()};
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(g_mkdir(state, 0700), ==, 0);
  host->leases = g_build_filename(state, "leases", NULL);
  g_assert_cmpint(g_mkdir(host->leases, 0700), ==, 0);
  host->storage = storage_new(&config, &error);
  g_assert_no_error(error);
  prepare_pool(host, 1, f->pool, POOL_UUID);
  prepare_pool(host, 2, f->other, OTHER_UUID);
  host_up(f, host);
}

static void host_free(Host *host)
{
  hypervisor_free(host->hv);
  storage_free(host->storage);
  g_free(host->leases);
  g_free(host->started);
}

/* The VM as it is with its disk in that pool. */
static virDomainPtr define_in(Fixture *f, WsId pool)
{
  g_autofree char *xml = g_strdup_printf("<domain type='test'><name>vm-7</name><uuid>" UUID "</uuid><memory>1048576</memory><vcpu>1</vcpu>"
                                         "<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'><driver type='qcow2'/>"
                                         "<source file='/pools/%d/vol-1.qcow2'/><target dev='vda' bus='virtio'/></disk></devices></domain>",
                                         (int)pool);
  return virDomainDefineXML(f->c, xml);
}

static void redefine_in(Fixture *f, WsId pool)
{
  virDomainFree(f->domain);
  f->domain = define_in(f, pool);
  g_assert_nonnull(f->domain);
}

static void set_up(Fixture *f, gconstpointer unused)
{
  f->top = g_dir_make_tmp("ws-lease-XXXXXX", NULL);
  f->roots = g_build_filename(f->top, "pools", NULL);
  f->pool = g_build_filename(f->roots, "shared", NULL);
  f->other = g_build_filename(f->roots, "other", NULL);
  f->workers = ws_workers_new("test", 8);
  f->c = virConnectOpen("test:///default");
  g_assert_nonnull(f->c);
  f->domain = define_in(f, 1);
  g_assert_nonnull(f->domain);
  host_new(f, &f->a, "a");
  host_new(f, &f->b, "b");
}

static void tear_down(Fixture *f, gconstpointer unused)
{
  host_free(&f->a);
  host_free(&f->b);
  virDomainUndefine(f->domain);
  virDomainFree(f->domain);
  virConnectClose(f->c);
  ws_workers_free(f->workers);
  const char *argv[] = {"rm", "-rf", f->top, NULL};
  g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free(f->top);
  g_free(f->roots);
  g_free(f->pool);
  g_free(f->other);
}

static bool take(Fixture *f, Host *host, gint64 generation, GError **error)
{
  VirtAsk ask = VIRT_ASK_NONE;
  ask.generation = generation;
  return virt_lease_take(host->hv, f->domain, 7, UUID, &ask, error);
}

static void must_take(Fixture *f, Host *host, gint64 generation)
{
  g_autoptr(GError) error = NULL;
  take(f, host, generation, &error);
  g_assert_no_error(error);
}

static void must_refuse(Fixture *f, Host *host, gint64 generation, WsErrorCode code)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(take(f, host, generation, &error));
  g_assert_error(error, WS_ERROR, (int)code);
}

static bool take_over(Fixture *f, Host *host, gint64 generation, gint64 over, GError **error)
{
  VirtAsk ask = {.generation = generation, .take_over = "seen_off: in a test", .over_generation = over};
  return virt_lease_take(host->hv, f->domain, 7, UUID, &ask, error);
}

static void assert_lease(Host *host, gint64 generation, WsVmLeaseState state)
{
  g_autoptr(WsVmLease) lease = virt_lease_report(host->hv, UUID);
  g_assert_nonnull(lease);
  g_assert_cmpint(lease->generation, ==, generation);
  g_assert_cmpint(lease->state, ==, state);
}

/* ---- cases ---- */

static void older_generation_is_refused(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  must_take(f, &f->a, 5); /* repeated */
  virt_lease_release(f->a.hv, UUID);
  must_refuse(f, &f->a, 4, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->a, 5);
  must_take(f, &f->a, 6);
  assert_lease(&f->a, 6, WS_VM_LEASE_STATE_HELD);
}

static void held_lease_refuses_another_host(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  must_take(f, &f->a, 1);
  g_assert_false(take(f, &f->b, 2, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_LEASE_HELD);
  g_assert_cmpstr(ws_error_param(error, "generation"), ==, "1");
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "vm-7");
  assert_lease(&f->a, 1, WS_VM_LEASE_STATE_HELD);
}

static void statement_takes_over_what_it_covers(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) newer = NULL, error = NULL;
  must_take(f, &f->a, 5);
  g_assert_false(take_over(f, &f->b, 6, 4, &newer)); /* it speaks of an earlier right */
  g_assert_error(newer, WS_ERROR, (int)WS_ERROR_LEASE_HELD);
  g_assert_true(take_over(f, &f->b, 6, 5, NULL));
  g_assert_false(virt_lease_check(f->a.hv, f->domain, 7, UUID, &error)); /* a guest that stood still does not go on */
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_LEASE_HELD);
  virt_lease_release(f->a.hv, UUID); /* what it gives back late is not its own any more */
  must_refuse(f, &f->a, 6, WS_ERROR_LEASE_HELD);
  assert_lease(&f->b, 6, WS_VM_LEASE_STATE_HELD);
}

static void take_over_that_failed_leaves_the_holder_its_lease(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  must_take(f, &f->a, 1);
  g_assert_true(take_over(f, &f->b, 2, 1, NULL));
  virt_lease_give_up(f->b.hv, UUID); /* the guest did not start there */
  g_assert_true(virt_lease_check(f->a.hv, f->domain, 7, UUID, &error));
  g_assert_no_error(error);
  must_refuse(f, &f->b, 3, WS_ERROR_LEASE_HELD);
  virt_lease_release(f->a.hv, UUID);
  must_take(f, &f->b, 3);
  virt_lease_give_up(f->b.hv, UUID);
  must_take(f, &f->a, 4);
}

static void lease_that_was_given_back_asks_for_a_greater_one(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 3);
  virt_lease_release(f->a.hv, UUID);
  must_refuse(f, &f->b, 3, WS_ERROR_LEASE_OUTDATED);
  must_refuse(f, &f->b, 2, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->b, 4);
  must_refuse(f, &f->a, 4, WS_ERROR_LEASE_HELD);
}

typedef struct {
  Fixture *f;
  Host *host;
  gint64 generation;
  gint *at_once;
} Race;

static gpointer race(gpointer arg)
{
  Race *r = arg;
  g_atomic_int_inc(r->at_once);
  while (g_atomic_int_get(r->at_once) < 2)
    g_thread_yield();
  return GINT_TO_POINTER(take(r->f, r->host, r->generation, NULL));
}

/* Two managers that know nothing of each other give the same number to two hosts in the same moment. */
static void of_two_at_once_one_has_it(Fixture *f, gconstpointer unused)
{
  guint won[2] = {0};
  for (gint64 round = 1; round <= ROUNDS; round++) {
    gint at_once = 0;
    Race a = {f, &f->a, round, &at_once}, b = {f, &f->b, round, &at_once};
    GThread *one = g_thread_new("a", race, &a), *two = g_thread_new("b", race, &b);
    bool has_a = GPOINTER_TO_INT(g_thread_join(one)), has_b = GPOINTER_TO_INT(g_thread_join(two));
    g_assert_cmpint(has_a + has_b, ==, 1);
    won[has_b]++;
    virt_lease_release(has_a ? f->a.hv : f->b.hv, UUID);
  }
  g_test_message("a %u, b %u", won[0], won[1]);
}

static void record_outlives_the_agent(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 8);
  hypervisor_free(f->a.hv);
  /* The domain does not run: when the agent comes up it gives back what it holds. Who comes in between is refused. */
  must_refuse(f, &f->b, 9, WS_ERROR_LEASE_HELD);
  host_up(f, &f->a);
  assert_lease(&f->a, 8, WS_VM_LEASE_STATE_FREE);
  must_refuse(f, &f->a, 7, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->b, 9);
}

static void moved_guest_takes_its_lease_along(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  must_take(f, &f->a, 1);
  g_assert_true(virt_lease_expect(f->b.hv, UUID, 2, NULL));
  g_assert_true(virt_lease_arrive(f->b.hv, f->domain, 7, UUID, NULL));
  virt_lease_lose(f->a.hv, UUID, 2);
  assert_lease(&f->a, 2, WS_VM_LEASE_STATE_LOST);
  assert_lease(&f->b, 2, WS_VM_LEASE_STATE_HELD);
  must_refuse(f, &f->a, 2, WS_ERROR_LEASE_OUTDATED);
  virt_lease_forget(f->a.hv, UUID); /* its definition goes; that it went away is remembered */
  must_refuse(f, &f->a, 1, WS_ERROR_LEASE_OUTDATED);
  must_refuse(f, &f->a, 3, WS_ERROR_LEASE_HELD);
  g_assert_false(virt_lease_expect(f->b.hv, UUID, 2, &error)); /* an old session */
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_LEASE_OUTDATED);
}

/* Of a VM that is off: no pool is shared, the copy that is left is whole. */
static void copy_that_an_offline_move_leaves_is_not_started(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  virt_lease_release(f->a.hv, UUID);
  g_assert_true(virt_lease_pass(f->a.hv, UUID, 6, false, NULL));
  g_assert_true(virt_lease_pass(f->a.hv, UUID, 6, false, NULL)); /* repeated */
  must_refuse(f, &f->a, 5, WS_ERROR_LEASE_OUTDATED);
  must_refuse(f, &f->a, 6, WS_ERROR_LEASE_OUTDATED);
  hypervisor_free(f->a.hv);
  host_up(f, &f->a);
  must_refuse(f, &f->a, 6, WS_ERROR_LEASE_OUTDATED);
  virt_lease_forget(f->a.hv, UUID);
  must_refuse(f, &f->a, 6, WS_ERROR_LEASE_OUTDATED);
  assert_lease(&f->a, 6, WS_VM_LEASE_STATE_LOST);
}

static void offline_move_that_was_undone_leaves_the_vm_startable(Fixture *f, gconstpointer unused)
{
  VirtAsk by_itself = VIRT_ASK_NONE;
  by_itself.own_only = true;
  g_assert_true(virt_lease_pass(f->a.hv, UUID, 6, true, NULL)); /* it was never passed on */
  must_take(f, &f->a, 5);
  virt_lease_release(f->a.hv, UUID);
  g_assert_true(virt_lease_pass(f->a.hv, UUID, 6, false, NULL));
  g_assert_true(virt_lease_pass(f->a.hv, UUID, 6, true, NULL));
  assert_lease(&f->a, 6, WS_VM_LEASE_STATE_FREE);
  g_assert_true(virt_lease_take(f->a.hv, f->domain, 7, UUID, &by_itself, NULL)); /* also with its host */
  virt_lease_release(f->a.hv, UUID);
  must_take(f, &f->a, 7);
}

/* ---- disks that change pools: whoever tries to start the VM from what lies in either pool is refused at each moment ---- */

static void must_refuse_in(Fixture *f, Host *host, WsId pool, gint64 generation, WsErrorCode code)
{
  redefine_in(f, pool);
  must_refuse(f, host, generation, code);
}

static void must_widen(Fixture *f, Host *host, WsId pool)
{
  g_autoptr(GError) error = NULL;
  virt_lease_widen(host->hv, 7, UUID, &pool, 1, &error);
  g_assert_no_error(error);
}

static bool has_record(const char *folder)
{
  g_autofree char *path = g_build_filename(folder, ".winsphere-leases", UUID, NULL);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void lease_is_beside_the_disks_at_each_step_of_their_move(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  must_widen(f, &f->a, 2);
  must_refuse_in(f, &f->b, 1, 6, WS_ERROR_LEASE_HELD);
  must_refuse_in(f, &f->b, 2, 6, WS_ERROR_LEASE_HELD); /* the definition names the new file, the guest still the old one */
  virt_lease_narrow(f->a.hv, f->domain, UUID);
  must_refuse_in(f, &f->b, 2, 6, WS_ERROR_LEASE_HELD);
  g_assert_false(has_record(f->pool));
  virt_lease_release(f->a.hv, UUID);
  must_refuse_in(f, &f->b, 2, 5, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->b, 6);
}

static void move_of_disks_that_stays_leaves_no_record_there(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  must_widen(f, &f->a, 2);
  virt_lease_narrow(f->a.hv, f->domain, UUID);
  g_assert_false(has_record(f->other));
  must_refuse(f, &f->b, 6, WS_ERROR_LEASE_HELD);
}

/* Killed at each step: what this host remembers covers both pools, and both are free when the guest has ended. */
static void agent_that_dies_in_the_move_gives_both_back(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  must_widen(f, &f->a, 2);
  hypervisor_free(f->a.hv);
  must_refuse_in(f, &f->b, 1, 6, WS_ERROR_LEASE_HELD);
  must_refuse_in(f, &f->b, 2, 6, WS_ERROR_LEASE_HELD);
  host_up(f, &f->a); /* the guest is off */
  assert_lease(&f->a, 5, WS_VM_LEASE_STATE_FREE);
  must_refuse_in(f, &f->b, 1, 5, WS_ERROR_LEASE_OUTDATED);
  must_refuse_in(f, &f->b, 2, 5, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->b, 6);
}

/* The disk of the new pool fails in the middle of it: this host's own record was first, and nothing names the pool yet. */
static void pool_that_cannot_be_written_stops_the_move(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *leases = g_build_filename(f->other, ".winsphere-leases", NULL);
  WsId other = 2;
  must_take(f, &f->a, 5);
  g_assert_true(g_file_set_contents(leases, "no folder", -1, NULL));
  g_assert_false(virt_lease_widen(f->a.hv, 7, UUID, &other, 1, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_IO_ERROR);
  virt_lease_narrow(f->a.hv, f->domain, UUID);
  must_refuse(f, &f->b, 6, WS_ERROR_LEASE_HELD);
  virt_lease_release(f->a.hv, UUID);
  assert_lease(&f->a, 5, WS_VM_LEASE_STATE_FREE);
}

static void disks_do_not_move_to_where_another_host_holds_the_lease(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  WsId other = 2;
  redefine_in(f, 2);
  must_take(f, &f->b, 9);
  redefine_in(f, 1);
  must_take(f, &f->a, 5);
  g_assert_false(virt_lease_widen(f->a.hv, 7, UUID, &other, 1, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_LEASE_HELD);
  virt_lease_narrow(f->a.hv, f->domain, UUID);
  assert_lease(&f->b, 9, WS_VM_LEASE_STATE_HELD);
  must_refuse_in(f, &f->a, 2, 10, WS_ERROR_LEASE_HELD);
}

/* A VM that is off has its generation in the new pool, so that an old right is refused there as it was here. */
static void generation_of_a_vm_that_is_off_goes_along(Fixture *f, gconstpointer unused)
{
  must_take(f, &f->a, 5);
  virt_lease_release(f->a.hv, UUID);
  must_widen(f, &f->a, 2);
  redefine_in(f, 2);
  virt_lease_narrow(f->a.hv, f->domain, UUID);
  g_assert_true(!has_record(f->pool) && has_record(f->other));
  must_refuse(f, &f->b, 5, WS_ERROR_LEASE_OUTDATED);
  must_take(f, &f->b, 6);
}

/* ---- the record itself ---- */

static char *record_path(Fixture *f)
{
  return g_build_filename(f->pool, ".winsphere-leases", UUID, NULL);
}

/* Overwrites the beginning of a slot, as a write that was cut short would. */
static void tear_slot(Fixture *f, gsize slot)
{
  g_autofree char *path = record_path(f), *bytes = NULL;
  gsize n;
  g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  g_assert_cmpuint(n, >, slot * 4096 + 40);
  memset(bytes + slot * 4096 + 20, '#', 20);
  g_assert_true(g_file_set_contents(path, bytes, (gssize)n, NULL));
}

static void torn_slot_leaves_the_one_before(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  must_take(f, &f->a, 1); /* slot 0 */
  virt_lease_release(f->a.hv, UUID); /* slot 1 */
  tear_slot(f, 1);
  must_refuse(f, &f->b, 2, WS_ERROR_LEASE_HELD); /* as it was */
  tear_slot(f, 0);
  g_assert_false(take(f, &f->b, 2, &error)); /* nobody knows: nobody starts */
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_IO_ERROR);
}

static void pool_out_of_reach_starts_nothing(Fixture *f, gconstpointer unused)
{
  g_autofree char *away = g_strconcat(f->pool, "-away", NULL);
  must_take(f, &f->a, 1);
  g_assert_cmpint(g_rename(f->pool, away), ==, 0);
  virt_lease_release(f->a.hv, UUID); /* cannot be written: it is kept, and written later */
  assert_lease(&f->a, 1, WS_VM_LEASE_STATE_HELD);
  must_refuse(f, &f->b, 2, WS_ERROR_WRONG_STATE);
  g_assert_cmpint(g_rename(away, f->pool), ==, 0);
  must_refuse(f, &f->b, 2, WS_ERROR_LEASE_HELD);
  virt_lease_release(f->a.hv, UUID);
  must_take(f, &f->b, 2);
}

static void start_by_itself_is_for_whoever_had_it_last(Fixture *f, gconstpointer unused)
{
  VirtAsk ask = VIRT_ASK_NONE;
  ask.own_only = true;
  must_take(f, &f->a, 1);
  virt_lease_release(f->a.hv, UUID);
  g_assert_true(virt_lease_take(f->a.hv, f->domain, 7, UUID, &ask, NULL));
  virt_lease_release(f->a.hv, UUID);
  must_take(f, &f->b, 2);
  virt_lease_release(f->b.hv, UUID);
  g_assert_false(virt_lease_take(f->a.hv, f->domain, 7, UUID, &ask, NULL));
}

/* ---- VMs that start with their host ---- */

static const struct {
  const char *uuid;
  gint64 order; /* 0: none */
  guint place;  /* that it is started in */
} starters[] = {
    {"33333333-3333-4333-8333-333333333331", 0, 3},
    {"33333333-3333-4333-8333-333333333332", 20, 1},
    {"33333333-3333-4333-8333-333333333333", 100, 2},
    {"33333333-3333-4333-8333-333333333334", 3, 0},
};

static virDomainPtr define_starter(Fixture *f, guint i)
{
  g_autofree char *order =
      starters[i].order ? g_strdup_printf(" start_order='%d'", (int)starters[i].order) : g_strdup("");
  g_autofree char *xml = g_strdup_printf(
      "<domain type='test'><name>vm-%u</name><uuid>%s</uuid><metadata><ws:vm xmlns:ws='" VIRT_METADATA_URI
      "' id='%u'%s/>"
      "</metadata><memory>1048576</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>"
      "<disk type='file' device='disk'><driver type='qcow2'/><source file='/pools/1/vol-%u.qcow2'/>"
      "<target dev='vda' bus='virtio'/></disk></devices></domain>",
      20 + i, starters[i].uuid, 20 + i, order, 20 + i);
  virDomainPtr domain = virDomainDefineXML(f->c, xml);
  g_assert_nonnull(domain);
  return domain;
}

/* libvirt counts up as it starts them. */
static void vms_start_with_their_host_in_their_order(Fixture *f, gconstpointer unused)
{
  virDomainPtr domains[G_N_ELEMENTS(starters)];
  VirtAsk ask = VIRT_ASK_NONE;
  ask.generation = 1;
  hypervisor_free(f->b.hv); /* the driver's domains are everybody's: it would take them for its own */
  for (guint i = 0; i < G_N_ELEMENTS(starters); i++) {
    domains[i] = define_starter(f, i);
    g_assert_true(virt_lease_take(f->a.hv, domains[i], 20 + i, starters[i].uuid, &ask, NULL));
    virt_lease_release(f->a.hv, starters[i].uuid);
    g_assert_true(virt_lease_set_autostart(f->a.hv, starters[i].uuid, true, NULL));
  }
  hypervisor_free(f->a.hv);
  f->a.started = g_build_filename(f->top, "run", "started", NULL);
  host_up(f, &f->a);
  guint n_running = 0;
  for (gint64 end_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
       n_running < G_N_ELEMENTS(starters) && g_get_monotonic_time() < end_us; g_usleep(1000)) {
    n_running = 0;
    for (guint i = 0; i < G_N_ELEMENTS(starters); i++)
      n_running += virDomainIsActive(domains[i]) == 1;
  }
  g_assert_cmpuint(n_running, ==, G_N_ELEMENTS(starters));
  for (guint i = 0; i < G_N_ELEMENTS(starters); i++)
    for (guint j = 0; j < G_N_ELEMENTS(starters); j++) {
      virDomainPtr one = virDomainLookupByUUIDString(f->c, starters[i].uuid),
                   other = virDomainLookupByUUIDString(f->c, starters[j].uuid);
      if (starters[i].place < starters[j].place)
        g_assert_cmpuint(virDomainGetID(one), <, virDomainGetID(other));
      virDomainFree(one);
      virDomainFree(other);
    }
  for (guint i = 0; i < G_N_ELEMENTS(starters); i++) {
    virDomainDestroy(domains[i]);
    virDomainUndefine(domains[i]);
    virDomainFree(domains[i]);
  }
  host_up(f, &f->b);
}

#define ADD(name) g_test_add("/hypervisor/lease/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ADD(older_generation_is_refused);
  ADD(held_lease_refuses_another_host);
  ADD(statement_takes_over_what_it_covers);
  ADD(take_over_that_failed_leaves_the_holder_its_lease);
  ADD(lease_that_was_given_back_asks_for_a_greater_one);
  ADD(of_two_at_once_one_has_it);
  ADD(record_outlives_the_agent);
  ADD(moved_guest_takes_its_lease_along);
  ADD(copy_that_an_offline_move_leaves_is_not_started);
  ADD(offline_move_that_was_undone_leaves_the_vm_startable);
  ADD(lease_is_beside_the_disks_at_each_step_of_their_move);
  ADD(move_of_disks_that_stays_leaves_no_record_there);
  ADD(agent_that_dies_in_the_move_gives_both_back);
  ADD(pool_that_cannot_be_written_stops_the_move);
  ADD(disks_do_not_move_to_where_another_host_holds_the_lease);
  ADD(generation_of_a_vm_that_is_off_goes_along);
  ADD(torn_slot_leaves_the_one_before);
  ADD(pool_out_of_reach_starts_nothing);
  ADD(start_by_itself_is_for_whoever_had_it_last);
  ADD(vms_start_with_their_host_in_their_order);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* The hypervisor on libvirt's test driver (domains in memory, in this process): reports, events, power, idempotence, strangers, many
 * domains. What needs a real QEMU is in tests/lab/hypervisor. */
#include "base/log.h"
#include "host/hypervisor/hypervisor-private.h"
#include <string.h>

#define DEADLINE_US (200 * G_USEC_PER_SEC)
#define TEST_UUID   "6695eb01-f6a4-8304-79aa-97f2502e193f" /* of the driver's own domain "test" */

typedef struct {
  WsWorkers *workers;
  Hypervisor *hv;
  GAsyncQueue *events, *reports;
  virConnectPtr c; /* somebody else's connection: "virsh" */
} Fixture;

static void on_event(WsRpcVmEvent *event, void *arg)
{
  g_async_queue_push(((Fixture *)arg)->events, event);
}

static void on_report(WsRpcVmReport *page, void *arg)
{
  g_async_queue_push(((Fixture *)arg)->reports, page);
}

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  return false;
}

/* libvirt lets go of a closed connection a little later, on its event thread: the driver may still know the last test's domains. */
static void remove_domains(virConnectPtr c)
{
  virDomainPtr *domains;
  int n = virConnectListAllDomains(c, &domains, 0);
  for (int i = 0; i < n; i++) {
    if (strcmp(virDomainGetName(domains[i]), "test") != 0) {
      virDomainDestroy(domains[i]);
      virDomainUndefineFlags(domains[i], VIR_DOMAIN_UNDEFINE_MANAGED_SAVE);
    }
    virDomainFree(domains[i]);
  }
  free(domains);
}

static void set_up(Fixture *f, gconstpointer unused)
{
  f->c = virConnectOpen("test:///default");
  g_assert_nonnull(f->c);
  remove_domains(f->c);
  f->workers = ws_workers_new("test", 8);
  f->events = g_async_queue_new_full((GDestroyNotify)ws_rpc_vm_event_free);
  f->reports = g_async_queue_new_full((GDestroyNotify)ws_rpc_vm_report_free);
  const HypervisorConfig config = {.uri = "test:///default", .clock = ws_clock_system(), .workers = f->workers, .seed_dir = "/nowhere",
                                   .pool_file = pool_file, .find_pool = find_pool, .on_event = on_event, .on_report = on_report,
                                   .arg = f};
  f->hv = hypervisor_new(&config);
  g_assert_true(hypervisor_wait_ready(f->hv, 60000));
}

static void tear_down(Fixture *f, gconstpointer unused)
{
  hypervisor_free(f->hv);
  ws_workers_free(f->workers);
  g_async_queue_unref(f->events);
  g_async_queue_unref(f->reports);
  virConnectClose(f->c);
}

/* The next event of that kind; others before it are dropped. */
static WsRpcVmEvent *wait_event(Fixture *f, WsRpcVmEventKind kind)
{
  gint64 end = g_get_monotonic_time() + DEADLINE_US;
  for (;;) {
    WsRpcVmEvent *event = g_async_queue_timeout_pop(f->events, (guint64)MAX(0, end - g_get_monotonic_time()));
    if (!event)
      g_error("no event %s came", ws_rpc_vm_event_kind_names[kind - 1]);
    if (event->kind == kind)
      return event;
    ws_rpc_vm_event_free(event);
  }
}

static void expect_event(Fixture *f, WsRpcVmEventKind kind, WsPowerState state, const char *reason)
{
  g_autoptr(WsRpcVmEvent) event = wait_event(f, kind);
  g_assert_nonnull(event->power);
  g_assert_cmpint(event->power->state, ==, state);
  if (reason)
    g_assert_cmpstr(event->reason, ==, reason);
}

static virDomainPtr define(Fixture *f, const char *name, const char *uuid, WsId vm)
{
  g_autofree char *note = vm ? g_strdup_printf("<metadata><ws:vm xmlns:ws='" VIRT_METADATA_URI "' id='%" G_GUINT64_FORMAT "'/></metadata>", vm) : g_strdup("");
  g_autofree char *xml = g_strdup_printf("<domain type='test'><name>%s</name><uuid>%s</uuid>%s<memory>1048576</memory><vcpu>2</vcpu>"
                                         "<os><type arch='x86_64'>hvm</type></os></domain>", name, uuid, note);
  virDomainPtr domain = virDomainDefineXML(f->c, xml);
  g_assert_nonnull(domain);
  return domain;
}

#define UUID_A "11111111-1111-4111-8111-111111111111"

/* ---- reports ---- */

static void report_tells_of_a_stranger(Fixture *f, gconstpointer unused)
{
  g_autoptr(WsRpcVmReport) page = g_async_queue_timeout_pop(f->reports, DEADLINE_US);
  g_assert_nonnull(page);
  g_assert_true(page->last);
  g_assert_cmpuint(page->vms.len, ==, 1);
  const WsVmReport *report = page->vms.items[0];
  g_assert_cmpstr(report->uuid, ==, TEST_UUID);
  g_assert_cmpstr(report->name, ==, "test");
  g_assert_cmpuint(report->vm, ==, 0);
  g_assert_cmpint(report->power->state, ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpint(report->power->since, ==, 0); /* it ran before we looked */
}

static void list_comes_in_pages_in_order(Fixture *f, gconstpointer unused)
{
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < 450; i++) {
    g_autofree char *name = g_strdup_printf("vm-%u", i), *uuid = g_strdup_printf("00000000-0000-4000-8000-%012u", i);
    virDomainFree(define(f, name, uuid, i + 1));
  }
  WsRpcVmList params = {0};
  g_autofree char *after = NULL;
  guint pages = 0;
  for (bool more = true; more; pages++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsRpcVmListResult) result = NULL;
    params.after = after;
    g_assert_true(hypervisor_vm_list(f->hv, &params, &result, &error));
    g_assert_cmpuint(result->vms.len, <=, 200);
    for (guint i = 0; i < result->vms.len; i++) {
      g_assert_true(!after || strcmp(result->vms.items[i]->uuid, after) > 0);
      g_assert_true(g_hash_table_add(seen, g_strdup(result->vms.items[i]->uuid)));
      g_free(after);
      after = g_strdup(result->vms.items[i]->uuid);
    }
    more = result->more;
  }
  g_assert_cmpuint(pages, ==, 3);
  g_assert_cmpuint(g_hash_table_size(seen), ==, 451);
}

/* A name no VM of ours could have, memory in odd bytes: such a stranger is reported, and the report is one the manager takes. */
static void stranger_beyond_our_limits_is_reported(Fixture *f, gconstpointer unused)
{
  g_autofree char *name = g_strnfill(300, 'x');
  g_autoptr(GError) error = NULL;
  virDomainPtr domain = define(f, name, UUID_A, 0);
  WsRpcVmGet params = {.uuid = (char *)UUID_A};
  g_autoptr(WsVmReport) report = NULL;
  g_assert_true(hypervisor_vm_get(f->hv, &params, &report, &error));
  g_autofree char *json = ws_object_to_json(&ws_type_vm_report, report, WS_WRITE_PEER, NULL);
  g_autoptr(WsVmReport) again = ws_vm_report_parse(json, strlen(json), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(again->name, ==, name);
  virDomainFree(domain);
}

/* ---- events ---- */

static void outside_changes_are_events(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "vm-7", UUID_A, 7);
  g_autoptr(WsRpcVmEvent) defined = wait_event(f, WS_RPC_VM_EVENT_KIND_DEFINED);
  g_assert_cmpuint(defined->vm, ==, 7);
  g_assert_nonnull(defined->report);
  virDomainCreate(domain);
  g_autoptr(WsRpcVmEvent) started = wait_event(f, WS_RPC_VM_EVENT_KIND_STARTED);
  g_assert_cmpint(started->power->state, ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpuint(started->vm, ==, 7);
  g_assert_cmpint(started->sequence, >, defined->sequence);
  g_assert_cmpint(started->power->since, >, 0);
  virDomainSuspend(domain);
  expect_event(f, WS_RPC_VM_EVENT_KIND_PAUSED, WS_POWER_STATE_PAUSED, "user");
  virDomainResume(domain);
  expect_event(f, WS_RPC_VM_EVENT_KIND_RESUMED, WS_POWER_STATE_RUNNING, NULL);
  virDomainDestroy(domain);
  expect_event(f, WS_RPC_VM_EVENT_KIND_STOPPED, WS_POWER_STATE_OFF, "destroyed");
  virDomainUndefine(domain);
  g_autoptr(WsRpcVmEvent) undefined = wait_event(f, WS_RPC_VM_EVENT_KIND_UNDEFINED);
  g_assert_cmpstr(undefined->uuid, ==, UUID_A);
  g_assert_cmpuint(undefined->vm, ==, 7);
  virDomainFree(domain);
}

static void transient_domain_that_ends_is_gone(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = virDomainCreateXML(f->c, "<domain type='test'><name>t</name><uuid>" UUID_A "</uuid><memory>1024</memory>"
                                                 "<os><type arch='x86_64'>hvm</type></os></domain>", 0);
  g_assert_nonnull(domain);
  ws_rpc_vm_event_free(wait_event(f, WS_RPC_VM_EVENT_KIND_STARTED));
  WsRpcVmPowerOff params = {.uuid = (char *)UUID_A};
  g_autoptr(WsPower) power = NULL;
  g_assert_true(hypervisor_vm_power_off(f->hv, &params, &power, NULL));
  g_assert_cmpint(power->state, ==, WS_POWER_STATE_OFF);
  ws_rpc_vm_event_free(wait_event(f, WS_RPC_VM_EVENT_KIND_UNDEFINED));
  virDomainFree(domain);
}

static void sequence_numbers_have_no_gap(Fixture *f, gconstpointer unused)
{
  for (guint i = 0; i < 50; i++) {
    g_autofree char *name = g_strdup_printf("g-%u", i), *uuid = g_strdup_printf("00000000-0000-4000-9000-%012u", i);
    virDomainPtr domain = define(f, name, uuid, 0);
    virDomainCreate(domain);
    virDomainFree(domain);
  }
  for (gint64 i = 1; i <= 100; i++) {
    g_autoptr(WsRpcVmEvent) event = g_async_queue_timeout_pop(f->events, DEADLINE_US);
    g_assert_nonnull(event);
    g_assert_cmpint(event->sequence, ==, i);
  }
}

/* ---- power ---- */

#define POWER(f, verb, Verb, want)                                                                                     \
  do {                                                                                                                 \
    g_autoptr(GError) e_ = NULL;                                                                                       \
    g_autoptr(WsPower) p_ = NULL;                                                                                      \
    WsRpcVm##Verb params_ = {.vm = 7, .uuid = (char *)UUID_A};                                                         \
    hypervisor_vm_##verb((f)->hv, &params_, &p_, &e_);                                                                 \
    g_assert_no_error(e_);                                                                                             \
    g_assert_cmpint(p_->state, ==, WS_POWER_STATE_##want);                                                             \
  } while (0)

static void power_calls_may_be_repeated(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "vm-7", UUID_A, 7);
  for (int i = 0; i < 2; i++)
    POWER(f, power_off, PowerOff, OFF);
  for (int i = 0; i < 2; i++)
    POWER(f, start, Start, RUNNING);
  for (int i = 0; i < 2; i++)
    POWER(f, pause, Pause, PAUSED);
  for (int i = 0; i < 2; i++)
    POWER(f, resume, Resume, RUNNING);
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsPower) power = NULL;
    WsRpcVmHibernate params = {.vm = 7, .uuid = (char *)UUID_A};
    hypervisor_vm_hibernate(f->hv, &params, NULL, &power, &error);
    g_assert_no_error(error);
    g_assert_cmpint(power->state, ==, WS_POWER_STATE_HIBERNATED);
  }
  POWER(f, resume, Resume, RUNNING);
  POWER(f, power_off, PowerOff, OFF);
  for (int i = 0; i < 2; i++)
    POWER(f, discard_saved, DiscardSaved, OFF);
  POWER(f, shutdown, Shutdown, OFF);
  virDomainFree(domain);
}

static void power_call_in_the_wrong_state_says_so(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "vm-7", UUID_A, 7);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsPower) power = NULL;
  WsRpcVmReset params = {.vm = 7, .uuid = (char *)UUID_A};
  g_assert_false(hypervisor_vm_reset(f->hv, &params, &power, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_WRONG_STATE);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "vm-7");
  g_assert_cmpstr(ws_error_param(error, "state"), ==, "off");
  virDomainFree(domain);
}

static void unknown_vm_is_not_found(Fixture *f, gconstpointer unused)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsPower) power = NULL;
  WsRpcVmStart params = {.vm = 9, .uuid = (char *)UUID_A};
  g_assert_false(hypervisor_vm_start(f->hv, &params, &power, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_NOT_FOUND);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "vm-9");
}

/* ---- definition ---- */

static void adopted_stranger_is_ours_until_released(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "legacy", UUID_A, 0);
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsVmReport) report = NULL;
    WsRpcVmAdopt params = {.vm = 12, .uuid = (char *)UUID_A};
    hypervisor_vm_adopt(f->hv, &params, &report, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(report->vm, ==, 12);
  }
  g_autoptr(GError) taken = NULL;
  g_autoptr(WsVmReport) none = NULL;
  WsRpcVmAdopt other = {.vm = 13, .uuid = (char *)UUID_A};
  g_assert_false(hypervisor_vm_adopt(f->hv, &other, &none, &taken));
  g_assert_cmpint(ws_error_code(taken), ==, WS_ERROR_ALREADY_EXISTS);
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) error = NULL;
    WsRpcVmRelease params = {.vm = 12, .uuid = (char *)UUID_A};
    hypervisor_vm_release(f->hv, &params, &error);
    g_assert_no_error(error);
  }
  g_autoptr(WsVmReport) report = NULL;
  WsRpcVmGet get = {.uuid = (char *)UUID_A};
  g_assert_true(hypervisor_vm_get(f->hv, &get, &report, NULL));
  g_assert_cmpuint(report->vm, ==, 0);
  virDomainFree(domain);
}

static void running_vm_is_not_undefined(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "vm-7", UUID_A, 7);
  WsRpcVmUndefine params = {.vm = 7, .uuid = (char *)UUID_A, .keep_state = true};
  g_autoptr(GError) error = NULL;
  virDomainCreate(domain);
  g_assert_false(hypervisor_vm_undefine(f->hv, &params, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_WRONG_STATE);
  virDomainFree(domain);
}

/* ---- load ---- */

static void stats_cover_running_domains(Fixture *f, gconstpointer unused)
{
  virDomainPtr domain = define(f, "vm-7", UUID_A, 7);
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsRpcVmStatsResult) result = NULL;
    hypervisor_vm_stats(f->hv, &result, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(result->samples.len, ==, 1);
    g_assert_cmpstr(result->samples.items[0]->uuid, ==, TEST_UUID);
  }
  virDomainFree(domain);
}

/* ---- away ---- */

static void calls_fail_plainly_while_libvirt_is_away(void)
{
  WsWorkers *workers = ws_workers_new("test", 2);
  const HypervisorConfig config = {.uri = "qemu+unix:///system?socket=/nonexistent/socket", .clock = ws_clock_system(), .workers = workers,
                                   .seed_dir = "/nowhere", .pool_file = pool_file, .find_pool = find_pool};
  g_autoptr(Hypervisor) hv = hypervisor_new(&config);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVmListResult) result = NULL;
  WsRpcVmList params = {0};
  g_assert_false(hypervisor_wait_ready(hv, 300));
  g_assert_false(hypervisor_vm_list(hv, &params, &result, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_HYPERVISOR_UNREACHABLE);
  g_clear_pointer(&hv, hypervisor_free);
  ws_workers_free(workers);
}

/* Events of a reset come when a restart through ACPI has been asked for since: the guest has not restarted by that. */
static void late_event_of_a_reset_is_no_restart(Fixture *f, const void *data)
{
  virt_facts_set_restarting(f->hv, TEST_UUID, true);
  virt_facts_note_reset(f->hv, TEST_UUID); /* no reset of ours: the guest's */
  g_assert_false(virt_facts_is_restarting(f->hv, TEST_UUID));
  virt_facts_set_restarting(f->hv, TEST_UUID, true);
  virt_facts_note_own_reset(f->hv, TEST_UUID);
  g_assert_false(virt_facts_is_restarting(f->hv, TEST_UUID));
  virt_facts_set_restarting(f->hv, TEST_UUID, true);
  virt_facts_note_reset(f->hv, TEST_UUID);
  virt_facts_note_reset(f->hv, TEST_UUID);
  g_assert_true(virt_facts_is_restarting(f->hv, TEST_UUID));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_log_init("test", WS_LOG_ERROR, NULL);
#define ADD(name) g_test_add("/hypervisor/libvirt/" #name, Fixture, NULL, set_up, name, tear_down)
  ADD(report_tells_of_a_stranger);
  ADD(list_comes_in_pages_in_order);
  ADD(stranger_beyond_our_limits_is_reported);
  ADD(outside_changes_are_events);
  ADD(transient_domain_that_ends_is_gone);
  ADD(sequence_numbers_have_no_gap);
  ADD(power_calls_may_be_repeated);
  ADD(power_call_in_the_wrong_state_says_so);
  ADD(unknown_vm_is_not_found);
  ADD(adopted_stranger_is_ours_until_released);
  ADD(running_vm_is_not_undefined);
  ADD(stats_cover_running_domains);
  ADD(late_event_of_a_reset_is_no_restart);
  g_test_add_func("/hypervisor/libvirt/calls_fail_plainly_while_libvirt_is_away", calls_fail_plainly_while_libvirt_is_away);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* The hypervisor with a real libvirtd, QEMU, Open vSwitch and guest. Run by tests/lab/hypervisor inside a lab host:
 *
 *     hypervisor-guest [-p CASE] IMAGE FOLDER
 *
 * One VM lives through most cases; each case brings it into the state it needs, so that single cases can be run. */
#include "base/log.h"
#include "host/hypervisor/hypervisor-private.h"
#include <glib/gstdio.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* They end what hangs. */
#define AGENT_DEADLINE_MS 400000
#define EVENT_DEADLINE_MS 300000
#define VM                42
#define UUID              "6f1d9a1c-7d0e-4a55-9c51-0242ac110042"
#define MIB               (1024 * 1024)

static struct {
  WsWorkers *workers;
  Hypervisor *hv;
  GMutex lock;
  GCond came;
  GPtrArray *events; /* WsRpcVmEvent, all of them */
  guint reports;     /* full reports */
  char *image, *folder, *pool, *small_pool;
  virConnectPtr c; /* for what somebody else does */
} lab;

/* ---- callbacks ---- */

static void on_event(WsRpcVmEvent *event, void *arg)
{
  g_mutex_lock(&lab.lock);
  g_ptr_array_add(lab.events, event);
  g_cond_broadcast(&lab.came);
  g_mutex_unlock(&lab.lock);
}

static void on_report(WsRpcVmReport *page, void *arg)
{
  g_mutex_lock(&lab.lock);
  lab.reports += page->last;
  g_cond_broadcast(&lab.came);
  g_mutex_unlock(&lab.lock);
  ws_rpc_vm_report_free(page);
}

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_build_filename(pool == 2 ? lab.small_pool : lab.pool, file, NULL);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  g_autofree char *dir = g_path_get_dirname(path);
  if (strcmp(dir, lab.pool) != 0)
    return false;
  *pool = 1;
  *file = g_path_get_basename(path);
  return true;
}

/* ---- waiting ---- */

static guint mark(void)
{
  g_mutex_lock(&lab.lock);
  guint n = lab.events->len;
  g_mutex_unlock(&lab.lock);
  return n;
}

/* The first event of that kind after `mark`; device NULL: of any. Borrowed. */
static const WsRpcVmEvent *wait_event(guint from, WsRpcVmEventKind kind, const char *device)
{
  gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000);
  g_mutex_lock(&lab.lock);
  for (;;) {
    for (; from < lab.events->len; from++) {
      const WsRpcVmEvent *event = lab.events->pdata[from];
      if (event->kind == kind && (!device || g_strcmp0(event->device, device) == 0)) {
        g_mutex_unlock(&lab.lock);
        return event;
      }
    }
    if (!g_cond_wait_until(&lab.came, &lab.lock, end))
      g_error("no event %s came", ws_rpc_vm_event_kind_names[kind - 1]);
  }
}

static WsVmReport *get(void)
{
  g_autoptr(GError) error = NULL;
  WsVmReport *report = NULL;
  WsRpcVmGet params = {.vm = VM, .uuid = (char *)UUID};
  hypervisor_vm_get(lab.hv, &params, &report, &error);
  g_assert_no_error(error);
  return report;
}

static bool wait_until(bool (*is_so)(void), guint timeout_ms)
{
  gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
  while (!is_so()) {
    if (g_get_monotonic_time() > end)
      return false;
    g_usleep(50000);
  }
  return true;
}

static bool agent_answers(void)
{
  g_autoptr(WsVmReport) report = get();
  return report->guest && report->guest->agent == WS_VM_GUEST_AGENT_CONNECTED && report->guest->hostname;
}

/* ---- the guest ---- */

static virDomainPtr domain(void)
{
  virDomainPtr d = virDomainLookupByUUIDString(lab.c, UUID);
  g_assert_nonnull(d);
  return d;
}

/* Answer of one agent command; unref it. */
static json_t *agent(const char *command)
{
  VIRT_AUTO_DOMAIN d = domain();
  char *text = virDomainQemuAgentCommand(d, command, 120, 0);
  json_t *answer = text ? json_loads(text, 0, NULL) : NULL;
  if (!answer)
    g_error("agent: %s: %s", command, virGetLastErrorMessage());
  free(text);
  return answer;
}

/* Output of a shell line in the guest. */
static char *guest_shell(const char *line)
{
  json_t *request = json_pack("{s:s, s:{s:s, s:[s,s], s:b}}", "execute", "guest-exec", "arguments", "path", "/bin/sh", "arg", "-c", line,
                              "capture-output", 1);
  char *text = json_dumps(request, 0);
  json_t *started = agent(text);
  g_autofree char *status = g_strdup_printf("{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%d}}",
                                            (int)json_integer_value(json_object_get(json_object_get(started, "return"), "pid")));
  json_decref(started);
  json_decref(request);
  free(text);
  for (gint64 end = g_get_monotonic_time() + AGENT_DEADLINE_MS * G_GINT64_CONSTANT(1000); g_get_monotonic_time() < end;) {
    json_t *answer = agent(status), *done = json_object_get(answer, "return");
    if (json_is_true(json_object_get(done, "exited"))) {
      gsize n;
      const char *data = json_string_value(json_object_get(done, "out-data"));
      guchar *out = data ? g_base64_decode(data, &n) : NULL;
      char *copy = out ? g_strchomp(g_strndup((char *)out, n)) : g_strdup("");
      g_free(out);
      json_decref(answer);
      return copy;
    }
    json_decref(answer);
    g_usleep(100000);
  }
  g_error("guest: %s did not end", line);
}

static void expect_guest(const char *line, const char *want)
{
  g_autofree char *got = NULL;
  for (gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000); g_get_monotonic_time() < end;) { /* what was plugged in
      shows a little later */
    g_free(got);
    got = guest_shell(line);
    if (strcmp(got, want) == 0)
      return;
    g_usleep(100000);
  }
  g_error("guest: %s: \"%s\", expected \"%s\"", line, got, want);
}

/* ---- the VM ---- */

static void run(const char *const *argv)
{
  int status;
  g_autofree char *err = NULL;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &err, &status,
                             NULL));
  if (status != 0)
    g_error("%s: %s", argv[0], err);
}

static void new_disk(const char *name, const char *format, const char *size)
{
  g_autofree char *path = g_build_filename(lab.pool, name, NULL);
  if (!g_file_test(path, G_FILE_TEST_EXISTS))
    run((const char *[]){"qemu-img", "create", "-q", "-f", format, path, size, NULL});
}

static WsVmSpec *new_spec(void)
{
  static const char json[] =
    "{\"vm\":\"vm-42\",\"name\":\"web <1>\",\"description\":\"lab\",\"uuid\":\"" UUID "\",\"architecture\":\"x86_64\","
    "\"cpu\":{\"vcpus\":1,\"max_vcpus\":4},\"memory_bytes\":335544320,\"memory_max_bytes\":2147483648,\"seed\":true,"
    "\"disks\":[{\"key\":\"disk-0\",\"volume\":\"vol-7\",\"pool\":\"pool-1\",\"file\":\"root.qcow2\"}],"
    "\"cdroms\":[{\"key\":\"cd-0\"}],"
    "\"nics\":[{\"key\":\"nic-0\",\"port_group\":\"pg-5\",\"bridge\":\"br0\",\"mac\":\"52:54:00:00:42:00\"}]}";
  g_autoptr(GError) error = NULL;
  WsVmSpec *spec = ws_vm_spec_parse(json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  return spec;
}

static WsVmReport *define(WsVmSpec *spec, const char *cloud_init)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmCloudInit) settings =
    cloud_init ? ws_vm_cloud_init_parse(cloud_init, strlen(cloud_init), WS_PARSE_CREATE, &error) : NULL;
  WsVmReport *report = NULL;
  WsRpcVmDefine params = {.spec = spec, .cloud_init = settings};
  hypervisor_vm_define(lab.hv, &params, &report, &error);
  g_assert_no_error(error);
  return report;
}

#define POWER(verb, Verb, want)                                                                                        \
  do {                                                                                                                 \
    g_autoptr(GError) e_ = NULL;                                                                                       \
    g_autoptr(WsPower) p_ = NULL;                                                                                      \
    WsRpcVm##Verb params_ = {.vm = VM, .uuid = (char *)UUID};                                                          \
    hypervisor_vm_##verb(lab.hv, &params_, &p_, &e_);                                                                  \
    g_assert_no_error(e_);                                                                                             \
    g_assert_cmpint(p_->state, ==, WS_POWER_STATE_##want);                                                             \
  } while (0)

#define SEED                                                                                                           \
  "{\"hostname\":\"web-1\",\"user\":\"root\",\"password\":\"s3cret\",\"networks\":[{\"nic\":\"nic-0\",\"method\":\"static\"," \
  "\"addresses\":[\"10.79.1.5/24\"],\"gateways\":[\"10.79.1.1\"]}]}"

/* The VM as new_spec() says, running, its agent answering. */
static void have_guest(void)
{
  g_autoptr(WsVmSpec) spec = new_spec();
  VIRT_AUTO_DOMAIN there = virDomainLookupByUUIDString(lab.c, UUID);
  if (!there)
    ws_vm_report_free(define(spec, SEED));
  POWER(start, Start, RUNNING);
  if (!wait_until(agent_answers, AGENT_DEADLINE_MS))
    g_error("the guest did not answer");
}

static WsVmReport *update(WsVmSpec *spec, const char *refused)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) list = NULL;
  WsVmReport *report = NULL;
  WsRpcVmUpdateLive params = {.spec = spec};
  hypervisor_vm_update_live(lab.hv, &params, &report, &list, &error);
  g_assert_no_error(error);
  g_ptr_array_add(list, NULL);
  g_autofree char *all = g_strjoinv("; ", (char **)list->pdata);
  if (!refused)
    g_assert_cmpstr(all, ==, "");
  else if (!strstr(all, refused))
    g_error("refused: \"%s\", expected \"%s\"", all, refused);
  return report;
}

static void expect_pending(const WsVmReport *report, const char *want)
{
  GString *all = g_string_new(NULL);
  for (guint i = 0; i < report->pending_restart.len; i++)
    g_string_append_printf(all, "%s%s", i ? " " : "", report->pending_restart.items[i]);
  g_assert_cmpstr(all->str, ==, want);
  g_string_free(all, TRUE);
}

/* ---- cases ---- */

static void defining_twice_is_one_definition(void)
{
  g_autoptr(WsVmSpec) spec = new_spec();
  g_autoptr(WsVmReport) first = define(spec, SEED), second = define(spec, NULL);
  g_autofree char *a = ws_object_to_json(&ws_type_vm_spec, first->spec, WS_WRITE_STORED, NULL);
  g_autofree char *b = ws_object_to_json(&ws_type_vm_spec, second->spec, WS_WRITE_STORED, NULL);
  g_assert_cmpstr(a, ==, b);
  g_assert_cmpuint(second->vm, ==, VM);
  g_assert_cmpstr(second->name, ==, "web <1>");
  g_assert_cmpuint(second->blockers.len, ==, 0);
  g_assert_true(g_str_has_prefix(second->spec->machine, "pc-q35-")); /* a version, so that it stays */
}

static void redefinition_moves_no_device(void)
{
  g_autoptr(WsVmSpec) spec = new_spec();
  ws_vm_report_free(define(spec, NULL));
  VIRT_AUTO_DOMAIN d = domain();
  char *before = virDomainGetXMLDesc(d, VIR_DOMAIN_XML_INACTIVE);
  new_disk("extra.qcow2", "qcow2", "64M");
  WsVmSpecDisk *disk = ws_vm_spec_disk_new();
  disk->key = g_strdup("a-first");
  disk->pool = 1;
  disk->file = g_strdup("extra.qcow2");
  ws_array_add(&spec->disks, disk);
  spec->disks.items[1] = spec->disks.items[0]; /* before the one that was there */
  spec->disks.items[0] = disk;
  ws_vm_report_free(define(spec, NULL));
  g_autoptr(WsVmSpec) again = new_spec();
  ws_vm_report_free(define(again, NULL)); /* and gone again */
  char *after = virDomainGetXMLDesc(d, VIR_DOMAIN_XML_INACTIVE);
  g_assert_cmpstr(after, ==, before);
  free(before);
  free(after);
}

static void guest_starts_with_its_seed(void)
{
  gint64 start = g_get_monotonic_time();
  have_guest();
  g_test_message("start to agent answer: %.1f s", (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC);
  expect_guest("hostname", "web-1");
  expect_guest("ip -4 -o addr show dev eth0 | tr -s ' ' | cut -d' ' -f4", "10.79.1.5/24");
  expect_guest("grep -c '^root:\\$6\\$' /etc/shadow", "1");
  g_autoptr(WsVmReport) report = get();
  g_assert_cmpstr(report->guest->hostname, ==, "web-1");
  g_assert_nonnull(report->guest->agent_version);
  g_assert_cmpuint(report->taps.len, ==, 1);
  expect_pending(report, "");
  POWER(start, Start, RUNNING); /* again: no error */
}

static void guest_address_is_reported(void)
{
  have_guest();
  g_autoptr(WsVmReport) report = NULL;
  for (gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000); g_get_monotonic_time() < end;) {
    g_clear_pointer(&report, ws_vm_report_free);
    report = get();
    if (report->guest->ips.len > 0)
      break;
    g_usleep(100000);
  }
  g_assert_cmpuint(report->guest->ips.len, >=, 1);
  g_assert_cmpstr(report->guest->ips.items[0], ==, "10.79.1.5");
  bool named = false;
  for (guint i = 0; i < report->guest->interfaces.len; i++)
    named |= g_strcmp0(report->guest->interfaces.items[i]->nic, "nic-0") == 0;
  g_assert_true(named);
}

static void disks_come_and_go_while_it_runs(void)
{
  have_guest();
  new_disk("extra.qcow2", "qcow2", "64M");
  new_disk("scsi.raw", "raw", "32M");
  g_autoptr(WsVmSpec) spec = new_spec();
  const struct { const char *key, *file; int bus, format; } rows[] = {
    {"disk-1", "extra.qcow2", WS_VM_SPEC_DISK_BUS_VIRTIO_BLK, WS_VM_SPEC_DISK_FORMAT_QCOW2},
    {"disk-2", "scsi.raw", WS_VM_SPEC_DISK_BUS_VIRTIO_SCSI, WS_VM_SPEC_DISK_FORMAT_RAW},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    WsVmSpecDisk *disk = ws_vm_spec_disk_new();
    disk->key = g_strdup(rows[i].key);
    disk->pool = 1;
    disk->file = g_strdup(rows[i].file);
    disk->bus = rows[i].bus;
    disk->format = rows[i].format;
    ws_array_add(&spec->disks, disk);
  }
  g_autoptr(WsVmReport) with = update(spec, NULL);
  expect_pending(with, "");
  expect_guest("cat /sys/block/vdb/size", "131072");
  expect_guest("cat /sys/block/sda/size", "65536");
  g_autoptr(WsVmReport) repeated = update(spec, NULL);
  expect_pending(repeated, "");

  spec->disks.items[1]->limits = ws_vm_io_limits_new();
  spec->disks.items[1]->limits->total_iops = 200;
  g_autoptr(WsVmReport) limited = update(spec, NULL);
  expect_pending(limited, "");
  g_assert_cmpint(limited->spec->disks.items[1]->limits->total_iops, ==, 200);

  g_autoptr(GError) error = NULL;
  WsRpcVmDiskResize grow = {.vm = VM, .uuid = (char *)UUID, .key = (char *)"disk-1", .size_bytes = 96 * MIB};
  for (int i = 0; i < 2; i++)
    g_assert_true(hypervisor_vm_disk_resize(lab.hv, &grow, &error));
  expect_guest("cat /sys/block/vdb/size", "196608");

  guint from = mark();
  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) without = update(plain, NULL);
  expect_pending(without, "");
  wait_event(from, WS_RPC_VM_EVENT_KIND_DEVICE_REMOVED, "disk-1");
  expect_guest("ls /sys/block | grep -c 'vdb\\|^sda'", "0");
}

static void nics_come_and_go_while_it_runs(void)
{
  have_guest();
  g_autoptr(WsVmSpec) spec = new_spec();
  WsVmSpecNic *nic = ws_vm_spec_nic_copy(spec->nics.items[0]);
  g_free(nic->key);
  nic->key = g_strdup("nic-1");
  g_free(nic->mac);
  nic->mac = g_strdup("52:54:00:00:42:01");
  ws_array_add(&spec->nics, nic);
  g_autoptr(WsVmReport) with = update(spec, NULL);
  expect_pending(with, "");
  g_assert_cmpuint(with->taps.len, ==, 2);
  expect_guest("cat /sys/class/net/eth1/address", "52:54:00:00:42:01");
  nic->connected = false;
  nic->vlan = 7;
  g_autoptr(WsVmReport) cut = update(spec, NULL);
  expect_pending(cut, "");
  expect_guest("ip link set eth1 up; cat /sys/class/net/eth1/carrier", "0");
  nic->connected = true;
  g_autoptr(WsVmReport) healed = update(spec, NULL);
  expect_guest("cat /sys/class/net/eth1/carrier", "1");
  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) without = update(plain, NULL);
  expect_pending(without, "");
  g_assert_cmpuint(without->taps.len, ==, 1);
}

static void media_change_while_it_runs(void)
{
  have_guest();
  g_autofree char *path = g_build_filename(lab.pool, "tools.iso", NULL);
  g_autofree char *zeros = g_malloc0(2 * MIB);
  g_assert_true(g_file_set_contents(path, zeros, 2 * MIB, NULL));
  g_autoptr(WsVmSpec) spec = new_spec();
  spec->cdroms.items[0]->pool = 1;
  spec->cdroms.items[0]->file = g_strdup("tools.iso");
  g_autoptr(WsVmReport) in = update(spec, NULL);
  expect_pending(in, "");
  g_assert_cmpstr(in->spec->cdroms.items[0]->file, ==, "tools.iso");
  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) out = update(plain, NULL);
  expect_pending(out, "");
  g_assert_null(out->spec->cdroms.items[0]->file);
}

static void memory_and_vcpus_grow_while_it_runs(void)
{
  have_guest();
  g_autoptr(WsVmSpec) spec = new_spec();
  spec->memory_bytes += 256 * MIB;
  spec->cpu->vcpus = 3;
  g_autoptr(WsVmReport) grown = update(spec, NULL);
  expect_pending(grown, "");
  g_assert_cmpint(grown->live_vcpus, ==, 3);
  g_assert_cmpint(grown->live_memory_bytes, ==, spec->memory_bytes);
  expect_guest("nproc", "3");
  expect_guest("[ $(sed -n 's/MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo) -gt 450000 ] && echo more", "more");
  spec->memory_bytes -= 200 * MIB; /* by the balloon */
  g_autoptr(WsVmReport) shrunk = update(spec, NULL);
  g_assert_cmpint(shrunk->spec->memory_bytes, ==, spec->memory_bytes);

  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) fewer = update(plain, "cpu.vcpus: ");
  g_assert_cmpint(fewer->live_vcpus, ==, 3);
  POWER(power_off, PowerOff, OFF);
  have_guest();
  g_autoptr(WsVmReport) report = get();
  expect_pending(report, "");
  g_assert_cmpint(report->live_vcpus, ==, 1);
}

static void what_waits_for_a_restart_is_named(void)
{
  have_guest();
  g_autoptr(WsVmSpec) spec = new_spec();
  spec->disks.items[0]->cache = WS_VM_SPEC_DISK_CACHE_WRITEBACK;
  spec->cpu->max_vcpus = 2;
  spec->name[0] = 'W';
  spec->rng = false;
  g_autoptr(WsVmReport) report = update(spec, NULL);
  expect_pending(report, "cpu.max_vcpus disks[disk-0].cache rng");
  g_assert_cmpstr(report->name, ==, "Web <1>");
  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) back = update(plain, NULL);
  expect_pending(back, "");
}

/* ---- consoles ---- */

static struct {
  GMutex lock;
  GCond came;
  GString *text;
  bool ended;
  bool hold, inside; /* who tells of bytes waits while `hold`, and is there */
} heard;

static void on_bytes(const char *bytes, gsize n, void *arg)
{
  g_mutex_lock(&heard.lock);
  g_string_append_len(heard.text, bytes, (gssize)n);
  heard.inside = true;
  g_cond_broadcast(&heard.came);
  while (heard.hold)
    g_cond_wait(&heard.came, &heard.lock);
  heard.inside = false;
  g_mutex_unlock(&heard.lock);
}

static void on_ended(const char *reason, void *arg)
{
  g_mutex_lock(&heard.lock);
  g_assert_false(heard.inside); /* it is the last event: what belongs to it is freed */
  heard.ended = true;
  g_cond_broadcast(&heard.came);
  g_mutex_unlock(&heard.lock);
}

static const VirtConsoleEvents console_events = {.bytes = on_bytes, .ended = on_ended};

static VirtConsole *open_console(bool vnc)
{
  g_autoptr(GError) error = NULL;
  g_mutex_lock(&heard.lock);
  if (heard.text)
    g_string_free(heard.text, TRUE);
  heard.text = g_string_new(NULL);
  heard.ended = false;
  g_mutex_unlock(&heard.lock);
  VirtConsole *console = hypervisor_console_open(lab.hv, VM, UUID, vnc, &console_events, NULL, &error);
  g_assert_no_error(error);
  virt_console_flow(console, true);
  return console;
}

/* Waits until `text` was heard. */
static void expect_heard(const char *text)
{
  gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000);
  g_mutex_lock(&heard.lock);
  while (!g_strstr_len(heard.text->str, (gssize)heard.text->len, text))
    if (!g_cond_wait_until(&heard.came, &heard.lock, end))
      g_error("console: not heard: %s; but: %s", text, heard.text->str);
  g_mutex_unlock(&heard.lock);
}

static bool console_ended(void)
{
  g_mutex_lock(&heard.lock);
  bool ended = heard.ended;
  g_mutex_unlock(&heard.lock);
  return ended;
}

static void screen_speaks_rfb(void)
{
  have_guest();
  VirtConsole *console = open_console(true);
  expect_heard("RFB 003.008\n");
  g_assert_true(virt_console_send(console, "RFB 003.008\n", 12));
  expect_heard("\n\001\001"); /* one security type: none */
  virt_console_close(console, "done");
  g_assert_true(wait_until(console_ended, EVENT_DEADLINE_MS));
  virt_console_unref(console);
}

static void console_is_closed_while_it_speaks(void)
{
  have_guest();
  heard.hold = true;
  VirtConsole *console = open_console(true);
  expect_heard("RFB 003.008\n");
  virt_console_close(console, "done");
  g_assert_false(console_ended());
  g_mutex_lock(&heard.lock);
  heard.hold = false;
  g_cond_broadcast(&heard.came);
  g_mutex_unlock(&heard.lock);
  g_assert_true(wait_until(console_ended, EVENT_DEADLINE_MS));
  virt_console_unref(console);
}

static void serial_port_lets_in(void)
{
  have_guest();
  VirtConsole *console = open_console(false);
  virt_console_send(console, "\n", 1);
  expect_heard("login:");
  virt_console_send(console, "root\n", 5);
  expect_heard("assword:");
  virt_console_send(console, "s3cret\n", 7);
  expect_heard("#");
  virt_console_send(console, "echo sum-$((40+2))\n", 19);
  expect_heard("sum-42");
  virt_console_send(console, "exit\n", 5);
  virt_console_close(console, "done");
  virt_console_unref(console);
}

static void consoles_end_with_the_guest(void)
{
  have_guest();
  VirtConsole *console = open_console(true);
  expect_heard("RFB");
  POWER(power_off, PowerOff, OFF);
  g_assert_true(wait_until(console_ended, EVENT_DEADLINE_MS));
  virt_console_unref(console);
  g_autoptr(GError) error = NULL;
  g_assert_null(hypervisor_console_open(lab.hv, VM, UUID, true, &console_events, NULL, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_WRONG_STATE);
}

static GBytes *screenshot(void)
{
  g_autoptr(GError) error = NULL;
  GBytes *png = NULL;
  WsRpcVmScreenshot params = {.vm = VM, .uuid = (char *)UUID};
  hypervisor_vm_screenshot(lab.hv, &params, &png, &error);
  g_assert_no_error(error);
  g_assert_cmpmem(g_bytes_get_data(png, NULL), 8, "\x89PNG\r\n\x1a\n", 8);
  return png;
}

static void keys_change_the_picture(void)
{
  have_guest();
  g_autoptr(GBytes) before = screenshot();
  char *keys[] = {(char *)"shift", (char *)"x"};
  WsRpcVmSendKeys params = {.vm = VM, .uuid = (char *)UUID, .hold_ms = 50, .keys = {2, keys}};
  for (int i = 0; i < 100; i++) {
    g_autoptr(GError) error = NULL;
    hypervisor_vm_send_keys(lab.hv, &params, &error);
    g_assert_no_error(error);
    g_usleep(200000);
    g_autoptr(GBytes) after = screenshot();
    if (!g_bytes_equal(before, after))
      return;
  }
  g_error("the picture stayed the same");
}

static void unknown_key_is_refused(void)
{
  char *keys[] = {(char *)"ctrl", (char *)"any"};
  WsRpcVmSendKeys params = {.vm = VM, .uuid = (char *)UUID, .hold_ms = 50, .keys = {2, keys}};
  g_autoptr(GError) error = NULL;
  g_assert_false(hypervisor_vm_send_keys(lab.hv, &params, &error));
  g_assert_cmpstr(ws_error_field(error), ==, "keys[1]");
}

/* ---- power ---- */

static void progress(gint64 done, gint64 total, void *arg)
{
  g_atomic_int_inc((gint *)arg);
}

static void hibernated_guest_goes_on(void)
{
  have_guest();
  g_free(guest_shell("echo kept > /run/kept"));
  gint calls = 0;
  g_autoptr(GError) error = NULL;
  g_autoptr(WsPower) power = NULL;
  WsRpcVmHibernate params = {.vm = VM, .uuid = (char *)UUID};
  HypervisorOp op = {.progress = progress, .arg = &calls};
  guint from = mark();
  hypervisor_vm_hibernate(lab.hv, &params, &op, &power, &error);
  g_assert_no_error(error);
  g_assert_cmpint(power->state, ==, WS_POWER_STATE_HIBERNATED);
  wait_event(from, WS_RPC_VM_EVENT_KIND_HIBERNATED, NULL);
  POWER(resume, Resume, RUNNING);
  g_assert_true(wait_until(agent_answers, AGENT_DEADLINE_MS));
  expect_guest("cat /run/kept", "kept");
}

static void guest_reboots_and_shuts_down_when_asked(void)
{
  have_guest();
  guint from = mark();
  POWER(reboot, Reboot, RUNNING);
  wait_event(from, WS_RPC_VM_EVENT_KIND_REBOOTED, NULL);
  g_assert_true(wait_until(agent_answers, AGENT_DEADLINE_MS));
  from = mark();
  POWER(shutdown, Shutdown, RUNNING);
  const WsRpcVmEvent *stopped = wait_event(from, WS_RPC_VM_EVENT_KIND_STOPPED, NULL);
  g_assert_cmpstr(stopped->reason, ==, "shutdown");
  g_assert_cmpint(stopped->power->state, ==, WS_POWER_STATE_OFF);
}

static pid_t qemu_pid(void)
{
  g_autofree char *path = g_strdup_printf("/run/libvirt/qemu/vm-%d.pid", VM), *text = NULL;
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  return (pid_t)g_ascii_strtoll(text, NULL, 10);
}

static void killed_qemu_is_noticed(void)
{
  have_guest();
  guint from = mark();
  kill(qemu_pid(), SIGKILL);
  const WsRpcVmEvent *stopped = wait_event(from, WS_RPC_VM_EVENT_KIND_STOPPED, NULL);
  g_assert_cmpint(stopped->power->state, ==, WS_POWER_STATE_OFF);
  g_assert_cmpstr(stopped->reason, ==, "crashed");
}

static void virsh_destroy_is_noticed(void)
{
  have_guest();
  guint from = mark();
  VIRT_AUTO_DOMAIN d = domain();
  virDomainDestroy(d);
  wait_event(from, WS_RPC_VM_EVENT_KIND_STOPPED, NULL);
}

/* ---- faults ---- */

static gpointer pause_it(gpointer arg)
{
  g_autoptr(WsPower) power = NULL;
  WsRpcVmPause params = {.vm = VM, .uuid = (char *)UUID};
  return GINT_TO_POINTER(hypervisor_vm_pause(lab.hv, &params, &power, NULL));
}

/* Load and reports of a QEMU that stands still do not wait for it; it can be ended. What waits for it waits 30 s each time. */
static void frozen_qemu_holds_up_nobody(void)
{
  have_guest();
  pid_t pid = qemu_pid();
  kill(pid, SIGSTOP);
  GThread *hanging = g_thread_new("hanging", pause_it, NULL);
  gint64 start = g_get_monotonic_time();
  for (int i = 0; i < 5; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(WsRpcVmStatsResult) stats = NULL;
    g_autoptr(WsRpcVmListResult) list = NULL;
    WsRpcVmList params = {0};
    g_assert_true(hypervisor_vm_stats(lab.hv, &stats, &error));
    g_assert_true(hypervisor_vm_list(lab.hv, &params, &list, &error));
    g_assert_cmpuint(list->vms.len, ==, 1);
    g_usleep(100000);
  }
  g_assert_cmpint(g_get_monotonic_time() - start, <, 100 * G_USEC_PER_SEC);
  POWER(power_off, PowerOff, OFF);
  g_thread_join(hanging);
}

static void full_disk_holds_the_guest_until_there_is_room(void)
{
  /* A pool of 16 MiB, where a disk of 64 MiB is plugged in. */
  g_assert_cmpint(mount("small", lab.small_pool, "tmpfs", 0, "size=16m"), ==, 0);
  g_autofree char *path = g_build_filename(lab.small_pool, "big.raw", NULL);
  run((const char *[]){"truncate", "-s", "64M", path, NULL});
  have_guest();
  g_autoptr(WsVmSpec) spec = new_spec();
  WsVmSpecDisk *disk = ws_vm_spec_disk_new();
  disk->key = g_strdup("big");
  disk->pool = 2;
  disk->file = g_strdup("big.raw");
  disk->format = WS_VM_SPEC_DISK_FORMAT_RAW;
  disk->cache = WS_VM_SPEC_DISK_CACHE_WRITEBACK; /* tmpfs knows no direct I/O */
  ws_array_add(&spec->disks, disk);
  g_autoptr(WsVmReport) with = update(spec, NULL);
  expect_guest("[ -b /dev/vdb ] && echo there", "there");
  guint from = mark();
  g_free(guest_shell("(dd if=/dev/urandom of=/dev/vdb bs=1M count=40 && sync && echo written > /run/written) >/dev/null 2>&1 &"));
  const WsRpcVmEvent *held = wait_event(from, WS_RPC_VM_EVENT_KIND_IO_ERROR, NULL);
  g_assert_cmpstr(held->reason, ==, "enospc");
  g_assert_cmpstr(held->device, ==, "big");
  g_autoptr(WsVmReport) report = get();
  g_assert_cmpint(report->power->state, ==, WS_POWER_STATE_IO_HELD);
  g_assert_cmpint(mount("small", lab.small_pool, "tmpfs", MS_REMOUNT, "size=128m"), ==, 0);
  POWER(resume, Resume, RUNNING);
  expect_guest("cat /run/written 2>/dev/null", "written");
  g_autoptr(WsVmSpec) plain = new_spec();
  g_autoptr(WsVmReport) without = update(plain, NULL);
  g_assert_cmpint(umount(lab.small_pool), ==, 0);
}

static void restarted_libvirtd_is_found_again(void)
{
  have_guest();
  g_autofree char *text = NULL;
  g_assert_true(g_file_get_contents("/run/libvirtd.pid", &text, NULL, NULL));
  pid_t pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
  guint reports = lab.reports;
  virConnectClose(lab.c);
  kill(pid, SIGKILL);
  g_autoptr(WsRpcVmListResult) list = NULL;
  WsRpcVmList params = {0};
  gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000);
  while (hypervisor_vm_list(lab.hv, &params, &list, NULL) || kill(pid, 0) == 0) { /* the new one needs what the old one has */
    g_assert_cmpint(g_get_monotonic_time(), <, end);
    g_clear_pointer(&list, ws_rpc_vm_list_result_free);
    g_usleep(10000);
  }
  g_unlink("/run/libvirtd.pid");
  run((const char *[]){"libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid", NULL});
  lab.c = virConnectOpen("qemu:///system");
  g_assert_nonnull(lab.c);
  end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000);
  g_mutex_lock(&lab.lock);
  while (lab.reports == reports)
    g_assert_true(g_cond_wait_until(&lab.came, &lab.lock, end));
  g_mutex_unlock(&lab.lock);
  g_autoptr(WsVmReport) report = get();
  g_assert_cmpint(report->power->state, ==, WS_POWER_STATE_RUNNING);
  g_assert_true(wait_until(agent_answers, AGENT_DEADLINE_MS));
  guint from = mark();
  POWER(pause, Pause, PAUSED);
  wait_event(from, WS_RPC_VM_EVENT_KIND_PAUSED, NULL); /* events come again */
  POWER(resume, Resume, RUNNING);
}

/* A call waits a second for fresh figures, no longer: on a busy machine those of before may come. */
static void load_is_measured(void)
{
  have_guest();
  g_autoptr(WsRpcVmStatsResult) first = NULL;
  g_assert_true(hypervisor_vm_stats(lab.hv, &first, NULL));
  for (gint64 end = g_get_monotonic_time() + EVENT_DEADLINE_MS * G_GINT64_CONSTANT(1000);;) {
    g_autoptr(WsRpcVmStatsResult) later = NULL;
    g_free(guest_shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; dd if=/dev/vda of=/dev/null bs=64k count=200 iflag=direct 2>/dev/null"));
    g_assert_true(hypervisor_vm_stats(lab.hv, &later, NULL));
    g_assert_cmpuint(later->samples.len, ==, 1);
    const WsVmSample *sample = later->samples.items[0];
    g_assert_cmpuint(sample->vm, ==, VM);
    if (sample->usage->cpu_percent > 1 && sample->usage->disk_read_bytes_per_s > 0 && sample->usage->memory_host_bytes > 50 * MIB)
      break;
    g_assert_cmpint(g_get_monotonic_time(), <, end);
  }
}

static void undefined_vm_leaves_nothing(void)
{
  g_autoptr(GError) error = NULL;
  VirtHost host = virt_host(lab.hv);
  g_autofree char *seed = virt_seed_path(&host, UUID), *log = g_strdup_printf("%s/%s.log", host.serial_log_dir, UUID);
  have_guest();
  g_assert_true(g_file_test(seed, G_FILE_TEST_EXISTS) && g_file_test(log, G_FILE_TEST_EXISTS));
  POWER(power_off, PowerOff, OFF);
  WsRpcVmUndefine params = {.vm = VM, .uuid = (char *)UUID};
  for (int i = 0; i < 2; i++) {
    hypervisor_vm_undefine(lab.hv, &params, &error);
    g_assert_no_error(error);
  }
  g_assert_false(g_file_test(seed, G_FILE_TEST_EXISTS) || g_file_test(log, G_FILE_TEST_EXISTS));
}

/* ---- main ---- */

static void set_up(void)
{
  g_mutex_init(&lab.lock);
  g_cond_init(&lab.came);
  lab.events = g_ptr_array_new();
  lab.pool = g_build_filename(lab.folder, "pool", NULL);
  lab.small_pool = g_build_filename(lab.folder, "small", NULL);
  g_autofree char *seeds = g_build_filename(lab.folder, "seeds", NULL), *serial = g_build_filename(lab.folder, "serial", NULL);
  g_autofree char *root = g_build_filename(lab.pool, "root.qcow2", NULL);
  g_assert_cmpint(g_mkdir_with_parents(lab.pool, 0755) | g_mkdir_with_parents(lab.small_pool, 0755) |
                    g_mkdir_with_parents(seeds, 0711) | g_mkdir_with_parents(serial, 0700), ==, 0);
  run((const char *[]){"cp", lab.image, root, NULL});
  run((const char *[]){"ovs-vsctl", "--may-exist", "add-br", "br0", NULL});
  run((const char *[]){"ovs-vsctl", "set", "bridge", "br0", "datapath_type=netdev", NULL});
  lab.workers = ws_workers_new("lab", 16);
  const HypervisorConfig config = {.uri = "qemu:///system", .clock = ws_clock_system(), .workers = lab.workers, .seed_dir = seeds,
                                   .serial_log_dir = serial, .pool_file = pool_file, .find_pool = find_pool, .on_event = on_event,
                                   .on_report = on_report};
  lab.hv = hypervisor_new(&config);
  g_assert_true(hypervisor_wait_ready(lab.hv, EVENT_DEADLINE_MS));
  lab.c = virConnectOpen("qemu:///system");
  g_assert_nonnull(lab.c);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_cmpint(argc, ==, 3);
  lab.image = argv[1];
  lab.folder = argv[2];
  ws_log_init("hypervisor-guest", WS_LOG_WARNING, NULL);
  set_up();
#define ADD(name) g_test_add_func("/hypervisor/guest/" #name, name)
  ADD(defining_twice_is_one_definition);
  ADD(redefinition_moves_no_device);
  ADD(guest_starts_with_its_seed);
  ADD(guest_address_is_reported);
  ADD(disks_come_and_go_while_it_runs);
  ADD(nics_come_and_go_while_it_runs);
  ADD(media_change_while_it_runs);
  ADD(what_waits_for_a_restart_is_named);
  ADD(screen_speaks_rfb);
  ADD(console_is_closed_while_it_speaks);
  ADD(serial_port_lets_in);
  ADD(keys_change_the_picture);
  ADD(unknown_key_is_refused);
  ADD(load_is_measured);
  ADD(hibernated_guest_goes_on);
  ADD(full_disk_holds_the_guest_until_there_is_room);
  ADD(restarted_libvirtd_is_found_again);
  ADD(frozen_qemu_holds_up_nobody);
  ADD(memory_and_vcpus_grow_while_it_runs);
  ADD(consoles_end_with_the_guest);
  ADD(guest_reboots_and_shuts_down_when_asked);
  ADD(killed_qemu_is_noticed);
  ADD(virsh_destroy_is_noticed);
  ADD(undefined_vm_leaves_nothing);
  int status = g_test_run();
  hypervisor_free(lab.hv);
  ws_workers_free(lab.workers);
  return status;
}

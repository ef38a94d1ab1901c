// SPDX-License-Identifier: Apache-2.0
/* Facts and load of a host. tests/data/node/NAME.tree is a recorded machine (its form: `record` beside it), NAME.json what must be
 * read from it. A new machine is two new files and its name below. */
#include "folders.h"
#include "base/exec.h"
#include "host/node/node.h"
#include "host/node/tree.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char *data_path(const char *name, const char *suffix)
{
  g_autofree char *file = g_strconcat(name, suffix, NULL);
  return g_build_filename(g_getenv("G_TEST_SRCDIR"), "..", "data", "node", file, NULL);
}

/* ---- unpacking ---- */

static void put(const char *root, const char *path, const void *bytes, gsize n)
{
  g_autofree char *full = g_strconcat(root, path, NULL), *directory = g_path_get_dirname(full);
  g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
  g_autoptr(GError) error = NULL;
  g_file_set_contents(full, bytes, (gssize)n, &error);
  g_assert_no_error(error);
}

static void put_text(const char *root, const char *path, const char *text)
{
  put(root, path, text, strlen(text));
}

static void put_hex(const char *root, const char *path, const char *hex)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  for (; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2) {
    guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    g_byte_array_append(bytes, &byte, 1);
  }
  put(root, path, bytes->data, bytes->len);
}

static void put_link(const char *root, const char *path, const char *target)
{
  g_autofree char *full = g_strconcat(root, path, NULL), *directory = g_path_get_dirname(full);
  g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
  g_assert_cmpint(symlink(target, full), ==, 0);
}

static char *unpack(const char *name)
{
  char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL);
  g_autofree char *path = data_path(name, ".tree"), *text = NULL;
  g_autoptr(GError) error = NULL;
  g_file_get_contents(path, &text, NULL, &error);
  g_assert_no_error(error);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    char *arrow = strstr(*line, " -> "), *colon = strstr(*line, " : "), *equals = strstr(*line, " =");
    if (**line != '/')
      continue;
    if (equals) {
      *equals = 0;
      g_autofree char *content = g_strconcat(equals[2] ? equals + 3 : "", "\n", NULL);
      put_text(root, *line, content);
    } else if (arrow) {
      *arrow = 0;
      put_link(root, *line, arrow + 4);
    } else if (colon) {
      *colon = 0;
      put_hex(root, *line, colon + 3);
    } else {
      g_autoptr(GString) content = g_string_new(NULL);
      const char *file = *line;
      for (; line[1] && line[1][0] == '|'; line++)
        g_string_append_printf(content, "%s\n", line[1] + MIN(2, strlen(line[1])));
      put_text(root, file, content->str);
    }
  }
  return root;
}

/* ---- facts ---- */

static void machine_is_read_as_expected(gconstpointer data)
{
  const char *name = data;
  g_autofree char *root = unpack(name), *path = data_path(name, ".json"), *expected_json = NULL;
  g_autoptr(WsHostFacts) facts = node_read_facts(root);
  folder_remove(root);
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_host_facts, facts, WS_WRITE_PEER, &n);
  g_autoptr(GError) error = NULL;
  /* what is read must be what may be sent */
  g_autoptr(WsHostFacts) sent = ws_host_facts_parse(json, n, WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_true(ws_host_facts_equal(sent, facts));
  g_file_get_contents(path, &expected_json, &n, &error);
  g_assert_no_error(error);
  g_autoptr(WsHostFacts) expected = ws_host_facts_parse(expected_json, n, WS_PARSE_STORED, &error);
  g_assert_no_error(error);
  g_clear_pointer(&expected->versions->agent, g_free);
  expected->versions->agent = g_strdup(WS_VERSION);
  if (!ws_host_facts_equal(facts, expected))
    g_error("%s: read %s", name, json);
}

static void this_machine_is_read(void)
{
  g_autoptr(WsHostFacts) facts = node_read_facts("");
  g_assert_cmpint(facts->cpu->threads, ==, sysconf(_SC_NPROCESSORS_ONLN));
  g_assert_cmpint(facts->memory_bytes, >, 0);
  g_assert_nonnull(facts->hostname);
  g_assert_cmpint(facts->virtualisation->kind, !=, 0);
  g_assert_nonnull(facts->virtualisation->reason);
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_host_facts, facts, WS_WRITE_PEER, &n);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsHostFacts) sent = ws_host_facts_parse(json, n, WS_PARSE_RPC, &error);
  g_assert_no_error(error);
}

static void absent_machine_is_no_error(void)
{
  g_autoptr(WsHostFacts) facts = node_read_facts("/nonexistent");
  g_assert_cmpint(facts->cpu->threads, ==, 0);
  g_assert_cmpint(facts->virtualisation->kind, ==, WS_HOST_VIRTUALISATION_KIND_TCG);
  g_autoptr(NodeSampler) sampler = node_sampler_new("/nonexistent", ws_clock_system());
  g_autoptr(WsHostLoad) load = node_sampler_take(sampler);
  g_assert_cmpfloat(load->cpu_percent, ==, 0);
}

/* Firmware tables come from outside: cut and garbled ones must be survived. */
static void damaged_firmware_tables_are_survived(void)
{
  g_autofree char *root = unpack("xeon-two-sockets"),
                  *table = g_strconcat(root, "/sys/firmware/dmi/tables/DMI", NULL), *bytes = NULL;
  gsize n;
  g_assert_true(g_file_get_contents(table, &bytes, &n, NULL));
  for (gsize cut = 0; cut < n; cut += 3) {
    g_autofree guint8 *copy = g_memdup2(bytes, n);
    copy[cut] ^= 0xff;
    put(root, "/sys/firmware/dmi/tables/DMI", copy, n);
    ws_host_facts_free(node_read_facts(root));
    if (cut % 30 == 0) {
      put(root, "/sys/firmware/dmi/tables/DMI", bytes, cut);
      ws_host_facts_free(node_read_facts(root));
    }
  }
  folder_remove(root);
}

/* ---- load ---- */

static gint64 fake_now_us;

static gint64 fake_time(WsClock *clock)
{
  return fake_now_us;
}

static void load_is_the_difference_of_two_samples(void)
{
  g_autofree char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL);
  WsClock clock = {.wall_us = fake_time, .monotonic_us = fake_time};
  put_text(root, "/sys/devices/system/node/online", "0-1\n");
  put_text(root, "/sys/devices/system/node/node0/cpulist", "0\n");
  put_text(root, "/sys/devices/system/node/node1/cpulist", "1\n");
  put_text(root, "/sys/devices/system/node/node0/meminfo", "Node 0 MemFree:   100 kB\n");
  put_text(root, "/sys/class/net/eth0/type", "1\n");
  put_text(root, "/sys/class/net/vnet0/type", "1\n");
  put_text(root, "/sys/class/net/vnet0/tun_flags", "0x1\n");
  put_text(root, "/sys/block/sda/size", "1000\n");
  put_text(root, "/proc/meminfo",
           "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 100 kB\nSwapFree: 90 kB\n");
  put_text(root, "/proc/loadavg", "1.25 1.00 0.50 1/100 1\n");
  put_text(root, "/proc/uptime", "4711.10 1.0\n");
  put_text(root, "/proc/stat",
           "cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 50 0 50 500 0 0 0 0 0 0\ncpu1 50 0 50 500 0 0 0 0 0 "
           "0\nintr 1\n");
  put_text(root, "/proc/self/net/dev",
           "Inter-| x\n face |bytes\n  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n vnet0: 0 0 0 0 0 0 0 "
           "0 0 0 0 0 0 0 0 0\n");
  put_text(root, "/proc/diskstats",
           "   8 0 sda 100 0 800 5 50 0 400 5 0 1000 10\n   8 1 sda1 100 0 800 5 50 0 400 5 0 1000 10\n");
  fake_now_us = 1000000;
  g_autoptr(NodeSampler) sampler = node_sampler_new(root, &clock);

  fake_now_us += 2 * G_USEC_PER_SEC;
  put_text(root, "/proc/stat",
           "cpu  150 0 150 1200 100 0 0 0 0 0\ncpu0 100 0 100 500 0 0 0 0 0 0\ncpu1 50 0 50 700 100 0 0 0 0 "
           "0\nintr 1\n");
  put_text(root, "/proc/self/net/dev",
           "  eth0: 21000 30 1 1 0 0 0 0 2000 20 0 4 0 0 0 0\n vnet0: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n");
  put_text(root, "/proc/diskstats",
           "   8 0 sda 120 0 1000 5 10 0 4 5 0 1500 10\n   8 1 sda1 120 0 1000 5 50 0 400 5 0 1500 10\n");
  g_autoptr(WsHostLoad) load = node_sampler_take(sampler);
  g_assert_cmpint(load->interval_ms, ==, 2000);
  g_assert_cmpfloat(load->cpu_percent, ==, 25);
  g_assert_cmpfloat(load->iowait_percent, ==, 25);
  g_assert_cmpfloat(load->load_average, ==, 1.25);
  g_assert_cmpint(load->uptime_s, ==, 4711);
  g_assert_cmpint(load->memory_used_bytes, ==, 600 * 1024);
  g_assert_cmpint(load->swap_used_bytes, ==, 10 * 1024);
  g_assert_cmpuint(load->numa_nodes.len, ==, 2);
  g_assert_cmpfloat(load->numa_nodes.items[0]->cpu_percent, ==, 100);
  g_assert_cmpfloat(load->numa_nodes.items[1]->cpu_percent, ==, 0);
  g_assert_cmpint(load->numa_nodes.items[0]->memory_free_bytes, ==, 100 * 1024);
  g_assert_cmpuint(load->nics.len, ==, 1);
  g_assert_cmpint(load->nics.items[0]->rx_bytes_per_s, ==, 10000);
  g_assert_cmpint(load->nics.items[0]->rx_packets_per_s, ==, 10);
  g_assert_cmpint(load->nics.items[0]->errors_per_s, ==, 3);
  g_assert_cmpuint(load->disks.len, ==, 1);
  g_assert_cmpint(load->disks.items[0]->reads_per_s, ==, 10);
  g_assert_cmpint(load->disks.items[0]->read_bytes_per_s, ==, 200 * 512 / 2);
  g_assert_cmpint(load->disks.items[0]->writes_per_s, ==,
                  0); /* the counter went back: the device came anew */
  g_assert_cmpfloat(load->disks.items[0]->busy_percent, ==, 25);
  folder_remove(root);
}

static gint64 cpu_time_us(void)
{
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * G_USEC_PER_SEC + use.ru_utime.tv_usec +
         use.ru_stime.tv_usec;
}

/* The agent samples every five seconds: below 1 % of a core is below 50 ms a sample. */
static void sample_costs_little(void)
{
  g_autoptr(NodeSampler) sampler = node_sampler_new("", ws_clock_system());
  enum { N = 20 };
  gint64 each_us = G_MAXINT64; /* of the cheapest: a machine that is busy with others makes some dearer */
  for (guint i = 0; i < N; i++) {
    gint64 before = cpu_time_us();
    ws_host_load_free(node_sampler_take(sampler));
    each_us = MIN(each_us, cpu_time_us() - before);
  }
  g_test_message("%" G_GINT64_FORMAT " us of CPU a sample", each_us);
  g_assert_cmpint(each_us, <, 25000);
}

/* ---- small ones ---- */

static void cpu_lists_are_read(void)
{
  g_autoptr(GArray) a = tree_parse_cpu_list("0-2,5,7-8"), b = tree_parse_cpu_list(""),
                    c = tree_parse_cpu_list(NULL);
  g_autoptr(GArray) endless = tree_parse_cpu_list("0-99999999999");
  g_assert_cmpuint(a->len, ==, 6);
  g_assert_cmpint(g_array_index(a, gint64, 3), ==, 5);
  g_assert_cmpuint(b->len + c->len, ==, 0);
  g_assert_cmpuint(endless->len, ==, 65536);
}

/* ---- what the package manager did ---- */

static void assert_change(const WsHostPackages *packages, guint i, WsHostPackageChangeAction action,
                          const char *package, const char *version, const char *before)
{
  const WsHostPackageChange *change = packages->changes.items[i];
  g_assert_cmpint(change->action, ==, action);
  g_assert_cmpstr(change->package, ==, package);
  g_assert_cmpstr(change->version, ==, version);
  g_assert_cmpstr(change->before, ==, before);
}

static void log_of_packages_is_read_newest_first(void)
{
  g_autofree char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL);
  g_setenv("TZ", "UTC", TRUE);
  tzset();
  put_text(root, "/var/log/dpkg.log.1", "2026-10-01 08:00:00 install libvirt0:amd64 <none> 9.0.0-4\n");
  put_text(root, "/var/log/dpkg.log",
           "2026-11-01 10:20:30 startup archives unpack\n"
           "2026-11-01 10:20:31 upgrade qemu-system-x86:amd64 1:7.2+dfsg-7 1:7.2+dfsg-8\n"
           "2026-11-01 10:20:31 status half-configured qemu-system-x86:amd64 1:7.2+dfsg-7\n"
           "2026-11-01 10:20:31 upgrade qemu-utils:amd64 1:7.2+dfsg-7 1:7.2+dfsg-8\n"
           "2026-13-41 10:20:31 upgrade never:amd64 1 2\n"
           "rubbish\n2026-11-02 00:00:00 remove nano:amd64 7.2-1 <none>\n2026-11-02 00:00:00 remove torn");
  g_autoptr(WsHostPackages) packages = node_read_packages(root);
  g_assert_cmpuint(packages->changes.len, ==, 4);
  assert_change(packages, 0, WS_HOST_PACKAGE_CHANGE_ACTION_REMOVED, "nano:amd64", NULL, "7.2-1");
  assert_change(packages, 1, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "qemu-utils:amd64", "1:7.2+dfsg-8",
                "1:7.2+dfsg-7"); /* the later of one second */
  assert_change(packages, 2, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "qemu-system-x86:amd64", "1:7.2+dfsg-8",
                "1:7.2+dfsg-7");
  assert_change(packages, 3, WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, "libvirt0:amd64", "9.0.0-4", NULL);
  g_assert_cmpint(packages->changes.items[3]->time, ==, (gint64)1790841600 * G_USEC_PER_SEC);
  folder_remove(root);
}

static void long_log_is_read_from_its_end(void)
{
  g_autofree char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL);
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < 40000; i++)
    g_string_append_printf(text, "2026-11-01 10:20:30 upgrade package-%05u:amd64 1.0 1.1\n", i);
  put(root, "/var/log/dpkg.log", text->str, text->len);
  g_autoptr(WsHostPackages) packages = node_read_packages(root);
  g_assert_cmpuint(packages->changes.len, ==, NODE_PACKAGES_MAX);
  assert_change(packages, 0, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "package-39999:amd64", "1.1", "1.0");
  assert_change(packages, NODE_PACKAGES_MAX - 1, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED,
                "package-39900:amd64", "1.1", "1.0");
  folder_remove(root);
}

/* What a crash may leave, and what no package manager writes: neither hides the rest. */
static void torn_log_is_read_past_its_damage(void)
{
  g_autofree char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL), *word = g_strnfill(256, 'x');
  g_autoptr(GString) text = g_string_new("2026-11-01 10:20:30 upgrade old:amd64 1.0 1.1\n2026-11-01 10:2");
  for (guint i = 0; i < 4096; i++)
    g_string_append_c(text, 0);
  g_string_append(text, "2026-11-02 10:20:30 upgrade new:amd64 1.0 1.1\n");
  g_string_append_printf(text, "2026-11-02 10:20:31 upgrade %s 1.0 1.1\n", word);
  g_string_append_printf(text, "2026-11-02 10:20:31 upgrade long:amd64 1.0 %s\n", word);
  put(root, "/var/log/dpkg.log", text->str, text->len);
  g_autoptr(WsHostPackages) packages = node_read_packages(root);
  g_assert_cmpuint(packages->changes.len, ==, 2);
  assert_change(packages, 0, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "new:amd64", "1.1", "1.0");
  assert_change(packages, 1, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "old:amd64", "1.1", "1.0");
  folder_remove(root);
}

static bool stand_in_for_rpm(const WsExec *exec, char **out, int *status, void *arg)
{
  g_assert_cmpstr(exec->argv[0], ==, "rpm");
  *out = g_strdup("1700000000 bash 5.1.8-6.el9\n1790000000 qemu-kvm 8.2.0-11.el9\nwarning: something\n");
  *status = 0;
  return true;
}

static void host_without_dpkg_asks_rpm(void)
{
  g_autofree char *root = g_dir_make_tmp("ws-node-XXXXXX", NULL);
  ws_exec_set_recorder(stand_in_for_rpm, NULL);
  g_autoptr(WsHostPackages) packages = node_read_packages(root);
  ws_exec_set_recorder(NULL, NULL);
  g_assert_cmpuint(packages->changes.len, ==, 2);
  assert_change(packages, 0, WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, "qemu-kvm", "8.2.0-11.el9", NULL);
  assert_change(packages, 1, WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, "bash", "5.1.8-6.el9", NULL);
  folder_remove(root);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  static const char *const machines[] = {"virtual-epyc", "xeon-two-sockets", "kunpeng-920",
                                         "loongson-3c5000l"};
  for (guint i = 0; i < G_N_ELEMENTS(machines); i++) {
    g_autofree char *test = g_strconcat("/host/node/machine_is_read_as_expected/", machines[i], NULL);
    g_test_add_data_func(test, machines[i], machine_is_read_as_expected);
  }
  g_test_add_func("/host/node/this_machine_is_read", this_machine_is_read);
  g_test_add_func("/host/node/absent_machine_is_no_error", absent_machine_is_no_error);
  g_test_add_func("/host/node/damaged_firmware_tables_are_survived", damaged_firmware_tables_are_survived);
  g_test_add_func("/host/node/load_is_the_difference_of_two_samples", load_is_the_difference_of_two_samples);
  g_test_add_func("/host/node/sample_costs_little", sample_costs_little);
  g_test_add_func("/host/node/cpu_lists_are_read", cpu_lists_are_read);
  g_test_add_func("/host/node/log_of_packages_is_read_newest_first", log_of_packages_is_read_newest_first);
  g_test_add_func("/host/node/long_log_is_read_from_its_end", long_log_is_read_from_its_end);
  g_test_add_func("/host/node/torn_log_is_read_past_its_damage", torn_log_is_read_past_its_damage);
  g_test_add_func("/host/node/host_without_dpkg_asks_rpm", host_without_dpkg_asks_rpm);
  return g_test_run();
}

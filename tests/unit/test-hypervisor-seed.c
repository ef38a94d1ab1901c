// SPDX-License-Identifier: Apache-2.0
/* cloud-init seeds: what the three files say, that every YAML reader reads it so, that passwords are hashed, that the CD opens. */
#include "host/hypervisor/seed.h"
#include "base/error.h"
#include "host/hypervisor/iso.h"
#include <crypt.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

static const char spec_json[] =
  "{\"vm\":\"vm-42\",\"name\":\"Web 01 – 前端\",\"uuid\":\"6f1d9a1c-7d0e-4a55-9c51-0242ac110002\",\"architecture\":\"x86_64\",\"cpu\":{},"
  "\"memory_bytes\":1073741824,\"seed\":true,\"nics\":["
  "{\"key\":\"nic-0\",\"bridge\":\"br0\",\"mac\":\"52:54:00:00:00:01\"},{\"key\":\"nic-1\",\"bridge\":\"br0\",\"mac\":\"52:54:00:00:00:02\"}]}";

static WsVmSpec *new_spec(void)
{
  g_autoptr(GError) error = NULL;
  WsVmSpec *spec = ws_vm_spec_parse(spec_json, strlen(spec_json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  return spec;
}

static WsVmCloudInit *settings(const char *json)
{
  g_autoptr(GError) error = NULL;
  WsVmCloudInit *s = ws_vm_cloud_init_parse(json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  return s;
}

/* YAML text as JSON, by PyYAML: a reader that is not ours. */
static json_t *from_yaml(const char *yaml)
{
  const char *argv[] = {"/usr/bin/python3", "-c", "import sys, json, yaml; json.dump(yaml.safe_load(sys.argv[1]), sys.stdout)", yaml,
                        NULL};
  g_autofree char *out = NULL, *err = NULL;
  int status;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, &err, &status, NULL));
  g_assert_cmpstr(err, ==, "");
  json_t *value = json_loads(out, 0, NULL);
  g_assert_nonnull(value);
  return value;
}

static void assert_yaml(const char *yaml, const char *json)
{
  json_t *got = from_yaml(yaml), *want = json_loads(json, 0, NULL);
  g_assert_nonnull(want);
  if (!json_equal(got, want))
    g_error("%s\nshould say %s", yaml, json);
  json_decref(got);
  json_decref(want);
}

static void make(SeedTexts *texts, const char *json)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = new_spec();
  g_autoptr(WsVmCloudInit) s = settings(json);
  seed_texts(texts, spec, s, NULL, ws_clock_system(), &error);
  g_assert_no_error(error);
}

static void seed_without_settings_names_the_machine_and_asks_dhcp(void)
{
  g_auto(SeedTexts) texts = {0};
  make(&texts, "{}");
  g_assert_true(g_str_has_prefix(texts.user_data, "#cloud-config\n"));
  assert_yaml(texts.user_data, "{\"hostname\":\"web-01\"}");
  assert_yaml(texts.meta_data, "{\"instance-id\":\"6f1d9a1c-7d0e-4a55-9c51-0242ac110002\",\"local-hostname\":\"web-01\"}");
  assert_yaml(texts.network_config,
              "{\"version\":2,\"ethernets\":{"
              "\"eth0\":{\"match\":{\"macaddress\":\"52:54:00:00:00:01\"},\"set-name\":\"eth0\",\"dhcp4\":true},"
              "\"eth1\":{\"match\":{\"macaddress\":\"52:54:00:00:00:02\"},\"set-name\":\"eth1\",\"dhcp4\":true}}}");
}

static void seed_sets_static_addresses(void)
{
  g_auto(SeedTexts) texts = {0};
  make(&texts, "{\"networks\":[{\"nic\":\"nic-1\",\"method\":\"static\",\"addresses\":[\"192.0.2.5/24\",\"2001:db8::5/64\"],"
               "\"gateways\":[\"192.0.2.1\",\"2001:db8::1\"]}],\"dns_servers\":[\"192.0.2.53\"],\"dns_domains\":[\"example.org\"]}");
  assert_yaml(texts.network_config,
              "{\"version\":2,\"ethernets\":{"
              "\"eth0\":{\"match\":{\"macaddress\":\"52:54:00:00:00:01\"},\"set-name\":\"eth0\",\"dhcp4\":true,"
              "\"nameservers\":{\"addresses\":[\"192.0.2.53\"],\"search\":[\"example.org\"]}},"
              "\"eth1\":{\"match\":{\"macaddress\":\"52:54:00:00:00:02\"},\"set-name\":\"eth1\",\"dhcp4\":false,"
              "\"addresses\":[\"192.0.2.5/24\",\"2001:db8::5/64\"],\"gateway4\":\"192.0.2.1\",\"gateway6\":\"2001:db8::1\","
              "\"nameservers\":{\"addresses\":[\"192.0.2.53\"],\"search\":[\"example.org\"]}}}}");
}

static void seed_refuses_a_nic_that_is_not_there(void)
{
  g_auto(SeedTexts) texts = {0};
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = new_spec();
  g_autoptr(WsVmCloudInit) s = settings("{\"networks\":[{\"nic\":\"nic-7\"}]}");
  g_assert_false(seed_texts(&texts, spec, s, NULL, ws_clock_system(), &error));
  g_assert_cmpstr(ws_error_field(error), ==, "cloud_init.networks[0].nic");
}

#define PASSWORD "pässword: \\\"#{}'\\n"

static void seed_holds_the_hash_and_never_the_password(void)
{
  g_auto(SeedTexts) texts = {0};
  make(&texts, "{\"user\":\"alice\",\"password\":\"" PASSWORD "\",\"ssh_keys\":[\"ssh-ed25519 "
               "AAAAC3NzaC1lZDI1NTE5AAAAIGxlbmd0aG9mdGhpcnR5dHdvYnl0ZXNleGFjdGx5 alice@example\"]}");
  json_t *user_data = from_yaml(texts.user_data), *user = json_array_get(json_object_get(user_data, "users"), 0);
  g_assert_cmpstr(json_string_value(json_object_get(user, "name")), ==, "alice");
  g_assert_true(json_is_false(json_object_get(user, "lock_passwd")));
  g_assert_true(json_is_true(json_object_get(user_data, "ssh_pwauth")));
  const char *hash = json_string_value(json_object_get(user, "hashed_passwd"));
  g_assert_true(g_str_has_prefix(hash, "$6$"));
  g_autoptr(WsVmCloudInit) s = settings("{\"password\":\"" PASSWORD "\"}");
  struct crypt_data work = {0};
  g_assert_cmpstr(crypt_r(s->password, hash, &work), ==, hash);
  g_assert_null(strstr(texts.user_data, "ssword:"));
  json_decref(user_data);
}

static void seed_gives_the_images_own_user_password_and_keys(void)
{
  g_auto(SeedTexts) texts = {0};
  make(&texts, "{\"password\":\"x\"}");
  json_t *user_data = from_yaml(texts.user_data);
  g_assert_true(g_str_has_prefix(json_string_value(json_object_get(user_data, "password")), "$6$"));
  g_assert_true(json_is_false(json_object_get(json_object_get(user_data, "chpasswd"), "expire")));
  g_assert_null(json_object_get(user_data, "users"));
  json_decref(user_data);
}

static void seed_keeps_names_that_yaml_would_turn_into_values(void)
{
  const char *names[] = {"yes", "no", "null", "on", "y", "true", "_", "a-b"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_auto(SeedTexts) texts = {0};
    g_autofree char *json = g_strdup_printf("{\"user\":\"%s\"}", names[i]);
    make(&texts, json);
    json_t *user_data = from_yaml(texts.user_data), *user = json_array_get(json_object_get(user_data, "users"), 0);
    g_assert_cmpstr(json_string_value(json_object_get(user, "name")), ==, names[i]);
    json_decref(user_data);
  }
}

static void seed_joins_a_persons_own_user_data(void)
{
  g_auto(SeedTexts) texts = {0};
  make(&texts, "{\"hostname\":\"db1\",\"user_data\":\"#!/bin/sh\\necho \\\"--x--\\\"\\n\"}");
  const char *argv[] = {"/usr/bin/python3", "-c",
                        "import sys, email\nm = email.message_from_string(sys.argv[1])\n"
                        "for p in m.get_payload(): print(p.get_content_type(), repr(p.get_payload()))",
                        texts.user_data, NULL};
  g_autofree char *out = NULL;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, NULL, NULL, NULL));
  g_assert_cmpstr(out, ==,
                  "text/cloud-config '#cloud-config\\nhostname: \"db1\"\\n'\n"
                  "text/plain '#!/bin/sh\\necho \"--x--\"\\n'\n");
}

static void seed_makes_a_host_name_of_any_name(void)
{
  const struct { const char *name, *want; } rows[] = {
    {"数据库", "vm-42"}, {"--Web__Server--01--", "web-server-01"}, {"a", "a"}, {"x\ny: [", "x-y"},
    {"0123456789012345678901234567890123456789012345678901234567890123456789",
     "012345678901234567890123456789012345678901234567890123456789012"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_auto(SeedTexts) texts = {0};
    g_autoptr(WsVmSpec) spec = new_spec();
    g_autoptr(WsVmCloudInit) s = settings("{}");
    g_free(spec->name);
    spec->name = g_strdup(rows[i].name);
    g_assert_true(seed_texts(&texts, spec, s, "i-\"1", ws_clock_system(), NULL));
    json_t *meta = from_yaml(texts.meta_data);
    g_assert_cmpstr(json_string_value(json_object_get(meta, "local-hostname")), ==, rows[i].want);
    g_assert_cmpstr(json_string_value(json_object_get(meta, "instance-id")), ==, "i-\"1");
    json_decref(meta);
  }
}

static void iso_gives_back_its_files(void)
{
  g_autofree char *xorriso = g_find_program_in_path("xorriso"), *dir = g_dir_make_tmp("ws-iso-XXXXXX", NULL);
  if (!xorriso) {
    g_test_skip("xorriso is not installed");
    return;
  }
  g_autofree char *big = g_malloc(100000), *path = g_build_filename(dir, "x.iso", NULL), *target = g_build_filename(dir, "out", NULL);
  memset(big, 'z', 100000);
  const IsoFile files[] = {{"empty", "EMPTY.;1", "", 0}, {"network-config", "NETCONF.;1", big, 100000}, {"user-data", "USERDATA.;1", "hello\n", 6}};
  g_autoptr(GByteArray) image = iso_build("cidata", files, G_N_ELEMENTS(files), G_GINT64_CONSTANT(1769846400000000));
  g_autoptr(GByteArray) again = iso_build("cidata", files, G_N_ELEMENTS(files), G_GINT64_CONSTANT(1769846400000000));
  g_assert_cmpmem(image->data, image->len, again->data, again->len);
  g_assert_true(g_file_set_contents(path, (char *)image->data, image->len, NULL));
  const char *argv[] = {xorriso, "-osirrox", "on", "-indev", path, "-pvd_info", "-extract", "/", target, NULL};
  g_autofree char *out = NULL, *err = NULL, *text = NULL, *text2 = NULL;
  int status;
  gsize n;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, &err, &status, NULL));
  g_assert_nonnull(strstr(out, "Volume Id    : cidata"));
  g_autofree char *user_data = g_build_filename(target, "user-data", NULL), *network = g_build_filename(target, "network-config", NULL);
  g_autofree char *empty = g_build_filename(target, "empty", NULL);
  g_assert_true(g_file_get_contents(user_data, &text, NULL, NULL));
  g_assert_cmpstr(text, ==, "hello\n");
  g_assert_true(g_file_get_contents(network, &text2, &n, NULL));
  g_assert_cmpmem(text2, n, big, 100000);
  g_unlink(user_data), g_unlink(network), g_unlink(empty), g_unlink(path);
  g_chmod(target, 0700);
  g_assert_cmpint(g_rmdir(target), ==, 0);
  g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void seed_file_is_private_and_goes_with_its_vm(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp("ws-seed-XXXXXX", NULL), *seeds = g_build_filename(dir, "seeds", NULL);
  VirtHost host = {.seed_dir = seeds};
  g_autoptr(WsVmSpec) spec = new_spec();
  g_autoptr(WsVmCloudInit) s = settings("{\"password\":\"p\"}");
  g_autofree char *path = virt_seed_path(&host, spec->uuid), *first = NULL, *second = NULL;
  gsize n;
  g_assert_true(seed_write(&host, spec, s, NULL, ws_clock_system(), &error));
  struct stat info;
  g_assert_cmpint(g_stat(path, &info), ==, 0);
  g_assert_cmpint(info.st_mode & 07777, ==, 0600);
  g_assert_true(g_file_get_contents(path, &first, &n, NULL));
  g_assert_true(seed_ensure(&host, spec, ws_clock_system(), &error)); /* leaves it as it is */
  g_assert_true(g_file_get_contents(path, &second, NULL, NULL));
  g_assert_cmpmem(first, n, second, n);
  g_assert_true(seed_remove(&host, spec->uuid, &error));
  g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
  g_assert_true(seed_remove(&host, spec->uuid, &error));
  g_assert_cmpint(g_rmdir(seeds) | g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/hypervisor/seed/" #name, name)
  ADD(seed_without_settings_names_the_machine_and_asks_dhcp);
  ADD(seed_sets_static_addresses);
  ADD(seed_refuses_a_nic_that_is_not_there);
  ADD(seed_holds_the_hash_and_never_the_password);
  ADD(seed_gives_the_images_own_user_password_and_keys);
  ADD(seed_keeps_names_that_yaml_would_turn_into_values);
  ADD(seed_joins_a_persons_own_user_data);
  ADD(seed_makes_a_host_name_of_any_name);
  ADD(iso_gives_back_its_files);
  ADD(seed_file_is_private_and_goes_with_its_vm);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* Pools on NFS that the agent mounts itself. The kernel's part is played here: a stand-in for mount(8) puts the export's folder in the place of the
 * mount point and writes the kernel's list. The last case is the real one, where the kernel has NFS. */
#include "folders.h"
#include "base/error.h"
#include "base/exec.h"
#include "host/storage/nfs.h"
#include "host/storage/pool_reach.h"
#include "host/storage/storage.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static const char identity[] = "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a01";

typedef struct {
  char *top, *root, *state, *path, *under, *export, *mountinfo, *filesystems, *helper, *systemd;
  Storage *storage;
  GPtrArray *commands; /* as they were run, words joined by spaces */
  int mount_status, umount_status;
  bool mount_lies;     /* it says that it has mounted, and has not */
  GMutex lock;
  GCond go_on;
  bool hangs;          /* the server does not answer */
  gint n_asked;        /* threads sent to it; atomic */
} Fixture;

static Fixture *the;

static void write_text(const char *path, const char *text)
{
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* ---- the stand-ins ---- */

static void mount_it(Fixture *f, const char *source)
{
  g_autofree char *line = g_strdup_printf("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:50 / %s rw,nosuid shared:9 - nfs4 %s rw,vers=4.2\n", f->path, source);
  g_assert_cmpint(g_rename(f->path, f->under), ==, 0);
  g_assert_cmpint(g_rename(f->export, f->path), ==, 0);
  write_text(f->mountinfo, line);
}

static void unmount_it(Fixture *f)
{
  g_assert_cmpint(g_rename(f->path, f->export), ==, 0);
  g_assert_cmpint(g_rename(f->under, f->path), ==, 0);
  write_text(f->mountinfo, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
}

static bool stand_in(const WsExec *exec, char **out, int *status, void *arg)
{
  Fixture *f = arg;
  bool mounts = strcmp(exec->argv[0], "mount") == 0 || strcmp(exec->argv[0], "systemd-mount") == 0;
  guint n = g_strv_length((char **)exec->argv);
  g_ptr_array_add(f->commands, g_strjoinv(" ", (char **)exec->argv));
  *status = mounts ? f->mount_status : f->umount_status;
  *out = g_strdup("");
  if (*status == 0 && mounts && !f->mount_lies)
    mount_it(f, exec->argv[n - 2]);
  if (*status == 0 && !mounts)
    unmount_it(f);
  return true;
}

static void server(const char *path)
{
  g_atomic_int_inc(&the->n_asked);
  g_mutex_lock(&the->lock);
  while (the->hangs)
    g_cond_wait(&the->go_on, &the->lock);
  g_mutex_unlock(&the->lock);
}

static void hang(Fixture *f, bool hangs)
{
  g_mutex_lock(&f->lock);
  f->hangs = hangs;
  g_cond_broadcast(&f->go_on);
  g_mutex_unlock(&f->lock);
}

/* ---- set up ---- */

static void start(Fixture *f)
{
  const char *roots[] = {f->root, NULL};
  const StorageConfig config = {.state_dir = f->state, .allowed_roots = roots, .clock = ws_clock_system()};
  g_autoptr(GError) error = NULL;
  f->storage = storage_new(&config, &error);
  g_assert_no_error(error);
}

static void set_up(Fixture *f, gconstpointer data)
{
  the = f;
  f->top = g_dir_make_tmp("ws-nfs-XXXXXX", NULL);
  f->root = g_build_filename(f->top, "pools", NULL);
  f->state = g_build_filename(f->top, "state", NULL);
  f->path = g_build_filename(f->root, "nfs", NULL);
  f->under = g_build_filename(f->top, "under", NULL);
  f->export = g_build_filename(f->top, "export", NULL);
  f->mountinfo = g_build_filename(f->top, "mountinfo", NULL);
  f->filesystems = g_build_filename(f->top, "filesystems", NULL);
  f->helper = g_build_filename(f->top, "mount.nfs", NULL);
  f->systemd = g_build_filename(f->top, "systemd", NULL);
  f->commands = g_ptr_array_new_with_free_func(g_free);
  g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
  g_assert_cmpint(g_mkdir(f->export, 0755), ==, 0);
  write_text(f->mountinfo, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
  write_text(f->filesystems, "nodev\tproc\n\text4\nnodev\tnfs\nnodev\tnfs4\n");
  write_text(f->helper, "");
  g_assert_cmpint(g_chmod(f->helper, 0755), ==, 0);
  nfs_mountinfo_file = f->mountinfo;
  nfs_filesystems_file = f->filesystems;
  nfs_helper_file = f->helper;
  nfs_systemd_folder = f->systemd;
  pool_reach_wait_ms = 3000; /* longer than a busy machine takes to answer */
  pool_reach_seam = server;
  ws_exec_set_recorder(stand_in, f);
  start(f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
  ws_exec_set_recorder(NULL, NULL);
  pool_reach_seam = NULL;
  storage_free(f->storage);
  folder_remove(f->top);
  g_ptr_array_unref(f->commands);
  char *texts[] = {f->top, f->root, f->state, f->path, f->under, f->export, f->mountinfo, f->filesystems, f->helper, f->systemd};
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
}

static WsPoolNfs *an_export(const char *json)
{
  g_autoptr(GError) error = NULL;
  WsPoolNfs *nfs = ws_pool_nfs_parse(json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  return nfs;
}

static bool prepare(Fixture *f, const char *json, bool create, WsPoolStatus **status, GError **error)
{
  g_autoptr(WsRpcPoolPrepare) params = ws_rpc_pool_prepare_new();
  g_autoptr(WsPoolStatus) seen = NULL;
  params->pool = 1;
  params->kind = WS_RPC_POOL_PREPARE_KIND_NFS;
  params->path = g_strdup(f->path);
  params->uuid = g_strdup(identity);
  params->create = create;
  params->nfs = json ? an_export(json) : NULL;
  if (!storage_pool_prepare(f->storage, params, &seen, error))
    return false;
  if (status)
    *status = g_steal_pointer(&seen);
  return true;
}

#define FILER "{\"server\":\"filer-1\",\"export\":\"/vol/vms\"}"

static void must_prepare(Fixture *f)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsPoolStatus) status = NULL;
  prepare(f, FILER, true, &status, &error);
  g_assert_no_error(error);
  g_assert_cmpint(status->state, ==, WS_POOL_STATUS_STATE_ACTIVE);
}

static WsPoolStatusState state_of(Fixture *f, char **reason)
{
  g_autoptr(WsRpcPoolRefreshResult) result = NULL;
  g_autoptr(GError) error = NULL;
  storage_pool_refresh(f->storage, 1, &result, &error);
  g_assert_no_error(error);
  if (reason)
    *reason = g_strdup(result->status->reason);
  return result->status->state;
}

static bool has(const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void assert_commands(Fixture *f, guint n, const char *last)
{
  g_assert_cmpuint(f->commands->len, ==, n);
  g_assert_cmpstr(f->commands->pdata[n - 1], ==, last);
}

/* ---- the command ---- */

static void options_are_made_of_fields_alone(Fixture *f, gconstpointer data)
{
  const struct {
    const char *json, *source, *options;
  } rows[] = {
    {FILER, "filer-1:/vol/vms", "vers=4.2,proto=tcp,soft,timeo=100,retrans=3,nosuid,nodev,noexec"},
    {"{\"server\":\"fd00::7\",\"export\":\"/\",\"version\":\"v3\",\"hard\":true,\"timeout_s\":60,\"retrans\":5}", "[fd00::7]:/",
     "vers=3,proto=tcp,hard,timeo=600,retrans=5,nosuid,nodev,noexec"},
    {"{\"server\":\"10.0.0.9\",\"export\":\"/a\",\"version\":\"v4_1\",\"transport\":\"rdma\",\"nconnect\":4,\"io_bytes\":65536}", "10.0.0.9:/a",
     "vers=4.1,proto=rdma,soft,timeo=100,retrans=3,nconnect=4,rsize=65536,wsize=65536,nosuid,nodev,noexec"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(WsPoolNfs) nfs = an_export(rows[i].json);
    g_autofree char *source = nfs_source(nfs), *options = nfs_options(nfs);
    g_assert_true(nfs_check(nfs, NULL));
    g_assert_cmpstr(source, ==, rows[i].source);
    g_assert_cmpstr(options, ==, rows[i].options);
  }
}

static void words_that_could_be_options_are_refused(Fixture *f, gconstpointer data)
{
  static const char *const servers[] = {"", "-o", ".", "a b", "a,exec", "a/b", "a\nb", "a[1]", "\xc3\xa4"};
  static const char *const exports[] = {"", "vol", "/a b", "/a,exec", "/../etc", "/a/../b", "/-o", "/a//b", "/a/", "/.snap", "/a\n"};
  for (guint i = 0; i < G_N_ELEMENTS(servers); i++) {
    WsPoolNfs nfs = {.server = (char *)servers[i], .export = (char *)"/vol", .timeout_s = 10, .retrans = 3, .nconnect = WS_INT_UNSET, .io_bytes = WS_INT_UNSET};
    g_autoptr(GError) error = NULL;
    g_assert_false(nfs_check(&nfs, &error));
    g_assert_cmpstr(ws_error_param(error, "field"), ==, "nfs.server");
  }
  for (guint i = 0; i < G_N_ELEMENTS(exports); i++) {
    WsPoolNfs nfs = {.server = (char *)"filer", .export = (char *)exports[i], .timeout_s = 10, .retrans = 3, .nconnect = WS_INT_UNSET, .io_bytes = WS_INT_UNSET};
    g_autoptr(GError) error = NULL;
    g_assert_false(nfs_check(&nfs, &error));
    g_assert_cmpstr(ws_error_param(error, "field"), ==, "nfs.export");
  }
  WsPoolNfs many = {.server = (char *)"filer", .export = (char *)"/vol", .timeout_s = 10, .retrans = 3, .nconnect = 17, .io_bytes = WS_INT_UNSET};
  g_autoptr(GError) error = NULL;
  g_assert_false(nfs_check(&many, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_OUT_OF_RANGE);
  g_assert_cmpuint(f->commands->len, ==, 0);
}

/* ---- life ---- */

static void export_is_mounted_marked_and_used(Fixture *f, gconstpointer data)
{
  g_autofree char *command = g_strconcat("mount -t nfs -o vers=4.2,proto=tcp,soft,timeo=100,retrans=3,nosuid,nodev,noexec filer-1:/vol/vms ", f->path, NULL);
  must_prepare(f);
  assert_commands(f, 1, command);
  g_assert_true(has(f->path, ".winsphere-pool") && !has(f->under, ".winsphere-pool"));
  must_prepare(f); /* repeated: it is there */
  g_assert_cmpuint(f->commands->len, ==, 1);
}

static void under_systemd_it_is_mounted_where_libvirt_sees_it(Fixture *f, gconstpointer data)
{
  g_assert_cmpint(g_mkdir(f->systemd, 0755), ==, 0);
  must_prepare(f);
  g_assert_true(g_str_has_prefix(f->commands->pdata[0], "systemd-mount --collect --no-ask-password -t nfs -o vers=4.2,"));
}

static void empty_mount_point_is_never_written(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL, away = NULL;
  f->mount_lies = true;
  g_assert_false(prepare(f, FILER, true, NULL, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_IO_ERROR);
  g_assert_false(has(f->path, ".winsphere-pool"));
  f->mount_lies = false;
  must_prepare(f);
  unmount_it(f); /* behind our back */
  f->mount_status = 32;
  g_autoptr(WsRpcVolumeCreate) params = ws_rpc_volume_create_new();
  WsRpcVolumeCreateResult *result = NULL;
  params->pool = 1;
  params->file = g_strdup("vol-1.raw");
  params->size_bytes = 1 << 20;
  params->format = WS_RPC_VOLUME_CREATE_FORMAT_RAW;
  params->provisioning = WS_RPC_VOLUME_CREATE_PROVISIONING_THIN;
  g_assert_false(storage_volume_create(f->storage, params, NULL, &result, &away));
  g_assert_error(away, WS_ERROR, (int)WS_ERROR_WRONG_STATE);
  g_assert_cmpstr(ws_error_param(away, "state"), ==, "unreachable");
  g_autoptr(GDir) dir = g_dir_open(f->path, 0, NULL);
  g_assert_null(g_dir_read_name(dir));
}

static void kernel_without_nfs_is_named(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL, missing = NULL;
  write_text(f->filesystems, "nodev\tproc\n\text4\nnodev\tnfsd\n");
  f->mount_status = 32;
  g_assert_false(prepare(f, FILER, true, NULL, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_UNSUPPORTED);
  g_assert_nonnull(strstr(error->message, "the kernel of this host has no NFS client"));
  g_unlink(f->helper);
  g_assert_false(prepare(f, FILER, true, NULL, &missing));
  g_assert_error(missing, WS_ERROR, (int)WS_ERROR_PROGRAM_MISSING);
  g_assert_nonnull(strstr(missing->message, "nfs-common"));
}

static void other_export_at_the_path_is_refused(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  must_prepare(f);
  g_assert_false(prepare(f, "{\"server\":\"filer-2\",\"export\":\"/vol/vms\"}", true, NULL, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_IN_USE);
  g_assert_cmpuint(f->commands->len, ==, 1);
}

static void it_is_mounted_again_after_the_machine_was_off(Fixture *f, gconstpointer data)
{
  must_prepare(f);
  storage_free(f->storage);
  unmount_it(f);
  start(f); /* does not wait for the server */
  g_assert_cmpuint(f->commands->len, ==, 1);
  g_assert_cmpint(state_of(f, NULL), ==, WS_POOL_STATUS_STATE_ACTIVE);
  g_assert_cmpuint(f->commands->len, ==, 2);
}

/* Its type is the client's, not the kernel's. */
static void client_in_user_space_is_taken_for_one(Fixture *f, gconstpointer data)
{
  g_autoptr(WsPoolNfs) nfs = an_export(FILER);
  g_autofree char *line = g_strdup_printf("36 22 0:50 / %s rw,nosuid - fuse.nfs filer-1:/vol/vms rw\n", f->path);
  g_autofree char *other = g_strdup_printf("36 22 0:50 / %s rw,nosuid - fuse.sshfs filer-1:/vol/vms rw\n", f->path);
  write_text(f->mountinfo, line);
  g_assert_cmpint(nfs_state(nfs, f->path), ==, NFS_MOUNTED);
  write_text(f->mountinfo, other);
  g_assert_cmpint(nfs_state(nfs, f->path), ==, NFS_OTHER);
}

static void server_that_is_away_is_not_asked_without_end(Fixture *f, gconstpointer data)
{
  g_autofree char *reason = NULL;
  must_prepare(f);
  storage_free(f->storage);
  unmount_it(f);
  f->mount_status = 32;
  start(f);
  g_assert_cmpint(state_of(f, NULL), ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  g_assert_cmpint(state_of(f, &reason), ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  g_assert_cmpuint(f->commands->len, ==, 2); /* the next try is in a while */
  g_assert_nonnull(reason);
}

static void server_that_hangs_holds_nobody(Fixture *f, gconstpointer data)
{
  g_autofree char *reason = NULL;
  must_prepare(f);
  hang(f, true);
  gint before = g_atomic_int_get(&f->n_asked);
  g_assert_cmpint(state_of(f, &reason), ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  g_assert_nonnull(strstr(reason, "does not answer"));
  gint sent = g_atomic_int_get(&f->n_asked);
  g_assert_cmpint(sent, >, before);
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint(state_of(f, NULL), ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  g_assert_cmpint(g_atomic_int_get(&f->n_asked), ==, sent); /* nobody else was sent after it */
  storage_free(f->storage); /* the agent can end, too */
  start(f);
  hang(f, false);
  g_assert_cmpint(state_of(f, NULL), ==, WS_POOL_STATUS_STATE_ACTIVE);
}

static void removed_pool_is_unmounted(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) busy = NULL, error = NULL;
  g_autofree char *command = g_strconcat("umount ", f->path, NULL);
  must_prepare(f);
  f->umount_status = 32;
  g_assert_false(storage_pool_remove(f->storage, 1, true, &busy));
  g_assert_error(busy, WS_ERROR, (int)WS_ERROR_IN_USE);
  g_assert_cmpint(state_of(f, NULL), ==, WS_POOL_STATUS_STATE_ACTIVE);
  f->umount_status = 0;
  g_assert_true(storage_pool_remove(f->storage, 1, true, &error));
  assert_commands(f, 3, command);
  g_assert_true(has(f->export, ".winsphere-pool") && !g_file_test(f->path, G_FILE_TEST_EXISTS));
  g_assert_true(storage_pool_remove(f->storage, 1, true, &error)); /* repeated */
  g_assert_cmpuint(f->commands->len, ==, 3);
}

/* ---- for real ---- */

static void real_export_of_this_machine(void)
{
  const char *server = g_getenv("WS_TEST_NFS_SERVER"), *export = g_getenv("WS_TEST_NFS_EXPORT");
  g_autofree char *kernel = NULL;
  g_file_get_contents("/proc/filesystems", &kernel, NULL, NULL);
  if (!kernel || !strstr(kernel, "\tnfs4\n")) {
    g_test_skip("the kernel has no NFS client");
    return;
  }
  if (!server || !export) {
    g_test_skip("no export is named (WS_TEST_NFS_SERVER, WS_TEST_NFS_EXPORT)");
    return;
  }
  g_autofree char *top = g_dir_make_tmp("ws-nfs-real-XXXXXX", NULL), *file = g_build_filename(top, "written", NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *json = g_strdup_printf("{\"server\":\"%s\",\"export\":\"%s\"}", server, export);
  g_autoptr(WsPoolNfs) nfs = an_export(json);
  g_assert_true(nfs_mount(nfs, top, &error));
  g_assert_no_error(error);
  g_assert_cmpint(nfs_state(nfs, top), ==, NFS_MOUNTED);
  write_text(file, "x");
  g_unlink(file);
  g_assert_true(nfs_unmount(nfs, top, &error));
  g_assert_cmpint(nfs_state(nfs, top), ==, NFS_ABSENT);
  g_rmdir(top);
}

#define ADD(name) g_test_add("/host/nfs/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/host/nfs/real_export_of_this_machine", real_export_of_this_machine);
  ADD(options_are_made_of_fields_alone);
  ADD(words_that_could_be_options_are_refused);
  ADD(export_is_mounted_marked_and_used);
  ADD(client_in_user_space_is_taken_for_one);
  ADD(under_systemd_it_is_mounted_where_libvirt_sees_it);
  ADD(empty_mount_point_is_never_written);
  ADD(kernel_without_nfs_is_named);
  ADD(other_export_at_the_path_is_refused);
  ADD(it_is_mounted_again_after_the_machine_was_off);
  ADD(server_that_is_away_is_not_asked_without_end);
  ADD(server_that_hangs_holds_nobody);
  ADD(removed_pool_is_unmounted);
  return g_test_run();
}

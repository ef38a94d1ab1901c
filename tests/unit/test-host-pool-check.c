// SPDX-License-Identifier: Apache-2.0
/* The checks before a pool is used, on a host: what they find, and that nothing is left of them - after a
 * failure, with a server that hangs, and when the agent is killed in the middle. The kernel's part is played
 * as in test-host-nfs.c. */
#include "folders.h"
#include "base/error.h"
#include "base/exec.h"
#include "host/storage/nfs.h"
#include "host/storage/pool_probe.h"
#include "host/storage/pool_trial.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDENTITY "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a01"
#define OTHER    "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a02"
#define HANGS    (-1) /* a program whose time is over */
#define NO_MOUNT "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
#define WAIT_US  (20 * (gint64)G_USEC_PER_SEC)
/* What is well in any folder, by its checks; who is not root cannot try to give a file away. */
#define ALL_WELL       (geteuid() == 0 ? WELL_OF_ROOT : WELL_OF_OTHERS)
#define WELL_OF_ROOT   "filesystem space write owner locks direct_io rename"
#define WELL_OF_OTHERS "filesystem space write locks direct_io rename"

typedef struct {
  char *top, *root, *state, *path, *export, *under, *mountinfo, *filesystems, *helper;
  Storage *storage;
  GPtrArray *commands;
  int mount_status;
  GMutex lock;
  GCond go_on;
  guint hangs_at; /* sign at which threads stop; under the lock */
  guint n_stopped;
} Fixture;

static Fixture *the;
static guint die_at; /* sign at which the process is killed */

/* ---- the stand-ins ---- */

static void write_text(const char *path, const char *text)
{
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void mount_at(Fixture *f, const char *source, const char *at)
{
  g_autofree char *line = g_strdup_printf(NO_MOUNT "36 22 0:50 / %s rw shared:9 - nfs4 %s rw\n", at, source);
  g_assert_cmpint(g_rename(at, f->under), ==, 0);
  g_assert_cmpint(g_rename(f->export, at), ==, 0);
  write_text(f->mountinfo, line);
}

static void unmount_at(Fixture *f, const char *at)
{
  g_assert_cmpint(g_rename(at, f->export), ==, 0);
  g_assert_cmpint(g_rename(f->under, at), ==, 0);
  write_text(f->mountinfo, NO_MOUNT);
}

static bool stand_in(const WsExec *exec, char **out, int *status, void *arg)
{
  Fixture *f = arg;
  bool mounts = strcmp(exec->argv[0], "mount") == 0;
  guint n = g_strv_length((char **)exec->argv);
  g_ptr_array_add(f->commands, g_strjoinv(" ", (char **)exec->argv));
  *status = mounts ? f->mount_status : 0;
  *out = g_strdup("");
  if (*status == 0 && mounts)
    mount_at(f, exec->argv[n - 2], exec->argv[n - 1]);
  else if (!mounts)
    unmount_at(f, exec->argv[n - 1]);
  return true;
}

static void on_sign(WsPoolSignWord sign)
{
  if (sign == die_at)
    kill(getpid(), SIGKILL);
  g_mutex_lock(&the->lock);
  the->n_stopped += sign == the->hangs_at;
  g_cond_broadcast(&the->go_on);
  while (sign == the->hangs_at)
    g_cond_wait(&the->go_on, &the->lock);
  g_mutex_unlock(&the->lock);
}

static void hang_at(Fixture *f, guint sign)
{
  g_mutex_lock(&f->lock);
  f->hangs_at = sign;
  g_cond_broadcast(&f->go_on);
  g_mutex_unlock(&f->lock);
}

static void await_stopped(Fixture *f, guint n)
{
  gint64 end_us = g_get_monotonic_time() + WAIT_US;
  g_mutex_lock(&f->lock);
  while (f->n_stopped < n)
    g_assert_true(g_cond_wait_until(&f->go_on, &f->lock, end_us));
  g_mutex_unlock(&f->lock);
}

static void await_the_thread(void)
{
  await_stopped(the, 1);
}

/* ---- set up ---- */

static Storage *start(Fixture *f)
{
  const char *roots[] = {f->root, NULL};
  const StorageConfig config = {.state_dir = f->state, .allowed_roots = roots, .clock = ws_clock_system()};
  g_autoptr(GError) error = NULL;
  Storage *storage = storage_new(&config, &error);
  g_assert_no_error(error);
  return storage;
}

static void set_up(Fixture *f, gconstpointer data)
{
  the = f;
  die_at = 0;
  f->top = g_dir_make_tmp("ws-check-XXXXXX", NULL);
  f->root = g_build_filename(f->top, "pools", NULL);
  f->state = g_build_filename(f->top, "state", NULL);
  f->path = g_build_filename(f->root, "one", NULL);
  f->export = g_build_filename(f->top, "export", NULL);
  f->under = g_build_filename(f->top, "under", NULL);
  f->mountinfo = g_build_filename(f->top, "mountinfo", NULL);
  f->filesystems = g_build_filename(f->top, "filesystems", NULL);
  f->helper = g_build_filename(f->top, "mount.nfs", NULL);
  f->commands = g_ptr_array_new_with_free_func(g_free);
  const char *const folders[] = {f->root, f->state, f->export};
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    g_assert_cmpint(g_mkdir(folders[i], 0755), ==, 0);
  write_text(f->mountinfo, NO_MOUNT);
  write_text(f->filesystems, "nodev\tnfs\nnodev\tnfs4\n");
  write_text(f->helper, "");
  g_assert_cmpint(g_chmod(f->helper, 0755), ==, 0);
  nfs_mountinfo_file = f->mountinfo;
  nfs_helper_file = f->helper;
  nfs_systemd_folder = "/nonexistent";
  nfs_filesystems_file = f->filesystems;
  pool_probe_seam = on_sign;
  pool_probe_wait_ms = WAIT_US / 1000;
  ws_exec_set_recorder(stand_in, f);
  f->storage = start(f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
  storage_free(f->storage);
  ws_exec_set_recorder(NULL, NULL);
  pool_probe_seam = NULL;
  pool_probe_wait_seam = NULL;
  folder_remove(f->top);
  g_ptr_array_unref(f->commands);
  char *texts[] = {f->top, f->root, f->state, f->path, f->export, f->under, f->mountinfo, f->filesystems, f->helper};
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(texts[i]);
}

/* ---- asking and looking ---- */

static WsRpcPoolCheckResult *check(Fixture *f, const char *path, const char *fields)
{
  g_autofree char *json = g_strdup_printf("{\"kind\":\"directory\",\"path\":\"%s\"%s}", path, fields);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcPoolCheck) params = ws_rpc_pool_check_parse(json, strlen(json), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  if (params->nfs)
    params->kind = WS_RPC_POOL_CHECK_KIND_NFS;
  WsRpcPoolCheckResult *result = NULL;
  storage_pool_check(f->storage, params, &result, &error);
  g_assert_no_error(error);
  return result;
}

/* What a file system may be like either way is its check alone. */
static char *words_of(const WsRpcPoolCheckResult *result)
{
  static const char *const either[] = {"filesystem_", "space_",     "write_done", "owner_kept",
                                       "locks_kept",  "direct_io_", "rename_done"};
  static const char *const plain[] = {"filesystem", "space",     "write", "owner",
                                      "locks",      "direct_io", "rename"};
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < result->signs.len; i++) {
    const char *word = ws_pool_sign_word_names[result->signs.items[i]->sign - 1];
    for (guint j = 0; j < G_N_ELEMENTS(either); j++)
      if (g_str_has_prefix(word, either[j]))
        word = plain[j];
    g_string_append_printf(text, "%s%s", i ? " " : "", word);
  }
  return g_string_free(text, FALSE);
}

static void assert_finds(Fixture *f, const char *path, const char *fields, const char *expected)
{
  g_autoptr(WsRpcPoolCheckResult) result = check(f, path, fields);
  g_autofree char *words = words_of(result);
  g_assert_cmpstr(words, ==, expected);
}

/* `before`, then what is well. */
static void assert_well(const char *words, const char *before)
{
  g_autofree char *expected = g_strdup_printf("%s %s", before, ALL_WELL);
  g_assert_cmpstr(words, ==, expected);
}

static void assert_finds_well(Fixture *f, const char *path, const char *fields, const char *before)
{
  g_autoptr(WsRpcPoolCheckResult) result = check(f, path, fields);
  g_autofree char *words = words_of(result);
  assert_well(words, before);
}

static guint n_in(const char *folder)
{
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  guint n = 0;
  while (dir && g_dir_read_name(dir))
    n++;
  return n;
}

static guint n_notes(Fixture *f)
{
  g_autofree char *folder = g_build_filename(f->state, "checks", NULL);
  return n_in(folder);
}

static bool is_mounted(Fixture *f)
{
  g_autofree char *text = NULL;
  g_assert_true(g_file_get_contents(f->mountinfo, &text, NULL, NULL));
  return strcmp(text, NO_MOUNT) != 0;
}

/* Threads that nobody waits for have come to their end. */
static void await_nothing_left(Fixture *f, const char *folder)
{
  gint64 end_us = g_get_monotonic_time() + WAIT_US;
  while (n_notes(f) || is_mounted(f) || n_in(folder)) {
    g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    g_usleep(1000);
  }
}

static void assert_nothing_left(Fixture *f, const char *folder, guint n_files)
{
  g_assert_cmpuint(n_in(folder), ==, n_files);
  g_assert_cmpuint(n_notes(f), ==, 0);
  g_assert_false(is_mounted(f));
}

static void make_pool(const char *path, const char *uuid)
{
  g_autofree char *identity = g_build_filename(path, ".winsphere-pool", NULL),
                  *text = g_strdup_printf("winsphere-pool 1\nuuid %s\n", uuid);
  g_assert_cmpint(g_mkdir(path, 0711) == 0 || g_file_test(path, G_FILE_TEST_IS_DIR), ==, true);
  write_text(identity, text);
}

#define EXPORT ",\"nfs\":{\"server\":\"127.0.0.1\",\"export\":\"/vol\"}"
#define UUID   ",\"uuid\":\"" IDENTITY "\""

/* ---- folders ---- */

static void pool_is_tried_and_left_as_it_was(Fixture *f, gconstpointer data)
{
  make_pool(f->path, IDENTITY);
  assert_finds_well(f, f->path, UUID, "path_there");
  assert_nothing_left(f, f->path, 1);
}

static void folder_that_is_not_there_is_tried_above(Fixture *f, gconstpointer data)
{
  g_autofree char *deep = g_build_filename(f->path, "deep", NULL);
  assert_finds_well(f, f->path, ",\"create\":true", "path_to_make");
  assert_finds_well(f, deep, "", "path_to_share");
  assert_nothing_left(f, f->root, 0);
}

static void folder_that_will_not_do_is_told(Fixture *f, gconstpointer data)
{
  assert_finds(f, "/etc/winsphere", "", "path_refused");
  assert_finds(f, f->path, UUID, "path_absent");
  make_pool(f->path, OTHER);
  assert_finds(f, f->path, UUID, "path_other_pool");
  assert_finds(f, f->path, ",\"create\":true", "path_other_pool");
  g_autofree char *bare = g_build_filename(f->root, "bare", NULL);
  g_assert_cmpint(g_mkdir(bare, 0755), ==, 0);
  assert_finds(f, bare, UUID, "path_no_pool");
  assert_finds_well(f, bare, "", "path_there");
  static const mode_t writable[] = {0777, 0775, 0757};
  for (guint i = 0; i < G_N_ELEMENTS(writable); i++) {
    g_assert_cmpint(g_chmod(bare, writable[i]), ==, 0);
    assert_finds(f, bare, "", "path_open_to_all");
  }
  g_autofree char *below = g_build_filename(bare, "below", NULL);
  assert_finds(f, below, ",\"create\":true", "path_to_make path_open_to_all");
  g_assert_cmpint(g_chmod(bare, 0755), ==, 0);
  if (geteuid() == 0) { /* somebody's own folder */
    g_assert_cmpint(chown(bare, 1000, (gid_t)-1), ==, 0);
    assert_finds(f, bare, "", "path_open_to_all");
    assert_finds(f, below, "", "path_to_share path_open_to_all");
  }
  assert_nothing_left(f, bare, 0);
}

static void pipe_for_an_identity_holds_nobody_up(Fixture *f, gconstpointer data)
{
  g_autofree char *pipe = g_build_filename(f->path, ".winsphere-pool", NULL);
  g_assert_cmpint(g_mkdir(f->path, 0755), ==, 0);
  g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
  assert_finds(f, f->path, UUID, "path_absent");
}

/* Who may write into the folder puts something else in the place of what is tried. */
static void swap(WsPoolSignWord sign, const char *found, void *arg)
{
  Fixture *f = arg;
  g_autofree char *name = g_build_filename(f->export, ".new-x", NULL);
  if (sign != WS_POOL_SIGN_WORD_WRITE_DONE)
    return;
  g_assert_cmpint(g_unlink(name), ==, 0);
  g_assert_cmpint(link(f->helper, name), ==, 0);
}

static void what_is_put_in_its_place_is_not_touched(Fixture *f, gconstpointer data)
{
  int fd = open(f->export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  write_text(f->helper, "theirs");
  pool_trial_run(fd, ".new-x", swap, f);
  close(fd);
  g_autofree char *text = NULL;
  g_assert_true(g_file_get_contents(f->helper, &text, NULL, NULL));
  g_assert_cmpstr(text, ==, "theirs");
  assert_nothing_left(f, f->export, 0);
}

static void add_word(WsPoolSignWord sign, const char *found, void *arg)
{
  g_string_append_printf(arg, "%s ", ws_pool_sign_word_names[sign - 1]);
}

/* As an export does that squashes root: what root makes there is somebody else's. */
static void squashed_root_is_told(Fixture *f, gconstpointer data)
{
  if (geteuid() != 0)
    return g_test_skip("needs root");
  g_autoptr(GString) words = g_string_new(NULL);
  int fd = open(f->export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint(g_chmod(f->export, 0777), ==, 0);
  setfsuid(1);
  pool_trial_run(fd, ".new-x", add_word, words);
  setfsuid(0);
  close(fd);
  g_assert_nonnull(strstr(words->str, "owner_squashed"));
  g_assert_null(strstr(words->str, "owner_kept"));
  assert_nothing_left(f, f->export, 0);
}

/* ---- exports ---- */

static void export_is_mounted_aside_and_unmounted(Fixture *f, gconstpointer data)
{
  g_autoptr(WsRpcPoolCheckResult) result = check(
      f, f->path, ",\"nfs\":{\"server\":\"127.0.0.1\",\"export\":\"/vol\",\"hard\":true,\"timeout_s\":600}");
  g_autofree char *words = words_of(result), *aside = g_build_filename(f->state, "checks", "1", NULL);
  g_autofree char *mount =
      g_strconcat("mount -t nfs -o vers=4.2,proto=tcp,soft,timeo=50,retrans=2,nosuid,nodev,noexec,retry=0 "
                  "127.0.0.1:/vol ",
                  aside, NULL);
  g_autofree char *umount = g_strconcat("umount ", aside, NULL);
  assert_well(words, "mount_done path_there");
  g_assert_cmpuint(f->commands->len, ==, 2);
  g_assert_cmpstr(f->commands->pdata[0], ==, mount);
  g_assert_cmpstr(f->commands->pdata[1], ==, umount);
  g_assert_cmpstr(result->device, ==, "lo");
  g_assert_cmpstr(result->source, ==, "127.0.0.1");
  g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
  assert_nothing_left(f, f->export, 0);
}

static void pool_that_is_mounted_is_tried_where_it_is(Fixture *f, gconstpointer data)
{
  make_pool(f->export, IDENTITY);
  g_assert_cmpint(g_mkdir(f->path, 0755), ==, 0);
  mount_at(f, "127.0.0.1:/vol", f->path);
  assert_finds_well(f, f->path, UUID EXPORT, "options_soft mount_done path_there");
  g_assert_cmpuint(f->commands->len, ==, 0);
  g_assert_true(is_mounted(f));
  unmount_at(f, f->path);
  assert_nothing_left(f, f->export, 1);
}

static void export_that_cannot_be_mounted_leaves_nothing(Fixture *f, gconstpointer data)
{
  f->mount_status = 32;
  assert_finds(f, f->path, EXPORT, "options_soft mount_failed");
  write_text(f->filesystems, "\text4\n");
  assert_finds(f, f->path, ",\"nfs\":{\"server\":\"127.0.0.1\",\"export\":\"/vol\",\"version\":\"v3\"}",
               "options_soft options_v3 mount_no_client");
  assert_nothing_left(f, f->export, 0);
}

/* ---- what hangs ---- */

static void silent_server_is_given_up_and_cleared(Fixture *f, gconstpointer data)
{
  hang_at(f, WS_POOL_SIGN_WORD_WRITE_DONE);
  pool_probe_wait_seam = await_the_thread;
  pool_probe_wait_ms = 0;
  assert_finds(f, f->path, EXPORT, "options_soft mount_done path_there filesystem space write mount_silent");
  pool_probe_wait_seam = NULL;
  pool_probe_wait_ms = WAIT_US / 1000;
  g_assert_false(is_mounted(f)); /* at once, though the thread hangs */
  g_assert_true(g_str_has_prefix(f->commands->pdata[f->commands->len - 1], "umount -f -l "));
  gint64 began_us = g_get_monotonic_time();
  assert_finds(f, f->path, EXPORT, "mount_silent");
  g_assert_cmpint(g_get_monotonic_time() - began_us, <, WAIT_US / 2); /* nobody was sent there */
  hang_at(f, 0);
  await_nothing_left(f, f->export);
  gint64 end_us = g_get_monotonic_time() + WAIT_US;
  for (bool silent = true; silent; g_usleep(1000)) { /* until its thread has counted itself out */
    g_autoptr(WsRpcPoolCheckResult) result = check(f, f->path, EXPORT);
    silent = result->signs.len == 1;
    g_assert_cmpint(g_get_monotonic_time(), <, end_us);
  }
}

static gpointer ask(gpointer arg)
{
  g_autofree char *path = arg;
  g_autoptr(WsRpcPoolCheckResult) result = check(the, path, "");
  return words_of(result);
}

static void no_more_than_eight_are_out(Fixture *f, gconstpointer data)
{
  GThread *threads[8];
  g_autofree char *more = g_build_filename(f->root, "more", NULL);
  hang_at(f, WS_POOL_SIGN_WORD_WRITE_DONE);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
    g_autofree char *name = g_strdup_printf("p%u", i);
    char *path = g_build_filename(f->root, name, NULL);
    threads[i] = g_thread_new("ask", ask, path);
  }
  await_stopped(f, G_N_ELEMENTS(threads));
  assert_finds(f, more, "", "host_busy");
  hang_at(f, 0);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
    g_autofree char *words = g_thread_join(threads[i]);
    assert_well(words, "path_to_share");
  }
  assert_nothing_left(f, f->root, 0);
}

/* ---- killed in the middle ---- */

/* An agent that is killed at that sign; the next one clears up. */
static void killed(Fixture *f, const char *fields, guint sign, const char *folder)
{
  storage_free(f->storage);
  pid_t child = fork();
  if (child == 0) {
    die_at = sign;
    f->storage = start(f);
    check(f, f->path, fields);
    _exit(1);
  }
  int status = 0;
  g_assert_cmpint(waitpid(child, &status, 0), ==, child);
  g_assert_true(WIFSIGNALED(status));
  g_assert_cmpuint(n_notes(f), >, 0);
  f->storage = start(f);
  await_nothing_left(f, folder);
}

static void killed_agent_leaves_no_file(Fixture *f, gconstpointer data)
{
  killed(f, ",\"create\":true", WS_POOL_SIGN_WORD_LOCKS_KEPT, f->root);
  killed(f, ",\"create\":true", WS_POOL_SIGN_WORD_RENAME_DONE, f->root);
}

static void killed_agent_leaves_no_mount(Fixture *f, gconstpointer data)
{
  killed(f, EXPORT, WS_POOL_SIGN_WORD_MOUNT_DONE, f->export);
  killed(f, EXPORT, WS_POOL_SIGN_WORD_LOCKS_KEPT, f->export);
}

/* The machine went down with it: the file lies on the server, and is cleared from there. */
static void file_on_a_server_is_cleared_after_a_reboot(Fixture *f, gconstpointer data)
{
  storage_free(f->storage);
  pid_t child = fork();
  if (child == 0) {
    die_at = WS_POOL_SIGN_WORD_LOCKS_KEPT;
    f->storage = start(f);
    check(f, f->path, EXPORT);
    _exit(1);
  }
  g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
  g_autofree char *aside = g_build_filename(f->state, "checks", "1", NULL);
  unmount_at(f, aside);
  g_assert_cmpuint(n_in(f->export), ==, 1);
  f->storage = start(f);
  await_nothing_left(f, f->export);
}

static guint n_said(Fixture *f, const char *program)
{
  guint n = 0;
  for (guint i = 0; i < f->commands->len; i++)
    n += g_str_has_prefix(f->commands->pdata[i], program);
  return n;
}

/* It was killed, or gave up, while mount hung: nothing can lie on the server, and nobody asks it again. */
static void server_that_was_away_is_not_asked_at_the_next_start(Fixture *f, gconstpointer data)
{
  f->mount_status = HANGS;
  assert_finds(f, f->path, EXPORT, "options_soft mount_silent");
  g_assert_cmpuint(n_notes(f), >, 0); /* it may come about yet */
  storage_free(f->storage);
  f->storage = start(f);
  await_nothing_left(f, f->export);
  g_assert_cmpuint(n_said(f, "mount "), ==, 1);
}

/* It came about after all: it is unmounted, and that is all. */
static void late_mount_is_unmounted_at_the_next_start(Fixture *f, gconstpointer data)
{
  f->mount_status = HANGS;
  assert_finds(f, f->path, EXPORT, "options_soft mount_silent");
  g_autofree char *aside = g_build_filename(f->state, "checks", "1", NULL);
  storage_free(f->storage);
  if (!g_file_test(aside, G_FILE_TEST_IS_DIR))
    g_assert_cmpint(g_mkdir(aside, 0700), ==, 0);
  mount_at(f, "127.0.0.1:/vol", aside);
  f->storage = start(f);
  await_nothing_left(f, f->export);
  g_assert_cmpuint(n_said(f, "mount "), ==, 1);
  g_assert_cmpuint(n_said(f, "umount "), ==, 1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/host/pool-check/" #name, Fixture, NULL, set_up, name, tear_down)
  ADD(pool_is_tried_and_left_as_it_was);
  ADD(folder_that_is_not_there_is_tried_above);
  ADD(folder_that_will_not_do_is_told);
  ADD(pipe_for_an_identity_holds_nobody_up);
  ADD(what_is_put_in_its_place_is_not_touched);
  ADD(squashed_root_is_told);
  ADD(export_is_mounted_aside_and_unmounted);
  ADD(pool_that_is_mounted_is_tried_where_it_is);
  ADD(export_that_cannot_be_mounted_leaves_nothing);
  ADD(silent_server_is_given_up_and_cleared);
  ADD(no_more_than_eight_are_out);
  ADD(killed_agent_leaves_no_file);
  ADD(killed_agent_leaves_no_mount);
  ADD(file_on_a_server_is_cleared_after_a_reboot);
  ADD(server_that_was_away_is_not_asked_at_the_next_start);
  ADD(late_mount_is_unmounted_at_the_next_start);
  return g_test_run();
}

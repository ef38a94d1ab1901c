// SPDX-License-Identifier: Apache-2.0
/* Copies: a backup restores to what was there, in whichever kind of database; a damaged one, and an occupied place, are
 * refused before anything is touched; moving there and back changes nothing; what is cut short can be done again. */
#include "inventory-work.h"
#include "inventory/copy.h"
#include "pg-server.h"
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- helpers ---- */

typedef struct {
  InvRig *rig;
  char *dir, *backup;
  WsLoop *loop; /* for what runs where no manager does */
} Site;

static void site_clear(Site *site)
{
  if (!site->dir)
    return;
  inv_rig_free(site->rig);
  ws_loop_free(site->loop);
  g_unlink(site->backup);
  g_rmdir(site->dir);
  g_free(site->dir);
  g_free(site->backup);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Site, site_clear)

/* A site in which something has happened. */
static void fill(InvRig *rig)
{
  g_assert_true(inv_work_run(rig, 5, NULL, NULL));
  InvTxn *txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "odd \"name\"\n\twith 存储 in it, and {braces}");
  inv_rig_commit_ok(rig, txn);
}

static const WorkState filled = {{5, 5, 5}};

static void site_init(Site *site)
{
  site->dir = g_strdup(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm/copy-XXXXXX" : "/tmp/copy-XXXXXX");
  g_assert_nonnull(g_mkdtemp(site->dir));
  site->backup = g_build_filename(site->dir, "one.backup", NULL);
  site->loop = ws_loop_new(ws_clock_system());
  site->rig = inv_rig_new(false);
  fill(site->rig);
}

static CopySummary *backup(Site *site)
{
  g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)copy_file_free);
  CopyFile *file = g_new0(CopyFile, 1);
  GError *error = NULL;
  CopySummary *summary;

  *file = (CopyFile){g_strdup("ca.key"), g_bytes_new("secret\n{\"end\":true}", 19)};
  g_ptr_array_add(files, file);
  summary = copy_backup(site->rig->store, site->backup, files, NULL, NULL, &error);
  g_assert_no_error(error);
  return summary;
}

static guint64 rows_of(const CopySummary *summary, const char *table)
{
  for (guint i = 0; i < summary->sums->len; i++) {
    const CopySum *sum = g_ptr_array_index(summary->sums, i);
    if (strcmp(sum->table, table) == 0)
      return sum->n_rows;
  }
  return G_MAXUINT64;
}

static void assert_same_sums(const CopySummary *a, const CopySummary *b)
{
  g_assert_cmpuint(a->sums->len, ==, b->sums->len);
  for (guint i = 0; i < a->sums->len; i++) {
    const CopySum *x = g_ptr_array_index(a->sums, i), *y = g_ptr_array_index(b->sums, i);
    g_assert_cmpstr(x->table, ==, y->table);
    g_assert_cmpuint(x->n_rows, ==, y->n_rows);
    if (strcmp(x->table, "facts") != 0)
      g_assert_cmpstr(x->sha256, ==, y->sha256);
  }
}

static void drop_kept(InvRig *rig, const char *kept)
{
  if (rig->schema) {
    g_autofree char *sql = g_strdup_printf("DROP SCHEMA %s CASCADE", kept);
    pg_server_run(sql);
  } else {
    g_autofree char *wal = g_strconcat(kept, "-wal", NULL);
    g_assert_cmpint(g_unlink(kept), ==, 0);
    g_unlink(wal);
  }
}

/* ---- backups ---- */

static void backup_is_private_and_tells_what_it_holds(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(CopySummary) made = backup(&site);
  g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)copy_file_free);
  GError *error = NULL;
  g_autoptr(CopySummary) read = copy_verify(site.backup, files, &error);
  struct stat st;

  g_assert_no_error(error);
  assert_same_sums(made, read);
  g_assert_cmpstr(made->sha256, ==, read->sha256);
  g_assert_cmpuint(rows_of(read, "pools"), ==, 7);
  g_assert_cmpuint(rows_of(read, "volumes"), ==, WORK_WRITERS * WORK_VOLUMES);
  g_assert_cmpuint(rows_of(read, "events"), ==, 15);
  g_assert_cmpint(stat(site.backup, &st), ==, 0);
  g_assert_cmpint(st.st_mode & 07777, ==, 0600);
  g_assert_cmpuint((guint64)st.st_size, ==, made->size_bytes);
  g_assert_cmpuint(files->len, ==, 1);
  CopyFile *file = g_ptr_array_index(files, 0);
  g_assert_cmpstr(file->name, ==, "ca.key");
  g_assert_cmpmem(g_bytes_get_data(file->bytes, NULL), g_bytes_get_size(file->bytes), "secret\n{\"end\":true}", 19);
}

/* Commits go on while it is made; what is in it is one moment: whole transactions only. */
typedef struct {
  Site *site;
  GError *error;
  CopySummary *summary;
  gint done;
} Online;

static gpointer back_up_online(gpointer arg)
{
  Online *online = arg;

  online->summary = copy_backup(online->site->rig->store, online->site->backup, NULL, NULL, NULL, &online->error);
  g_atomic_int_set(&online->done, 1);
  return NULL;
}

static void backup_beside_commits_is_of_one_moment(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  for (guint round = 0; round < 2; round++) {
    Online online = {.site = &site};
    GThread *thread = g_thread_new("backup", back_up_online, &online);
    GError *error = NULL;
    do
      g_assert_true(inv_work_run(site.rig, 1, NULL, NULL));
    while (!g_atomic_int_get(&online.done));
    g_thread_join(thread);
    g_assert_no_error(online.error);
    /* Each transaction adds one event, and after the fourth one neither pools nor volumes. */
    guint64 events = rows_of(online.summary, "events");
    g_assert_cmpuint(rows_of(online.summary, "volumes"), ==, WORK_WRITERS * WORK_VOLUMES);
    copy_summary_free(online.summary);

    inv_rig_close(site.rig);
    g_autoptr(CopySummary) restored = copy_restore(site.backup, site.rig->path, site.loop, &error);
    g_assert_no_error(error);
    drop_kept(site.rig, restored->kept);
    inv_rig_open(site.rig);
    WorkState found = {{0}};
    guint64 sum = 0;
    for (guint i = 0; i < WORK_WRITERS; i++) {
      /* Where each writer stands, and that its state is whole. */
      for (guint64 k = 1; k < 10000; k++) {
        g_autofree char *sql = g_strdup_printf("SELECT count(*) FROM events WHERE object = '%u-%" G_GUINT64_FORMAT "'", i, k);
        if (inv_rig_sql_int(site.rig, sql) == 0)
          break;
        found.k[i] = k;
      }
      sum += found.k[i];
    }
    g_assert_cmpuint(sum, ==, events);
    inv_work_verify(site.rig, &found, NULL);
  }
}

static bool stop_at_once(void *arg)
{
  return false;
}

static void cancelled_backup_leaves_nothing(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  InvTxn *txn = inv_begin(site.rig->inv);
  GError *error = NULL;

  for (guint i = 0; i < 1500; i++)
    inv_append_history(txn, inv_rig_event("vm-1", 1));
  inv_rig_commit_ok(site.rig, txn);
  g_assert_null(copy_backup(site.rig->store, site.backup, NULL, stop_at_once, NULL, &error));
  inv_rig_assert_error(&error, WS_ERROR_CANCELLED, NULL);
  g_assert_cmpint(g_rmdir(site.dir), ==, 0); /* empty */
}

/* ---- restoring ---- */

static void restore_brings_back_what_was_there_and_keeps_what_is(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(CopySummary) made = backup(&site);
  GError *error = NULL;
  WorkState later = {{7, 7, 7}};

  g_assert_true(inv_work_run(site.rig, 2, NULL, NULL));
  WsId next = inv_new_id(site.rig->inv);
  g_autoptr(InvSnapshot) before = inv_snapshot(site.rig->inv);
  Revision revision = inv_snapshot_revision(before);
  inv_rig_close(site.rig);
  g_autoptr(CopySummary) restored = copy_restore(site.backup, site.rig->path, site.loop, &error);
  g_assert_no_error(error);
  assert_same_sums(made, restored);
  inv_rig_open(site.rig);
  inv_work_verify(site.rig, &filled, NULL);
  g_assert_cmpuint(inv_new_id(site.rig->inv), >, next); /* neither comes twice */
  g_autoptr(InvSnapshot) after = inv_snapshot(site.rig->inv);
  g_assert_cmpuint(inv_snapshot_revision(after), >, revision);

  /* What was replaced is whole. */
  g_assert_nonnull(restored->kept);
  if (site.rig->schema) {
    InvRig *old = inv_rig_new_closed(NULL);
    g_autofree char *sql = g_strdup_printf("ALTER SCHEMA %s RENAME TO %s", restored->kept, old->schema);
    pg_server_run(sql);
    inv_rig_open(old);
    inv_work_verify(old, &later, NULL);
    inv_rig_free(old);
  } else {
    InvRig *old = inv_rig_new_closed(NULL);
    g_autofree char *wal = g_strconcat(restored->kept, "-wal", NULL), *to = g_strconcat(old->path, "-wal", NULL);
    g_assert_cmpint(g_rename(restored->kept, old->path), ==, 0);
    g_rename(wal, to);
    inv_rig_open(old);
    inv_work_verify(old, &later, NULL);
    inv_rig_free(old);
  }
}

static void restore_into_nothing_makes_a_database(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(CopySummary) made = backup(&site);
  g_autoptr(InvRig) other = inv_rig_new_closed(NULL);
  GError *error = NULL;
  g_autoptr(CopySummary) restored = copy_restore(site.backup, other->path, site.loop, &error);

  g_assert_no_error(error);
  g_assert_null(restored->kept);
  inv_rig_open(other);
  inv_work_verify(other, &filled, NULL);
}

static void restore_while_a_manager_runs_is_refused(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(CopySummary) made = backup(&site);
  GError *error = NULL;

  g_assert_null(copy_restore(site.backup, site.rig->path, site.loop, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), "another"));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  inv_work_verify(site.rig, &filled, NULL);
}

/* Bytes all over a backup, and lengths: refused with nothing touched, or (in gzip's own fields that mean nothing) the same. */
static void damaged_backup_is_refused_before_anything_is_touched(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(CopySummary) made = backup(&site);
  g_autofree char *bytes = NULL, *sick = g_build_filename(site.dir, "sick", NULL);
  gsize n, step;
  guint refused = 0, tried = 0;
  GError *error = NULL;

  g_assert_true(g_file_get_contents(site.backup, &bytes, &n, NULL));
  step = MAX(n / 100, 1);
  for (gsize i = 0; i < 2 * n; i += step) {
    bool cut = i >= n;
    if (!cut)
      bytes[i] ^= 0x21;
    g_assert_true(g_file_set_contents(sick, bytes, (gssize)(cut ? i - n : n), NULL));
    if (!cut)
      bytes[i] ^= 0x21;
    g_autoptr(CopySummary) read = copy_verify(sick, NULL, &error);
    tried++;
    refused += read == NULL;
    if (read)
      g_assert_cmpstr(read->sha256, ==, made->sha256);
    g_clear_error(&error);
  }
  g_assert_cmpuint(refused, >, tried * 9 / 10);
  bytes[n / 2] ^= 1;
  g_assert_true(g_file_set_contents(sick, bytes, (gssize)n, NULL));
  inv_rig_close(site.rig);
  g_assert_null(copy_restore(sick, site.rig->path, site.loop, &error));
  inv_rig_assert_error(&error, WS_ERROR_BACKUP_DAMAGED, NULL);
  g_unlink(sick);
  inv_rig_open(site.rig);
  inv_work_verify(site.rig, &filled, NULL);
}

/* Unpacks, replaces one text by another of the same length, packs. */
static void edit_backup(const char *path, const char *from, const char *to)
{
  g_autoptr(GFile) file = g_file_new_for_path(path);
  g_autoptr(GInputStream) raw = G_INPUT_STREAM(g_file_read(file, NULL, NULL));
  g_autoptr(GConverter) unzip = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
  g_autoptr(GInputStream) in = g_converter_input_stream_new(raw, unzip);
  g_autoptr(GByteArray) text = g_byte_array_new();
  guint8 piece[4096];
  gssize got;

  while ((got = g_input_stream_read(in, piece, sizeof piece, NULL, NULL)) > 0)
    g_byte_array_append(text, piece, (guint)got);
  char *found = memmem(text->data, text->len, from, strlen(from));
  g_assert_nonnull(found);
  memcpy(found, to, strlen(to));
  g_autoptr(GOutputStream) out_raw = G_OUTPUT_STREAM(g_file_replace(file, NULL, FALSE, 0, NULL, NULL));
  g_autoptr(GConverter) zip = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 1));
  g_autoptr(GOutputStream) out = g_converter_output_stream_new(out_raw, zip);
  g_assert_true(g_output_stream_write_all(out, text->data, text->len, NULL, NULL, NULL));
  g_assert_true(g_output_stream_close(out, NULL, NULL));
}

static void edited_and_newer_and_hostile_backups_are_refused(void)
{
  static const struct {
    const char *from, *to;
    WsErrorCode code;
  } cases[] = {
      {"\"name\":\"0a\"", "\"name\":\"9a\"", WS_ERROR_BACKUP_DAMAGED},
      {"{\"table\":\"pools\"}", "{\"table\":\"p\\\"ols\"}", WS_ERROR_BACKUP_DAMAGED},
      {"{\"winsphere_backup\":1", "{\"winsphere_backup\":2", WS_ERROR_VERSION_MISMATCH},
      {"{\"winsphere_backup\"", "{\"somebodys_backup\"", WS_ERROR_BACKUP_DAMAGED},
  };
  g_auto(Site) site = {NULL};
  site_init(&site);

  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(CopySummary) made = backup(&site);
    GError *error = NULL;
    edit_backup(site.backup, cases[i].from, cases[i].to);
    g_assert_null(copy_verify(site.backup, NULL, &error));
    inv_rig_assert_error(&error, cases[i].code, NULL);
  }
}

/* ---- moving ---- */

static void database_moves_there_and_back(void)
{
  g_auto(Site) site = {NULL};

  if (!pg_server_get()) {
    g_test_skip("no PostgreSQL here: scripts/install-deps installs it");
    return;
  }
  site_init(&site);
  g_autofree char *schema = pg_server_new_schema(), *server = pg_server_address(schema);
  const char *file = site.rig->path;
  GError *error = NULL;
  Store *refused;

  inv_rig_close(site.rig);
  g_autoptr(CopySummary) there = copy_move(file, server, site.loop, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(rows_of(there, "events"), ==, 15);
  g_assert_null(there->kept);
  /* No manager starts on what was left. */
  refused = store_open(file, site.loop, &error);
  g_assert_null(refused);
  g_assert_nonnull(strstr(ws_error_cause(error), server));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  /* It works on there. */
  g_autoptr(InvRig) remote = inv_rig_new_closed(server);
  inv_rig_open(remote);
  inv_work_verify(remote, &filled, NULL);
  g_assert_true(inv_work_run(remote, 1, NULL, NULL));
  inv_rig_close(remote);
  /* And back, into the place of the one that was moved away. */
  g_autoptr(CopySummary) back = copy_move(server, file, site.loop, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(rows_of(back, "events"), ==, 18);
  g_assert_nonnull(back->kept);
  drop_kept(site.rig, back->kept);
  inv_rig_open(site.rig);
  WorkState more = {{6, 6, 6}};
  inv_work_verify(site.rig, &more, NULL);
  g_autofree char *sql = g_strdup_printf("DROP SCHEMA %s CASCADE", schema);
  pg_server_run(sql);
}

static void move_onto_a_database_or_under_a_manager_is_refused(void)
{
  g_auto(Site) site = {NULL};
  site_init(&site);
  g_autoptr(InvRig) other = inv_rig_new(false);
  GError *error = NULL;

  g_assert_null(copy_move(site.rig->path, other->path, site.loop, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), "another"));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  inv_rig_close(site.rig);
  g_assert_null(copy_move(site.rig->path, other->path, site.loop, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), "another"));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  inv_rig_close(other);
  g_assert_null(copy_move(site.rig->path, other->path, site.loop, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), "already"));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  inv_rig_open(site.rig);
  inv_work_verify(site.rig, &filled, NULL);
}

/* ---- cut short ---- */

/* --restore FILE ADDRESS N: dies at the Nth change of a name. The functions that change one are replaced by the linker's order. */
static gint names_left = -1;

static void change_of_a_name(void)
{
  if (names_left > 0 && --names_left == 0)
    _exit(9);
}

static int run_restore(char **argv)
{
  WsLoop *loop = ws_loop_new(ws_clock_system());
  GError *error = NULL;
  g_autoptr(CopySummary) summary = NULL;

  names_left = (gint)g_ascii_strtoll(argv[4], NULL, 10);
  summary = copy_restore(argv[2], argv[3], loop, &error);
  ws_loop_free(loop);
  if (error)
    g_printerr("%s\n", error->message);
  return summary ? 0 : 1;
}

/* Interposed: the calls by which a file database is put into its place. */
int rename(const char *from, const char *to)
{
  change_of_a_name();
  return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
  change_of_a_name();
  return unlinkat(AT_FDCWD, path, 0);
}

int link(const char *from, const char *to)
{
  change_of_a_name();
  return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static bool run_child(Site *site, guint n)
{
  g_autofree char *number = g_strdup_printf("%u", n);
  const char *argv[] = {"test-inventory-copy", "--restore", site->backup, site->rig->path, number, NULL};
  pid_t pid = fork();
  int status;

  if (pid == 0) {
    execv("/proc/self/exe", (char **)argv);
    _exit(4);
  }
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  g_assert_true(WIFEXITED(status));
  g_assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
  return WEXITSTATUS(status) == 0;
}

/* Killed before each change of a name: the database is the old one, or the new one, or says that it must be done again; and
 * doing it again works. */
static void restore_that_is_cut_short_is_done_again(void)
{
  WorkState later = {{7, 7, 7}};
  guint n = 1, refused = 0, old = 0, new = 0;

  for (bool whole = false; !whole; n++) {
    g_auto(Site) site = {NULL};
    site_init(&site);
    g_autoptr(CopySummary) made = backup(&site);
    GError *error = NULL;
    g_assert_true(inv_work_run(site.rig, 2, NULL, NULL));
    InvRig *killed = inv_rig_copy(site.rig); /* with a WAL, as after a kill of the manager */
    inv_rig_close(killed);
    inv_rig_close(site.rig);
    InvRig *closed = site.rig;
    site.rig = killed;
    whole = run_child(&site, n);
    Store *store = store_open(site.rig->path, site.loop, &error);
    if (!store) {
      g_assert_nonnull(strstr(ws_error_cause(error), "cut short"));
      inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
      refused++;
    } else {
      store_close(store);
      inv_rig_open(site.rig);
      g_autoptr(InvSnapshot) snap = inv_snapshot(site.rig->inv);
      bool is_new = inv_snapshot_revision(snap) > (1ull << 36);
      inv_work_verify(site.rig, is_new ? &filled : &later, NULL);
      *(is_new ? &new : &old) += 1;
      inv_rig_close(site.rig);
    }
    g_autoptr(CopySummary) again = copy_restore(site.backup, site.rig->path, site.loop, &error);
    g_assert_no_error(error);
    g_assert_nonnull(again->kept);
    inv_rig_open(site.rig);
    inv_work_verify(site.rig, &filled, NULL);
    inv_rig_free(closed);
  }
  g_test_message("%u places: %u the old one, %u refused, %u the new one", n - 1, old, refused, new);
  g_assert_cmpuint(old, >, 0);
  g_assert_cmpuint(refused, >, 0);
  g_assert_cmpuint(new, >, 0);
}

int main(int argc, char **argv)
{
  if (argc == 5 && strcmp(argv[1], "--restore") == 0)
    return run_restore(argv);
  g_test_init(&argc, &argv, NULL);
#define TEST(name) inv_rig_add("/inventory/copy/" #name, name)
  TEST(backup_is_private_and_tells_what_it_holds);
  TEST(backup_beside_commits_is_of_one_moment);
  TEST(cancelled_backup_leaves_nothing);
  TEST(restore_brings_back_what_was_there_and_keeps_what_is);
  TEST(restore_into_nothing_makes_a_database);
  TEST(restore_while_a_manager_runs_is_refused);
  TEST(move_onto_a_database_or_under_a_manager_is_refused);
  g_test_add_func("/inventory/copy/damaged_backup_is_refused_before_anything_is_touched",
                  damaged_backup_is_refused_before_anything_is_touched);
  g_test_add_func("/inventory/copy/edited_and_newer_and_hostile_backups_are_refused",
                  edited_and_newer_and_hostile_backups_are_refused);
  g_test_add_func("/inventory/copy/restore_that_is_cut_short_is_done_again", restore_that_is_cut_short_is_done_again);
  g_test_add_func("/inventory/copy/database_moves_there_and_back", database_moves_there_and_back);
  return g_test_run();
}

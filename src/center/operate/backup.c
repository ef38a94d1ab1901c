// SPDX-License-Identifier: Apache-2.0
/* Backups of the manager's own database and keys: made by hand and by the site's schedule, kept so long, checked.
 *
 * The file is written by a worker from a view of the database, while all else goes on; it has its name only when it is whole.
 * Restoring is for a manager that does not run (center/database.c). Core loop, but for what is said to be a worker's. */
#include "base/log.h"
#include "center/database.h"
#include "center/operate/backup.h"
#include "center/room.h"
#include "center/verbs.h"
#include "model/model.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX       ".backup"
#define TRY_AGAIN_US (15 * 60 * (gint64)G_USEC_PER_SEC) /* after one that did not come about */
#define FIRST_US     (10 * 60 * (gint64)G_USEC_PER_SEC) /* a new site has something to back up by then */
#define KEEP         7 /* of a site that says nothing, being older than this setting */
#define HOUR_US      (3600 * (gint64)G_USEC_PER_SEC)
#define OVERDUE      "backup_overdue"
#define QUEUE        "backup" /* of workers: one at a time */

static char *folder_of(const Center *center)
{
  return g_build_filename(center->config.data_dir, "backups", NULL);
}

static char *path_of(const Center *center, const char *file)
{
  g_autofree char *folder = folder_of(center);
  return g_build_filename(folder, file, NULL);
}

/* ---- on a worker ---- */

typedef struct {
  Center *center;
  char *path;
  volatile gint *cancel; /* the task's */
  CopySummary *summary;  /* the result */
} Work;

static void work_free(void *arg)
{
  Work *work = arg;
  copy_summary_free(work->summary);
  g_free(work->path);
  g_free(work);
}

static Work *work_new(Task *task, const char *file)
{
  Work *work = g_new0(Work, 1);
  work->center = task_center(task);
  work->path = path_of(work->center, file);
  work->cancel = task_cancel_flag(task);
  return work;
}

/* At the end of the program the task is gone before this has ended. */
static bool go_on(void *arg)
{
  const Work *work = arg;
  return !g_atomic_int_get(&work->center->backups_stopped) && !g_atomic_int_get(work->cancel);
}

static bool write_on_worker(void *arg, GError **error)
{
  Work *work = arg;
  g_autofree char *folder = folder_of(work->center);
  g_autoptr(GPtrArray) keys = NULL;
  if (g_mkdir_with_parents(folder, 0700) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", folder, "cause", g_strerror(errno), NULL);
  keys = center_key_files(work->center->config.data_dir, error);
  work->summary = keys ? copy_backup(work->center->store, work->path, keys, go_on, work, error) : NULL;
  return work->summary != NULL;
}

static bool verify_on_worker(void *arg, GError **error)
{
  Work *work = arg;
  work->summary = copy_verify(work->path, NULL, error);
  return work->summary != NULL;
}

static bool is_gone(const char *path)
{
  return g_unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR;
}

static bool remove_on_worker(void *arg, GError **error)
{
  const Work *work = arg;
  g_autofree char *partial = g_strconcat(work->path, ".partial", NULL); /* of a write that was cut short */
  return (is_gone(partial) && is_gone(work->path)) ||
         ws_fail(error, WS_ERROR_IO_ERROR, "path", work->path, "cause", g_strerror(errno), NULL);
}

/* ---- making one ---- */

typedef struct {
  Center *center;
  WsId id;
  const char *file;
} Job;

static void replace(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

static void fill_backup(WsBackup *backup, const CopySummary *summary)
{
  backup->time = summary->time_us;
  backup->database = g_strcmp0(summary->database, "postgresql") == 0 ? WS_BACKUP_DATABASE_POSTGRESQL : WS_BACKUP_DATABASE_SQLITE;
  replace(&backup->program, summary->program);
  backup->rows = (gint64)summary->n_rows;
  backup->size_bytes = (gint64)summary->size_bytes;
  replace(&backup->sha256, summary->sha256);
}

static bool write_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsBackup *asked = task_args(task);
  Work *work = work_new(task, job->file);
  if (!ws_co_blocking_keyed(job->center->workers, QUEUE, write_on_worker, work, work_free, 0, error))
    return false;
  g_autoptr(WsBackup) backup = ws_backup_new();
  fill_backup(backup, work->summary);
  backup->file = g_strdup(job->file);
  backup->note = g_strdup(asked ? asked->note : NULL);
  backup->kind = asked && (int)asked->kind ? asked->kind : WS_BACKUP_KIND_MANUAL;
  g_autofree char *text = ws_object_to_json(&ws_type_backup, backup, WS_WRITE_STORED, NULL);
  task_set_result(task, text);
  work_free(work);
  return true;
}

static bool remove_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  Work *work = work_new(task, job->file);
  if (!ws_co_blocking_keyed(job->center->workers, QUEUE, remove_on_worker, work, work_free, 0, error))
    return false;
  work_free(work);
  return true;
}

static bool enter(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const char *text = task_step_result(task, "write");
  g_autoptr(WsBackup) made = text ? ws_object_parse(&ws_type_backup, text, strlen(text), WS_PARSE_STORED, error) : NULL;
  if (!made)
    return false;
  WsBackup *backup = inv_create_with_id(task_txn(task), &ws_type_backup, job->id);
  ws_resource_take_fields(&ws_type_backup, backup, made);
  task_set_object(task, &ws_type_backup, job->id);
  return true;
}

/* "20261127T145945Z-backup-812.backup": by name is by time. */
static char *file_name(const Center *center, WsId id)
{
  char time[32], text[WS_ID_TEXT_MAX];
  GString *name = g_string_new(NULL);
  ws_time_format(ws_clock_wall_us(center->clock), time);
  for (const char *at = time; *at && *at != '.'; at++)
    if (*at != '-' && *at != ':')
      g_string_append_c(name, *at);
  g_string_append_printf(name, "Z-%s" SUFFIX, ws_id_format(ws_type_backup.prefix, id, text));
  return g_string_free(name, FALSE);
}

bool backup_create(Task *task, GError **error)
{
  Job job = {.center = task_center(task), .id = task_new_id(task, "backup")};
  g_autofree char *name = file_name(job.center, job.id);
  job.file = task_choose(task, "file", name);
  return TASK_STEP(task, "write", write_file, remove_file, &job, error) && TASK_LAST(task, "enter", enter, &job, error);
}

/* ---- one that is there ---- */

static bool forget(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  inv_delete(task_txn(task), &ws_type_backup, job->id);
  return true;
}

bool backup_delete(Task *task, GError **error)
{
  const WsBackup *backup = task_find_target(task, error);
  if (!backup)
    return false;
  g_autofree char *file = g_strdup(backup->file);
  Job job = {task_center(task), backup->id, file};
  TaskLockRef lock = {&ws_type_backup, backup->id, false};
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "remove", remove_file, NULL, &job, error) &&
         TASK_LAST(task, "forget", forget, &job, error);
}

static bool verify_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  Work *work = work_new(task, job->file);
  if (!ws_co_blocking_keyed(job->center->workers, QUEUE, verify_on_worker, work, work_free, 0, error))
    return false;
  WsBackup *backup = inv_edit_id(task_txn(task), &ws_type_backup, job->id);
  if (backup) /* of an imported file only now is known what it is */
    fill_backup(backup, work->summary);
  work_free(work);
  return true;
}

bool backup_verify(Task *task, GError **error)
{
  const WsBackup *backup = task_find_target(task, error);
  if (!backup)
    return false;
  g_autofree char *file = g_strdup(backup->file);
  Job job = {task_center(task), backup->id, file};
  TaskLockRef lock = {&ws_type_backup, backup->id, false};
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "verify", verify_file, NULL, &job, error);
}

/* ---- the schedule ---- */

typedef struct {
  const WsBackup *newest; /* of any kind that was made */
  GPtrArray *scheduled;   /* WsBackup, as they come */
} Look;

static bool look_at(const void *object, void *arg)
{
  const WsBackup *backup = object;
  Look *look = arg;
  if (backup->kind == WS_BACKUP_KIND_SCHEDULED)
    g_ptr_array_add(look->scheduled, (void *)backup);
  if (backup->kind != WS_BACKUP_KIND_IMPORTED && (!look->newest || backup->time > look->newest->time))
    look->newest = backup;
  return true;
}

static gint newest_first(gconstpointer a, gconstpointer b)
{
  const WsBackup *x = *(const WsBackup *const *)a, *y = *(const WsBackup *const *)b;
  return x->time < y->time ? 1 : x->time > y->time ? -1 : 0;
}

static void start(Center *center, const char *kind, WsId target, void *args, const char *cause)
{
  const TaskCause why = {.user_name = "system", .cause = cause};
  TaskStarted started = {0};
  g_autoptr(GError) error = NULL;
  if (!task_start(center->tasks, task_kind_find(center->tasks, kind), target, args, &why, false, 0, &started, &error))
    ws_log_error(WS_LOG_WARNING, "backup-task-refused", error, "kind", kind, NULL);
  g_strfreev(started.dry_steps);
}

static void start_scheduled(Center *center)
{
  WsBackup *asked = ws_backup_new();
  asked->kind = WS_BACKUP_KIND_SCHEDULED;
  center->backup_tried_us = ws_clock_monotonic_us(center->clock);
  start(center, "backup_create", 0, asked, "schedule");
}

static void make_if_due(Center *center, const WsBackup *newest, gint64 interval_us)
{
  gint64 now = ws_clock_wall_us(center->clock), monotonic = ws_clock_monotonic_us(center->clock);
  gint64 last = newest ? newest->time : 0;
  bool waits = center->backup_tried_us ? monotonic - center->backup_tried_us < TRY_AGAIN_US
                                       : !newest && now - center->started_us < FIRST_US;
  if (now - last >= interval_us && !waits)
    start_scheduled(center);
  if (now - MAX(last, center->started_us) >= 2 * interval_us)
    center_alarm_open(center, CENTER_MAJOR, NULL, 0, OVERDUE);
  else
    center_alarm_close(center, NULL, 0, OVERDUE);
}

/* Where the database stands on something else than files there is nothing to back up. */
void backup_tick(Center *center)
{
  if (center->config.stand)
    return;
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GPtrArray) scheduled = g_ptr_array_new();
  const WsSite *site = room_site(head);
  Look look = {NULL, scheduled};
  inv_each(head, &ws_type_backup, look_at, &look);
  if (!site || site->backup_interval_hours <= 0 || store_state(center->store) == STORE_READ_ONLY)
    return;
  g_ptr_array_sort(scheduled, newest_first);
  for (guint i = site->backup_keep > 0 ? (guint)site->backup_keep : KEEP; i < scheduled->len; i++) {
    const WsBackup *old = g_ptr_array_index(scheduled, i);
    if (!old->activity)
      start(center, "backup_delete", old->id, NULL, "retention");
  }
  make_if_due(center, look.newest, site->backup_interval_hours * HOUR_US);
}

void backup_stop(Center *center)
{
  g_atomic_int_set(&center->backups_stopped, 1);
}

/* ---- folder and inventory ---- */

typedef struct {
  const Center *center;
  GHashTable *files; /* names in the folder; those with an object are taken out */
  InvTxn *txn;
} Sync;

static bool sync_one(const void *object, void *arg)
{
  const WsBackup *backup = object;
  Sync *sync = arg;
  if (!g_hash_table_remove(sync->files, backup->file) && !backup->activity)
    inv_delete(sync->txn, &ws_type_backup, backup->id);
  return true;
}

/* A restored database does not know the backups that were made after it; and a person may have put one there. */
static void import(Sync *sync, const char *file)
{
  g_autofree char *path = path_of(sync->center, file);
  struct stat st;
  if (stat(path, &st) != 0)
    return;
  WsBackup *backup = inv_create(sync->txn, &ws_type_backup);
  backup->file = g_strdup(file);
  backup->kind = WS_BACKUP_KIND_IMPORTED;
  backup->time = (gint64)st.st_mtime * G_USEC_PER_SEC;
  backup->size_bytes = (gint64)st.st_size;
}

static bool belongs_to_a_task(const InvSnapshot *head, const char *file)
{
  const char *dash = strrchr(file, '-');
  WsId id = dash ? g_ascii_strtoull(dash + 1, NULL, 10) : 0;
  return id != 0 && !inv_find(head, &ws_type_backup, id) && inv_find_by(head, &ws_type_task, "kind", 0, "backup_create");
}

void backup_resume(Center *center)
{
  if (center->config.stand)
    return;
  g_autofree char *folder = folder_of(center);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  Sync sync = {center, files, txn};
  GHashTableIter iter;
  gpointer name;
  const char *entry;
  while (dir && (entry = g_dir_read_name(dir)))
    if (g_str_has_suffix(entry, SUFFIX) && !belongs_to_a_task(head, entry))
      g_hash_table_add(files, g_strdup(entry));
  inv_each(head, &ws_type_backup, sync_one, &sync);
  g_hash_table_iter_init(&iter, files);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    import(&sync, name);
  inv_commit(txn, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Copies of whole databases. See copy.h. */
#include "inventory/copy-private.h"
#include "base/log.h"
#include <string.h>

/* What is handed out after a restore lies so far behind the backup's numbers. */
#define RESTORE_SKIPS_IDS       100000
#define RESTORE_SKIPS_REVISIONS (G_GUINT64_CONSTANT(1) << 36)

/* ---- summaries and sums ---- */

static void sum_free(gpointer arg)
{
  CopySum *sum = arg;

  g_free(sum->table);
  g_free(sum->sha256);
  g_free(sum);
}

CopySummary *copy_summary_new(void)
{
  CopySummary *summary = g_new0(CopySummary, 1);

  summary->sums = g_ptr_array_new_with_free_func(sum_free);
  return summary;
}

void copy_summary_free(CopySummary *summary)
{
  if (!summary)
    return;
  g_free(summary->program);
  g_free(summary->database);
  g_free(summary->sha256);
  g_free(summary->kept);
  g_ptr_array_unref(summary->sums);
  g_free(summary);
}

void copy_file_free(CopyFile *file)
{
  if (!file)
    return;
  g_free(file->name);
  g_bytes_unref(file->bytes);
  g_free(file);
}

gsize copy_row_head(char head[static COPY_HEAD_MAX], WsId id, Revision revision, gsize n)
{
  return (gsize)g_snprintf(head, COPY_HEAD_MAX, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %zu ", id, revision, n);
}

static void count_bytes(CopyCount *count, const char *bytes, gsize n)
{
  if (!count->sha)
    count->sha = ws_sha256_new();
  ws_sha256_add(count->sha, bytes, n);
}

void copy_count_row(CopyCount *count, WsId id, Revision revision, const char *body, gsize n)
{
  char head[COPY_HEAD_MAX];

  count_bytes(count, head, copy_row_head(head, id, revision, n));
  count_bytes(count, body, n);
  count_bytes(count, "\n", 1);
  count->n_rows++;
}

void copy_count_fact(CopyCount *count, const char *name, const char *value)
{
  g_autofree char *line = g_strdup_printf("%s %zu %s\n", name, strlen(value), value);

  count_bytes(count, line, strlen(line));
  count->n_rows++;
}

const CopySum *copy_count_end(CopyCount *count, CopySummary *summary, const char *table)
{
  CopySum *sum = g_new0(CopySum, 1);

  count_bytes(count, "", 0);
  *sum = (CopySum){g_strdup(table), count->n_rows, ws_sha256_end(count->sha)};
  summary->n_rows += count->n_rows;
  g_ptr_array_add(summary->sums, sum);
  *count = (CopyCount){NULL, 0};
  return sum;
}

/* ---- out of a database ---- */

typedef struct {
  const CopySink *sink;
  void *arg;
  CopyCount count;
} Reading;

static bool read_row(WsId id, Revision revision, const char *body, gsize n, void *arg, GError **error)
{
  Reading *reading = arg;

  copy_count_row(&reading->count, id, revision, body, n);
  return !reading->sink->row || reading->sink->row(reading->arg, id, revision, body, n, error);
}

static bool read_fact(const char *name, const char *value, void *arg, GError **error)
{
  Reading *reading = arg;

  copy_count_fact(&reading->count, name, value);
  return !reading->sink->fact || reading->sink->fact(reading->arg, name, value, error);
}

/* table NULL: the facts. */
static bool read_table(Store *store, void *view, const char *table, Reading *reading, CopySummary *summary, GError **error)
{
  const CopySink *sink = reading->sink;
  const CopySum *sum;

  if (sink->begin_table && !sink->begin_table(reading->arg, table, error))
    return false;
  if (table ? !store->backend->view_table(store, view, table, read_row, reading, error)
            : !store->backend->view_facts(store, view, read_fact, reading, error)) {
    ws_sha256_free(reading->count.sha);
    return false;
  }
  sum = copy_count_end(&reading->count, summary, table ? table : COPY_FACTS);
  return !sink->end_table || sink->end_table(reading->arg, table, sum, error);
}

bool copy_from_store(Store *store, const CopySink *sink, void *arg, CopySummary *summary, GError **error)
{
  Reading reading = {sink, arg, {NULL, 0}};
  void *view = store->backend->begin_view(store, error);
  bool ok = view && (!sink->head || sink->head(arg, store_schema.version, error));

  summary->time_us = ws_clock_wall_us(ws_loop_clock(store->loop));
  summary->schema = store_schema.version;
  for (guint i = 0; ok && i < ws_n_resource_types; i++)
    ok = read_table(store, view, store->tables[i].type->plural, &reading, summary, error);
  ok = ok && read_table(store, view, NULL, &reading, summary, error);
  if (view)
    store->backend->end_view(store, view);
  return ok;
}

/* ---- into a database ---- */

static bool fill_head(void *arg, gint64 schema, GError **error)
{
  Store *store = arg;

  return store->backend->begin_fill(store, schema, error);
}

static bool fill_begin_table(void *arg, const char *table, GError **error)
{
  Store *store = arg;

  return !table || store->backend->begin_table(store, table, error);
}

static bool fill_row(void *arg, WsId id, Revision revision, const char *body, gsize n, GError **error)
{
  Store *store = arg;

  return store->backend->fill_row(store, id, revision, body, n, error);
}

static bool fill_fact(void *arg, const char *name, const char *value, GError **error)
{
  Store *store = arg;

  return store->backend->fill_fact(store, name, value, error);
}

static bool fill_end_table(void *arg, const char *table, const CopySum *sum, GError **error)
{
  Store *store = arg;

  return !table || store->backend->end_table(store, error);
}

static const CopySink into_store = {
    .head = fill_head,
    .begin_table = fill_begin_table,
    .row = fill_row,
    .fact = fill_fact,
    .end_table = fill_end_table,
};

/* A source: a file, or an open store. */
typedef struct {
  const char *path;
  Store *store;
} Source;

static bool fill_from(Store *target, const Source *source, CopySummary *summary, GError **error)
{
  return (source->store ? copy_from_store(source->store, &into_store, target, summary, error)
                        : copy_from_file(source->path, &into_store, target, summary, error)) &&
         target->backend->end_fill(target, error);
}

/* ---- comparing ---- */

static bool equal(const CopySum *want, const CopySum *have, const char *path, GError **error)
{
  g_autofree char *cause = NULL;

  if (have->n_rows == want->n_rows && strcmp(have->sha256, want->sha256) == 0)
    return true;
  cause = g_strdup_printf("table %s: %" G_GUINT64_FORMAT " rows were read, %" G_GUINT64_FORMAT " are in the copy, and the sums differ",
                          want->table, want->n_rows, have->n_rows);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

/* Reads the copy as it lies in its database now, and compares it with what was read before. */
static bool read_back(Store *target, const CopySummary *wanted, GError **error)
{
  static const CopySink nowhere;
  Reading reading = {&nowhere, NULL, {NULL, 0}};
  g_autoptr(CopySummary) found = copy_summary_new();
  void *view = target->backend->begin_view(target, error);
  bool ok = view != NULL;

  for (guint i = 0; ok && i < wanted->sums->len; i++) {
    const CopySum *want = g_ptr_array_index(wanted->sums, i);
    const char *table = strcmp(want->table, COPY_FACTS) == 0 ? NULL : want->table;
    ok = read_table(target, view, table, &reading, found, error) && equal(want, g_ptr_array_index(found->sums, i), target->path, error);
  }
  if (view)
    target->backend->end_view(target, view);
  return ok;
}

/* ---- numbers after a restore ---- */

static guint64 read_number(Store *store, const char *name)
{
  g_autofree char *text = store_get_meta(store, name);

  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

typedef struct {
  guint64 id, revision;
} Highest;

static bool look_at_row(WsId id, Revision revision, const char *body, gsize n, void *arg, GError **error)
{
  Highest *highest = arg;

  highest->id = MAX(highest->id, id);
  highest->revision = MAX(highest->revision, revision);
  return true;
}

/* More was handed out after the backup; none of it may come twice. And it is here, wherever it had gone before. */
static bool skip_numbers(Store *store, GError **error)
{
  Highest highest = {read_number(store, "next_id"), read_number(store, "revision_reserve")};
  char next_id[24], revision[24];

  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!store->backend->load(store, &store->tables[i], look_at_row, &highest, error))
      return false;
  g_snprintf(next_id, sizeof next_id, "%" G_GUINT64_FORMAT, highest.id + RESTORE_SKIPS_IDS);
  g_snprintf(revision, sizeof revision, "%" G_GUINT64_FORMAT, highest.revision + RESTORE_SKIPS_REVISIONS);
  const char *const meta[] = {"next_id", next_id, "revision_reserve", revision, STORE_MOVED_TO, "", NULL};
  return store_put_meta(store, meta, error);
}

static bool clear_moved(Store *store, GError **error)
{
  static const char *const meta[] = {STORE_MOVED_TO, "", NULL};

  return store_put_meta(store, meta, error);
}

/* ---- places ---- */

/* A name for the database that is replaced: "before_20261127t101500_123456". */
static char *stamp_now(WsLoop *loop)
{
  char text[32];
  GString *stamp = g_string_new("before_");

  ws_time_format(ws_clock_wall_us(ws_loop_clock(loop)), text);
  for (const char *at = text; *at && *at != 'Z'; at++)
    if (*at != '-' && *at != ':')
      g_string_append_c(stamp, *at == 'T' ? 't' : *at == '.' ? '_' : *at);
  return g_string_free(stamp, FALSE);
}

typedef bool (*Finish)(Store *store, GError **error);

static bool fill_beside(Store *held, const Source *source, CopySummary *summary, GError **error)
{
  Store *beside = store_new(held->path, STORE_BESIDE, held->loop);
  bool ok = store_hold(beside, error) && fill_from(beside, source, summary, error) && read_back(beside, summary, error);

  store_close(beside);
  return ok;
}

/* Opened as a manager would: migrated, with all its columns. */
static bool finish_beside(Store *held, Finish finish, GError **error)
{
  Store *beside = store_new(held->path, STORE_BESIDE, held->loop);
  bool ok = store_start(beside, error) && finish(beside, error);

  store_close(beside);
  return ok;
}

/* Fills a database beside the one that is held, compares it with what was read, and finishes it. */
static bool make_beside(Store *held, const Source *source, Finish finish, CopySummary *summary, GError **error)
{
  return held->backend->drop_beside(held, error) && fill_beside(held, source, summary, error) &&
         finish_beside(held, finish, error);
}

static bool take_place(Store *held, CopySummary *summary, GError **error)
{
  g_autofree char *stamp = stamp_now(held->loop);

  return held->backend->take_place(held, stamp, &summary->kept, error) && held->backend->drop_beside(held, error);
}

CopySummary *copy_restore(const char *path, const char *address, WsLoop *loop, GError **error)
{
  g_autoptr(CopySummary) checked = copy_verify(path, NULL, error), summary = copy_summary_new();
  Source source = {path, NULL};
  Store *held;
  bool ok;

  if (!checked)
    return NULL;
  held = store_new(address, "", loop);
  ok = store_hold(held, error) && make_beside(held, &source, skip_numbers, summary, error) && take_place(held, summary, error);
  store_close(held);
  return ok ? g_steal_pointer(&summary) : NULL;
}

/* From here on no manager starts on it. */
static bool mark_moved(Store *store, const char *to, GError **error)
{
  const char *const meta[] = {STORE_MOVED_TO, to, NULL};

  return store_put_meta(store, meta, error);
}

static bool refuse_occupied(Store *held, GError **error)
{
  bool occupied;

  if (!held->backend->look(held, &occupied, error))
    return false;
  return !occupied || ws_fail(error, WS_ERROR_IO_ERROR, "path", held->path, "cause", "there is a database already", NULL);
}

static bool move(Store *from, Store *to, CopySummary *summary, GError **error)
{
  Source source = {NULL, from};

  return store_start(from, error) && store_hold(to, error) && refuse_occupied(to, error) &&
         make_beside(to, &source, clear_moved, summary, error) && mark_moved(from, to->path, error) &&
         take_place(to, summary, error);
}

/* A move that was cut short has marked the old one already, so it is opened here all the same. */
CopySummary *copy_move(const char *from_address, const char *to_address, WsLoop *loop, GError **error)
{
  g_autoptr(CopySummary) summary = copy_summary_new();
  Store *from = store_new(from_address, "", loop), *to = store_new(to_address, "", loop);
  bool ok = move(from, to, summary, error);

  store_close(from);
  store_close(to);
  return ok ? g_steal_pointer(&summary) : NULL;
}

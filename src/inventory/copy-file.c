// SPDX-License-Identifier: Apache-2.0
/* The backup file: writing and reading it. See copy.h for its form. */
#include "inventory/copy-private.h"
#include "base/files.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT         1
#define GZIP_LEVEL     3 /* of JSON: a sixth of its size, at four times the speed of the highest level */
#define LINE_MAX_BYTES (1 << 16)
#define BODY_MAX_BYTES (64 << 20)
#define GO_ON_ROWS     1000

static bool fail_errno(const char *path, const char *doing, GError **error)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errno));

  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

/* ---- writing ---- */

typedef struct {
  const char *path;
  GOutputStream *out;
  GString *buffer;
  WsSha256 *sha;
  bool (*go_on)(void *arg);
  void *arg;
  guint n_rows;
} Writer;

static bool flush(Writer *w, GError **error)
{
  GError *reason = NULL;
  gsize n;

  if (g_output_stream_write_all(w->out, w->buffer->str, w->buffer->len, &n, NULL, &reason)) {
    g_string_truncate(w->buffer, 0);
    return true;
  }
  ws_fail(error, WS_ERROR_IO_ERROR, "path", w->path, "cause", reason->message, NULL);
  g_error_free(reason);
  return false;
}

static bool put(Writer *w, const char *bytes, gsize n, GError **error)
{
  ws_sha256_add(w->sha, bytes, n);
  g_string_append_len(w->buffer, bytes, (gssize)n);
  return w->buffer->len < LINE_MAX_BYTES || flush(w, error);
}

static bool put_line(Writer *w, char *line, GError **error)
{
  bool ok = put(w, line, strlen(line), error) && put(w, "\n", 1, error);

  g_free(line);
  return ok;
}

static bool write_begin_table(void *arg, const char *table, GError **error)
{
  return put_line(arg, table ? g_strdup_printf("{\"table\":\"%s\"}", table) : g_strdup("{\"facts\":true}"), error);
}

static bool write_row(void *arg, WsId id, Revision revision, const char *body, gsize n, GError **error)
{
  Writer *w = arg;
  char head[COPY_HEAD_MAX];

  if (++w->n_rows % GO_ON_ROWS == 0 && w->go_on && !w->go_on(w->arg))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  return put(w, head, copy_row_head(head, id, revision, n), error) && put(w, body, n, error) && put(w, "\n", 1, error);
}

static bool write_fact(void *arg, const char *name, const char *value, GError **error)
{
  return put_line(arg, g_strdup_printf("%s %zu %s", name, strlen(value), value), error);
}

static bool write_end_table(void *arg, const char *table, const CopySum *sum, GError **error)
{
  return put_line(arg, g_strdup_printf("{\"rows\":%" G_GUINT64_FORMAT ",\"sha256\":\"%s\"}", sum->n_rows, sum->sha256), error);
}

static const CopySink into_file = {
    .begin_table = write_begin_table,
    .row = write_row,
    .fact = write_fact,
    .end_table = write_end_table,
};

static bool write_files(Writer *w, const GPtrArray *files, GError **error)
{
  for (guint i = 0; files && i < files->len; i++) {
    const CopyFile *file = g_ptr_array_index(files, i);
    gsize n;
    const char *bytes = g_bytes_get_data(file->bytes, &n);
    if (!put_line(w, g_strdup_printf("{\"file\":\"%s\",\"bytes\":%zu}", file->name, n), error) || !put(w, bytes, n, error) ||
        !put(w, "\n", 1, error))
      return false;
  }
  return true;
}

static char *head_line(Store *store, const CopySummary *summary)
{
  char time[32];

  ws_time_format(ws_clock_wall_us(ws_loop_clock(store->loop)), time);
  return g_strdup_printf("{\"winsphere_backup\":%d,\"schema\":%d,\"program\":\"%s\",\"time\":\"%s\",\"database\":\"%s\"}", FORMAT,
                         store_schema.version, WS_VERSION, time, summary->database);
}

static bool write_all(Writer *w, Store *store, const GPtrArray *files, CopySummary *summary, GError **error)
{
  if (!put_line(w, head_line(store, summary), error) || !copy_from_store(store, &into_file, w, summary, error) ||
      !write_files(w, files, error))
    return false;
  summary->sha256 = ws_sha256_end(g_steal_pointer(&w->sha));
  g_string_append_printf(w->buffer, "{\"end\":true,\"sha256\":\"%s\"}\n", summary->sha256);
  return flush(w, error);
}

static bool write_stream(int fd, const char *path, Store *store, const GPtrArray *files, CopySummary *summary,
                         bool (*go_on)(void *arg), void *arg, GError **error)
{
  g_autoptr(GOutputStream) raw = g_unix_output_stream_new(fd, FALSE);
  g_autoptr(GConverter) gzip = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, GZIP_LEVEL));
  g_autoptr(GOutputStream) out = g_converter_output_stream_new(raw, gzip);
  g_autoptr(GString) buffer = g_string_sized_new(2 * LINE_MAX_BYTES);
  Writer w = {path, out, buffer, ws_sha256_new(), go_on, arg, 0};
  GError *reason = NULL;
  bool ok = write_all(&w, store, files, summary, error);

  ws_sha256_free(w.sha);
  if (!g_output_stream_close(out, NULL, ok ? &reason : NULL) && ok) {
    ok = ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", reason->message, NULL);
    g_error_free(reason);
  }
  return ok;
}

CopySummary *copy_backup(Store *store, const char *path, const GPtrArray *files, bool (*go_on)(void *arg), void *arg,
                         GError **error)
{
  g_autoptr(CopySummary) summary = copy_summary_new();
  g_autofree char *partial = g_strconcat(path, ".partial", NULL);
  int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat st = {0};
  bool ok;

  if (fd < 0) {
    fail_errno(partial, "create", error);
    return NULL;
  }
  summary->program = g_strdup(WS_VERSION);
  summary->database = g_strdup(store_address_is_server(store->path) ? "postgresql" : "sqlite");
  ok = write_stream(fd, partial, store, files, summary, go_on, arg, error) &&
       ((fchmod(fd, 0600) == 0 && fsync(fd) == 0 && fstat(fd, &st) == 0) || fail_errno(partial, "sync", error));
  close(fd);
  summary->size_bytes = (guint64)st.st_size;
  ok = ok && (rename(partial, path) == 0 || fail_errno(path, "rename", error)) && ws_directory_sync(path, error);
  if (ok)
    return g_steal_pointer(&summary);
  unlink(partial);
  return NULL;
}

/* ---- reading ---- */

typedef struct {
  const char *path;
  GInputStream *in;
  GByteArray *buffer;
  gsize at; /* what is before it has been taken */
  WsSha256 *sha;
  const CopySink *sink;
  void *arg;
  CopySummary *summary;
  GError **error;
  bool ended;
} Reader;

static bool damaged(Reader *r, const char *cause)
{
  return ws_fail(r->error, WS_ERROR_BACKUP_DAMAGED, "path", r->path, "cause", cause, NULL);
}

/* At least one byte more in the buffer. */
static bool fill_buffer(Reader *r)
{
  GError *reason = NULL;
  gsize before;
  gssize got;

  if (r->at > 0) {
    g_byte_array_remove_range(r->buffer, 0, (guint)r->at);
    r->at = 0;
  }
  before = r->buffer->len;
  g_byte_array_set_size(r->buffer, (guint)before + LINE_MAX_BYTES);
  got = g_input_stream_read(r->in, r->buffer->data + before, LINE_MAX_BYTES, NULL, &reason);
  g_byte_array_set_size(r->buffer, (guint)(before + (gsize)MAX(got, 0)));
  if (got > 0)
    return true;
  damaged(r, reason ? reason->message : "it ends too early");
  g_clear_error(&reason);
  return false;
}

/* The next n bytes; borrowed until the next call. */
static const char *take(Reader *r, gsize n)
{
  while (r->buffer->len - r->at < n)
    if (!fill_buffer(r))
      return NULL;
  r->at += n;
  return (const char *)r->buffer->data + r->at - n;
}

/* The bytes up to `end`, which is taken too and replaced by NUL. */
static char *take_until(Reader *r, char end, gsize max)
{
  for (gsize seen = 0;;) {
    gsize n = r->buffer->len - r->at;
    char *from = (char *)r->buffer->data + r->at, *found = n > seen ? memchr(from + seen, end, n - seen) : NULL;
    if (found) {
      *found = 0;
      r->at += (gsize)(found - from) + 1;
      return from;
    }
    seen = n;
    if (n > max) {
      damaged(r, "a line is too long");
      return NULL;
    }
    if (!fill_buffer(r))
      return NULL;
  }
}

static bool take_newline(Reader *r)
{
  const char *byte = take(r, 1);

  if (!byte)
    return false;
  ws_sha256_add(r->sha, "\n", 1);
  return *byte == '\n' || damaged(r, "a row is longer than it says");
}

static bool parse_number(const char *text, guint64 max, guint64 *value)
{
  return g_ascii_string_to_unsigned(text, 10, 0, max, value, NULL);
}

/* One word in front of a row, as a number; part of the sum. */
static bool take_number(Reader *r, guint64 max, guint64 *value)
{
  const char *word = take_until(r, ' ', 32);

  if (!word)
    return false;
  ws_sha256_add(r->sha, word, strlen(word));
  ws_sha256_add(r->sha, " ", 1);
  return parse_number(word, max, value) || damaged(r, "a number is expected");
}

static bool take_row(Reader *r, CopyCount *count)
{
  guint64 id, revision, n;
  const char *body;

  if (!take_number(r, G_MAXINT64, &id) || !take_number(r, G_MAXINT64, &revision) || !take_number(r, BODY_MAX_BYTES, &n) ||
      !(body = take(r, n)))
    return false;
  ws_sha256_add(r->sha, body, n);
  copy_count_row(count, id, revision, body, n);
  if (r->sink->row && !r->sink->row(r->arg, id, revision, body, n, r->error))
    return false;
  return take_newline(r);
}

static bool take_fact(Reader *r, CopyCount *count)
{
  const char *word = take_until(r, ' ', LINE_MAX_BYTES), *bytes;
  g_autofree char *name = g_strdup(word), *value = NULL;
  guint64 n;

  if (!word)
    return false;
  ws_sha256_add(r->sha, name, strlen(name));
  ws_sha256_add(r->sha, " ", 1);
  if (!take_number(r, BODY_MAX_BYTES, &n) || !(bytes = take(r, n)))
    return false;
  ws_sha256_add(r->sha, bytes, n);
  value = g_strndup(bytes, n);
  copy_count_fact(count, name, value);
  if (r->sink->fact && !r->sink->fact(r->arg, name, value, r->error))
    return false;
  return take_newline(r);
}

/* ---- lines that say what comes ---- */

typedef struct {
  char *table, *file, *sha256, *program, *time, *database;
  gint64 format, schema, rows, bytes;
  bool facts, end;
} Line;

static void line_clear(Line *line)
{
  g_free(line->table);
  g_free(line->file);
  g_free(line->sha256);
  g_free(line->program);
  g_free(line->time);
  g_free(line->database);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Line, line_clear)

static bool take_value(WsJsonReader *json, const char *key, gsize n_key, Line *line)
{
  const struct {
    const char *name;
    char **text;
    gint64 *number;
    bool *flag;
  } members[] = {
      {"table", &line->table, NULL, NULL},     {"file", &line->file, NULL, NULL},        {"sha256", &line->sha256, NULL, NULL},
      {"program", &line->program, NULL, NULL}, {"time", &line->time, NULL, NULL},        {"database", &line->database, NULL, NULL},
      {"schema", NULL, &line->schema, NULL},   {"rows", NULL, &line->rows, NULL},        {"bytes", NULL, &line->bytes, NULL},
      {"facts", NULL, NULL, &line->facts},     {"winsphere_backup", NULL, &line->format, NULL}, {"end", NULL, NULL, &line->end},
  };
  const char *text;
  gsize n;

  for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
    if (strlen(members[i].name) != n_key || memcmp(members[i].name, key, n_key) != 0)
      continue;
    if (members[i].number)
      return ws_json_take_int(json, members[i].number, NULL);
    if (members[i].flag)
      return ws_json_take_bool(json, members[i].flag, NULL);
    if (*members[i].text || !ws_json_take_string(json, &text, &n, NULL))
      return false;
    *members[i].text = g_strndup(text, n);
    return true;
  }
  return ws_json_take_raw(json, &text, &n, NULL);
}

static bool parse_line(const char *text, Line *line)
{
  g_auto(WsJsonReader) json;
  const char *key;
  gsize n;

  ws_json_reader_init(&json, text, strlen(text));
  if (!ws_json_enter_object(&json, NULL))
    return false;
  while (ws_json_next_key(&json, &key, &n, NULL)) {
    g_autofree char *name = g_strndup(key, n);
    if (!take_value(&json, name, n, line))
      return false;
  }
  return ws_json_reader_end(&json, NULL);
}

/* The line that ends the file is not part of its sum. */
static bool take_line(Reader *r, Line *line)
{
  const char *text = take_until(r, '\n', LINE_MAX_BYTES);

  if (!text)
    return false;
  *line = (Line){.rows = -1, .bytes = -1};
  if (!parse_line(text, line))
    return damaged(r, "a line cannot be read");
  if (!line->end) {
    ws_sha256_add(r->sha, text, strlen(text));
    ws_sha256_add(r->sha, "\n", 1);
  }
  return true;
}

/* ---- sections ---- */

/* Becomes part of SQL. */
static bool is_table_name(const char *name)
{
  return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name) && strlen(name) < 60;
}

static bool next_is_line(Reader *r, bool *line)
{
  while (r->buffer->len == r->at)
    if (!fill_buffer(r))
      return false;
  *line = r->buffer->data[r->at] == '{';
  return true;
}

/* Rows up to the line with their sum. table NULL: facts. */
static bool take_table(Reader *r, const char *table)
{
  const char *name = table ? table : COPY_FACTS;
  CopyCount count = {NULL, 0};
  g_auto(Line) end = {.rows = -1};
  const CopySum *sum;
  bool line = false;

  if (r->sink->begin_table && !r->sink->begin_table(r->arg, table, r->error))
    return false;
  while (next_is_line(r, &line) && !line)
    if (table ? !take_row(r, &count) : !take_fact(r, &count))
      break;
  if (!line || !take_line(r, &end)) {
    ws_sha256_free(count.sha);
    return false;
  }
  sum = copy_count_end(&count, r->summary, name);
  if (end.rows < 0 || (guint64)end.rows != sum->n_rows || g_strcmp0(end.sha256, sum->sha256) != 0)
    return damaged(r, "the sum of a table does not fit");
  return !r->sink->end_table || r->sink->end_table(r->arg, table, sum, r->error);
}

static bool take_file(Reader *r, const Line *line)
{
  const char *bytes = line->bytes < 0 || line->bytes > LINE_MAX_BYTES ? NULL : take(r, (gsize)line->bytes);

  if (!bytes)
    return *r->error != NULL ? false : damaged(r, "a file is too long");
  ws_sha256_add(r->sha, bytes, (gsize)line->bytes);
  if (r->sink->file && !r->sink->file(r->arg, line->file, bytes, (gsize)line->bytes, r->error))
    return false;
  return take_newline(r);
}

static bool take_end(Reader *r, const Line *line)
{
  r->summary->sha256 = ws_sha256_end(g_steal_pointer(&r->sha));
  r->ended = true;
  return g_strcmp0(line->sha256, r->summary->sha256) == 0 || damaged(r, "its sum does not fit");
}

static bool take_head(Reader *r, Line *line)
{
  char ours[24], theirs[24];

  if (line->format == 0)
    return damaged(r, "it is not a backup of WinSphere");
  if (line->format > FORMAT || line->schema > store_schema.version) {
    g_snprintf(ours, sizeof ours, "schema %d", store_schema.version);
    g_snprintf(theirs, sizeof theirs, "schema %" G_GINT64_FORMAT, line->schema);
    return ws_fail(r->error, WS_ERROR_VERSION_MISMATCH, "ours", ours, "theirs", theirs, "cause", r->path, NULL);
  }
  r->summary->schema = line->schema;
  r->summary->program = g_steal_pointer(&line->program);
  r->summary->database = g_steal_pointer(&line->database);
  return (line->time && ws_time_parse(line->time, &r->summary->time_us)) || damaged(r, "its head is not complete");
}

static bool take_section(Reader *r)
{
  g_auto(Line) line = {.rows = -1};

  if (!take_line(r, &line))
    return false;
  if (line.end)
    return take_end(r, &line);
  if (line.file)
    return take_file(r, &line);
  if (line.facts)
    return take_table(r, NULL);
  return line.table && is_table_name(line.table) ? take_table(r, line.table) : damaged(r, "a section is unknown");
}

static bool read_all(Reader *r)
{
  g_auto(Line) head = {.rows = -1};
  bool ok = take_line(r, &head) && take_head(r, &head) && (!r->sink->head || r->sink->head(r->arg, head.schema, r->error));

  while (ok && !r->ended)
    ok = take_section(r);
  return ok;
}

bool copy_from_file(const char *path, const CopySink *sink, void *arg, CopySummary *summary, GError **error)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  GError *failure = NULL;
  struct stat st;

  if (fd < 0 || fstat(fd, &st) != 0) {
    fail_errno(path, "open", error);
    if (fd >= 0)
      close(fd);
    return false;
  }
  summary->size_bytes = (guint64)st.st_size;
  g_autoptr(GInputStream) raw = g_unix_input_stream_new(fd, TRUE);
  g_autoptr(GConverter) gzip = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
  g_autoptr(GInputStream) in = g_converter_input_stream_new(raw, gzip);
  g_autoptr(GByteArray) buffer = g_byte_array_new();
  Reader r = {.path = path, .in = in, .buffer = buffer, .sha = ws_sha256_new(), .sink = sink, .arg = arg, .summary = summary, .error = &failure};
  bool ok = read_all(&r);
  ws_sha256_free(r.sha);
  if (failure)
    g_propagate_error(error, failure);
  return ok;
}

/* ---- verifying ---- */

static bool keep_file(void *arg, const char *name, const char *bytes, gsize n, GError **error)
{
  CopyFile *file = g_new0(CopyFile, 1);

  *file = (CopyFile){g_strdup(name), g_bytes_new(bytes, n)};
  g_ptr_array_add(arg, file);
  return true;
}

CopySummary *copy_verify(const char *path, GPtrArray *files, GError **error)
{
  g_autoptr(CopySummary) summary = copy_summary_new();
  CopySink sink = {.file = files ? keep_file : NULL};

  return copy_from_file(path, &sink, files, summary, error) ? g_steal_pointer(&summary) : NULL;
}

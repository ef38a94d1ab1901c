// SPDX-License-Identifier: Apache-2.0
/* Static files of the console. See files.h. */
#include "center/api/files.h"
#include "base/hash.h"
#include "center/api/call-private.h"

#define FILES_MAX 2000
#define BYTES_MAX (64 << 20)

typedef struct {
  GBytes *bytes;
  GBytes *gzip; /* the same, compressed by the build; NULL: not worth it */
  const char *content_type;
  char *etag;
} WebFile;

static void web_file_free(void *arg)
{
  WebFile *file = arg;
  g_bytes_unref(file->bytes);
  g_clear_pointer(&file->gzip, g_bytes_unref);
  g_free(file->etag);
  g_free(file);
}

static const char *content_type_of(const char *name)
{
  static const struct {
    const char *ending, *type;
  } types[] = {
      {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},             {".png", "image/png"},                     {".json", "application/json"},
      {".ico", "image/x-icon"},              {".woff2", "font/woff2"},                  {".txt", "text/plain; charset=utf-8"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(types); i++)
    if (g_str_has_suffix(name, types[i].ending))
      return types[i].type;
  return NULL;
}

/* The build may have put a compressed form beside the file. */
static bool add_gzip(WebFile *file, const char *path, gsize *total, GError **error)
{
  g_autofree char *gzip_path = g_strconcat(path, ".gz", NULL);
  g_autoptr(GError) cause = NULL;
  char *text;
  gsize n;
  if (!g_file_test(gzip_path, G_FILE_TEST_IS_REGULAR))
    return true;
  if (!g_file_get_contents(gzip_path, &text, &n, &cause))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", gzip_path, "cause", cause->message, NULL);
  *total += n;
  file->gzip = g_bytes_new_take(text, n);
  return true;
}

static bool add_file(GHashTable *files, const char *path, const char *url, gsize *total, GError **error)
{
  g_autoptr(GError) cause = NULL;
  char *text;
  gsize n;
  const char *type = content_type_of(url);
  if (!type)
    return true;
  if (!g_file_get_contents(path, &text, &n, &cause))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause->message, NULL);
  *total += n;
  g_autofree char *hash = ws_sha256_hex(text, n);
  WebFile *file = g_new0(WebFile, 1);
  file->bytes = g_bytes_new_take(text, n);
  file->content_type = type;
  file->etag = g_strdup_printf("\"%.16s\"", hash);
  g_hash_table_insert(files, g_strdup(url), file);
  if (!add_gzip(file, path, total, error))
    return false;
  if (g_hash_table_size(files) > FILES_MAX || *total > BYTES_MAX)
    return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", "2000 files, 64 MiB", NULL);
  return true;
}

static bool add_folder(GHashTable *files, const char *path, const char *url, guint depth, gsize *total, GError **error)
{
  g_autoptr(GDir) dir = depth < 8 ? g_dir_open(path, 0, NULL) : NULL;
  const char *name;
  while (dir && (name = g_dir_read_name(dir))) {
    g_autofree char *child = g_build_filename(path, name, NULL);
    g_autofree char *child_url = g_strconcat(url, "/", name, NULL);
    if (*name == '.' || g_file_test(child, G_FILE_TEST_IS_SYMLINK))
      continue;
    bool ok = g_file_test(child, G_FILE_TEST_IS_DIR) ? add_folder(files, child, child_url, depth + 1, total, error)
                                                     : add_file(files, child, child_url, total, error);
    if (!ok)
      return false;
  }
  return true;
}

bool files_load(Center *center, GError **error)
{
  gsize total = 0;
  center->web_files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, web_file_free);
  return !center->config.web_dir || add_folder(center->web_files, center->config.web_dir, "", 0, &total, error);
}

void files_free(Center *center)
{
  g_clear_pointer(&center->web_files, g_hash_table_unref);
}

/* Scripts and styles only from here; WebSockets only to here; nobody may frame us. */
static void add_security_headers(HttpCall *http)
{
  http_call_add_header(http, "content-security-policy",
                       "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; object-src 'none'; "
                       "base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
  http_call_add_header(http, "x-content-type-options", "nosniff");
  http_call_add_header(http, "referrer-policy", "no-referrer");
  http_call_add_header(http, "strict-transport-security", "max-age=31536000");
}

/* The console's own addresses (/vms/vm-7/summary) are no files: its one page finds out what they mean. What looks like a file and is none is
 * missing, so that a browser with an old page learns that a piece of it is gone. */
static const WebFile *find_file(Center *center, const char *path)
{
  const WebFile *file = g_hash_table_lookup(center->web_files, path);
  const char *name = strrchr(path, '/');
  if (file || !name || strchr(name, '.') || g_str_has_prefix(path, "/api/"))
    return file;
  return g_hash_table_lookup(center->web_files, "/index.html");
}

static bool takes_gzip(HttpCall *http)
{
  const char *accepted = http_call_header(http, "accept-encoding");
  return accepted && strstr(accepted, "gzip") && !strstr(accepted, "gzip;q=0");
}

void files_answer(Center *center, HttpCall *http)
{
  const char *path = http_call_path(http);
  const WebFile *file = find_file(center, path);
  if (!file) {
    g_autoptr(GError) error = NULL;
    ws_fail(&error, WS_ERROR_NOT_FOUND, "object", path, NULL);
    api_answer_error(http, "-", ws_lang_parse(http_call_header(http, "accept-language")), error, NULL);
    return;
  }
  bool gzip = file->gzip && takes_gzip(http);
  add_security_headers(http);
  http_call_add_header(http, "etag", file->etag);
  http_call_add_header(http, "cache-control", strstr(path, "/assets/") ? "max-age=31536000, immutable" : "no-cache");
  if (file->gzip)
    http_call_add_header(http, "vary", "accept-encoding");
  if (gzip)
    http_call_add_header(http, "content-encoding", "gzip");
  if (g_strcmp0(http_call_header(http, "if-none-match"), file->etag) == 0)
    http_call_answer(http, 304, NULL, NULL);
  else
    http_call_answer(http, 200, file->content_type, gzip ? file->gzip : file->bytes);
}

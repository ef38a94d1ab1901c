// SPDX-License-Identifier: Apache-2.0
/* See files.h. */
#include "base/files.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(GError **error, const char *path, const char *doing)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errno));
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

char *ws_file_read(const char *path, gsize max_bytes, gsize *n, GError **error)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail(error, path, "open");
    return NULL;
  }
  g_autoptr(GString) text = g_string_new(NULL);
  char piece[16384];
  gssize got;
  while ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR)) {
    if (got > 0)
      g_string_append_len(text, piece, got);
    if (text->len > max_bytes)
      break;
  }
  if (got < 0)
    fail(error, path, "read");
  close(fd);
  if (got < 0)
    return NULL;
  if (text->len > max_bytes) {
    g_autofree char *limit = g_strdup_printf("%zu bytes", max_bytes);
    ws_fail(error, WS_ERROR_TOO_LARGE, "limit", limit, "cause", path, NULL);
    return NULL;
  }
  if (n)
    *n = text->len;
  return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool write_all(int fd, const char *bytes, gsize n)
{
  while (n > 0) {
    gssize put = write(fd, bytes, n);
    if (put < 0 && errno != EINTR)
      return false;
    if (put > 0) {
      bytes += put;
      n -= (gsize)put;
    }
  }
  return true;
}

static bool sync_directory(const char *path)
{
  g_autofree char *dir = g_path_get_dirname(path);
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0)
    close(fd);
  return ok;
}

/* Not to be taken for something that a person put there (ca.key.backup). */
#define UNFINISHED        ".unfinished-"
#define UNFINISHED_SUFFIX UNFINISHED "XXXXXX"

void ws_file_drop_unfinished(const char *path)
{
  g_autofree char *folder = g_path_get_dirname(path), *stem = g_path_get_basename(path);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  gsize n = strlen(stem);
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    if (strncmp(name, stem, n) != 0 || !g_str_has_prefix(name + n, UNFINISHED) || strlen(name + n) != strlen(UNFINISHED_SUFFIX))
      continue;
    g_autofree char *file = g_build_filename(folder, name, NULL);
    unlink(file);
  }
}

bool ws_file_write(const char *path, const void *bytes, gsize n, guint mode, GError **error)
{
  g_autofree char *temp = g_strconcat(path, UNFINISHED_SUFFIX, NULL);
  int fd = g_mkstemp_full(temp, O_WRONLY | O_CLOEXEC, (int)(mode & 0600));
  if (fd < 0)
    return fail(error, path, "create");
  const char *doing = !write_all(fd, bytes, n) ? "write" : fchmod(fd, mode) < 0 ? "set mode" : fsync(fd) < 0 ? "sync" : NULL;
  if (doing)
    fail(error, path, doing);
  if (close(fd) < 0 && !doing)
    fail(error, path, doing = "close");
  if (!doing && rename(temp, path) == 0)
    return sync_directory(path) || fail(error, path, "sync directory");
  if (!doing)
    fail(error, path, "rename");
  unlink(temp);
  return false;
}

bool ws_directory_sync(const char *path, GError **error)
{
  return sync_directory(path) || fail(error, path, "sync the directory");
}

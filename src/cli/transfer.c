// SPDX-License-Identifier: Apache-2.0
/* Bytes of volumes up and down, going on where a broken one stopped; an image in one command. See cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "model/model.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 5
#define HTTP_RANGE_NOT_SATISFIABLE 416 /* nothing is missing */

typedef struct {
  const Cli *cli;
  gint64 last_drawn;
} Bar;

static bool on_progress(gint64 done, gint64 total, void *arg)
{
  Bar *bar = arg;
  char have[WS_SIZE_TEXT_MAX], all[WS_SIZE_TEXT_MAX];
  gint64 now = g_get_monotonic_time();
  if (bar->cli->quiet || !isatty(STDERR_FILENO) || (now - bar->last_drawn < 200000 && done != total))
    return true;
  bar->last_drawn = now;
  g_printerr("\r\033[K%s / %s  %d %%", ws_size_format((guint64)done, have), ws_size_format((guint64)MAX(total, 0), all),
          total > 0 ? (int)(done * 100 / total) : 0);
  if (done == total)
    g_printerr("\n");
  return true;
}

static int open_file(const char *path, int flags, gint64 *bytes, GError **error)
{
  struct stat st;
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    *bytes = st.st_size;
    return fd;
  }
  ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  if (fd >= 0)
    close(fd);
  return -1;
}

/* How far it is: an empty PUT asks. */
static bool ask_offset(Cli *cli, const char *path, gint64 *offset, GError **error)
{
  json_t *answer = NULL;
  if (!cli_call(cli, "PUT", path, "", &answer, error))
    return false;
  *offset = json_integer_value(json_object_get(answer, "received_bytes"));
  json_decref(answer);
  return true;
}

static bool send_bytes(Cli *cli, const char *id, int fd, gint64 total, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/volumes/%s/data", id);
  RestPeer peer = cli_peer(cli);
  Bar bar = {cli, 0};
  gint64 offset = 0;
  for (guint attempt = 0;; attempt++) {
    g_auto(RestAnswer) answer = {0};
    g_autoptr(GError) failed = NULL;
    if (!ask_offset(cli, path, &offset, error))
      return false;
    if (offset >= total)
      return true;
    g_autofree char *at = g_strdup_printf("%s?offset=%" G_GINT64_FORMAT, path, offset);
    bool ok = rest_upload(&peer, at, fd, offset, total, on_progress, &bar, &answer, &failed);
    if (ok && answer.status / 100 == 2)
      continue; /* ask again: all there? */
    if (attempt + 1 < TRIES)
      continue;
    if (!ok) {
      g_propagate_error(error, g_steal_pointer(&failed));
      return false;
    }
    return cli_refused(answer.body->str, answer.status, error);
  }
}

static bool finish(Cli *cli, const char *id, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/volumes/%s/finish_upload", id);
  json_t *task = NULL;
  if (!cli_call(cli, "POST", path, "{}", &task, error))
    return false;
  g_autofree char *task_id = g_strdup(json_string_value(json_object_get(task, "id")));
  json_decref(task);
  return wait_for_task(cli, task_id, NULL, error);
}

bool transfer_upload(Cli *cli, const char *volume, const char *file, GError **error)
{
  gint64 total;
  g_autofree char *id = resolve_id(cli, &ws_type_volume, volume, error);
  int fd = id ? open_file(file, O_RDONLY, &total, error) : -1;
  if (fd < 0)
    return false;
  bool ok = send_bytes(cli, id, fd, total, error) && finish(cli, id, error);
  close(fd);
  return ok;
}

/* Appends what is missing; goes on after a break as long as more comes. */
static bool fetch_bytes(Cli *cli, const char *id, int fd, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/volumes/%s/data", id);
  RestPeer peer = cli_peer(cli);
  Bar bar = {cli, 0};
  for (guint failures = 0;;) {
    struct stat before, after;
    g_auto(RestAnswer) answer = {0};
    g_autoptr(GError) failed = NULL;
    fstat(fd, &before);
    bool ok = rest_download(&peer, path, fd, before.st_size, on_progress, &bar, &answer, &failed);
    if (ok && (answer.status / 100 == 2 || (answer.status == HTTP_RANGE_NOT_SATISFIABLE && before.st_size > 0)))
      return true;
    if (ok)
      return cli_refused(answer.body->str, answer.status, error);
    fstat(fd, &after);
    failures = after.st_size > before.st_size ? 0 : failures + 1;
    if (failures < TRIES)
      continue;
    g_propagate_error(error, g_steal_pointer(&failed));
    return false;
  }
}

/* Into a file of its own beside the target, so that whatever lies there is neither continued nor lost by a download that breaks. */
bool transfer_download(Cli *cli, const char *volume, const char *file, GError **error)
{
  gint64 have;
  g_autofree char *id = resolve_id(cli, &ws_type_volume, volume, error);
  g_autofree char *part = g_strdup_printf("%s.%s.part", file, id ? id : "");
  int fd = id ? open_file(part, O_RDWR | O_CREAT, &have, error) : -1;
  if (fd < 0)
    return false;
  bool ok = fetch_bytes(cli, id, fd, error);
  bool nothing = lseek(fd, 0, SEEK_END) == 0;
  close(fd);
  if (ok && rename(part, file) < 0)
    ok = ws_fail(error, WS_ERROR_IO_ERROR, "path", file, "cause", g_strerror(errno), NULL);
  if (!ok && nothing)
    unlink(part);
  return ok;
}

/* Creates the image with the file's length, uploads, finishes. Options are those of `image create`. */
bool transfer_image(Cli *cli, const char *file, GError **error)
{
  const CliCommand *create = find_command(find_noun("image"), "create");
  gint64 total;
  int fd = open_file(file, O_RDONLY, &total, error);
  if (fd < 0)
    return false;
  json_t *body = body_build(cli, create, error), *task = NULL, *ended = NULL, *image = NULL;
  bool ok = body != NULL;
  if (ok)
    json_object_set_new(body, "upload_bytes", json_integer(total));
  if (ok && !json_object_get(body, "name")) {
    g_autofree char *base = g_path_get_basename(file);
    json_object_set_new(body, "name", json_string(base));
  }
  char *text = ok ? json_dumps(body, 0) : NULL;
  ok = ok && cli_call(cli, "POST", "/api/v1/images", text, &task, error) &&
       wait_for_task(cli, json_string_value(json_object_get(task, "id")), &ended, error);
  g_autofree char *path = ok ? g_strconcat("/api/v1/images/", json_string_value(json_object_get(ended, "result")), NULL) : NULL;
  ok = ok && cli_call(cli, "GET", path, NULL, &image, error);
  const char *volume = json_string_value(json_object_get(image, "volume"));
  ok = ok && send_bytes(cli, volume, fd, total, error) && finish(cli, volume, error);
  if (ok)
    g_print("%s\n", json_string_value(json_object_get(image, "id")));
  free(text);
  json_decref(body);
  json_decref(task);
  json_decref(ended);
  json_decref(image);
  close(fd);
  return ok;
}

bool transfer_screenshot(Cli *cli, const char *vm, const char *file, GError **error)
{
  g_autofree char *id = resolve_id(cli, &ws_type_vm, vm, error);
  g_autofree char *path = g_strdup_printf("/api/v1/vms/%s/screenshot", id ? id : "");
  json_t *answer = NULL;
  if (!id || !cli_call(cli, "POST", path, "{}", &answer, error))
    return false;
  gsize n = 0;
  const char *text = json_string_value(json_object_get(answer, "png"));
  g_autofree guchar *png = text ? g_base64_decode(text, &n) : NULL;
  g_autoptr(GError) cause = NULL;
  bool ok = png && g_file_set_contents(file, (char *)png, (gssize)n, &cause);
  json_decref(answer);
  return ok || ws_fail(error, WS_ERROR_IO_ERROR, "path", file, "cause", cause ? cause->message : "no picture came", NULL);
}

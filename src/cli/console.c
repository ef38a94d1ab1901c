// SPDX-License-Identifier: Apache-2.0
/* A VM's serial line in this terminal. Ctrl+] leaves. Standard input may also be a pipe: then it ends with the input. */
#include "cli/stream.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LEAVE 0x1d /* Ctrl+] */

/* What the line says goes out as it came, not through a buffer. */
static void put_all(const char *bytes, gsize n)
{
  while (n > 0) {
    gssize put = write(STDOUT_FILENO, bytes, n);
    if (put <= 0)
      return;
    bytes += put;
    n -= (gsize)put;
  }
}

static bool pump(CliStream *stream, GError **error)
{
  struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {stream_fd(stream), POLLIN, 0}};
  bool reading = true;
  for (;;) {
    GBytes *message;
    poll(fds, 2, -1);
    while ((message = stream_take(stream, 0, error))) {
      put_all(g_bytes_get_data(message, NULL), g_bytes_get_size(message));
      g_bytes_unref(message);
    }
    if (error && *error)
      return false;
    if (reading && fds[0].revents) {
      char bytes[4096];
      gssize n = read(STDIN_FILENO, bytes, sizeof bytes);
      char *leave = n > 0 && isatty(STDIN_FILENO) ? memchr(bytes, LEAVE, (size_t)n) : NULL;
      if (n <= 0 || leave)
        return true;
      stream_send(stream, bytes, (gsize)n);
    }
  }
}

bool console_attach(Cli *cli, const char *vm_id, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/vms/%s/console", vm_id);
  json_t *answer = NULL;
  struct termios old, raw;
  if (!cli_call(cli, "POST", path, "{\"kind\":\"serial\"}", &answer, error))
    return false;
  g_autofree char *url = g_strdup(json_string_value(json_object_get(answer, "url")));
  json_decref(answer);
  g_autoptr(CliStream) stream = stream_open(cli, url, error);
  if (!stream)
    return false;
  bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
  if (terminal) {
    g_printerr("%s\n", cli_words(cli, "Connected. Ctrl+] leaves.", "已连接。按 Ctrl+] 退出。"));
    raw = old;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  }
  bool ok = pump(stream, error);
  if (terminal) {
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    g_printerr("\n");
  }
  return ok;
}

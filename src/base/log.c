// SPDX-License-Identifier: Apache-2.0
/* Structured logs. One event becomes one line:
 *
 *     2026-11-23T14:32:05.000000Z info winserverd[812]: vm-started vm=vm-42 cause="the \"root\" one"
 *
 * written by one write() under a lock. When standard error is connected to journald (it says so by
 * JOURNAL_STREAM), events go there by its native protocol instead, with each pair as a field of its own.
 * Lines of libraries that log through GLib come out as events too, so that nothing else writes into our log.
 */
#include "base/log.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/utf8-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define VALUE_MAX_BYTES 4096 /* of one value; the rest is cut off and marked */
#define PAIRS_MAX       32

typedef struct {
  const char *key, *value;
} Pair;

static struct {
  GMutex lock; /* guards the writing */
  const char *program;
  WsClock *clock; /* NULL: the system's */
  WsLogLevel max;
  int fd;         /* where lines go */
  int journal_fd; /* journald's socket; -1: lines go to fd */
} logger = {.program = "winsphere", .max = WS_LOG_WARNING, .fd = STDERR_FILENO, .journal_fd = -1};

static const char *level_name(WsLogLevel level)
{
  static const char *const names[] = {
      [WS_LOG_ERROR] = "error", [WS_LOG_WARNING] = "warning", [WS_LOG_NOTICE] = "notice",
      [WS_LOG_INFO] = "info",   [WS_LOG_DEBUG] = "debug",
  };
  return names[CLAMP(level, WS_LOG_ERROR, WS_LOG_DEBUG)];
}

/* ---- values that cannot forge a line ---- */

static bool is_bare(const char *value)
{
  for (const char *at = value; *at; at++)
    if (!g_ascii_isalnum(*at) && !strchr("-_.:/@+,%", *at))
      return false;
  return *value != '\0';
}

/* Characters that end lines or turn the direction of text in a terminal or editor. */
static bool is_unsafe(gunichar c)
{
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

/* Appends the character at `at`, escaped where needed; returns the next one. */
static const char *append_safe(GString *line, const char *at, const char *end)
{
  guchar byte = (guchar)*at;
  guint n = byte < 0x80 ? 1 : ws_utf8_sequence((const guchar *)at, (const guchar *)end);
  gunichar c = n ? g_utf8_get_char(at) : 0;
  if (n == 0)
    g_string_append_printf(line, "\\x%02x", byte);
  else if (c == '"' || c == '\\')
    g_string_append_printf(line, "\\%c", (char)c);
  else if (c == '\n')
    g_string_append(line, "\\n");
  else if (c == '\t')
    g_string_append(line, "\\t");
  else if (is_unsafe(c))
    g_string_append_printf(line, "\\u%04x", c);
  else
    g_string_append_len(line, at, n);
  return at + MAX(n, 1);
}

static void append_value(GString *line, const char *value)
{
  gsize n = strnlen(value, VALUE_MAX_BYTES + 1);
  if (n <= VALUE_MAX_BYTES && is_bare(value)) {
    g_string_append_len(line, value, (gssize)n);
    return;
  }
  const char *end = value + MIN(n, VALUE_MAX_BYTES);
  g_string_append_c(line, '"');
  for (const char *at = value; at < end;)
    at = append_safe(line, at, end);
  g_string_append(line, n > VALUE_MAX_BYTES ? "…\"" : "\"");
}

/* "event key=value key=value" */
static void append_event(GString *line, const char *event, const Pair *pairs, guint n)
{
  g_string_append(line, event);
  for (guint i = 0; i < n; i++) {
    g_string_append_printf(line, " %s=", pairs[i].key);
    append_value(line, pairs[i].value);
  }
}

/* ---- journald ---- */

/* Is standard error the stream that journald made for us? Then JOURNAL_STREAM holds its device and inode. */
static bool stderr_is_journal(void)
{
  const char *stream = g_getenv("JOURNAL_STREAM");
  struct stat st;
  if (!stream || fstat(STDERR_FILENO, &st) != 0)
    return false;
  char own[64];
  g_snprintf(own, sizeof own, "%lu:%lu", (gulong)st.st_dev, (gulong)st.st_ino);
  return strcmp(stream, own) == 0;
}

static int connect_journal(void)
{
  static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                             .sun_path = "/run/systemd/journal/socket"};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* One field: "NAME=value\n"; with a line feed in it, name, length as 64 bits little-endian, and the bytes. */
static void append_field(GString *datagram, const char *name, const char *value)
{
  gsize n = strlen(value);
  for (const char *at = name; *at; at++)
    g_string_append_c(datagram, g_ascii_isalnum(*at) ? g_ascii_toupper(*at) : '_');
  if (memchr(value, '\n', n)) {
    guint64 length = GUINT64_TO_LE((guint64)n);
    g_string_append_c(datagram, '\n');
    g_string_append_len(datagram, (const char *)&length, sizeof length);
  } else {
    g_string_append_c(datagram, '=');
  }
  g_string_append_len(datagram, value, (gssize)n);
  g_string_append_c(datagram, '\n');
}

static bool send_to_journal(WsLogLevel level, const char *event, const Pair *pairs, guint n)
{
  g_autoptr(GString) message = g_string_new(NULL);
  append_event(message, event, pairs, n);
  g_autoptr(GString) datagram = g_string_sized_new(256);
  char priority[] = {(char)('0' + level), '\0'};
  append_field(datagram, "PRIORITY", priority);
  append_field(datagram, "SYSLOG_IDENTIFIER", logger.program);
  append_field(datagram, "MESSAGE", message->str);
  append_field(datagram, "WS_EVENT", event);
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strconcat("WS_", pairs[i].key, NULL);
    append_field(datagram, name, pairs[i].value);
  }
  return send(logger.journal_fd, datagram->str, datagram->len, MSG_NOSIGNAL) >= 0;
}

/* ---- lines ---- */

static void write_line(WsLogLevel level, const char *event, const Pair *pairs, guint n)
{
  g_autoptr(GString) line = g_string_sized_new(256);
  char time[32];
  WsClock *clock = logger.clock ? logger.clock : ws_clock_system();
  g_string_append_printf(line, "%s %s %s[%d]: ", ws_time_format(ws_clock_wall_us(clock), time),
                         level_name(level), logger.program, (int)getpid());
  append_event(line, event, pairs, n);
  g_string_append_c(line, '\n');

  g_mutex_lock(&logger.lock);
  for (gsize done = 0; done < line->len;) {
    gssize wrote = write(logger.fd, line->str + done, line->len - done);
    if (wrote < 0 && errno != EINTR)
      break; /* a full disk must not stop the program; there is nowhere to tell it */
    done += wrote > 0 ? (gsize)wrote : 0;
  }
  g_mutex_unlock(&logger.lock);
}

static void emit(WsLogLevel level, const char *event, const Pair *pairs, guint n)
{
  if (logger.journal_fd < 0 || !send_to_journal(level, event, pairs, n))
    write_line(level, event, pairs, n);
}

static guint collect_pairs(Pair *pairs, guint n, va_list args)
{
  for (const char *key; (key = va_arg(args, const char *));) {
    const char *value = va_arg(args, const char *);
    if (value && n < PAIRS_MAX)
      pairs[n++] = (Pair){key, value};
  }
  return n;
}

void ws_log(WsLogLevel level, const char *event, ...)
{
  if (level > logger.max)
    return;
  Pair pairs[PAIRS_MAX];
  va_list args;
  va_start(args, event);
  guint n = collect_pairs(pairs, 0, args);
  va_end(args);
  emit(level, event, pairs, n);
}

void ws_log_error(WsLogLevel level, const char *event, const GError *error, ...)
{
  if (level > logger.max)
    return;
  Pair pairs[PAIRS_MAX];
  va_list args;
  va_start(args, error);
  guint n = collect_pairs(pairs, 0, args);
  va_end(args);
  g_autofree char *message = error ? ws_error_message(error, WS_LANG_EN) : NULL;
  const Pair told[] = {{"code", error ? ws_error_code_name(ws_error_code(error)) : NULL},
                       {"error", message},
                       {"cause", ws_error_cause(error)}};
  for (guint i = 0; i < G_N_ELEMENTS(told); i++)
    if (told[i].value && n < PAIRS_MAX)
      pairs[n++] = told[i];
  emit(level, event, pairs, n);
}

/* ---- GLib's own messages ---- */

static GLogWriterOutput from_glib(GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer arg)
{
  WsLogLevel level = flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? WS_LOG_ERROR
                     : flags & G_LOG_LEVEL_WARNING                      ? WS_LOG_WARNING
                     : flags & G_LOG_LEVEL_MESSAGE                      ? WS_LOG_NOTICE
                     : flags & G_LOG_LEVEL_INFO                         ? WS_LOG_INFO
                                                                        : WS_LOG_DEBUG;
  const char *message = NULL, *domain = NULL;
  for (gsize i = 0; i < n_fields; i++) {
    if (strcmp(fields[i].key, "MESSAGE") == 0)
      message = fields[i].value;
    else if (strcmp(fields[i].key, "GLIB_DOMAIN") == 0)
      domain = fields[i].value;
  }
  ws_log(level, "library-message", "domain", domain, "message", message, NULL);
  return G_LOG_WRITER_HANDLED;
}

/* ---- settings ---- */

void ws_log_init(const char *program, WsLogLevel max, const char *path)
{
  logger.program = program;
  logger.max = max;
  if (path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
      ws_log(WS_LOG_ERROR, "log-not-opened", "path", path, "cause", g_strerror(errno), NULL);
    else
      logger.fd = fd;
  } else if (stderr_is_journal()) {
    logger.journal_fd = connect_journal();
  }
  static gsize once;
  if (g_once_init_enter(&once)) { /* GLib takes a writer once per process */
    g_log_set_writer_func(from_glib, NULL, NULL);
    g_once_init_leave(&once, 1);
  }
}

void ws_log_set_clock(WsClock *clock)
{
  logger.clock = clock;
}

// SPDX-License-Identifier: Apache-2.0
/* What the package manager did last: dpkg's log, as it is; of RPM, which keeps no log, when each package that
 * is there was installed. Newest first. */
#include "base/exec.h"
#include "host/node/node-private.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES      (1 << 20) /* of each log's end */
#define RPM_BYTES      (4 << 20)
#define RPM_TIMEOUT_MS 20000
#define RPM_FORMAT     "%{INSTALLTIME} %{NAME} %{VERSION}-%{RELEASE}\n"
#define WORD_MAX       255
#define NONE           "<none>"

/* The end of a file that may be long; NULL: there is none. */
static char *read_end(const char *root, const char *name)
{
  g_autofree char *path = g_strconcat(root, name, NULL);
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  off_t from = ok && st.st_size > LOG_BYTES ? st.st_size - LOG_BYTES : 0;
  char *text = g_malloc0(LOG_BYTES + 1);
  gssize n = ok ? pread(fd, text, LOG_BYTES, from) : -1;
  close(fd);
  text[MAX(n, 0)] = 0;
  for (gssize i = 0; i < n; i++) /* a crash may leave a block of zeros in a log */
    if (!text[i])
      text[i] = '\n';
  char *whole = n > 0 && from ? strchr(text, '\n') : text; /* the first line of a piece is torn */
  if (n > 0 && whole && whole != text)
    memmove(text, whole + 1, strlen(whole + 1) + 1);
  return text;
}

static void add(WsHostPackages *packages, gint64 time_us, int action, const char *name, const char *version,
                const char *before)
{
  WsHostPackageChange *change = ws_host_package_change_new();
  change->time = time_us;
  change->action = action;
  change->package = g_utf8_make_valid(name, -1);
  change->version = version && strcmp(version, NONE) != 0 ? g_utf8_make_valid(version, -1) : NULL;
  change->before = before && strcmp(before, NONE) != 0 ? g_utf8_make_valid(before, -1) : NULL;
  const char *const words[] = {change->package, change->version, change->before};
  for (guint i = 0; i < G_N_ELEMENTS(words); i++)
    if (words[i] && strlen(words[i]) > WORD_MAX) { /* no answer could carry it */
      ws_host_package_change_free(change);
      return;
    }
  ws_array_add(&packages->changes, change);
}

/* dpkg writes the host's own time. */
static bool read_time(const char *day, const char *hour, gint64 *us)
{
  struct tm tm = {.tm_isdst = -1};
  g_autofree char *text = g_strdup_printf("%s %s", day, hour);
  const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
  time_t at = end && !*end ? mktime(&tm) : -1;
  *us = (gint64)at * G_USEC_PER_SEC;
  return at >= 0;
}

/* "2026-11-28 10:20:30 upgrade qemu-system-x86:amd64 1:7.2+dfsg-7 1:7.2+dfsg-8" */
static void take_line(const char *line, WsHostPackages *packages)
{
  g_auto(GStrv) words = g_strsplit(line, " ", 7);
  gint64 us;
  if (g_strv_length(words) != 6 || !read_time(words[0], words[1], &us))
    return;
  if (strcmp(words[2], "install") == 0)
    add(packages, us, WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, words[3], words[5], words[4]);
  else if (strcmp(words[2], "upgrade") == 0)
    add(packages, us, WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, words[3], words[5], words[4]);
  else if (strcmp(words[2], "remove") == 0)
    add(packages, us, WS_HOST_PACKAGE_CHANGE_ACTION_REMOVED, words[3], NULL, words[4]);
}

static bool read_dpkg(const char *root, WsHostPackages *packages)
{
  static const char *const logs[] = {"/var/log/dpkg.log.1", "/var/log/dpkg.log"};
  bool any = false;
  for (guint i = 0; i < G_N_ELEMENTS(logs); i++) {
    g_autofree char *text = read_end(root, logs[i]);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    any = any || text;
    for (char **line = lines; line && *line; line++)
      take_line(*line, packages);
  }
  return any;
}

static void read_rpm(WsHostPackages *packages)
{
  const char *const argv[] = {"rpm", "-qa", "--queryformat", RPM_FORMAT, NULL};
  WsExec exec = {.argv = argv, .timeout_ms = RPM_TIMEOUT_MS, .max_output_bytes = RPM_BYTES};
  g_autofree char *text = NULL;
  if (!ws_exec(&exec, &text, NULL, NULL, NULL))
    return;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    g_auto(GStrv) words = g_strsplit(*line, " ", 4);
    gint64 s = g_strv_length(words) == 3 ? g_ascii_strtoll(words[0], NULL, 10) : 0;
    if (s > 0)
      add(packages, s * G_USEC_PER_SEC, WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, words[1], words[2], NULL);
  }
}

/* As they were written: a later one of the same second comes first. */
static int newest_first(const void *a, const void *b)
{
  const WsHostPackageChange *one = *(WsHostPackageChange *const *)a,
                            *other = *(WsHostPackageChange *const *)b;
  return one->time < other->time ? 1 : one->time > other->time ? -1 : 0;
}

static void keep_newest(WsHostPackages *packages)
{
  guint n = packages->changes.len;
  WsHostPackageChange **items = packages->changes.items;
  for (guint i = 0; i < n / 2; i++) { /* the sort keeps the order of equals */
    WsHostPackageChange *swapped = items[i];
    items[i] = items[n - 1 - i];
    items[n - 1 - i] = swapped;
  }
  g_qsort_with_data(items, (int)n, sizeof *items, (GCompareDataFunc)(void *)newest_first, NULL);
  for (guint i = NODE_PACKAGES_MAX; i < n; i++)
    ws_host_package_change_free(items[i]);
  packages->changes.len = MIN(n, NODE_PACKAGES_MAX);
}

WsHostPackages *node_read_packages(const char *root)
{
  WsHostPackages *packages = ws_host_packages_new();
  if (!read_dpkg(root, packages))
    read_rpm(packages);
  keep_newest(packages);
  return packages;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/node/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHORT_BYTES = 64 << 10, LONG_BYTES = 16 << 20, MAX_CPUS = 65536 };

#define PATH(root, format, path)                                                                             \
  va_list args_;                                                                                             \
  va_start(args_, format);                                                                                   \
  g_autofree char *rest_ = g_strdup_vprintf(format, args_);                                                  \
  va_end(args_);                                                                                             \
  g_autofree char *path = g_strconcat(root, rest_, NULL)

/* Files in /proc and /sys tell no length: read to the end. */
static char *read_file(const char *path, gsize limit, gsize *n)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  g_autoptr(GString) text = g_string_new(NULL);
  char buf[16384];
  gssize got = 0;
  while (text->len < limit &&
         ((got = read(fd, buf, MIN(sizeof buf, limit - text->len))) > 0 || (got < 0 && errno == EINTR)))
    if (got > 0)
      g_string_append_len(text, buf, got);
  close(fd);
  if (got < 0) /* such as EINVAL for the speed of a link that is down */
    return NULL;
  *n = text->len;
  return g_string_free(g_steal_pointer(&text), FALSE);
}

char *tree_read(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  gsize n;
  char *text = read_file(path, SHORT_BYTES, &n);
  if (!text)
    return NULL;
  g_strstrip(text); /* text with NULs in it ends there */
  if (*text == 0 || !g_utf8_validate(text, -1, NULL))
    g_clear_pointer(&text, g_free);
  return text;
}

char *tree_read_bytes(const char *root, gsize *n, const char *format, ...)
{
  PATH(root, format, path);
  return read_file(path, SHORT_BYTES, n);
}

char *tree_read_long(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  gsize n;
  return read_file(path, LONG_BYTES, &n);
}

gint64 tree_read_int(const char *root, gint64 absent, const char *format, ...)
{
  PATH(root, format, path);
  gsize n;
  g_autofree char *text = read_file(path, 64, &n);
  char *end = NULL;
  gint64 v = text ? g_ascii_strtoll(text, &end, g_str_has_prefix(text, "0x") ? 16 : 10) : 0;
  return text && end != text ? v : absent;
}

bool tree_has(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  return access(path, F_OK) == 0;
}

/* Runs of digits compare as numbers. */
static int compare_natural(gconstpointer pa, gconstpointer pb)
{
  const char *a = *(const char *const *)pa, *b = *(const char *const *)pb;
  while (*a && *b) {
    if (g_ascii_isdigit(*a) && g_ascii_isdigit(*b)) {
      char *end_a, *end_b;
      guint64 va = g_ascii_strtoull(a, &end_a, 10), vb = g_ascii_strtoull(b, &end_b, 10);
      if (va != vb)
        return va < vb ? -1 : 1;
      a = end_a;
      b = end_b;
    } else if (*a != *b)
      return (guchar)*a < (guchar)*b ? -1 : 1;
    else {
      a++;
      b++;
    }
  }
  return *a ? 1 : *b ? -1 : 0;
}

char **tree_list(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  GPtrArray *names = g_ptr_array_new();
  const char *name;
  while (dir && (name = g_dir_read_name(dir)))
    if (g_utf8_validate(name, -1, NULL))
      g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, compare_natural);
  g_ptr_array_add(names, NULL);
  return (char **)g_ptr_array_free(names, FALSE);
}

char *tree_link_name(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  char target[PATH_MAX];
  gssize n = readlink(path, target, sizeof target - 1);
  if (n <= 0)
    return NULL;
  target[n] = 0;
  return g_path_get_basename(target);
}

char *tree_real(const char *root, const char *format, ...)
{
  PATH(root, format, path);
  char *real = realpath(path, NULL), *copy = g_strdup(real);
  free(real); /* the C library's */
  return copy;
}

GArray *tree_parse_cpu_list(const char *text)
{
  GArray *cpus = g_array_new(FALSE, FALSE, sizeof(gint64));
  while (text && g_ascii_isdigit(*text)) {
    char *end;
    gint64 from = g_ascii_strtoll(text, &end, 10), to = from;
    if (*end == '-')
      to = g_ascii_strtoll(end + 1, &end, 10);
    for (; from <= to && cpus->len < MAX_CPUS; from++)
      g_array_append_val(cpus, from);
    text = *end == ',' ? end + 1 : NULL;
  }
  return cpus;
}

char *tree_line_value(const char *text, const char *key)
{
  gsize n = strlen(key);
  for (const char *line = text; line && *line; line = strchr(line, '\n')) {
    if (*line == '\n')
      line++;
    if (strncmp(line, key, n) != 0)
      continue;
    const char *colon = line + n + strspn(line + n, " \t");
    if (*colon != ':')
      continue;
    char *value = g_strndup(colon + 1, strcspn(colon + 1, "\n"));
    g_strstrip(value);
    if (*value && g_utf8_validate(value, -1, NULL))
      return value;
    g_free(value);
    return NULL;
  }
  return NULL;
}

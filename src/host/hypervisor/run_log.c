// SPDX-License-Identifier: Apache-2.0
/* See run_log.h. Secrets are found by the name of what they are the value of, in the two forms that QEMU's command line has: "name=value" in a
 * list with commas, where ",," is a comma of the value, and members of JSON. */
#include "host/hypervisor/run_log.h"
#include "base/error.h"
#include "host/hypervisor/hypervisor-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKUPS_MAX 3 /* virtlogd's max_backups */
#define HIDDEN      "***"
#define NAME_MAX_BYTES 64

/* ---- secrets ---- */

/* Part of a name, or (whole) all of it. `data` and `iv` are of QEMU's object secret, `key` of RBD's options, `string` of fw_cfg, `value` of
 * SMBIOS type 11, which hands credentials to the guest's systemd. */
static const struct {
  const char *word;
  bool whole;
} secret_names[] = {
    {"password", false}, {"passwd", false}, {"passphrase", false}, {"secret", false}, {"credential", false}, {"token", false},
    {"auth", false},     {"key", true},     {"data", true},        {"iv", true},      {"string", true},      {"value", true},
};

static bool is_name_char(char c)
{
  return g_ascii_isalnum(c) || c == '_' || c == '-';
}

static bool is_secret_name(const char *name, gsize n)
{
  char lower[NAME_MAX_BYTES + 1];
  if (n == 0 || n > NAME_MAX_BYTES)
    return false;
  for (gsize i = 0; i < n; i++)
    lower[i] = g_ascii_tolower(name[i]);
  lower[n] = '\0';
  for (guint i = 0; i < G_N_ELEMENTS(secret_names); i++)
    if (secret_names[i].whole ? strcmp(lower, secret_names[i].word) == 0 : strstr(lower, secret_names[i].word) != NULL)
      return true;
  return false;
}

/* The end of a JSON string whose first byte is at `p`: its quote, or the line's end. */
static const char *json_end(const char *p, const char *end)
{
  while (p < end && *p != '"')
    p += *p == '\\' && p + 1 < end ? 2 : 1;
  return p;
}

/* The end of a value of a list: a comma that is not doubled, the quote of the argument that it is in, or, outside of one, a blank. libvirt
 * writes a quote inside of an argument as '\''. */
static const char *value_end(const char *p, const char *end, bool quoted)
{
  for (; p < end; p++) {
    if (*p == ',' && p + 1 < end && p[1] == ',')
      p++;
    else if (quoted && end - p >= 4 && strncmp(p, "'\\''", 4) == 0)
      p += 3;
    else if (*p == ',' || *p == '\'' || (!quoted && g_ascii_isspace(*p)))
      break;
  }
  return p;
}

/* "://name:word@": only where no '/' or blank comes before the '@'. The word's end, or NULL. */
static const char *address_word(const char *p, const char *end, const char **begin)
{
  if (end - p < 3 || strncmp(p, "://", 3) != 0)
    return NULL;
  *begin = NULL;
  const char *at = NULL;
  for (p += 3; p < end && !g_ascii_isspace(*p) && !strchr("/'\",", *p); p++) {
    if (*p == ':' && !*begin)
      *begin = p + 1;
    if (*p == '@')
      at = p;
  }
  return *begin && at && *begin < at ? at : NULL;
}

/* The value of a secret that begins at p, just behind its name: where the value begins and ends. false: none. */
static bool find_value(const char *p, const char *end, bool quoted, const char **begin, const char **stop)
{
  if (p < end && *p == '=') {
    *begin = p + 1;
    *stop = value_end(*begin, end, quoted);
    return *stop > *begin;
  }
  if (p >= end || *p != '"')
    return false;
  for (p++; p < end && (*p == ' ' || *p == ':'); p++)
    ;
  if (p >= end || *p != '"')
    return false;
  *begin = p + 1;
  *stop = json_end(*begin, end);
  return *stop > *begin;
}

static void hide_in_line(GString *out, const char *line, gsize n)
{
  const char *end = line + n, *name = NULL;
  bool quoted = false;
  for (const char *p = line; p < end;) {
    const char *begin, *stop;
    if (!is_name_char(*p) && name && is_secret_name(name, (gsize)(p - name)) && find_value(p, end, quoted, &begin, &stop)) {
      g_string_append_len(out, p, begin - p);
      g_string_append(out, HIDDEN);
      p = stop;
      name = NULL;
      continue;
    }
    if (is_name_char(*p)) {
      name = name ? name : p;
    } else {
      name = NULL;
      if (*p == '\'')
        quoted = !quoted;
      if ((stop = address_word(p, end, &begin))) {
        g_string_append_len(out, p, begin - p);
        g_string_append(out, HIDDEN);
        p = stop;
        continue;
      }
    }
    g_string_append_c(out, *p++);
  }
}

/* ---- characters ---- */

/* Controls of terminals (C0, DEL, C1) and of the direction of writing (UAX #9), line and paragraph separators, the byte order mark. */
static bool is_harmful(gunichar c)
{
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

char *run_log_clean(const char *bytes, gsize n)
{
  g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)n);
  g_autoptr(GString) plain = g_string_sized_new(n);
  for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
    gunichar c = g_utf8_get_char(p);
    if (c == '\r' && p[1] == '\n')
      continue;
    g_string_append_unichar(plain, is_harmful(c) ? 0xfffd : c);
  }
  GString *out = g_string_sized_new(plain->len);
  for (const char *line = plain->str, *end = line + plain->len, *stop; line < end; line = stop + 1) {
    stop = memchr(line, '\n', (gsize)(end - line));
    if (!stop) {
      hide_in_line(out, line, (gsize)(end - line));
      break;
    }
    hide_in_line(out, line, (gsize)(stop - line));
    g_string_append_c(out, '\n');
  }
  return g_string_free(out, FALSE);
}

/* ---- files ---- */

/* Up to max_bytes of the end of the file, from the beginning of a line on. *whole: it begins with the file. A file that is not there: NULL
 * without error. */
static char *read_tail(const char *path, gsize max_bytes, gsize *n, bool *whole, GError **error)
{
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  *n = 0;
  *whole = true;
  if (fd < 0 && errno == ENOENT)
    return NULL;
  if (fd < 0 || fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && (errno = EINVAL))) {
    ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
    if (fd >= 0)
      close(fd);
    return NULL;
  }
  off_t from = st.st_size > (off_t)max_bytes ? st.st_size - (off_t)max_bytes : 0;
  char *bytes = g_malloc(max_bytes + 1);
  gssize got;
  while (*n < max_bytes && (got = pread(fd, bytes + *n, max_bytes - *n, from + (off_t)*n)) > 0)
    *n += (gsize)got;
  close(fd);
  bytes[*n] = '\0';
  if (from > 0) {
    *whole = false;
    const char *line = memchr(bytes, '\n', *n);
    gsize cut = line ? (gsize)(line - bytes) + 1 : *n;
    memmove(bytes, bytes + cut, *n - cut + 1);
    *n -= cut;
  }
  return bytes;
}

/* The byte from which on text has at most `lines` lines and max_bytes; *n_lines of them. A last line without its end counts. */
static gsize newest(const char *text, gsize n, guint lines, gsize max_bytes, guint *n_lines)
{
  gsize from = n;
  *n_lines = 0;
  while (from > 0 && *n_lines < lines) {
    gsize begin = from - 1; /* on the end of the line before `from`, or in a last one without end */
    while (begin > 0 && text[begin - 1] != '\n')
      begin--;
    if (n - begin > max_bytes)
      break;
    from = begin;
    ++*n_lines;
  }
  return from;
}

static guint count_lines(const GString *text)
{
  guint n;
  newest(text->str, text->len, G_MAXUINT, G_MAXSIZE, &n);
  return n;
}

static void drop_first_line(GString *text)
{
  const char *end = memchr(text->str, '\n', text->len);
  g_string_erase(text, 0, end ? end - text->str + 1 : -1);
}

bool run_log_read(const char *folder, const char *name, guint lines, WsRpcVmLogResult *result, GError **error)
{
  g_autoptr(GString) raw = g_string_new(NULL); /* cleaned as one: a file may end inside a line, and inside a secret */
  gsize left = RUN_LOG_MAX_BYTES;
  bool whole = true, more = false;
  for (int i = -1; i < BACKUPS_MAX; i++) {
    g_autofree char *path = i < 0 ? g_strdup_printf("%s/%s.log", folder, name) : g_strdup_printf("%s/%s.log.%d", folder, name, i);
    if (!whole || left == 0 || count_lines(raw) > lines) {
      bool older = g_file_test(path, G_FILE_TEST_IS_REGULAR);
      if (whole && older)
        drop_first_line(raw); /* it may have begun in that one */
      more = more || !whole || older;
      break;
    }
    GError *cause = NULL;
    gsize n;
    g_autofree char *bytes = read_tail(path, left, &n, &whole, &cause);
    if (cause) {
      g_propagate_error(error, cause);
      return false;
    }
    if (!bytes && i >= 0)
      break;
    g_string_prepend_len(raw, bytes ? bytes : "", (gssize)n);
    left -= n;
    more = !whole;
  }
  g_autofree char *text = run_log_clean(raw->str, raw->len);
  guint n_lines;
  gsize from = newest(text, strlen(text), lines, RUN_LOG_MAX_BYTES, &n_lines);
  g_free(result->text);
  result->text = g_strdup(text + from);
  result->lines = n_lines;
  result->more = more || from > 0;
  return true;
}

bool hypervisor_vm_log(Hypervisor *hv, const WsRpcVmLog *params, WsRpcVmLogResult *result, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  const char *name = domain ? virDomainGetName(domain) : NULL; /* libvirt allows no '/' in it */
  if (!domain)
    return false;
  if (!hv->config.run_log_dir || !name || strchr(name, '/'))
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "the run log of a VM on this host", NULL);
  return run_log_read(hv->config.run_log_dir, name, (guint)params->lines, result, error);
}

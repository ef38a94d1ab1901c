// SPDX-License-Identifier: Apache-2.0
/* What strings must look like: length, pattern, format. Formats are a table of small functions; tools/apigen
 * knows their names.
 *
 * Threads: any; compiled patterns are kept for the life of the program under one lock. */
#include "model/type-private.h"
#include <arpa/inet.h>

/* ---- characters ---- */

/* Marks that turn the direction of text: with them one name can be shown as another. */
static bool is_direction_mark(gunichar ch)
{
  return ch == 0x061c || (ch >= 0x200e && ch <= 0x200f) || (ch >= 0x202a && ch <= 0x202e) ||
         (ch >= 0x2066 && ch <= 0x2069);
}

bool ws_text_is_clean(const char *s, gsize n, bool lines)
{
  for (const char *p = s, *end = s + n; p < end; p = g_utf8_next_char(p)) {
    unsigned char byte = (unsigned char)*p;
    if (byte >= 0x20 && byte < 0x7f)
      continue;
    if (byte < 0x80) {
      if (!lines || (byte != '\n' && byte != '\t'))
        return false;
      continue;
    }
    gunichar ch = g_utf8_get_char(p);
    if (g_unichar_iscntrl(ch) || is_direction_mark(ch) || ch == 0x2028 || ch == 0x2029)
      return false;
  }
  return true;
}

static bool only(const char *s, gsize n, const char *allowed)
{
  for (gsize i = 0; i < n; i++)
    if (s[i] == '\0' || !strchr(allowed, s[i]))
      return false;
  return true;
}

#define DIGITS  "0123456789"
#define HEX     DIGITS "abcdef"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- formats: each gets a NUL-terminated text without NUL inside ---- */

static bool is_ipv4(const char *s, gsize n)
{
  struct in_addr address;
  return inet_pton(AF_INET, s, &address) == 1; /* four decimal parts, no leading zeros */
}

static bool is_ipv6(const char *s, gsize n)
{
  struct in6_addr address;
  return inet_pton(AF_INET6, s, &address) == 1;
}

static bool is_ip(const char *s, gsize n)
{
  return is_ipv4(s, n) || is_ipv6(s, n);
}

/* Number of 1 to 3 digits without leading zero, at most max. */
static bool is_small_number(const char *s, guint max)
{
  gsize n = strlen(s);
  if (n == 0 || n > 3 || !only(s, n, DIGITS) || (n > 1 && s[0] == '0'))
    return false;
  return g_ascii_strtoull(s, NULL, 10) <= max;
}

static bool is_cidr(const char *s, gsize n)
{
  const char *slash = strchr(s, '/');
  if (!slash)
    return false;
  g_autofree char *address = g_strndup(s, (gsize)(slash - s));
  return is_ipv4(address, 0) ? is_small_number(slash + 1, 32)
                             : is_ipv6(address, 0) && is_small_number(slash + 1, 128);
}

static bool is_mac(const char *s, gsize n)
{
  if (n != 17)
    return false;
  for (gsize i = 0; i < n; i++)
    if (i % 3 == 2 ? s[i] != ':' : !strchr(HEX, s[i]))
      return false;
  return true;
}

/* RFC 1123: labels of 1 to 63 letters, digits and inner hyphens; at most 253 characters. */
static bool is_hostname(const char *s, gsize n)
{
  if (n == 0 || n > 253)
    return false;
  for (const char *label = s;;) {
    gsize len = strcspn(label, ".");
    if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-' ||
        !only(label, len, LETTERS DIGITS "-"))
      return false;
    if (label[len] == '\0')
      return true;
    label += len + 1;
  }
}

static bool is_uuid(const char *s, gsize n)
{
  if (n != 36)
    return false;
  for (gsize i = 0; i < n; i++)
    if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : !strchr(HEX, s[i]))
      return false;
  return true;
}

static bool is_sha256(const char *s, gsize n)
{
  return n == 64 && only(s, n, HEX);
}

static bool is_base64(const char *s, gsize n)
{
  gsize pad = 0;
  while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
    pad++;
  return n % 4 == 0 && only(s, n - pad, LETTERS DIGITS "+/");
}

/* One line of an OpenSSH public key: type, base64, optional comment; the type inside the base64 must be the
 * same. */
static bool is_ssh_key(const char *s, gsize n)
{
  static const char *const types[] = {"ssh-ed25519",
                                      "ssh-rsa",
                                      "ecdsa-sha2-nistp256",
                                      "ecdsa-sha2-nistp384",
                                      "ecdsa-sha2-nistp521",
                                      "sk-ssh-ed25519@openssh.com",
                                      "sk-ecdsa-sha2-nistp256@openssh.com",
                                      NULL};
  if (n > 16384 || !ws_text_is_clean(s, n, false))
    return false;
  g_auto(GStrv) parts = g_strsplit(s, " ", 3);
  if (!parts[0] || !parts[1] || !g_strv_contains(types, parts[0]) || !is_base64(parts[1], strlen(parts[1])))
    return false;
  gsize len, type_len = strlen(parts[0]);
  g_autofree guchar *blob = g_base64_decode(parts[1], &len);
  return len > 4 + type_len && blob[0] == 0 && blob[1] == 0 && blob[2] == 0 && blob[3] == type_len &&
         memcmp(blob + 4, parts[0], type_len) == 0;
}

static bool is_url(const char *s, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isgraph(s[i])) /* GUri would escape them */
      return false;
  g_autoptr(GUri) uri = g_uri_parse(s, G_URI_FLAGS_NONE, NULL);
  const char *scheme = uri ? g_uri_get_scheme(uri) : NULL;
  return scheme && (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0) && g_uri_get_host(uri) &&
         *g_uri_get_host(uri);
}

static bool is_email(const char *s, gsize n)
{
  const char *at = strrchr(s, '@');
  return at && at > s && at - s <= 64 && only(s, (gsize)(at - s), LETTERS DIGITS ".!#$%&'*+/=?^_`{|}~-") &&
         is_hostname(at + 1, strlen(at + 1));
}

static bool is_date(const char *s, gsize n)
{
  if (n != 10 || s[4] != '-' || s[7] != '-' || !only(s, 4, DIGITS) || !only(s + 5, 2, DIGITS) ||
      !only(s + 8, 2, DIGITS))
    return false;
  guint64 year = g_ascii_strtoull(s, NULL, 10), month = g_ascii_strtoull(s + 5, NULL, 10),
          day = g_ascii_strtoull(s + 8, NULL, 10);
  return month >= 1 && month <= 12 && g_date_valid_dmy((GDateDay)day, (GDateMonth)month, (GDateYear)year);
}

static bool is_time_of_day(const char *s, gsize n)
{
  return n == 5 && s[2] == ':' && only(s, 2, DIGITS) && only(s + 3, 2, DIGITS) && strncmp(s, "24", 2) < 0 &&
         s[3] < '6';
}

static const struct {
  const char *name;
  bool (*check)(const char *s, gsize n);
  const char *expected;
} formats[] = {
    {"ipv4", is_ipv4, "an IPv4 address such as 192.0.2.7"},
    {"ipv6", is_ipv6, "an IPv6 address such as 2001:db8::7"},
    {"ip", is_ip, "an IP address"},
    {"cidr", is_cidr, "a network such as 192.0.2.0/24"},
    {"mac", is_mac, "a MAC address such as 52:54:00:12:34:56"},
    {"hostname", is_hostname, "a host name"},
    {"uuid", is_uuid, "a lower-case UUID"},
    {"sha256", is_sha256, "64 lower-case hex digits"},
    {"ssh-key", is_ssh_key, "one line of an OpenSSH public key"},
    {"url", is_url, "an http or https URL"},
    {"email", is_email, "an e-mail address"},
    {"date", is_date, "a date such as 2026-01-31"},
    {"time-of-day", is_time_of_day, "a time of day such as 23:30"},
    {"base64", is_base64, "Base64"},
};

bool ws_format_is_known(const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
    if (strcmp(formats[i].name, name) == 0)
      return true;
  return false;
}

static const char *check_format(const char *name, const char *s, gsize n)
{
  for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
    if (strcmp(formats[i].name, name) == 0)
      return formats[i].check(s, n) ? NULL : formats[i].expected;
  g_error("unknown format %s in the contract", name); /* the generator refuses it */
}

/* ---- patterns ---- */

static GRegex *compiled(const char *pattern)
{
  static GMutex lock;
  static GHashTable *known; /* by the address of the descriptor's text */
  g_mutex_lock(&lock);
  if (!known)
    known = g_hash_table_new(NULL, NULL);
  GRegex *regex = g_hash_table_lookup(known, pattern);
  if (!regex) {
    g_autoptr(GError) error = NULL;
    regex = g_regex_new(pattern, G_REGEX_OPTIMIZE | G_REGEX_DOLLAR_ENDONLY, 0, &error);
    if (!regex)
      g_error("pattern %s: %s", pattern, error->message); /* a mistake in the contract, met by its test */
    g_hash_table_insert(known, (void *)pattern, regex);
  }
  g_mutex_unlock(&lock);
  return regex;
}

static bool matches(const char *pattern, const char *s, gsize n)
{
  return g_regex_match_full(compiled(pattern), s, (gssize)n, 0, 0, NULL, NULL);
}

/* ---- all together ---- */

static bool length_fits(const WsField *field, const char *s, gsize n)
{
  if ((gint64)n <= field->max && (field->min == 0 || (field->min == 1 && n > 0)))
    return true; /* there are never more characters than bytes */
  gint64 characters = g_utf8_strlen(s, (gssize)n);
  return characters >= field->min && characters <= field->max;
}

char *ws_string_check(const WsField *field, const char *s, gsize n)
{
  if (!length_fits(field, s, n))
    return g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " characters", field->min, field->max);
  if (field->format) {
    g_autofree char *text = g_strndup(s, n);
    const char *expected = check_format(field->format, text, n);
    if (expected)
      return g_strdup(expected);
  }
  if (field->pattern && !matches(field->pattern, s, n))
    return g_strdup_printf("text matching %s", field->pattern);
  return NULL;
}

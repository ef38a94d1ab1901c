// SPDX-License-Identifier: Apache-2.0
/* Heads of messages; see head.h. */
#include "http/head.h"
#include <string.h>

static const char *const once[] = {"authorization", "content-length", "content-range",    "content-type",
                                   "host",          "if-match",       "idempotency-key",  "range",
                                   "origin",        "upgrade",        "sec-websocket-key"};

static bool fail(HttpFlaw *flaw, int status, const char *why)
{
  flaw->status = status;
  flaw->why = why;
  return false;
}

bool http_is_token(const char *text, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum(text[i]) && (text[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", text[i])))
      return false;
  return n > 0;
}

static bool is_value_char(unsigned char c)
{
  return (c >= 0x20 && c != 0x7f) || c == '\t';
}

bool http_is_field_value(const char *text, gsize n)
{
  if (n > 0 && (text[0] == ' ' || text[0] == '\t' || text[n - 1] == ' ' || text[n - 1] == '\t'))
    return false;
  for (gsize i = 0; i < n; i++)
    if (!is_value_char((unsigned char)text[i]))
      return false;
  return true;
}

gsize http_head_find_end(const char *bytes, gsize n, gsize *seen)
{
  /* An end that was cut in two by the last read begins up to three bytes before what was seen. */
  gsize from = *seen > 3 ? *seen - 3 : 0;
  const char *end = n > from ? memmem(bytes + from, n - from, "\r\n\r\n", 4) : NULL;
  *seen = n;
  return end ? (gsize)(end - bytes) + 4 : 0;
}

HttpHead *http_head_new(void)
{
  HttpHead *head = g_new0(HttpHead, 1);
  head->content_length = -1;
  head->fields = g_array_sized_new(FALSE, FALSE, sizeof(HttpField), 16);
  return head;
}

void http_head_free(HttpHead *head)
{
  if (!head)
    return;
  g_free(head->text);
  if (head->pairs)
    g_string_free(head->pairs, TRUE);
  g_slist_free_full(head->joined, g_free);
  if (head->query)
    g_array_unref(head->query);
  g_array_unref(head->fields);
  g_free(head);
}

static HttpField *find_field(const HttpHead *head, const char *name)
{
  for (guint i = 0; i < head->fields->len; i++) {
    HttpField *field = &g_array_index(head->fields, HttpField, i);
    if (strcmp(field->name, name) == 0)
      return field;
  }
  return NULL;
}

const char *http_head_field(const HttpHead *head, const char *name)
{
  const HttpField *field = find_field(head, name);
  return field ? field->value : NULL;
}

bool http_head_field_has(const HttpHead *head, const char *name, const char *word)
{
  const char *c = http_head_field(head, name);
  gsize n = strlen(word);
  while (c && *c) {
    c += strspn(c, ", \t");
    gsize length = strcspn(c, ", \t");
    if (length == n && g_ascii_strncasecmp(c, word, n) == 0)
      return true;
    c += length;
  }
  return false;
}

/* Adds one field; joins or refuses a repeated one. name and value stay where they are, in head->text. */
static bool keep_field(HttpHead *head, const char *name, const char *value, HttpFlaw *flaw)
{
  HttpField *old = find_field(head, name);
  if (!old) {
    HttpField field = {.name = name, .value = value};
    if (head->fields->len >= HTTP_MAX_FIELDS)
      return fail(flaw, 431, "too many header fields");
    g_array_append_val(head->fields, field);
    return true;
  }
  for (guint i = 0; i < G_N_ELEMENTS(once); i++)
    if (strcmp(name, once[i]) == 0)
      return fail(flaw, 400, "a header field that may come only once is repeated");
  if (!*value || !*old->value) {
    old->value = *value ? value : old->value;
    return true;
  }
  /* Joining costs the square of their number: few come twice, let alone so often. */
  if (g_slist_length(head->joined) >= 32)
    return fail(flaw, 431, "too many repeated header fields");
  char *both = g_strconcat(old->value, strcmp(name, "cookie") == 0 ? "; " : ", ", value, NULL);
  head->joined = g_slist_prepend(head->joined, both);
  old->value = both;
  return true;
}

static bool read_content_length(HttpHead *head, HttpFlaw *flaw)
{
  const char *value = http_head_field(head, "content-length");
  if (!value)
    return true;
  gsize digits = strspn(value, "0123456789");
  if (digits == 0 || value[digits] || digits > 18)
    return fail(flaw, 400, "Content-Length is not a number");
  head->content_length = g_ascii_strtoll(value, NULL, 10);
  return true;
}

/* Splits and decodes "/path?query" in place. */
static bool read_target(HttpHead *head, char *target, HttpFlaw *flaw)
{
  if (strlen(target) > HTTP_MAX_TARGET_BYTES)
    return fail(flaw, 414, "the request target is too long");
  for (const char *c = target; *c; c++)
    if ((guchar)*c <= ' ' || (guchar)*c >= 0x7f || *c == '#')
      return fail(flaw, 400, "the request target has a character that must be escaped");
  char *query = strchr(target, '?');
  if (query) {
    *query++ = '\0';
    head->query = g_array_new(FALSE, FALSE, sizeof(HttpParameter));
    if (!http_split_query(query, head->query))
      return fail(flaw, 400, "the query is not valid");
  }
  if (!http_decode_path(target))
    return fail(flaw, 400, "the path is not valid");
  head->path = target;
  return true;
}

/* ---- HTTP/1.1 ---- */

/* Ends the line at its CRLF and moves *text behind it. NULL: none, or a control character in it. */
static char *take_line(char **text)
{
  char *line = *text, *c = line;
  while (is_value_char((unsigned char)*c))
    c++;
  if (c[0] != '\r' || c[1] != '\n')
    return NULL;
  *c = '\0';
  *text = c + 2;
  return line;
}

static bool read_field_line(HttpHead *head, char *line, HttpFlaw *flaw)
{
  char *colon = strchr(line, ':');
  if (!colon ||
      !http_is_token(line, (gsize)(colon - line))) /* refuses folded lines and blanks before ':' too */
    return fail(flaw, 400, "a header line is not valid");
  *colon = '\0';
  for (char *c = line; *c; c++)
    *c = g_ascii_tolower(*c);
  char *value = colon + 1 + strspn(colon + 1, " \t");
  char *end = value + strlen(value);
  while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
    *--end = '\0';
  return keep_field(head, line, value, flaw);
}

/* Takes the first line and all fields; *line is the first, for the caller. */
static bool read_lines(HttpHead *head, const char *bytes, gsize n, char **line, HttpFlaw *flaw)
{
  g_assert(n >= 4 && memcmp(bytes + n - 4, "\r\n\r\n", 4) == 0);
  head->text = g_malloc(n + 1);
  memcpy(head->text, bytes, n);
  head->text[n] = '\0';
  char *text = head->text, *field;
  if (memcmp(text, "\r\n", 2) == 0 && n > 4)
    text += 2; /* some clients end a body with one CRLF too many */
  *line = take_line(&text);
  if (!*line || !**line)
    return fail(flaw, 400, "the first line is not valid");
  while ((field = take_line(&text)) && *field)
    if (!read_field_line(head, field, flaw))
      return false;
  if (!field || *text)
    return fail(flaw, 400, "a header line is not valid");
  return read_content_length(head, flaw);
}

/* "/path" or "https://host/path": the path part. */
static char *strip_authority(char *target)
{
  if (g_ascii_strncasecmp(target, "https://", 8) != 0)
    return target;
  char *path = target + 8 + strcspn(target + 8, "/?#");
  if (*path == '/')
    return path;
  if (path[0] != '\0' || path == target + 8)
    return target;
  target[0] = '/';
  target[1] = '\0';
  return target;
}

static bool read_request_line(HttpHead *head, char *line, HttpFlaw *flaw)
{
  char *target = strchr(line, ' ');
  if (!target)
    return fail(flaw, 400, "the request line is not valid");
  *target++ = '\0';
  char *version = strchr(target, ' ');
  if (!http_is_token(line, strlen(line)) || !version)
    return fail(flaw, 400, "the request line is not valid");
  *version++ = '\0';
  if (strncmp(version, "HTTP/", 5) != 0 || !g_ascii_isdigit(version[5]) || version[6] != '.' ||
      !g_ascii_isdigit(version[7]) || version[8])
    return fail(flaw, 400, "the request line is not valid");
  if (version[5] != '1')
    return fail(flaw, 505, "only HTTP/1.1 and HTTP/2 are spoken here");
  head->is_http10 = version[7] == '0';
  head->method = line;
  if (strlen(line) > 32 || strcmp(line, "CONNECT") == 0)
    return fail(flaw, 501, "the method is not known");
  return read_target(head, strip_authority(target), flaw);
}

/* What the fields say about the body and the connection. */
static bool read_framing(HttpHead *head, HttpFlaw *flaw)
{
  bool old = head->is_http10;
  const char *coding = http_head_field(head, "transfer-encoding");
  if (coding) {
    if (old || head->content_length >= 0)
      return fail(flaw, 400, "Transfer-Encoding does not go with Content-Length or HTTP/1.0");
    if (g_ascii_strcasecmp(coding, "chunked") != 0)
      return fail(flaw, 501, "only the transfer coding chunked is known");
    head->chunked = true;
  }
  head->keep_alive = old ? http_head_field_has(head, "connection", "keep-alive")
                         : !http_head_field_has(head, "connection", "close");
  const char *expect = http_head_field(head, "expect");
  if (expect && !old) {
    if (g_ascii_strcasecmp(expect, "100-continue") != 0)
      return fail(flaw, 417, "only 100-continue can be expected");
    head->expects_continue = true;
  }
  return true;
}

HttpHead *http_head_parse_request(const char *bytes, gsize n, HttpFlaw *flaw)
{
  g_autoptr(HttpHead) head = http_head_new();
  char *line;
  if (n > HTTP_MAX_HEAD_BYTES) {
    fail(flaw, 431, "the header is too long");
    return NULL;
  }
  if (!read_lines(head, bytes, n, &line, flaw) || !read_request_line(head, line, flaw) ||
      !read_framing(head, flaw))
    return NULL;
  if (!head->is_http10 && !http_head_field(head, "host")) {
    fail(flaw, 400, "the Host header is missing");
    return NULL;
  }
  return g_steal_pointer(&head);
}

HttpHead *http_head_parse_response(const char *bytes, gsize n, HttpFlaw *flaw)
{
  g_autoptr(HttpHead) head = http_head_new();
  char *line;
  if (n > HTTP_MAX_HEAD_BYTES || !read_lines(head, bytes, n, &line, flaw))
    return NULL;
  if (strncmp(line, "HTTP/1.", 7) != 0 || !g_ascii_isdigit(line[7]) || line[8] != ' ' ||
      strspn(line + 9, "0123456789") != 3 || (line[12] && line[12] != ' ')) {
    fail(flaw, 502, "the status line is not valid");
    return NULL;
  }
  head->status = (int)g_ascii_strtoll(line + 9, NULL, 10);
  head->reason = line[12] ? line + 13 : "";
  return g_steal_pointer(&head);
}

/* ---- HTTP/2 ---- */

bool http_head_add(HttpHead *head, const char *name, gsize name_n, const char *value, gsize value_n,
                   HttpFlaw *flaw)
{
  if (!head->pairs)
    head->pairs = g_string_sized_new(512);
  if (name_n + value_n + 2 > HTTP_MAX_HEAD_BYTES - head->pairs->len)
    return fail(flaw, 431, "the header is too long");
  if (!http_is_token(name + (name[0] == ':'), name_n - (name[0] == ':')) ||
      !http_is_field_value(value, value_n))
    return fail(flaw, 400, "a header field is not valid");
  g_string_append_len(head->pairs, name, (gssize)name_n);
  g_string_append_c(head->pairs, '\0');
  g_string_append_len(head->pairs, value, (gssize)value_n);
  g_string_append_c(head->pairs, '\0');
  return true;
}

bool http_head_complete_h2(HttpHead *head, HttpFlaw *flaw)
{
  gsize n = head->pairs ? head->pairs->len : 0;
  char *target = NULL, *authority = NULL;
  head->text = head->pairs ? g_string_free(g_steal_pointer(&head->pairs), FALSE) : g_strdup("");
  for (char *name = head->text, *value; name < head->text + n; name = value + strlen(value) + 1) {
    value = name + strlen(name) + 1;
    if (strcmp(name, ":method") == 0)
      head->method = value;
    else if (strcmp(name, ":path") == 0)
      target = value;
    else if (strcmp(name, ":authority") == 0)
      authority = value;
    else if (name[0] != ':' && !keep_field(head, name, value, flaw))
      return false;
  }
  if (!head->method || !target)
    return fail(flaw, 400, "a pseudo-header is missing");
  if (!http_is_token(head->method, strlen(head->method)) || strlen(head->method) > 32)
    return fail(flaw, 501, "the method is not known");
  if (authority && !find_field(head, "host") && !keep_field(head, "host", authority, flaw))
    return false;
  head->keep_alive = true;
  return read_target(head, target, flaw) && read_content_length(head, flaw);
}

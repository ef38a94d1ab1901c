// SPDX-License-Identifier: Apache-2.0
/* Reading the small grammars inside HTTP: escapes, queries, ranges, cookies. Pure functions on text; they
 * never fail on memory or length, only on what is not allowed, and say so with false. Threads: any. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Decodes %XX in place; `plus` also turns '+' into a space. false: a bad escape, a control character (raw or
 * decoded, NUL among them), or bytes that are not UTF-8. */
bool http_decode_escapes(char *text, bool plus);

/* Decodes the path of a request in place. Must begin with '/'. false also for "." and ".." segments and %2F.
 */
bool http_decode_path(char *path);

typedef struct {
  char *name, *value; /* inside the text that was split */
} HttpParameter;
#define HTTP_MAX_PARAMETERS 64
/* Splits "a=1&b=x%20y" in place; appends HttpParameter to `into`. A name without '=' has the value "". */
bool http_split_query(char *query, GArray *into);

/* A Range header against something `size` bytes long. One range of bytes only; RFC 9110, 14.1.2. */
typedef enum { HTTP_RANGE_NONE, HTTP_RANGE_OK, HTTP_RANGE_UNSATISFIABLE } HttpRange;
/* NONE: no header (NULL), another unit, several ranges or bad syntax: send the whole. OK: *n >= 1 bytes from
 * *first. */
HttpRange http_parse_range(const char *range, guint64 size, guint64 *first, guint64 *n);

/* A Content-Range header of an upload. "bytes 0-99/1000": first 0, n 100, size 1000; with '*' for the size,
 * size is G_MAXUINT64; with '*' for the range (a question where to go on), n is 0. */
bool http_parse_content_range(const char *value, guint64 *first, guint64 *n, guint64 *size);

/* The value of one cookie of a Cookie header; caller frees; NULL: absent. */
char *http_find_cookie(const char *cookie_header, const char *name);

/* "Wed, 21 Oct 2015 07:28:00 GMT" into buf of 30. */
char *http_format_date(gint64 wall_us, char *buf);

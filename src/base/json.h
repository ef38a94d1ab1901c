// SPDX-License-Identifier: Apache-2.0
/* JSON as a stream: a writer that appends to a buffer and a strict pull reader over a buffer. RFC 8259.
 *
 * Typed data never passes through a tree: model/type.c drives both by the generated descriptors. Free-form
 * trees (QMP, OVSDB) use jansson at their place.
 *
 * The reader is strict: UTF-8 must be valid (no surrogates, no overlong forms), numbers as in the RFC, no duplicate
 * keys are its caller's check, no trailing bytes (ws_json_reader_end), depth at most 32, NUL (\u0000) refused in strings.
 * It never reads beyond the buffer and allocates only for strings that hold escapes. Errors are WS_ERROR_BAD_JSON with
 * parameter `position` (byte offset) and `expected`.
 *
 * Threads: one object, one thread. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* ---- writer: appends to a GString owned by the caller. Commas are the writer's business. ---- */
typedef struct {
  GString *out;
  bool need_comma;
} WsJsonWriter;

static inline WsJsonWriter ws_json_writer(GString *out)
{
  return (WsJsonWriter){.out = out};
}
void ws_json_begin_object(WsJsonWriter *w);
void ws_json_end_object(WsJsonWriter *w);
void ws_json_begin_array(WsJsonWriter *w);
void ws_json_end_array(WsJsonWriter *w);
void ws_json_key(WsJsonWriter *w, const char *key);          /* any UTF-8; escaped */
void ws_json_key_raw(WsJsonWriter *w, const char *quoted, gsize n); /* `"name":` prepared: no escaping, fast path */
void ws_json_string(WsJsonWriter *w, const char *s);         /* NULL writes null; invalid UTF-8 is replaced by U+FFFD */
void ws_json_int(WsJsonWriter *w, gint64 v);
void ws_json_uint(WsJsonWriter *w, guint64 v);
void ws_json_double(WsJsonWriter *w, double v);              /* shortest form that reads back the same; NaN, inf: null */
void ws_json_bool(WsJsonWriter *w, bool v);
void ws_json_null(WsJsonWriter *w);
void ws_json_raw(WsJsonWriter *w, const char *json, gsize n); /* one complete value, trusted */

/* ---- reader ---- */
typedef enum {
  WS_JSON_NONE, /* end of container or of text */
  WS_JSON_OBJECT,
  WS_JSON_ARRAY,
  WS_JSON_STRING,
  WS_JSON_INT,    /* fits gint64 and was written without fraction and exponent */
  WS_JSON_NUMBER, /* any other number */
  WS_JSON_BOOL,
  WS_JSON_NULL,
} WsJsonKind;

#define WS_JSON_MAX_DEPTH 32

typedef struct {
  const char *text, *at, *end;
  guint depth;
  guint64 in_object; /* bit per depth: container is an object */
  guint64 not_first; /* bit per depth */
  GString *scratch;  /* decoded strings with escapes; freed by _clear */
} WsJsonReader;

void ws_json_reader_init(WsJsonReader *r, const char *text, gsize n);
void ws_json_reader_clear(WsJsonReader *r);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(WsJsonReader, ws_json_reader_clear)

/* Kind of the value at hand, without taking it. */
WsJsonKind ws_json_peek(WsJsonReader *r);
/* Enter the object/array at hand. Then loop: while (ws_json_next_key(r, &key, &n, error)) { take one value }.
 * next_* return false at the container's end (left then; error unset) or on an error (error set). Keys and strings are
 * borrowed until the next call on the reader and are not NUL-terminated. */
bool ws_json_enter_object(WsJsonReader *r, GError **error);
bool ws_json_next_key(WsJsonReader *r, const char **key, gsize *n, GError **error);
bool ws_json_enter_array(WsJsonReader *r, GError **error);
bool ws_json_next_item(WsJsonReader *r, GError **error);
bool ws_json_take_string(WsJsonReader *r, const char **s, gsize *n, GError **error);
bool ws_json_take_int(WsJsonReader *r, gint64 *v, GError **error);
bool ws_json_take_double(WsJsonReader *r, double *v, GError **error); /* ints too */
bool ws_json_take_bool(WsJsonReader *r, bool *v, GError **error);
bool ws_json_take_null(WsJsonReader *r, GError **error);
/* Any value, checked, as its bytes (borrowed from the text). */
bool ws_json_take_raw(WsJsonReader *r, const char **json, gsize *n, GError **error);
/* Nothing but white space is left. */
bool ws_json_reader_end(WsJsonReader *r, GError **error);

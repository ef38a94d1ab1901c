// SPDX-License-Identifier: Apache-2.0
/* The head of a message: request line or pseudo-headers, header fields, and what follows from them for the
 * body.
 *
 * Both HTTP versions end up in the same HttpHead, checked by the same rules: HTTP/1.1 parses its text here,
 * HTTP/2 adds the fields one by one. Strict (RFC 9110, 9112): what two readers could understand differently
 * is refused, never repaired - bare LF, folded lines, blanks before ':', Content-Length beside
 * Transfer-Encoding, repeated fields that may come once. Pure: no I/O, no clock. One owner, any thread.
 * Private to src/http. */
#pragma once
#include "http/fields.h"

enum {
  HTTP_MAX_TARGET_BYTES = 8192, /* longer: 414 */
  HTTP_MAX_HEAD_BYTES = 16384,  /* longer: 431 */
  HTTP_MAX_FIELDS = 100,        /* more: 431 */
};

typedef struct {
  const char *name, *value; /* lower-case name */
} HttpField;

typedef struct {
  char *text;            /* holds the strings below */
  GString *pairs;        /* HTTP/2 until complete: name NUL value NUL ... */
  GSList *joined;        /* values of repeated fields */
  const char *method;    /* NULL for a response */
  char *path;            /* decoded */
  GArray *query;         /* HttpParameter; NULL: none */
  GArray *fields;        /* HttpField */
  int status;            /* of a response */
  const char *reason;    /* its words; "" when it has none */
  gint64 content_length; /* -1: not said */
  bool is_http10;        /* knows no chunks */
  bool chunked;
  bool keep_alive; /* the peer's wish */
  bool expects_continue;
} HttpHead;

/* What is wrong with a head: the status to answer and why, for people. */
typedef struct {
  int status;
  const char *why;
} HttpFlaw;

/* Length of the head at the start of bytes, its empty line included; 0: not complete yet. *seen keeps where
 * to look on; begin with 0. */
gsize http_head_find_end(const char *bytes, gsize n, gsize *seen);

/* Parses a complete head of n bytes (as found above). NULL: flaw is set. */
HttpHead *http_head_parse_request(const char *bytes, gsize n, HttpFlaw *flaw);
HttpHead *http_head_parse_response(const char *bytes, gsize n, HttpFlaw *flaw);

/* HTTP/2: fields one by one, pseudo-headers among them, then the check of the whole. false: flaw is set. */
HttpHead *http_head_new(void);
bool http_head_add(HttpHead *head, const char *name, gsize name_n, const char *value, gsize value_n,
                   HttpFlaw *flaw);
bool http_head_complete_h2(HttpHead *head, HttpFlaw *flaw);

const char *http_head_field(const HttpHead *head, const char *name); /* NULL: absent */
/* Whether a field's comma-separated list has the word, whatever its case. */
bool http_head_field_has(const HttpHead *head, const char *name, const char *word);
void http_head_free(HttpHead *head); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpHead, http_head_free)

/* A token of RFC 9110 (field names, methods). */
bool http_is_token(const char *text, gsize n);
/* No control character but TAB, no blank at the ends. */
bool http_is_field_value(const char *text, gsize n);

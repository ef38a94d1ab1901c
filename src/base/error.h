// SPDX-License-Identifier: Apache-2.0
/* Errors that people can act on, in their language.
 *
 * Every error is a GError of domain WS_ERROR whose code comes from api/errors.yaml. That file holds, per code,
 * the HTTP status and the texts (English, Chinese) of the message and of the hint, with named parameters:
 *
 *     not_found: {status: 404, params: [object], en: "{object} does not exist.", zh: ..., hint_en: ..., hint_zh: ...}
 *     return ws_fail(error, WS_ERROR_NOT_FOUND, "object", "vm-42", NULL);
 *
 * The error carries code and parameters, not a sentence: the API renders it in the caller's language, over the
 * wire to another process it travels as code + params. GError.message is the English rendering with the cause in
 * brackets, for logs and failing tests; people get ws_error_message() and ws_error_cause().
 * Context is added while it rises: ws_error_context(error, "copy image to pool %s", pool->name) prefixes `cause`.
 *
 * Threads: any. Parameters must never hold secrets.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include "base/error-codes.h" /* generated from api/errors.yaml: enum WsErrorCode, WS_ERROR_* */

#define WS_ERROR (ws_error_quark())
GQuark ws_error_quark(void);

/* Sets `error` (may be NULL) to `code` with parameters given as name, value pairs of strings, ended by NULL.
 * Two names are special: "field" (a path such as "disks[1].size_bytes") and "cause" (free technical text, English,
 * e.g. what libvirt or errno said). Values are copied, made valid UTF-8 and cut to 1,000 bytes (cause: 4,000); NULL values
 * read "". Always returns false. */
bool ws_fail(GError **error, WsErrorCode code, ...) G_GNUC_NULL_TERMINATED;

/* Sets or replaces one parameter (also "field", "cause") of an error made by ws_fail(): for code that learns the names at
 * run time (an error that came over the wire) or knows more than the place that failed (a path in front of a field). */
void ws_error_set_param(GError *error, const char *name, const char *value);

/* Appends technical context in front of the error's cause, as an error rises ("open volume: Permission denied"). */
void ws_error_context(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Turns a GError of any domain (GIO, libvirt wrapper, ...) into one of ours with `code`, keeping its text as cause; one that
 * is ours already stays as it is. Takes `other` over. Always returns false. */
bool ws_error_adopt(GError **error, GError *other, WsErrorCode code);

/* Borrowed; NULL when absent. Works for any GError (foreign domains count as WS_ERROR_INTERNAL). */
WsErrorCode ws_error_code(const GError *error);
const char *ws_error_param(const GError *error, const char *name);
const char *ws_error_field(const GError *error);
const char *ws_error_cause(const GError *error);
/* Number of parameters and the i-th name/value (field and cause excluded). */
guint ws_error_n_params(const GError *error);
void ws_error_nth_param(const GError *error, guint i, const char **name, const char **value);

typedef enum { WS_LANG_EN, WS_LANG_ZH } WsLang;
/* First supported language of an Accept-Language header (NULL: English). */
WsLang ws_lang_parse(const char *accept_language);

/* Rendered texts; caller frees. hint may be NULL. */
char *ws_error_message(const GError *error, WsLang lang);
char *ws_error_hint(const GError *error, WsLang lang);

/* A piece of a sentence ("at most 16 items", "h1: not connected; h2: another architecture") in the language, as far as api/phrases.yaml and
 * the contract's words know it; else as it is. Caller frees. */
char *ws_phrase(const char *text, WsLang lang);

/* Static facts of a code from the catalogue. */
const char *ws_error_code_name(WsErrorCode code); /* "not_found" */
WsErrorCode ws_error_code_from_name(const char *name); /* unknown: WS_ERROR_INTERNAL */
int ws_error_http_status(WsErrorCode code);

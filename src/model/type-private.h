// SPDX-License-Identifier: Apache-2.0
/* What the files of the engine share. A *slot* is the address of one value: a struct member, or one item of a
 * list. Its form follows from (field, kind): kind is field->kind for the member and field->item_kind for an
 * item.
 *
 * Threads: pure functions of their arguments. */
#pragma once
#include "model/type.h"
#include <math.h>
#include <string.h>

/* Length of a field's name. */
static inline gsize ws_field_name_len(const WsField *field)
{
  return field->quoted_len - 3u;
}

/* Position of a field in its type. */
static inline guint ws_field_index(const WsType *type, const WsField *field)
{
  return (guint)(field - type->fields);
}

static inline bool ws_type_is_resource(const WsType *type)
{
  return (type->flags & WS_TYPE_RESOURCE) != 0;
}

/* What clients do not see; nor is it searched. */
static inline bool ws_field_is_hidden(const WsField *field)
{
  return (field->flags & (WS_FIELD_SECRET | WS_FIELD_INTERNAL)) != 0;
}

static inline bool ws_field_is_searched(const WsField *field)
{
  return (field->flags & WS_FIELD_SEARCH) && !ws_field_is_hidden(field);
}

/* Where in a resource of one block the texts begin that are searched. */
static inline gsize ws_packed_searched_from(const WsType *type)
{
  return (type->size + 7) & ~(gsize)7;
}

/* ---- life.c ---- */
gsize ws_kind_size(WsKind kind);
/* True when the slot holds no value: NULL, 0, unset, an empty list or map. A BOOL is never absent. */
static inline bool ws_value_is_absent(WsKind kind, const void *slot)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return false;
  case WS_KIND_INT:
    return *(const gint64 *)slot == WS_INT_UNSET;
  case WS_KIND_DOUBLE:
    return isnan(*(const double *)slot);
  case WS_KIND_ENUM:
    return *(const int *)slot == 0;
  case WS_KIND_REF:
  case WS_KIND_TIME:
    return *(const guint64 *)slot == 0;
  case WS_KIND_ANYREF:
    return ((const WsAnyRef *)slot)->type == NULL;
  case WS_KIND_STRING:
  case WS_KIND_ANY:
  case WS_KIND_OBJECT:
    return *(void *const *)slot == NULL;
  case WS_KIND_ARRAY:
    return ((const WsArray *)slot)->len == 0;
  case WS_KIND_MAP:
    return ((const WsMap *)slot)->len == 0;
  }
  g_assert_not_reached();
}
/* Frees what the slot holds and leaves it absent. */
void ws_value_clear(const WsField *field, WsKind kind, void *slot);
/* Fills `to` (raw memory) with a deep copy. */
void ws_value_copy(const WsField *field, WsKind kind, void *to, const void *from);
/* Gives an absent member its default, if it has one. */
void ws_field_apply_default(const WsField *field, void *slot);

/* ---- equal.c ---- */
bool ws_value_equal(const WsField *field, WsKind kind, const void *a, const void *b, bool skip_volatile);

/* ---- parse.c ---- */
/* Where the parser is, as a chain on the stack; becomes text only for an error. */
typedef struct WsPath WsPath;
struct WsPath {
  const WsPath *up;
  const char *name; /* of a field or map entry; NULL: an item of a list */
  gsize name_len;
  guint index;
};
char *ws_path_format(const WsPath *path, const char *name, gsize name_len);

typedef struct {
  WsJsonReader reader;
  WsParseMode mode;
  bool free_hand; /* only to compare (patch.c): read-only and required are not looked at */
  GError **error;
} WsParser;

/* Set of field positions already seen in an object. */
#define WS_MAX_FIELDS 256
typedef struct {
  guint64 words[WS_MAX_FIELDS / 64];
} WsSeen;
static inline bool ws_seen_has(const WsSeen *seen, guint i)
{
  return (seen->words[i / 64] >> (i % 64)) & 1;
}
static inline void ws_seen_add(WsSeen *seen, guint i)
{
  seen->words[i / 64] |= G_GUINT64_CONSTANT(1) << (i % 64);
}

/* Parses the value at hand into an absent slot, checking as parser->mode says. On failure the slot is valid
 * to clear. */
bool ws_parse_value(WsParser *parser, const WsField *field, WsKind kind, void *slot, const WsPath *path);
/* Defaults for what was not seen, and REQUIRED for what had to be. */
bool ws_parse_complete(WsParser *parser, const WsType *type, void *object, const WsSeen *seen,
                       const WsPath *path);
/* The next key of the object at hand: its field, or NULL for "id" and "revision" of a resource (*key tells
 * which). *more false: the object has ended. Unknown keys are errors, or are skipped when the mode says so. A
 * key given twice is an error. */
bool ws_parse_next_field(WsParser *parser, const WsType *type, WsSeen *seen, guint *guess,
                         const WsField **field, const char **key, gsize *key_len, bool *more,
                         const WsPath *path);
bool ws_parse_map_entry(WsParser *parser, const WsField *field, const char *key, gsize key_len,
                        WsMapEntry *entry, const WsPath *path);
bool ws_parse_map_count(WsParser *parser, const WsField *field, guint len, const WsPath *path);
bool ws_parse_fail(WsParser *parser, WsErrorCode code, const WsPath *path, const char *expected);
bool ws_parse_wrong_type(WsParser *parser, const WsPath *path, const char *expected);

/* ---- check.c: limits, patterns and formats of strings ---- */
/* NULL when the text is valid; else what was expected, to be freed. */
char *ws_string_check(const WsField *field, const char *s, gsize n);
/* Person's text: false when it holds characters that people do not type. Long texts (max > 255) may have
 * lines. */
bool ws_text_is_clean(const char *s, gsize n, bool lines);

/* ---- text.c: comparing text as people do ---- */
/* Order of folded text, numbers inside by value: web-2 before web-10, Web next to web. 0 only for identical
 * texts. */
int ws_text_compare(const char *a, const char *b);
/* `folded` comes from ws_text_fold(). */
bool ws_text_contains(const char *text, const char *folded);
/* The same of its beginning, for a text whose folding changes A-Z alone. */
bool ws_text_begins(const char *text, const char *folded);
/* Whether folding could change more in these n bytes of UTF-8 (texts, each with its 0) than the letters A-Z. */
bool ws_texts_fold(const char *texts, gsize n);
/* Whether `folded` stands somewhere in these n bytes, whose folding changes A-Z alone. */
bool ws_texts_contain(const char *texts, gsize n, const char *folded, gsize folded_len);

/* ---- path.c: naming a value inside an object ---- */
#define WS_FIELD_PATH_MAX 4
typedef struct {
  enum { WS_PATH_FIELD, WS_PATH_ID, WS_PATH_REVISION } what;
  const WsField *steps[WS_FIELD_PATH_MAX];
  guint n_steps;
  char *map_key; /* the last step is a MAP: the entry meant */
} WsFieldPath;
/* Resolves "power.state", "disks.volume", "labels.env", "id". false: there is no such field, or clients do
 * not see it. */
bool ws_field_path_parse(const WsType *type, const char *text, gsize n, WsFieldPath *path);
void ws_field_path_clear(WsFieldPath *path);
/* Calls func for each value at the path: none (absent parts), one, or many (lists). `field` is the last step;
 * kind as for slots; for a map entry and for WS_PATH_ID/REVISION see the caller. func returns true to stop;
 * so does this. */
typedef bool (*WsPathVisit)(const WsField *field, WsKind kind, const void *slot, void *arg);
bool ws_field_path_visit(const WsFieldPath *path, const void *object, WsPathVisit func, void *arg);

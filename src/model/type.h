// SPDX-License-Identifier: Apache-2.0
/* Types as data: one descriptor per type of the contract, and the generic engine that works on them.
 *
 * tools/apigen turns api/ (OpenAPI 3.1, JSON Schema) into C structs plus these descriptor tables (model/model.h, generated).
 * Everything that is the same for all types is written once, here: parse (strict, with the path of the bad field), write
 * (all or selected fields), copy, free, equal, merge-patch, get a field by path, filter, sort. So the generator stays small, and
 * a new resource costs data, not code.
 *
 * C form of each kind (struct members have the contract's names):
 *   BOOL bool · INT gint64 (absent: WS_INT_UNSET) · DOUBLE double (absent: NaN) · STRING char* (absent: NULL)
 *   ENUM its own C enum (0 = absent; constants WS_<TYPE>_<FIELD>_<VALUE> from 1, read as int) · REF WsId (0 = none)
 *   ANYREF WsAnyRef {type, id} · TIME gint64 microseconds UTC (0 = absent) · OBJECT pointer (NULL = absent)
 *   ARRAY struct { guint len; T *items; } with T one of the above · MAP WsMap (string to string, sorted by key)
 *   ANY char* holding one valid JSON value
 *
 * Two sorts of types: *resources* begin with WS_RESOURCE_FIELDS (id, revision, reference count), live in the inventory
 * and are never changed after publication; *plain* structs (parts, request bodies, RPC parameters) have one owner.
 * Threads: published resources and descriptors may be read anywhere; ref/unref are atomic. */
#pragma once
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"

#define WS_INT_UNSET G_MININT64

typedef enum {
  WS_KIND_BOOL, WS_KIND_INT, WS_KIND_DOUBLE, WS_KIND_STRING, WS_KIND_ENUM, WS_KIND_REF, WS_KIND_ANYREF,
  WS_KIND_TIME, WS_KIND_OBJECT, WS_KIND_ARRAY, WS_KIND_MAP, WS_KIND_ANY,
} WsKind;

typedef enum {
  WS_FIELD_REQUIRED = 1 << 0,  /* must be given on create */
  WS_FIELD_READ_ONLY = 1 << 1, /* server's; refused in requests */
  WS_FIELD_IMMUTABLE = 1 << 2, /* settable on create, not by PATCH (equal value is accepted) */
  WS_FIELD_SECRET = 1 << 3,    /* writeOnly: never written to clients; stored; wiped on free */
  WS_FIELD_INTERNAL = 1 << 4,  /* stored, but neither read nor written by clients */
  WS_FIELD_INDEXED = 1 << 5,   /* the inventory keeps a secondary index */
  WS_FIELD_UNIQUE = 1 << 6,    /* no two objects of the type share a value (implies INDEXED) */
  WS_FIELD_VOLATILE = 1 << 7,  /* reported by hosts; a change of only such fields need not be durable */
  WS_FIELD_NAME_LIKE = 1 << 8, /* person's text: control characters refused, trimmed */
  WS_FIELD_TRANSIENT = 1 << 9, /* in requests or answers only (a password, a fresh token): never written in STORED form */
  WS_FIELD_NULLABLE = 1 << 10, /* null is accepted on create and means absent */
  WS_FIELD_WEAK = 1 << 11,     /* REF: must exist when it is set, but does not keep its target from being deleted */
  WS_FIELD_SEARCH = 1 << 12,   /* STRING, list of STRING or MAP: what people look for things by */
  WS_FIELD_DISPENSABLE = 1 << 13, /* over RPC: a peer that does not know it is asked again without */
} WsFieldFlags;

typedef struct WsType WsType;
typedef struct WsField WsField;

typedef struct { guint len; void *items; } WsArray; /* layout of every generated array */
typedef struct { char *key, *value; } WsMapEntry;
typedef struct { guint len; WsMapEntry *items; } WsMap;
typedef struct { const WsType *type; WsId id; } WsAnyRef; /* type NULL: none */

struct WsField {
  const char *name;
  const char *quoted;       /* "\"name\":" ready for the writer */
  guint8 kind;              /* WsKind */
  guint8 item_kind;         /* of an ARRAY's items */
  guint16 flags;            /* WsFieldFlags */
  guint32 offset;           /* in the struct */
  guint16 quoted_len;
  const WsType *sub;        /* OBJECT (or array of): its type; REF: the target resource type */
  const char *const *names; /* ENUM: NULL-ended, names[value - 1] */
  gint64 min, max;          /* INT: value (multiple_of 0: any) · STRING: length in characters · MAP: number of entries */
  gint64 multiple_of;
  gint64 min_items, max_items; /* ARRAY: number of items (the limits above are for each) · MAP: max_items = characters of a value */
  double fmin, fmax;        /* DOUBLE */
  const char *pattern;      /* STRING: anchored GRegex, or NULL */
  const char *format;       /* STRING: "ipv4", "ip", "cidr", "mac", "hostname", "uuid", "sha256", "ssh-key", "date-time", ... or NULL */
  const char *use_right;    /* REF: what it takes to name an object here; NULL: the right to read its kind */
  const char *default_json; /* applied on create when absent; NULL: none */
};

typedef enum { WS_TYPE_RESOURCE = 1 << 0, WS_TYPE_HISTORY = 1 << 1 /* kept in SQL history, not in memory */ } WsTypeFlags;

struct WsType {
  const char *name;    /* "Volume" */
  const char *prefix;  /* "vol"; resources only */
  const char *plural;  /* "volumes": path, SQL table */
  guint16 index;       /* resources: 0..ws_n_resource_types-1, position in ws_resource_types[] */
  guint16 flags;       /* WsTypeFlags */
  guint32 size;        /* of the struct */
  guint16 n_fields;
  const WsField *fields; /* in the contract's order; without id and revision */
  const guint16 *by_name; /* indexes of fields sorted by name, for binary search */
};

/* A member whose name is a word of C gets an underscore behind it: `switch_`. */

/* Every resource struct starts with these (id and revision are written as fields "id", "revision" by the engine). */
#define WS_RESOURCE_FIELDS                                                                                             \
  const WsType *type;                                                                                                  \
  gint ref_count;                                                                                                      \
  guint packed_bytes; /* all of it is one block of so many bytes (ws_resource_pack); 0: parts are blocks of their own */ \
  guint packed_searched; /* where in that block the texts end that a search looks at, each with its 0; they begin behind the struct */ \
  bool packed_folds;  /* case folding of these texts changes more than the letters A-Z (search.c) */ \
  WsId id;                                                                                                             \
  Revision revision
typedef struct WsResource { WS_RESOURCE_FIELDS; } WsResource;

extern const WsType *const ws_resource_types[]; /* generated */
extern const guint ws_n_resource_types;
extern const WsType *const ws_all_types[]; /* generated; sorted by name */
extern const guint ws_n_all_types;
const WsType *ws_type_by_name(const char *name);   /* resources and plain; NULL: unknown */
const WsType *ws_type_by_plural(const char *plural);
const WsType *ws_type_by_prefix(const char *prefix);
const WsField *ws_type_field(const WsType *type, const char *name, gsize n); /* NULL: unknown */

/* ---- life ---- */
void *ws_object_new(const WsType *type);               /* zeroed, sentinels set, no defaults applied */
void *ws_object_copy(const WsType *type, const void *object); /* deep; a resource's copy has ref_count 1 */
/* The same resource in one block, which takes less memory and is read faster. Nothing in it may be changed or freed but the whole by
 * ws_resource_unref(); ws_object_copy() of it is an ordinary object. One reference. */
void *ws_resource_pack(const void *resource);
void ws_object_free(const WsType *type, void *object); /* plain, or a resource nobody else holds; NULL is fine */
WsResource *ws_resource_ref(const void *resource);     /* const: counting is not change */
void ws_resource_unref(const void *resource);          /* NULL is fine */
void ws_apply_defaults(const WsType *type, void *object); /* to absent fields and all booleans that have one; not into parts */
bool ws_format_is_known(const char *name); /* a string format of the contract */

/* ---- lists and maps of an object, for building one by hand ---- */
/* Appends `value` to a generated list member; takes it over (strings, objects). */
#define ws_array_add(array, value)                                                                                     \
  (*(__typeof__((array)->items))ws_array_grow((WsArray *)(void *)(array), sizeof *(array)->items) = (value))
void *ws_array_grow(WsArray *array, gsize item_size); /* the new last item, zeroed */
const char *ws_map_get(const WsMap *map, const char *key); /* borrowed; NULL: not there */
void ws_map_set(WsMap *map, const char *key, const char *value); /* copies both; value NULL: removes */

/* ---- JSON ---- */
typedef enum {
  WS_PARSE_CREATE, /* from a client: required fields must be there, read-only refused, defaults applied */
  WS_PARSE_STORED, /* from our own store: all fields allowed incl. id, revision, secret and internal; unknown fields and words are skipped
                      (written by a newer version), limits not re-checked; of defaults only those of booleans are applied */
  WS_PARSE_RPC,    /* what a peer tells (an answer, a notification): unknown fields are skipped, so are unknown words where nothing is required;
                      required, limits and sizes are checked, defaults applied */
  WS_PARSE_REQUEST, /* what a peer asks for: like RPC, but nothing that asks for something is skipped: an unknown field with a value other than
                      null, false, 0 or nothing is WS_ERROR_UNSUPPORTED (what: its path), and so is an unknown word ("kind nfs") */
} WsParseMode;
/* Parses one complete JSON object. Errors carry "field" with the path: WS_ERROR_UNKNOWN_FIELD, WS_ERROR_WRONG_TYPE (expected),
 * WS_ERROR_OUT_OF_RANGE (min, max), WS_ERROR_REQUIRED, WS_ERROR_READ_ONLY_FIELD, WS_ERROR_BAD_VALUE (expected), WS_ERROR_BAD_JSON. */
void *ws_object_parse(const WsType *type, const char *json, gsize n, WsParseMode mode, GError **error);
/* JSON merge patch (RFC 7386) onto a private copy: null resets a field to its default. Maps are merged key by key; lists and ANY are
 * replaced whole. *changed (may be NULL) tells whether anything differs afterwards. Read-only and immutable fields: refused unless equal.
 * A list of parts that have a `key`: an item with the key of a present one keeps what clients cannot see or set of it (internal,
 * read-only, secret fields), and what is immutable in it. On error the copy is spoilt. */
bool ws_object_merge_patch(const WsType *type, void *object, const char *json, gsize n, bool *changed, GError **error);

/* Set of top-level fields to write. Parsed from "name,power,disks"; nested selection is not offered. A resource's id and revision
 * are always written. */
typedef struct WsFieldSet WsFieldSet;
WsFieldSet *ws_field_set_parse(const WsType *type, const char *list, GError **error); /* WS_ERROR_UNKNOWN_FIELD */
void ws_field_set_free(WsFieldSet *set);
typedef enum {
  WS_WRITE_CLIENT, /* hides secret and internal fields; lists and maps are there also when empty */
  WS_WRITE_STORED, /* all but transient fields */
  WS_WRITE_PEER,   /* over RPC: all */
  WS_WRITE_OLDER,  /* over RPC, to a peer that does not know all: without dispensable fields */
} WsWriteMode;
void ws_object_write(const WsType *type, const void *object, WsWriteMode mode, const WsFieldSet *set, WsJsonWriter *w);
/* What makes `after` of `before` at a client: id, revision, and each field that differs, whole, null where it is absent now. No merge patch of
 * RFC 7396: what is inside of objects and maps is not merged. */
void ws_object_write_changes(const WsType *type, const void *before, const void *after, WsJsonWriter *w);
char *ws_object_to_json(const WsType *type, const void *object, WsWriteMode mode, gsize *n);
/* JSON that a client sent for an object of the type (a patch, a verb's body as it came) without its secret fields: what may be kept and shown. "{}" if it
 * is no JSON object. Caller frees. */
char *ws_json_without_secrets(const WsType *type, const char *json, gsize n);

bool ws_object_equal(const WsType *type, const void *a, const void *b); /* all fields but revision */
/* True when a and b differ, and in volatile fields only. */
bool ws_object_differs_only_volatile(const WsType *type, const void *a, const void *b);

/* Where two objects of the type differ: paths such as "cpu.vcpus" and "disks[disk-0].bus"; parts of a list
 * that have a `key` are told apart by it, one that is on one side only is "disks[disk-1]". Fields of a name
 * in `skip` (NULL-ended), at any depth, are passed over. char *, owned. */
GPtrArray *ws_object_diff(const WsType *type, const void *a, const void *b, const char *const *skip);

/* ---- filter and sort of lists ----
 * Filter grammar: terms joined by " and " ; term = path op value; op one of = != < <= > >= ~ (contains, case folded) ;
 * path = field or field.sub (through lists: any item matches; labels.key: an entry) ; value = word or "quoted", with \" and \\ inside;
 * "" is "absent". Texts are ordered naturally, words of an enum in the contract's order (level>=major). A time may be a date. Example:
 *   power.state=running and memory_bytes>=4294967296 and name~web and used_by!="" */
typedef struct WsFilter WsFilter;
WsFilter *ws_filter_parse(const WsType *type, const char *text, GError **error); /* WS_ERROR_BAD_FILTER with position, expected */
void ws_filter_free(WsFilter *filter);
bool ws_filter_match(const WsFilter *filter, const void *object);
/* If the filter holds an equality on an indexed REF/STRING/ENUM field: that field and value, so that the index can be used. */
bool ws_filter_index_hint(const WsFilter *filter, const WsField **field, WsId *ref, const char **text);
/* Between which times, both included, all that matches lies in a TIME field, as far as the filter's terms say
 * so; open: G_MININT64, G_MAXINT64. */
void ws_filter_time_range(const WsFilter *filter, const char *path, gint64 *from_us, gint64 *until_us);
/* The filter's terms as they were written ("power.state", "=", "running"); borrowed. For history, which SQL filters. */
guint ws_filter_n_terms(const WsFilter *filter);
void ws_filter_nth_term(const WsFilter *filter, guint i, const char **path, const char **op, const char **value);

/* Lists of the inventory: a path may go over one reference (of VMs: host.cluster=cl-1, host.name~rack3). What
 * is true of the object there is not in the one that is matched, so whoever has them all adds those that each
 * such term's own filter matches, before anything is matched: n from 0 on, until there is none. */
WsFilter *ws_filter_parse_joined(const WsType *type, const char *text, GError **error);
const WsFilter *ws_filter_join(const WsFilter *filter, guint n, const WsType **type);
void ws_filter_join_add(WsFilter *filter, guint n, WsId id);
/* If only objects can match whose indexed field is one of those that were added: that field, and their ids in
 * order. Caller frees. */
GArray *ws_filter_join_hint(const WsFilter *filter, const WsField **field);

/* "name,-memory_bytes": up to 4 keys, also power.state or labels.env; ties end with id, so the order is total and stable. Strings by
 * folded text with numbers in natural order (web-2 before web-10). Absent values come last. Errors: WS_ERROR_UNKNOWN_FIELD,
 * WS_ERROR_BAD_VALUE. */
typedef struct WsSort WsSort;
WsSort *ws_sort_parse(const WsType *type, const char *text, GError **error);
void ws_sort_free(WsSort *sort);
int ws_sort_compare(const WsSort *sort, const void *a, const void *b);

/* ---- search over everything ----
 * Looks in the fields that the contract marks `x-search` (names, addresses, serial numbers, notes), also in parts, for a text. `folded` is
 * ws_text_fold() of what is looked for. An object in one block (ws_resource_pack) that does not hold it is passed over at the speed of memory. */
typedef enum { WS_SEARCH_EXACT, WS_SEARCH_NAME_BEGINS, WS_SEARCH_BEGINS, WS_SEARCH_NAME_HAS, WS_SEARCH_HAS, WS_SEARCH_NONE } WsSearchRank;
typedef struct {
  WsSearchRank rank;    /* of the best place */
  const WsField *field; /* where it was found; value: borrowed from the object */
  const char *value;
} WsSearchHit;
char *ws_text_fold(const char *text); /* without case; caller frees */
WsSearchHit ws_object_search(const WsType *type, const void *object, const char *folded);
bool ws_object_holds(const WsType *type, const void *object, const char *folded); /* whether it is found at all, which is seen sooner */

/* Moves all fields but id, revision and reference count from one resource to another of the type (which must be fresh or empty);
 * `from` is left without fields. For turning a parsed request into an inventory object. */
void ws_resource_take_fields(const WsType *type, void *to, void *from);

/* Address of a field's value. */
static inline void *ws_field_at(const WsField *field, const void *object)
{
  return (char *)object + field->offset;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsFilter, ws_filter_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsSort, ws_sort_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsFieldSet, ws_field_set_free)

// SPDX-License-Identifier: Apache-2.0
/* Filters of lists: "power.state=running and memory_bytes>=4294967296 and name~web". Grammar and meaning:
 * type.h.
 *
 * A filter is read once into terms with typed operands, so that matching an object compares numbers and does
 * not parse. Through a list a term holds when it holds for any item; != is the contrary of =, also there. An
 * empty text as value means "absent".
 *
 * A term over a reference (host.cluster=cl-1) has the rest of its path as a filter of the type referred to,
 * turned into what is looked for (not !=, not absence); whoever has the objects tells which of them it finds.
 */
#include "model/type-private.h"
#include "base/clock.h"

typedef enum { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_HAS } Op;

static const struct {
  const char *text;
  Op op;
} ops[] = {{"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"=", OP_EQ},
           {"<", OP_LT},  {">", OP_GT},  {"~", OP_HAS}};

typedef struct {
  WsFieldPath path;
  WsKind kind; /* of the value compared with */
  Op op;
  bool empty; /* compared with nothing: absent or present */
  char *path_text, *text;
  char *folded;  /* OP_HAS */
  gint64 number; /* BOOL, INT, ENUM, TIME; REF and ANYREF: id */
  double real;
  const WsType *ref_type;
  WsFilter
      *beyond; /* over a reference: what the object there must be; NULL: the term is of the object itself */
  GHashTable *ids; /* those that are: guint64 -> itself */
} Term;

struct WsFilter {
  const WsType *type;
  GArray *terms; /* Term */
};

/* ---- reading ---- */

typedef struct {
  const char *text, *at;
  GError **error;
} Reader;

static bool fail(Reader *r, const char *at, const char *expected)
{
  char position[24];
  g_snprintf(position, sizeof position, "%ld", g_utf8_strlen(r->text, at - r->text) + 1);
  return ws_fail(r->error, WS_ERROR_BAD_FILTER, "position", position, "expected", expected, NULL);
}

static void skip_spaces(Reader *r)
{
  while (*r->at == ' ')
    r->at++;
}

static bool read_op(Reader *r, Op *op)
{
  for (gsize i = 0; i < G_N_ELEMENTS(ops); i++)
    if (g_str_has_prefix(r->at, ops[i].text)) {
      *op = ops[i].op;
      r->at += strlen(ops[i].text);
      return true;
    }
  return fail(r, r->at, "one of = != < <= > >= ~");
}

/* A word up to the next space, or a text in double quotes with \" and \\ inside. */
static bool read_value(Reader *r, char **value)
{
  const char *start = r->at;
  if (*start != '"') {
    gsize n = strcspn(start, " ");
    if (n == 0)
      return fail(r, start, "a value (\"\" for none)");
    *value = g_strndup(start, n);
    r->at += n;
    return true;
  }
  GString *text = g_string_new(NULL);
  for (r->at++; *r->at && *r->at != '"'; r->at++) {
    if (*r->at == '\\' && (r->at[1] == '"' || r->at[1] == '\\'))
      r->at++;
    g_string_append_c(text, *r->at);
  }
  *value = g_string_free(text, FALSE);
  if (*r->at != '"')
    return fail(r, start, "a closing quote");
  r->at++;
  return true;
}

/* ---- operands ---- */

static bool operand_number(const char *text, gint64 *number)
{
  char *end;
  errno = 0;
  *number = g_ascii_strtoll(text, &end, 10);
  return end > text && *end == '\0' && errno == 0 && !g_ascii_isspace(*text);
}

static bool operand_real(const char *text, double *real)
{
  char *end;
  *real = g_ascii_strtod(text, &end);
  return end > text && *end == '\0' && !g_ascii_isspace(*text);
}

static bool operand_enum(const WsField *field, const char *text, gint64 *number)
{
  for (int i = 0; field->names[i]; i++)
    if (strcmp(field->names[i], text) == 0) {
      *number = i + 1;
      return true;
    }
  return false;
}

static bool operand_any_ref(const char *text, Term *term)
{
  const char *dash = strchr(text, '-');
  g_autofree char *prefix = dash ? g_strndup(text, (gsize)(dash - text)) : NULL;
  WsId id;
  term->ref_type = prefix ? ws_type_by_prefix(prefix) : NULL;
  if (!term->ref_type || !ws_id_parse(prefix, text, &id))
    return false;
  term->number = (gint64)id;
  return true;
}

/* A time, or a date, which means its first moment in UTC. */
static bool operand_time(const char *text, gint64 *us)
{
  g_autofree char *midnight = g_strconcat(text, "T00:00:00Z", NULL);
  return ws_time_parse(strlen(text) == 10 ? midnight : text, us);
}

static bool operand(Reader *r, const WsType *type, Term *term, const char *at)
{
  const WsField *field = term->path.n_steps ? term->path.steps[term->path.n_steps - 1] : NULL;
  const WsType *target = term->path.what == WS_PATH_ID ? type : field ? field->sub : NULL;
  WsId id;
  switch (term->kind) {
  case WS_KIND_BOOL:
    term->number = strcmp(term->text, "true") == 0;
    return term->number || strcmp(term->text, "false") == 0 || fail(r, at, "true or false");
  case WS_KIND_INT:
    return operand_number(term->text, &term->number) || fail(r, at, "an integer");
  case WS_KIND_DOUBLE:
    return operand_real(term->text, &term->real) || fail(r, at, "a number");
  case WS_KIND_TIME:
    return operand_time(term->text, &term->number) ||
           fail(r, at, "a time such as 2026-01-31T08:00:00Z, or a date");
  case WS_KIND_ENUM: {
    if (operand_enum(field, term->text, &term->number))
      return true;
    g_autofree char *words = g_strjoinv(", ", (char **)field->names);
    g_autofree char *expected = g_strdup_printf("one of %s", words);
    return fail(r, at, expected);
  }
  case WS_KIND_REF: {
    if (ws_id_parse(target->prefix, term->text, &id)) {
      term->number = (gint64)id;
      return true;
    }
    g_autofree char *expected = g_strdup_printf("an id such as %s-7", target->prefix);
    return fail(r, at, expected);
  }
  case WS_KIND_ANYREF:
    return operand_any_ref(term->text, term) || fail(r, at, "an id such as vm-7");
  default:
    return true;
  }
}

static WsKind term_kind(const WsFieldPath *path)
{
  if (path->what != WS_PATH_FIELD)
    return path->what == WS_PATH_ID ? WS_KIND_REF : WS_KIND_INT;
  const WsField *last = path->steps[path->n_steps - 1];
  if (path->map_key)
    return WS_KIND_STRING;
  return last->kind == WS_KIND_ARRAY ? last->item_kind : last->kind;
}

static bool op_fits(const Term *term, Reader *r, const char *at)
{
  switch (term->kind) {
  case WS_KIND_OBJECT:
  case WS_KIND_MAP:
  case WS_KIND_ANY:
    return (term->empty && (term->op == OP_EQ || term->op == OP_NE)) ||
           fail(r, at, "=\"\" or !=\"\" (whether it is there), or a field inside");
  case WS_KIND_BOOL:
  case WS_KIND_ANYREF:
    return term->op == OP_EQ || term->op == OP_NE || fail(r, at, "= or !=");
  case WS_KIND_REF:
    return term->op != OP_HAS || fail(r, at, "= or !=");
  default:
    if (term->op == OP_HAS && term->kind != WS_KIND_STRING)
      return fail(r, at, "one of = != < <= > >=");
    return true;
  }
}

static void term_clear(void *data)
{
  Term *term = data;
  ws_field_path_clear(&term->path);
  g_free(term->path_text);
  g_free(term->text);
  g_free(term->folded);
  ws_filter_free(term->beyond);
  g_clear_pointer(&term->ids, g_hash_table_unref);
}

/* How much of a path leads to the reference that it goes over; 0: to none. */
static gsize reach_of_reference(const WsType *type, const char *text, gsize n)
{
  for (const char *dot = memchr(text, '.', n); dot; dot = memchr(dot + 1, '.', n - (gsize)(dot + 1 - text))) {
    WsFieldPath path;
    bool is_ref = ws_field_path_parse(type, text, (gsize)(dot - text), &path) && path.what == WS_PATH_FIELD &&
                  !path.map_key && term_kind(&path) == WS_KIND_REF;
    ws_field_path_clear(&path);
    if (is_ref)
      return (gsize)(dot - text);
  }
  return 0;
}

static bool read_term(Reader *r, const WsType *type, bool joins, Term *term);

/* host.cluster=cl-1: the reader stands at its beginning, the reference ends after `reach`. */
static bool read_join(Reader *r, const WsType *type, gsize reach, Term *term)
{
  ws_field_path_parse(type, r->at, reach, &term->path);
  r->at += reach + 1;
  term->beyond = g_new0(WsFilter, 1);
  term->beyond->type = term->path.steps[term->path.n_steps - 1]->sub;
  term->beyond->terms = g_array_new(FALSE, TRUE, sizeof(Term));
  g_array_set_clear_func(term->beyond->terms, term_clear);
  g_array_set_size(term->beyond->terms, 1);
  Term *there = &g_array_index(term->beyond->terms, Term, 0);
  if (!read_term(r, term->beyond->type, false, there))
    return false;
  term->ids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  term->kind = WS_KIND_REF;
  term->op = there->op;
  term->empty = there->empty;
  term->text = g_strdup(there->text);
  if (there->empty)
    there->op = OP_NE;
  else if (there->op == OP_NE)
    there->op = OP_EQ;
  return true;
}

static bool read_term(Reader *r, const WsType *type, bool joins, Term *term)
{
  const char *path_at = r->at;
  gsize n = strcspn(path_at, " =!<>~\"");
  if (n == 0)
    return fail(r, path_at, "a field");
  term->path_text = g_strndup(path_at, n);
  if (!ws_field_path_parse(type, path_at, n, &term->path)) {
    gsize reach = reach_of_reference(type, path_at, n);
    if (reach)
      return joins ? read_join(r, type, reach, term)
                   : fail(r, path_at,
                          "a path over at most one reference, and over none in a watch or in history");
    g_autofree char *expected = g_strdup_printf("a field of %s", type->name);
    return fail(r, path_at, expected);
  }
  r->at += n;
  skip_spaces(r);
  const char *op_at = r->at;
  if (!read_op(r, &term->op))
    return false;
  skip_spaces(r);
  const char *value_at = r->at;
  if (!read_value(r, &term->text))
    return false;
  term->kind = term_kind(&term->path);
  term->empty = *term->text == '\0';
  if (term->empty && term->op != OP_EQ && term->op != OP_NE)
    return fail(r, value_at, "a value");
  if (!op_fits(term, r, op_at) || (!term->empty && !operand(r, type, term, value_at)))
    return false;
  if (term->op == OP_HAS)
    term->folded = ws_text_fold(term->text);
  return true;
}

static WsFilter *parse(const WsType *type, const char *text, bool joins, GError **error)
{
  enum { TERMS_MAX = 32, TEXT_MAX = 8192 };
  g_autoptr(WsFilter) filter = g_new0(WsFilter, 1);
  Reader r = {text, text, error};
  filter->type = type;
  filter->terms = g_array_new(FALSE, TRUE, sizeof(Term));
  g_array_set_clear_func(filter->terms, term_clear);
  if (strlen(text) > TEXT_MAX || !g_utf8_validate(text, -1, NULL)) {
    fail(&r, text, "at most 8192 bytes of UTF-8");
    return NULL;
  }
  for (;;) {
    skip_spaces(&r);
    if (filter->terms->len == TERMS_MAX) {
      fail(&r, r.at, "at most 32 terms");
      return NULL;
    }
    g_array_set_size(filter->terms, filter->terms->len + 1);
    if (!read_term(&r, type, joins, &g_array_index(filter->terms, Term, filter->terms->len - 1)))
      return NULL;
    skip_spaces(&r);
    if (*r.at == '\0')
      return g_steal_pointer(&filter);
    if (!g_str_has_prefix(r.at, "and ") || r.at[-1] != ' ') {
      fail(&r, r.at, "and, or the end");
      return NULL;
    }
    r.at += strlen("and ");
  }
}

WsFilter *ws_filter_parse(const WsType *type, const char *text, GError **error)
{
  return parse(type, text, false, error);
}

WsFilter *ws_filter_parse_joined(const WsType *type, const char *text, GError **error)
{
  return parse(type, text, true, error);
}

void ws_filter_free(WsFilter *filter)
{
  if (!filter)
    return;
  g_array_unref(filter->terms);
  g_free(filter);
}

/* ---- matching ---- */

static bool ordered(Op op, int order)
{
  switch (op) {
  case OP_EQ:
  case OP_NE: /* turned round by term_matches() */
    return order == 0;
  case OP_LT:
    return order < 0;
  case OP_LE:
    return order <= 0;
  case OP_GT:
    return order > 0;
  case OP_GE:
    return order >= 0;
  case OP_HAS:
    break;
  }
  g_assert_not_reached();
}

static bool string_matches(const Term *term, const char *s)
{
  if (term->op == OP_HAS)
    return ws_text_contains(s, term->folded);
  if (term->op == OP_EQ || term->op == OP_NE)
    return strcmp(s, term->text) == 0;
  return ordered(term->op, ws_text_compare(s, term->text));
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static bool value_matches(const WsField *field, WsKind kind, const void *slot, void *arg)
{
  const Term *term = arg;
  if (term->empty) /* something is there; a text may still be empty */
    return kind != WS_KIND_STRING || **(char *const *)slot != '\0';
  switch (kind) {
  case WS_KIND_BOOL:
    return *(const bool *)slot == (term->number != 0);
  case WS_KIND_INT:
  case WS_KIND_TIME:
  case WS_KIND_REF:
    return ordered(term->op, ORDER(*(const gint64 *)slot, term->number));
  case WS_KIND_ENUM:
    return ordered(term->op, ORDER(*(const int *)slot, term->number));
  case WS_KIND_DOUBLE:
    return ordered(term->op, ORDER(*(const double *)slot, term->real));
  case WS_KIND_ANYREF: {
    const WsAnyRef *ref = slot;
    return ref->type == term->ref_type && ref->id == (WsId)term->number;
  }
  case WS_KIND_STRING:
    return string_matches(term, *(char *const *)slot);
  default:
    return false;
  }
}

static bool is_one_of(const WsField *field, WsKind kind, const void *slot, void *arg)
{
  const Term *term = arg;
  return g_hash_table_contains(term->ids, slot);
}

static bool term_matches(const Term *term, const void *object)
{
  bool any = ws_field_path_visit(&term->path, object, term->beyond ? is_one_of : value_matches, (void *)term);
  if (term->empty)
    return any == (term->op == OP_NE);
  return any != (term->op == OP_NE);
}

bool ws_filter_match(const WsFilter *filter, const void *object)
{
  for (guint i = 0; i < filter->terms->len; i++)
    if (!term_matches(&g_array_index(filter->terms, Term, i), object))
      return false;
  return true;
}

/* ---- looking inside ---- */

bool ws_filter_index_hint(const WsFilter *filter, const WsField **field, WsId *ref, const char **text)
{
  for (guint i = 0; i < filter->terms->len; i++) {
    const Term *term = &g_array_index(filter->terms, Term, i);
    const WsField *only = term->path.n_steps == 1 && !term->path.map_key ? term->path.steps[0] : NULL;
    if (!only || term->beyond || !(only->flags & WS_FIELD_INDEXED) || term->op != OP_EQ || term->empty)
      continue;
    if (only->kind != WS_KIND_REF && only->kind != WS_KIND_STRING && only->kind != WS_KIND_ENUM)
      continue;
    *field = only;
    *ref = only->kind == WS_KIND_REF ? (WsId)term->number : 0;
    *text = only->kind == WS_KIND_REF ? NULL : term->text;
    return true;
  }
  return false;
}

void ws_filter_time_range(const WsFilter *filter, const char *path, gint64 *from_us, gint64 *until_us)
{
  *from_us = G_MININT64;
  *until_us = G_MAXINT64;
  for (guint i = 0; i < filter->terms->len; i++) {
    const Term *term = &g_array_index(filter->terms, Term, i);
    if (term->kind != WS_KIND_TIME || term->empty || strcmp(term->path_text, path) != 0)
      continue;
    if (term->op == OP_EQ || term->op == OP_GT || term->op == OP_GE)
      *from_us = MAX(*from_us, term->number);
    if (term->op == OP_EQ || term->op == OP_LT || term->op == OP_LE)
      *until_us = MIN(*until_us, term->number);
  }
}

guint ws_filter_n_terms(const WsFilter *filter)
{
  return filter->terms->len;
}

void ws_filter_nth_term(const WsFilter *filter, guint i, const char **path, const char **op,
                        const char **value)
{
  const Term *term = &g_array_index(filter->terms, Term, i);
  *path = term->path_text;
  *value = term->text;
  for (gsize k = 0; k < G_N_ELEMENTS(ops); k++)
    if (ops[k].op == term->op)
      *op = ops[k].text;
}

/* ---- over references ---- */

static Term *nth_join(const WsFilter *filter, guint n)
{
  for (guint i = 0; i < filter->terms->len; i++) {
    Term *term = &g_array_index(filter->terms, Term, i);
    if (term->beyond && n-- == 0)
      return term;
  }
  return NULL;
}

const WsFilter *ws_filter_join(const WsFilter *filter, guint n, const WsType **type)
{
  const Term *term = nth_join(filter, n);
  if (term)
    *type = term->beyond->type;
  return term ? term->beyond : NULL;
}

void ws_filter_join_add(WsFilter *filter, guint n, WsId id)
{
  gint64 key = (gint64)id;
  g_hash_table_add(nth_join(filter, n)->ids, g_memdup2(&key, sizeof key));
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
  return ORDER(*(const WsId *)a, *(const WsId *)b);
}

GArray *ws_filter_join_hint(const WsFilter *filter, const WsField **field)
{
  const Term *term;
  for (guint n = 0; (term = nth_join(filter, n)); n++) {
    const WsField *only = term->path.n_steps == 1 ? term->path.steps[0] : NULL;
    if (only && only->kind == WS_KIND_REF && only->flags & WS_FIELD_INDEXED &&
        term->empty == (term->op == OP_NE))
      break;
  }
  if (!term)
    return NULL;
  GHashTableIter iter;
  void *id;
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_hash_table_iter_init(&iter, term->ids);
  while (g_hash_table_iter_next(&iter, &id, NULL))
    g_array_append_val(ids, *(WsId *)id);
  g_array_sort(ids, compare_ids);
  *field = term->path.steps[0];
  return ids;
}

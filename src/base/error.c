// SPDX-License-Identifier: Apache-2.0
/* Errors: a code of the catalogue and its parameters carried inside a GError (GLib's extended errors).
 *
 * The texts live in the generated table ws_error_texts. Values are copied, made valid UTF-8 and cut to
 * VALUE_MAX_BYTES, so that whatever a user or a program said can be logged, sent and shown as it is here.
 * GError.message is kept in step with code, parameters and cause: it is rendered again when one of them
 * changes. */
#include "base/error.h"
#include "base/error-catalogue.h"
#include <string.h>

#define VALUE_MAX_BYTES 1000
#define CAUSE_MAX_BYTES 4000

typedef struct {
  char *name, *value;
} Param;

typedef struct {
  GArray *params; /* of Param; NULL: none */
  char *field;
  char *cause;
} WsErrorPrivate;

static void param_clear(void *item)
{
  Param *param = item;
  g_free(param->name);
  g_free(param->value);
}

/* GLib asks for it and has zeroed the memory: no parameters, no field, no cause. */
static void ws_error_private_init(WsErrorPrivate *priv)
{
}

static void ws_error_private_clear(WsErrorPrivate *priv)
{
  g_clear_pointer(&priv->params, g_array_unref);
  g_free(priv->field);
  g_free(priv->cause);
}

static void add_param(WsErrorPrivate *priv, const char *name, char *value)
{
  if (!priv->params) {
    priv->params = g_array_new(FALSE, FALSE, sizeof(Param));
    g_array_set_clear_func(priv->params, param_clear);
  }
  Param param = {.name = g_strdup(name), .value = value};
  g_array_append_val(priv->params, param);
}

static void ws_error_private_copy(const WsErrorPrivate *from, WsErrorPrivate *to)
{
  to->field = g_strdup(from->field);
  to->cause = g_strdup(from->cause);
  for (guint i = 0; from->params && i < from->params->len; i++) {
    const Param *param = &g_array_index(from->params, Param, i);
    add_param(to, param->name, g_strdup(param->value));
  }
}

G_DEFINE_EXTENDED_ERROR(WsError, ws_error)

static const WsErrorPrivate *private_of(const GError *error)
{
  return error && error->domain == WS_ERROR ? ws_error_get_private(error) : NULL;
}

static const WsErrorText *text_of(WsErrorCode code)
{
  g_assert(code > 0 && (guint)code < ws_n_error_texts);
  return &ws_error_texts[code];
}

/* A copy that is valid UTF-8 and at most max_bytes long; what was cut off is marked by an ellipsis. */
static char *clean_copy(const char *value, gsize max_bytes)
{
  if (!value)
    return g_strdup("");
  gsize n = strnlen(value, max_bytes + 1);
  if (n <= max_bytes)
    return g_utf8_make_valid(value, (gssize)n);
  g_autofree char *whole = g_utf8_make_valid(value, (gssize)max_bytes);
  return g_strconcat(whole, "…", NULL);
}

/* ---- rendering ---- */

static const char *value_of(const WsErrorPrivate *priv, const char *name, gsize n)
{
  if (!priv)
    return NULL;
  if (n == strlen("field") && memcmp(name, "field", n) == 0)
    return priv->field;
  for (guint i = 0; priv->params && i < priv->params->len; i++) {
    const Param *param = &g_array_index(priv->params, Param, i);
    if (strlen(param->name) == n && memcmp(param->name, name, n) == 0)
      return param->value;
  }
  return NULL;
}

/* Parameters that are pieces of sentences; the others are names, numbers and paths, and stay as they are. "object", "user" and "provider" are most often
 * names: of these only what has several words is looked up. */
static char *shown(const char *name, gsize n, const char *value, WsLang lang)
{
  static const char *const pieces[] = {"expected", "reason", "reasons", "what", "verb", "need", "operation", "state"};
  static const char *const names[] = {"object", "user", "provider"};
  for (guint i = 0; lang != WS_LANG_EN && i < G_N_ELEMENTS(pieces); i++)
    if (strlen(pieces[i]) == n && memcmp(pieces[i], name, n) == 0)
      return ws_phrase(value, lang);
  for (guint i = 0; lang != WS_LANG_EN && i < G_N_ELEMENTS(names); i++)
    if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0 && strchr(value, ' '))
      return ws_phrase(value, lang);
  return g_strdup(value);
}

/* Replaces each {name} of the template; one without a value reads "?". */
static char *render(const char *template, const WsErrorPrivate *priv, WsLang lang)
{
  GString *out = g_string_new(NULL);
  const char *at = template;
  for (const char *open; (open = strchr(at, '{'));) {
    const char *close = strchr(open, '}');
    if (!close)
      break;
    const char *value = value_of(priv, open + 1, (gsize)(close - open - 1));
    g_autofree char *text = value ? shown(open + 1, (gsize)(close - open - 1), value, lang) : NULL;
    g_string_append_len(out, at, open - at);
    g_string_append(out, text ? text : "?");
    at = close + 1;
  }
  g_string_append(out, at);
  return g_string_free(out, FALSE);
}

static void refresh_message(GError *error)
{
  const WsErrorPrivate *priv = ws_error_get_private(error);
  g_autofree char *text = ws_error_message(error, WS_LANG_EN);
  g_free(error->message);
  error->message = priv->cause ? g_strdup_printf("%s (%s)", text, priv->cause) : g_steal_pointer(&text);
}

char *ws_error_message(const GError *error, WsLang lang)
{
  return render(text_of(ws_error_code(error))->text[lang], private_of(error), lang);
}

char *ws_error_hint(const GError *error, WsLang lang)
{
  const char *hint = text_of(ws_error_code(error))->hint[lang];
  return hint ? render(hint, private_of(error), lang) : NULL;
}

/* ---- making ---- */

static void set_param(WsErrorPrivate *priv, const char *name, const char *value)
{
  if (strcmp(name, "field") == 0) {
    g_free(priv->field);
    priv->field = clean_copy(value, VALUE_MAX_BYTES);
    return;
  }
  if (strcmp(name, "cause") == 0) {
    g_free(priv->cause);
    priv->cause = value && *value ? clean_copy(value, CAUSE_MAX_BYTES) : NULL;
    return;
  }
  for (guint i = 0; priv->params && i < priv->params->len; i++) {
    Param *param = &g_array_index(priv->params, Param, i);
    if (strcmp(param->name, name) == 0) {
      g_free(param->value);
      param->value = clean_copy(value, VALUE_MAX_BYTES);
      return;
    }
  }
  add_param(priv, name, clean_copy(value, VALUE_MAX_BYTES));
}

bool ws_fail(GError **error, WsErrorCode code, ...)
{
  g_assert(text_of(code));
  if (!error)
    return false;
  GError *made = g_error_new_literal(WS_ERROR, (int)code, "");
  WsErrorPrivate *priv = ws_error_get_private(made);
  va_list pairs;
  va_start(pairs, code);
  for (const char *name; (name = va_arg(pairs, const char *));)
    set_param(priv, name, va_arg(pairs, const char *));
  va_end(pairs);
  refresh_message(made);
  g_propagate_error(error, made);
  return false;
}

void ws_error_set_param(GError *error, const char *name, const char *value)
{
  g_assert(error && error->domain == WS_ERROR && name);
  set_param(ws_error_get_private(error), name, value);
  refresh_message(error);
}

void ws_error_context(GError **error, const char *format, ...)
{
  if (!error || !*error)
    return;
  if ((*error)->domain != WS_ERROR)
    ws_error_adopt(error, g_steal_pointer(error), WS_ERROR_INTERNAL);
  WsErrorPrivate *priv = ws_error_get_private(*error);
  va_list args;
  va_start(args, format);
  g_autofree char *context = g_strdup_vprintf(format, args);
  va_end(args);
  g_autofree char *cause = priv->cause ? g_strdup_printf("%s: %s", context, priv->cause) : g_strdup(context);
  set_param(priv, "cause", cause);
  refresh_message(*error);
}

bool ws_error_adopt(GError **error, GError *other, WsErrorCode code)
{
  g_assert(other);
  if (other->domain == WS_ERROR) {
    g_propagate_error(error, other);
    return false;
  }
  ws_fail(error, code, "cause", other->message, NULL);
  g_error_free(other);
  return false;
}

/* ---- reading ---- */

WsErrorCode ws_error_code(const GError *error)
{
  return private_of(error) ? (WsErrorCode)error->code : WS_ERROR_INTERNAL;
}

const char *ws_error_param(const GError *error, const char *name)
{
  if (strcmp(name, "cause") == 0)
    return ws_error_cause(error);
  return value_of(private_of(error), name, strlen(name));
}

const char *ws_error_field(const GError *error)
{
  const WsErrorPrivate *priv = private_of(error);
  return priv ? priv->field : NULL;
}

const char *ws_error_cause(const GError *error)
{
  const WsErrorPrivate *priv = private_of(error);
  return priv ? priv->cause : error ? error->message : NULL;
}

guint ws_error_n_params(const GError *error)
{
  const WsErrorPrivate *priv = private_of(error);
  return priv && priv->params ? priv->params->len : 0;
}

void ws_error_nth_param(const GError *error, guint i, const char **name, const char **value)
{
  g_assert(i < ws_error_n_params(error));
  const Param *param = &g_array_index(private_of(error)->params, Param, i);
  *name = param->name;
  *value = param->value;
}

/* ---- the catalogue ---- */

const char *ws_error_code_name(WsErrorCode code)
{
  return text_of(code)->name;
}

WsErrorCode ws_error_code_from_name(const char *name)
{
  for (guint i = 0; name && i < ws_n_error_texts; i++)
    if (ws_error_texts[i].name && strcmp(ws_error_texts[i].name, name) == 0)
      return (WsErrorCode)i;
  return WS_ERROR_INTERNAL;
}

int ws_error_http_status(WsErrorCode code)
{
  return text_of(code)->status;
}

/* ---- languages ---- */

/* Quality of one range of Accept-Language ("zh-CN;q=0.8") in thousandths; 1000 when none is given. */
static int quality_of(const char *range, gsize n)
{
  const char *q = g_strstr_len(range, (gssize)n, "q=");
  if (!q)
    return 1000;
  g_autofree char *number = g_strndup(q + 2, n - (gsize)(q + 2 - range));
  return (int)(CLAMP(g_ascii_strtod(number, NULL), 0, 1) * 1000 + 0.5);
}

WsLang ws_lang_parse(const char *accept_language)
{
  WsLang best = WS_LANG_EN;
  int best_quality = 0;
  for (const char *at = accept_language; at && *at;) {
    at += strspn(at, ", \t");
    gsize n = strcspn(at, ",");
    gsize tag = strcspn(at, "-;, \t");
    bool zh = tag == 2 && g_ascii_strncasecmp(at, "zh", 2) == 0;
    bool en = (tag == 2 && g_ascii_strncasecmp(at, "en", 2) == 0) || (tag == 1 && *at == '*');
    int quality = zh || en ? quality_of(at, n) : 0;
    if (quality > best_quality) {
      best = zh ? WS_LANG_ZH : WS_LANG_EN;
      best_quality = quality;
    }
    at += n;
  }
  return best;
}

// SPDX-License-Identifier: Apache-2.0
/* JSON-RPC messages as bytes; see message.h.
 *
 * The codes that JSON-RPC reserves are used where they fit, so that any JSON-RPC tool shows the right thing; our own error travels
 * in `data` and is what counts between us. */
#include "rpc/message.h"
#include "model/failure.h"
#include <string.h>

enum {
  CODE_PARSE_ERROR = -32700,
  CODE_INVALID_REQUEST = -32600,
  CODE_METHOD_NOT_FOUND = -32601,
  CODE_OURS = -32000,
};

static bool refuse(const char *field, const char *expected, GError **error)
{
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

/* ---- taking apart ---- */

/* Members of a message; each may be there once. */
typedef enum {
  HAS_JSONRPC = 1 << 0,
  HAS_ID = 1 << 1,
  HAS_METHOD = 1 << 2,
  HAS_PARAMS = 1 << 3,
  HAS_RESULT = 1 << 4,
  HAS_ERROR = 1 << 5,
} Members;

static char *take_text(WsJsonReader *r, const char *field, GError **error)
{
  const char *s;
  gsize n;

  if (ws_json_peek(r) != WS_JSON_STRING) {
    refuse(field, "a string", error);
    return NULL;
  }
  return ws_json_take_string(r, &s, &n, error) ? g_strndup(s, n) : NULL;
}

static bool take_version(WsJsonReader *r, GError **error)
{
  g_autofree char *version = take_text(r, "jsonrpc", error);

  return version && (g_str_equal(version, "2.0") || refuse("jsonrpc", "2.0", error));
}

/* null is what a peer answers when it could not read the id. */
static bool take_id(WsJsonReader *r, gint64 *id, GError **error)
{
  gint64 value = 0;
  WsJsonKind kind = ws_json_peek(r);

  if (kind == WS_JSON_NULL)
    return ws_json_take_null(r, error);
  if (kind != WS_JSON_INT)
    return refuse("id", "a whole number from 1", error);
  if (!ws_json_take_int(r, &value, error))
    return false;
  if (value < 1)
    return refuse("id", "a whole number from 1", error);
  *id = value;
  return true;
}

static bool take_method(WsJsonReader *r, char *method, GError **error)
{
  g_autofree char *name = take_text(r, "method", error);

  if (!name)
    return false;
  if (!*name || strlen(name) >= RPC_METHOD_NAME_MAX)
    return refuse("method", "1 to 63 bytes", error);
  g_strlcpy(method, name, RPC_METHOD_NAME_MAX);
  return true;
}

static bool take_object(WsJsonReader *r, const char *field, const char **json, gsize *n, GError **error)
{
  if (ws_json_peek(r) != WS_JSON_OBJECT)
    return refuse(field, "an object", error);
  return ws_json_take_raw(r, json, n, error);
}

/* Whatever is odd about an error, an error it stays: only broken JSON is refused here. */
static bool take_failure(WsJsonReader *r, GError **failure, GError **error)
{
  g_autoptr(GError) broken = NULL;
  g_autofree char *text = NULL;
  WsFailure *parsed = NULL;
  const char *key, *json;
  gsize n, json_n;

  if (ws_json_peek(r) != WS_JSON_OBJECT)
    return refuse("error", "an object", error);
  if (!ws_json_enter_object(r, error))
    return false;
  while (ws_json_next_key(r, &key, &n, &broken)) {
    bool is_text = n == 7 && memcmp(key, "message", 7) == 0 && ws_json_peek(r) == WS_JSON_STRING && !text;
    bool is_data = n == 4 && memcmp(key, "data", 4) == 0 && ws_json_peek(r) == WS_JSON_OBJECT && !parsed;
    if (is_text) {
      if (!(text = take_text(r, "error.message", &broken)))
        break;
    } else if (!ws_json_take_raw(r, &json, &json_n, &broken)) {
      break;
    } else if (is_data) {
      parsed = ws_object_parse(&ws_type_failure, json, json_n, WS_PARSE_RPC, NULL);
    }
  }
  if (!broken)
    *failure = ws_failure_to_error(parsed);
  if (*failure && !parsed && text)
    ws_error_set_param(*failure, "cause", text);
  ws_object_free(&ws_type_failure, parsed);
  if (broken)
    g_propagate_error(error, g_steal_pointer(&broken));
  return *failure != NULL;
}

static bool take_member(WsJsonReader *r, RpcMessage *message, const char *key, gsize n, Members *has, GError **error)
{
  static const struct { const char *name; Members member; } names[] = {
    {"jsonrpc", HAS_JSONRPC}, {"id", HAS_ID}, {"method", HAS_METHOD},
    {"params", HAS_PARAMS}, {"result", HAS_RESULT}, {"error", HAS_ERROR},
  };
  Members member = 0;

  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    if (n == strlen(names[i].name) && memcmp(key, names[i].name, n) == 0)
      member = names[i].member;
  if (!member)
    return refuse("", "a JSON-RPC 2.0 message", error);
  if (*has & member)
    return refuse("", "each member once", error);
  *has |= member;
  switch (member) {
  case HAS_JSONRPC:
    return take_version(r, error);
  case HAS_ID:
    return take_id(r, &message->id, error);
  case HAS_METHOD:
    return take_method(r, message->method, error);
  case HAS_PARAMS:
    return take_object(r, "params", &message->body, &message->body_bytes, error);
  case HAS_RESULT:
    return take_object(r, "result", &message->body, &message->body_bytes, error);
  case HAS_ERROR:
    return take_failure(r, &message->failure, error);
  }
  return false;
}

/* Which members may stand together. */
static bool classify(RpcMessage *message, Members has, GError **error)
{
  if (!(has & HAS_JSONRPC))
    return refuse("jsonrpc", "2.0", error);
  switch (has & ~(HAS_JSONRPC | HAS_PARAMS)) {
  case HAS_METHOD:
    message->kind = RPC_NOTIFICATION;
    return true;
  case HAS_METHOD | HAS_ID:
    message->kind = RPC_REQUEST;
    return message->id > 0 || refuse("id", "a whole number from 1", error);
  case HAS_RESULT | HAS_ID:
    message->kind = RPC_RESULT;
    return (!(has & HAS_PARAMS) && message->id > 0) || refuse("", "a call or an answer", error);
  case HAS_ERROR | HAS_ID:
    message->kind = RPC_FAILURE;
    return !(has & HAS_PARAMS) || refuse("", "a call or an answer", error);
  default:
    return refuse("", "a call or an answer", error);
  }
}

bool rpc_message_parse(RpcMessage *message, const char *bytes, gsize n, GError **error)
{
  g_auto(WsJsonReader) r;
  g_autoptr(GError) broken = NULL;
  Members has = 0;
  const char *key;
  gsize key_n;

  *message = (RpcMessage){0};
  ws_json_reader_init(&r, bytes, n);
  if (ws_json_peek(&r) != WS_JSON_OBJECT)
    return ws_fail(error, WS_ERROR_BAD_JSON, "position", "0", "expected", "an object", NULL);
  if (!ws_json_enter_object(&r, error))
    return false;
  while (ws_json_next_key(&r, &key, &key_n, &broken))
    if (!take_member(&r, message, key, key_n, &has, error))
      return false;
  if (broken) {
    g_propagate_error(error, g_steal_pointer(&broken));
    return false;
  }
  return ws_json_reader_end(&r, error) && classify(message, has, error);
}

void rpc_message_clear(RpcMessage *message)
{
  g_clear_error(&message->failure);
  message->body = NULL;
}

/* ---- putting together ---- */

static WsJsonWriter begin(GString *out)
{
  WsJsonWriter w = ws_json_writer(out);

  ws_json_begin_object(&w);
  ws_json_key(&w, "jsonrpc");
  ws_json_string(&w, "2.0");
  return w;
}

static GBytes *finish(WsJsonWriter *w)
{
  ws_json_end_object(w);
  return g_string_free_to_bytes(w->out);
}

static void write_object(WsJsonWriter *w, const WsType *type, const void *object, WsWriteMode mode)
{
  if (type && object) {
    ws_object_write(type, object, mode, NULL, w);
  } else {
    ws_json_begin_object(w);
    ws_json_end_object(w);
  }
}

GBytes *rpc_message_new_call(gint64 id, const char *method, const WsType *type, const void *params)
{
  return rpc_message_new_call_as(id, method, type, params, WS_WRITE_PEER);
}

GBytes *rpc_message_new_call_as(gint64 id, const char *method, const WsType *type, const void *params, WsWriteMode mode)
{
  WsJsonWriter w = begin(g_string_sized_new(256));

  if (id > 0) {
    ws_json_key(&w, "id");
    ws_json_int(&w, id);
  }
  ws_json_key(&w, "method");
  ws_json_string(&w, method);
  ws_json_key(&w, "params");
  write_object(&w, type, params, mode);
  return finish(&w);
}

GBytes *rpc_message_new_result(gint64 id, const WsType *type, const void *result)
{
  WsJsonWriter w = begin(g_string_sized_new(128));

  ws_json_key(&w, "id");
  ws_json_int(&w, id);
  ws_json_key(&w, "result");
  write_object(&w, type, result, WS_WRITE_PEER);
  return finish(&w);
}

static int number_of(const GError *failure, gint64 id)
{
  switch (ws_error_code(failure)) {
  case WS_ERROR_BAD_JSON:
    return id ? CODE_OURS : CODE_PARSE_ERROR;
  case WS_ERROR_BAD_VALUE:
    return id ? CODE_OURS : CODE_INVALID_REQUEST;
  case WS_ERROR_UNSUPPORTED:
    return CODE_METHOD_NOT_FOUND;
  default:
    return CODE_OURS;
  }
}

GBytes *rpc_message_new_failure(gint64 id, const GError *failure)
{
  WsJsonWriter w = begin(g_string_sized_new(256));
  WsFailure *part = ws_failure_from_error(failure);
  g_autofree char *text = ws_error_message(failure, WS_LANG_EN);

  ws_json_key(&w, "id");
  if (id > 0)
    ws_json_int(&w, id);
  else
    ws_json_null(&w);
  ws_json_key(&w, "error");
  ws_json_begin_object(&w);
  ws_json_key(&w, "code");
  ws_json_int(&w, number_of(failure, id));
  ws_json_key(&w, "message");
  ws_json_string(&w, text);
  ws_json_key(&w, "data");
  write_object(&w, &ws_type_failure, part, WS_WRITE_PEER);
  ws_json_end_object(&w);
  ws_object_free(&ws_type_failure, part);
  return finish(&w);
}

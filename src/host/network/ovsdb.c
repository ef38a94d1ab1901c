// SPDX-License-Identifier: Apache-2.0
#include "host/network/ovsdb.h"
#include "base/error.h"
#include "base/files.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DATABASE "Open_vSwitch"
enum { CALL_TIMEOUT_MS = 10000, APPLY_TIMEOUT_MS = 20000, BUFFER_BYTES = 65536 };

struct Ovsdb {
  int fd; /* -1: dead */
  char buffer[BUFFER_BYTES];
  gsize at, end; /* unread part of the buffer */
  gint64 deadline_us;
  gint64 next_id;
  gint64 cur_cfg; /* what ovs-vswitchd has made so */
  char *version;
};

/* ---- bytes ---- */

static void die(Ovsdb *db)
{
  if (db->fd >= 0)
    close(db->fd);
  db->fd = -1;
}

/* Until the deadline; false: dead or too late (errno ETIMEDOUT). Waiting needs the system's monotonic clock, as poll does. */
static bool wait_for(Ovsdb *db, short events)
{
  for (;;) {
    gint64 left_us = db->deadline_us - g_get_monotonic_time();
    if (left_us <= 0) {
      errno = ETIMEDOUT;
      return false;
    }
    struct pollfd p = {db->fd, events, 0};
    int n = poll(&p, 1, (int)(left_us / 1000 + 1));
    if (n > 0)
      return true;
    if (n < 0 && errno != EINTR)
      return false;
  }
}

static bool write_all(Ovsdb *db, const char *text, gsize n)
{
  while (n > 0) {
    gssize put = send(db->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      text += put;
      n -= (gsize)put;
    } else if (put < 0 && errno == EAGAIN) {
      if (!wait_for(db, POLLOUT))
        return false;
    } else if (put < 0 && errno != EINTR)
      return false;
  }
  return true;
}

/* jansson asks for as much as it likes, but must not get bytes of the next message: so it gets one at a time. */
static size_t next_byte(void *buffer, size_t n, void *arg)
{
  Ovsdb *db = arg;
  while (db->at == db->end) {
    gssize got = recv(db->fd, db->buffer, sizeof db->buffer, MSG_DONTWAIT);
    if (got > 0) {
      db->at = 0;
      db->end = (gsize)got;
    } else if (got == 0)
      return 0;
    else if (errno == EAGAIN) {
      if (!wait_for(db, POLLIN))
        return (size_t)-1;
    } else if (errno != EINTR)
      return (size_t)-1;
  }
  *(char *)buffer = db->buffer[db->at++];
  return 1;
}

/* ---- messages ---- */

static bool send_message(Ovsdb *db, json_t *message)
{
  char *text = json_dumps(message, JSON_COMPACT);
  json_decref(message);
  bool ok = text && db->fd >= 0 && write_all(db, text, strlen(text));
  free(text); /* jansson's */
  return ok;
}

/* Rows of the one table we watch, first as an answer, later as updates: {"Open_vSwitch": {UUID: {"new": {...}}}}. */
static void take_update(Ovsdb *db, json_t *tables)
{
  const char *uuid;
  json_t *row;
  json_object_foreach (json_object_get(tables, DATABASE), uuid, row) {
    json_t *columns = json_object_get(row, "new");
    json_t *cur_cfg = json_object_get(columns, "cur_cfg"),
           *version = ovsdb_member(json_object_get(columns, "ovs_version"), 0);
    if (json_is_integer(cur_cfg))
      db->cur_cfg = json_integer_value(cur_cfg);
    if (json_is_string(version)) {
      g_free(db->version);
      db->version = g_strdup(json_string_value(version));
    }
  }
}

/* What the server says by itself; true: it was that, and is done with. */
static bool take_notice(Ovsdb *db, json_t *message)
{
  const char *method = json_string_value(json_object_get(message, "method"));
  json_t *params = json_object_get(message, "params");
  if (!method)
    return false;
  if (strcmp(method, "echo") == 0) {
    if (!send_message(
            db, json_pack("{s:O s:n s:O}", "result", params, "error", "id", json_object_get(message, "id"))))
      die(db);
  } else if (strcmp(method, "update") == 0)
    take_update(db, json_array_get(params, 1));
  return true;
}

static json_t *read_message(Ovsdb *db)
{
  json_error_t why;
  return json_load_callback(next_byte, db, JSON_DISABLE_EOF_CHECK, &why);
}

static bool fail_dead(Ovsdb *db, int errnum, const char *what, GError **error)
{
  die(db);
  if (errnum == ETIMEDOUT)
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", what, "timeout", "10 s", NULL);
  return ws_fail(error, WS_ERROR_SWITCH_UNREACHABLE, "cause",
                 errnum ? g_strerror(errnum) : "the connection was closed", NULL);
}

/* Result of one call; caller: json_decref. */
static json_t *call(Ovsdb *db, const char *method, json_t *params, GError **error)
{
  if (db->fd < 0) {
    json_decref(params);
    fail_dead(db, ENOTCONN, method, error);
    return NULL;
  }
  gint64 id = ++db->next_id;
  db->deadline_us = g_get_monotonic_time() + CALL_TIMEOUT_MS * 1000;
  errno = 0;
  if (!send_message(db,
                    json_pack("{s:s s:o s:I}", "method", method, "params", params, "id", (json_int_t)id))) {
    fail_dead(db, errno, method, error);
    return NULL;
  }
  for (;;) {
    errno = 0;
    json_t *message = read_message(db);
    if (!message) {
      fail_dead(db, errno, method, error);
      return NULL;
    }
    if (take_notice(db, message) || json_integer_value(json_object_get(message, "id")) != id) {
      json_decref(message);
      continue;
    }
    json_t *wrong = json_object_get(message, "error"),
           *result = json_incref(json_object_get(message, "result"));
    if (wrong && !json_is_null(wrong)) {
      char *text = json_dumps(wrong, JSON_ENCODE_ANY | JSON_COMPACT);
      ws_fail(error, WS_ERROR_SWITCH_ERROR, "object", "its database", "operation", method, "cause", text,
              NULL);
      free(text);
      json_decref(result);
      result = NULL;
    }
    json_decref(message);
    return result;
  }
}

/* ---- the door ---- */

static Ovsdb *open_socket(const char *socket_path, GError **error)
{
  g_autoptr(Ovsdb) db = g_new0(Ovsdb, 1);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  db->fd = -1;
  if (g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path) >= sizeof address.sun_path) {
    ws_fail(error, WS_ERROR_SWITCH_UNREACHABLE, "cause", "the path of its socket is too long", NULL);
    return NULL;
  }
  db->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (db->fd >= 0 && connect(db->fd, (struct sockaddr *)&address, sizeof address) == 0)
    return g_steal_pointer(&db);
  g_autofree char *cause = g_strdup_printf("%s: %s", socket_path, g_strerror(errno));
  ws_fail(error, WS_ERROR_SWITCH_UNREACHABLE, "cause", cause, NULL);
  return NULL;
}

Ovsdb *ovsdb_connect(const char *socket_path, GError **error)
{
  g_autoptr(Ovsdb) db = open_socket(socket_path, error);
  if (!db)
    return NULL;
  json_t *watch = json_pack("[s, s, {s:[{s:[s, s]}]}]", DATABASE, "cfg", DATABASE, "columns", "cur_cfg", "ovs_version");
  json_t *initial = call(db, "monitor", watch, error);
  if (!initial)
    return NULL;
  take_update(db, initial);
  json_decref(initial);
  return g_steal_pointer(&db);
}

/* The daemon's control socket speaks the same JSON-RPC; it is named after the daemon's pid. */
char *ovsdb_ask_version(const char *socket_path)
{
  g_autofree char *directory = g_path_get_dirname(socket_path);
  g_autofree char *pid_file = g_build_filename(directory, "ovs-vswitchd.pid", NULL);
  g_autofree char *pid = ws_file_read(pid_file, 32, NULL, NULL);
  if (!pid)
    return NULL;
  g_autofree char *control = g_strdup_printf("%s/ovs-vswitchd.%s.ctl", directory, g_strstrip(pid));
  g_autoptr(Ovsdb) db = open_socket(control, NULL);
  json_t *answer = db ? call(db, "version", json_array(), NULL) : NULL;
  const char *text = json_string_value(answer); /* "ovs-vswitchd (Open vSwitch) 3.1.0\n..." */
  const char *number = text ? strstr(text, "(Open vSwitch) ") : NULL;
  number = number ? number + strlen("(Open vSwitch) ") : NULL;
  char *version = number ? g_strndup(number, strcspn(number, "\r\n ")) : NULL;
  json_decref(answer);
  return version;
}

void ovsdb_free(Ovsdb *db)
{
  if (!db)
    return;
  die(db);
  g_free(db->version);
  g_free(db);
}

const char *ovsdb_version(const Ovsdb *db)
{
  return db->version;
}

int ovsdb_fd(const Ovsdb *db)
{
  return db->fd;
}

bool ovsdb_pump(Ovsdb *db)
{
  db->deadline_us = g_get_monotonic_time() + CALL_TIMEOUT_MS * 1000;
  do {
    json_t *message = db->fd < 0 ? NULL : read_message(db);
    if (!message) {
      die(db);
      return false;
    }
    take_notice(db, message);
    json_decref(message);
  } while (db->at < db->end);
  return db->fd >= 0;
}

json_t *ovsdb_transact(Ovsdb *db, json_t *ops, const char *object, const char *operation, GError **error)
{
  json_array_insert_new(ops, 0, json_string(DATABASE));
  json_t *results = call(db, "transact", ops, error), *result;
  size_t i;
  json_array_foreach (results, i, result) {
    const char *why = json_string_value(json_object_get(result, "error"));
    const char *details = json_string_value(json_object_get(result, "details"));
    if (!why)
      continue;
    g_autofree char *cause = g_strdup_printf("%s%s%s", why, details ? ": " : "", details ? details : "");
    ws_fail(error, WS_ERROR_SWITCH_ERROR, "object", object, "operation", operation, "cause", cause, NULL);
    json_decref(results);
    return NULL;
  }
  return results;
}

/* Reads updates until the daemon has reached `cfg`. */
static bool wait_applied(Ovsdb *db, gint64 cfg, GError **error)
{
  db->deadline_us = g_get_monotonic_time() + APPLY_TIMEOUT_MS * 1000;
  while (db->cur_cfg < cfg) {
    errno = 0;
    json_t *message = read_message(db);
    if (!message) {
      int saved = errno;
      die(db);
      if (saved == ETIMEDOUT)
        return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "applying it to the switch", "timeout",
                       "20 s", "cause", "ovs-vswitchd does not follow its database: does it run?", NULL);
      return fail_dead(db, saved, "transact", error);
    }
    take_notice(db, message);
    json_decref(message);
  }
  return true;
}

json_t *ovsdb_transact_and_apply(Ovsdb *db, json_t *ops, const char *object, const char *operation,
                                 GError **error)
{
  static const char *const columns[] = {"next_cfg", NULL};
  json_array_append_new(ops, json_pack("{s:s s:s s:[] s:[[s s i]]}", "op", "mutate", "table", DATABASE,
                                       "where", "mutations", "next_cfg", "+=", 1));
  json_array_append_new(ops, json_pack("{s:s s:s s:[] s:[s]}", "op", "select", "table", DATABASE, "where",
                                       "columns", columns[0]));
  json_t *results = ovsdb_transact(db, ops, object, operation, error);
  if (!results)
    return NULL;
  json_t *last = json_array_get(results, json_array_size(results) - 1);
  json_t *row = json_array_get(json_object_get(last, "rows"), 0);
  if (wait_applied(db, json_integer_value(json_object_get(row, "next_cfg")), error))
    return results;
  json_decref(results);
  return NULL;
}

json_t *ovsdb_select(Ovsdb *db, const char *table, json_t *where, const char *const *columns, GError **error)
{
  json_t *names = json_array();
  for (; *columns; columns++)
    json_array_append_new(names, json_string(*columns));
  json_t *ops = json_pack("[{s:s s:s s:o s:o}]", "op", "select", "table", table, "where",
                          where ? where : json_array(), "columns", names);
  json_t *results = ovsdb_transact(db, ops, table, "read", error);
  if (!results)
    return NULL;
  json_t *rows = json_incref(json_object_get(json_array_get(results, 0), "rows"));
  json_decref(results);
  return rows ? rows : json_array();
}

/* ---- values ---- */

json_t *ovsdb_uuid(const char *uuid)
{
  return json_pack("[s s]", "uuid", uuid);
}

json_t *ovsdb_named(const char *name)
{
  return json_pack("[s s]", "named-uuid", name);
}

json_t *ovsdb_set(json_t *items)
{
  return json_pack("[s o]", "set", items);
}

json_t *ovsdb_map(const char *key, ...)
{
  json_t *pairs = json_array();
  va_list args;
  va_start(args, key);
  for (; key; key = va_arg(args, const char *))
    json_array_append_new(pairs, json_pack("[s s]", key, va_arg(args, const char *)));
  va_end(args);
  return json_pack("[s o]", "map", pairs);
}

json_t *ovsdb_where(const char *column, const char *function, json_t *value)
{
  return json_pack("[[s s o]]", column, function, value);
}

static bool has_tag(json_t *value, const char *tag)
{
  return json_is_array(value) && g_strcmp0(json_string_value(json_array_get(value, 0)), tag) == 0;
}

json_t *ovsdb_member(json_t *value, size_t i)
{
  if (has_tag(value, "set"))
    return json_array_get(json_array_get(value, 1), i);
  return i == 0 ? value : NULL;
}

const char *ovsdb_uuid_text(json_t *value)
{
  return has_tag(value, "uuid") ? json_string_value(json_array_get(value, 1)) : NULL;
}

const char *ovsdb_map_get(json_t *map, const char *key)
{
  json_t *pair;
  size_t i;
  json_array_foreach (has_tag(map, "map") ? json_array_get(map, 1) : NULL, i, pair)
    if (g_strcmp0(json_string_value(json_array_get(pair, 0)), key) == 0)
      return json_string_value(json_array_get(pair, 1));
  return NULL;
}

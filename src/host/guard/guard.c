// SPDX-License-Identifier: Apache-2.0
/* See guard.h; message.c reads. */
#include "host/guard/guard.h"
#include "base/error.h"
#include "host/guard/message.h"
#include <libvirt/libvirt.h>
#include <stdarg.h>
#include <string.h>

/* src/rpc/virnetprotocol.x, src/rpc/virkeepaliveprotocol.x, src/remote/remote_protocol.x. Numbers of
 * libvirt's are never given to something else. */
#define PROGRAM_REMOTE    0x20008086u
#define PROGRAM_KEEPALIVE 0x6b656570u
enum { VERSION = 1, TYPE_CALL = 0, TYPE_MESSAGE = 2, STATUS_OK = 0, KEEPALIVE_PING = 1, KEEPALIVE_PONG = 2 };
enum {
  CALL_OPEN = 1,
  CALL_CLOSE = 2,
  CALL_SUPPORTS_FEATURE = 60,
  CALL_AUTH_LIST = 66,
  CALL_GET_URI = 110,
  CALL_PREPARE3_PARAMS = 303,
  CALL_FINISH3_PARAMS = 306,
  CALL_REGISTER_CLOSE = 360,
  CALL_UNREGISTER_CLOSE = 361,
};

#define TEXT_MAX (1024 * 1024) /* a definition, or a cookie with one in it */
#define URI_MAX  1024

/* Those that our agents set (move_run.c); libvirt itself leaves some of them out and adds the protection
 * against changes. */
#define FLAGS                                                                                                \
  (VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_PAUSED |                \
   VIR_MIGRATE_NON_SHARED_DISK | VIR_MIGRATE_CHANGE_PROTECTION | VIR_MIGRATE_UNSAFE |                        \
   VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_POSTCOPY)

struct Guard {
  const GuardTerms *terms;
  GByteArray *held; /* the message that is arriving */
  char *name;       /* of the VM, when it was prepared on this connection */
};

Guard *guard_new(const GuardTerms *terms)
{
  Guard *guard = g_new0(Guard, 1);
  *guard = (Guard){.terms = terms, .held = g_byte_array_new()};
  return guard;
}

void guard_free(Guard *guard)
{
  if (!guard)
    return;
  g_byte_array_unref(guard->held);
  g_free(guard->name);
  g_free(guard);
}

G_GNUC_PRINTF(2, 3) static bool refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *reason = g_strdup_vprintf(format, args);
  va_end(args);
  return ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", reason, NULL);
}

/* What the other side has named, fit to be shown: short, and nothing but printing ASCII. */
static const char *shown(const char *text, char out[41])
{
  gsize n = 0;
  for (; text[n] && n < 40; n++)
    out[n] = g_ascii_isprint(text[n]) ? text[n] : '?';
  out[n] = 0;
  return out;
}

static bool unreadable(const MessageHead *head, GError **error)
{
  return refuse(error, "arguments of procedure %u that cannot be read", head->procedure);
}

/* ---- prepare and finish ---- */

typedef struct {
  MessageParams params;
  char *cookie; /* NULL: none */
  guint32 flags;
} Migrate;

static void migrate_clear(Migrate *migrate)
{
  message_params_clear(&migrate->params);
  g_free(migrate->cookie);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Migrate, migrate_clear)

/* libvirt sends its cookie with the NUL behind it. */
static bool read_cookie(MessageArgs *args, char **cookie)
{
  guint32 n = 0;
  MessageArgs look = *args;
  if (!message_u32(&look, &n) || n > TEXT_MAX || n > look.n)
    return false;
  if (n == 0)
    return message_u32(args, &n);
  const guint8 *at = look.at;
  if (memchr(at, 0, n - 1) || at[n - 1] != 0)
    return false;
  *cookie = g_strndup((const char *)at, n - 1);
  gsize whole = ((gsize)n + 3) / 4 * 4;
  if (look.n < whole)
    return false;
  for (gsize i = n; i < whole; i++)
    if (at[i] != 0)
      return false;
  *args = (MessageArgs){at + whole, look.n - whole};
  return true;
}

static bool check_uri(const MessageParam *param, const char *expected, GError **error)
{
  char buffer[41];
  return g_strcmp0(param->text, expected) == 0 || refuse(error, "a socket that is not this session's: %s",
                                                         param->text ? shown(param->text, buffer) : "-");
}

/* One of those that say nothing of where or what: rates and which disks go along (QEMU offers no others than
 * this VM's). */
static bool is_harmless(const MessageParam *param)
{
  static const char *const numbers[] = {VIR_MIGRATE_PARAM_BANDWIDTH, VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY,
                                        VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL,
                                        VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, NULL};
  return param->text ? strcmp(param->field, VIR_MIGRATE_PARAM_MIGRATE_DISKS) == 0
                     : g_strv_contains(numbers, param->field);
}

typedef struct {
  const char *name; /* that the caller says */
  char *defined;    /* that the definition says */
  bool has_uri;
} Named;

static void named_clear(Named *named)
{
  g_free(named->defined);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Named, named_clear)

static bool check_param(Guard *guard, const MessageParam *param, Named *named, GError **error)
{
  const GuardTerms *terms = guard->terms;
  char buffer[41];
  if (strcmp(param->field, VIR_MIGRATE_PARAM_URI) == 0) {
    named->has_uri = true;
    return check_uri(param, terms->memory_uri, error);
  }
  if (strcmp(param->field, VIR_MIGRATE_PARAM_DISKS_URI) == 0)
    return check_uri(param, terms->disks_uri, error);
  if (strcmp(param->field, VIR_MIGRATE_PARAM_DEST_XML) == 0 && param->text && !named->defined)
    return terms->definition(param->text, terms->arg, &named->defined, error);
  if (strcmp(param->field, VIR_MIGRATE_PARAM_DEST_NAME) == 0 && param->text && !named->name) {
    named->name = param->text;
    return true;
  }
  return is_harmless(param) ||
         refuse(error, "a parameter that is no part of this move: %s", shown(param->field, buffer));
}

static bool check_params(Guard *guard, const Migrate *migrate, Named *named, GError **error)
{
  for (guint i = 0; i < migrate->params.n; i++)
    if (!check_param(guard, &migrate->params.items[i], named, error))
      return false;
  return (migrate->flags & ~(guint32)FLAGS) == 0 ||
         refuse(error, "flags that are no part of this move: %x", migrate->flags & ~(guint32)FLAGS);
}

static bool check_cookie(Guard *guard, const Migrate *migrate, const char *name, GError **error)
{
  return !migrate->cookie || guard->terms->cookie(migrate->cookie, name, guard->terms->arg, error);
}

static bool take_prepare(Guard *guard, const MessageHead *head, MessageArgs *args, GError **error)
{
  g_auto(Migrate) migrate = {0};
  g_auto(Named) named = {0};
  char buffer[41];
  if (!message_params(args, TEXT_MAX, &migrate.params) || !read_cookie(args, &migrate.cookie) ||
      !message_u32(args, &migrate.flags) || args->n)
    return unreadable(head, error);
  if (guard->name)
    return refuse(error, "a second virtual machine on one connection");
  if (!check_params(guard, &migrate, &named, error))
    return false;
  if (!named.defined || !named.has_uri)
    return refuse(error, "a move without a definition or without a socket");
  if (named.name && strcmp(named.name, named.defined) != 0)
    return refuse(error, "another virtual machine: %s", shown(named.name, buffer));
  if (!check_cookie(guard, &migrate, named.defined, error))
    return false;
  guard->name = g_steal_pointer(&named.defined);
  return true;
}

static bool take_finish(Guard *guard, const MessageHead *head, MessageArgs *args, GError **error)
{
  g_auto(Migrate) migrate = {0};
  g_auto(Named) named = {0};
  guint32 cancelled;
  char buffer[41];
  if (!message_params(args, TEXT_MAX, &migrate.params) || !read_cookie(args, &migrate.cookie) ||
      !message_u32(args, &migrate.flags) || !message_u32(args, &cancelled) || args->n)
    return unreadable(head, error);
  if (!guard->name)
    return refuse(error, "the end of a move that did not begin on this connection");
  if (!check_params(guard, &migrate, &named, error))
    return false;
  if (!named.name || strcmp(named.name, guard->name) != 0 ||
      (named.defined && strcmp(named.defined, guard->name) != 0))
    return refuse(error, "another virtual machine: %s", named.name ? shown(named.name, buffer) : "-");
  return check_cookie(guard, &migrate, guard->name, error);
}

/* ---- what else ---- */

static bool take_open(Guard *guard, const MessageHead *head, MessageArgs *args, GError **error)
{
  g_autofree char *uri = NULL;
  guint32 flags;
  char buffer[41];
  if (!message_text_or_none(args, URI_MAX, &uri) || !message_u32(args, &flags) || args->n)
    return unreadable(head, error);
  return (g_strcmp0(uri, guard->terms->uri) == 0 && flags == 0) ||
         refuse(error, "a connection to something else: %s", uri ? shown(uri, buffer) : "-");
}

static bool take_call(Guard *guard, const MessageHead *head, MessageArgs *args, GError **error)
{
  switch (head->procedure) {
  case CALL_AUTH_LIST:
  case CALL_CLOSE:
  case CALL_GET_URI:
  case CALL_REGISTER_CLOSE:
  case CALL_UNREGISTER_CLOSE:
    return args->n == 0 || unreadable(head, error);
  case CALL_SUPPORTS_FEATURE:
    return args->n == 4 || unreadable(head, error);
  case CALL_OPEN:
    return take_open(guard, head, args, error);
  case CALL_PREPARE3_PARAMS:
    return take_prepare(guard, head, args, error);
  case CALL_FINISH3_PARAMS:
    return take_finish(guard, head, args, error);
  default:
    return refuse(error, "libvirt's procedure %u", head->procedure);
  }
}

static bool is_large(const MessageHead *head)
{
  return head->procedure == CALL_PREPARE3_PARAMS || head->procedure == CALL_FINISH3_PARAMS;
}

/* As soon as the head is there: so nothing large is waited for that is not to be. */
static bool check_head(const MessageHead *head, GError **error)
{
  if (head->program == PROGRAM_KEEPALIVE)
    return (head->version == VERSION && head->type == TYPE_MESSAGE && head->length == MESSAGE_HEAD &&
            head->status == STATUS_OK &&
            (head->procedure == KEEPALIVE_PING || head->procedure == KEEPALIVE_PONG)) ||
           refuse(error, "a message of type %u", head->type);
  if (head->program != PROGRAM_REMOTE || head->version != VERSION)
    return refuse(error, "libvirt's program %x", head->program);
  if (head->type != TYPE_CALL || head->status != STATUS_OK)
    return refuse(error, "a message of type %u", head->type);
  if (head->length < MESSAGE_HEAD || head->length > (is_large(head) ? GUARD_MESSAGE_MAX : GUARD_CALL_MAX))
    return refuse(error, "a message of %u bytes", head->length);
  return true;
}

bool guard_take(Guard *guard, const void *bytes, gsize n, GByteArray *pass, GError **error)
{
  const guint8 *at = bytes;
  GByteArray *held = guard->held;
  for (;;) {
    MessageHead head;
    gsize want = MESSAGE_HEAD;
    if (held->len >= MESSAGE_HEAD) {
      message_head_read(held->data, &head);
      want = head.length;
    }
    gsize now = MIN(n, want - held->len);
    g_byte_array_append(held, at, (guint)now);
    at += now;
    n -= now;
    if (held->len < want)
      return true;
    message_head_read(held->data, &head);
    if (want == MESSAGE_HEAD && !check_head(&head, error))
      return false;
    if (held->len < head.length)
      continue;
    MessageArgs args = {held->data + MESSAGE_HEAD, held->len - MESSAGE_HEAD};
    if (head.program == PROGRAM_REMOTE && !take_call(guard, &head, &args, error))
      return false;
    g_byte_array_append(pass, held->data, held->len);
    g_byte_array_set_size(held, 0);
  }
}

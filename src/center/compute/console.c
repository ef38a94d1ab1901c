// SPDX-License-Identifier: Apache-2.0
/* Consoles: a ticket for one connection; the viewer's WebSocket joined to a stream that the host dials back. No TCP port on the host.
 *
 * vm_console (core loop) checks that the VM can be seen and issues the ticket. The viewer connects with it (I/O thread); its socket is
 * paused while the core loop asks the host for the stream; when that has arrived the two are joined, each paused while the other is
 * full. Whichever closes first closes the other.
 *
 * Threads: a Relay lives on the I/O thread; the core loop only asks the host, and posts the outcome back. */
#include "base/hash.h"
#include "base/log.h"
#include "center/api/allowed.h"
#include "center/api/fixed.h"
#include "center/api/watch.h"
#include "center/auth/identity.h"
#include "center/auth/strangers.h"
#include "center/compute/compute.h"
#include "center/tickets.h"
#include "center/verbs.h"

#define TICKET_LIFE_S 60
#define QUEUE_HIGH (1 << 20)

typedef struct {
  WsId vm, host;
  WsId user, session, token; /* who got the ticket, and by what */
  char *uuid;
  int kind; /* of WsVmConsole */
} Seat;

static void seat_free(void *arg)
{
  Seat *seat = arg;
  g_free(seat->uuid);
  g_free(seat);
}

/* ---- the ticket ---- */

bool vm_console(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsVmConsole *args = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsVm *vm = api_call_find_target(call, head, error);
  if (!vm || !allowed_check("vm_console", vm, error) || !hosts_link(center, vm->host, error))
    return false;
  if (args->kind == WS_VM_CONSOLE_KIND_SERIAL && !vm->serial)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a serial console: the VM has no serial port", NULL);
  if (args->kind == WS_VM_CONSOLE_KIND_VNC && vm->graphics == WS_VM_GRAPHICS_NONE)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a graphical console: the VM has no display", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"issue ticket", NULL});
  Seat *seat = g_new(Seat, 1);
  const ApiIdentity *me = api_call_identity(call);
  *seat = (Seat){vm->id, vm->host, me->user, me->session, me->token, g_strdup(vm->uuid), (int)args->kind};
  g_autofree char *ticket = tickets_issue(center->tickets, "console", TICKET_LIFE_S, seat, seat_free);
  char id[WS_ID_TEXT_MAX];
  WsVmConsoleResult answer = {.ticket = ticket,
                              .expires = ws_clock_wall_us(center->clock) + TICKET_LIFE_S * (gint64)G_USEC_PER_SEC};
  g_autofree char *url =
      seat->kind == WS_VM_CONSOLE_KIND_VNC
          ? g_strdup_printf("/console.html#ticket=%s&vm=%s", ticket, ws_id_format(ws_type_vm.prefix, seat->vm, id))
          : g_strdup_printf("/api/v1/console?ticket=%s", ticket);
  answer.url = url;
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(&ws_type_vm_console_result, &answer, WS_WRITE_CLIENT, NULL, &w);
  return api_call_answer_json(call, 200, body);
}

/* ---- the relay ---- */

typedef struct {
  gint refs;
  Center *center;
  Seat *seat;
  HttpSocket *viewer, *host; /* NULL: not there (any more) */
  WatchGuard *guard;         /* until the viewer is gone */
  bool over;
} Relay;

static Relay *relay_ref(Relay *relay)
{
  g_atomic_int_inc(&relay->refs);
  return relay;
}

static void relay_unref(void *arg)
{
  Relay *relay = arg;
  if (!g_atomic_int_dec_and_test(&relay->refs))
    return;
  g_clear_pointer(&relay->viewer, http_socket_unref);
  g_clear_pointer(&relay->host, http_socket_unref);
  seat_free(relay->seat);
  g_free(relay);
}

static void relay_end(Relay *relay, int code, const char *reason)
{
  if (relay->over)
    return;
  relay->over = true;
  if (relay->viewer)
    http_socket_close(relay->viewer, code, reason);
  if (relay->host)
    http_socket_close(relay->host, code, reason);
}

static void pass_on(HttpSocket *from, HttpSocket *to, const char *bytes, gsize n)
{
  g_autoptr(GBytes) message = g_bytes_new(bytes, n);
  if (!to || !http_socket_send(to, message, true))
    return;
  if (http_socket_queued(to) > QUEUE_HIGH)
    http_socket_pause(from);
}

static void on_viewer_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Relay *relay = arg;
  pass_on(socket, relay->host, bytes, n);
}

static void on_viewer_writable(HttpSocket *socket, void *arg)
{
  Relay *relay = arg;
  if (relay->host)
    http_socket_resume(relay->host);
}

/* Whoever was frozen, or may not any more, sees and types nothing more. */
static void on_rights_gone(void *arg)
{
  relay_end(arg, 4401, "log in again");
}

static void on_viewer_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Relay *relay = arg;
  g_clear_pointer(&relay->guard, watch_guard_free);
  relay_end(relay, 1000, "the viewer left");
  relay_unref(relay);
}

static void on_host_opened(HttpSocket *socket, void *arg)
{
  Relay *relay = arg;
  if (relay->over) {
    http_socket_close(socket, 1000, "the viewer left");
    return;
  }
  relay->host = http_socket_ref(socket);
  http_socket_resume(relay->viewer);
}

static void on_host_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Relay *relay = arg;
  pass_on(socket, relay->viewer, bytes, n);
}

static void on_host_writable(HttpSocket *socket, void *arg)
{
  Relay *relay = arg;
  if (relay->viewer)
    http_socket_resume(relay->viewer);
}

static void on_host_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Relay *relay = arg;
  relay_end(relay, 4000, "the console ended");
  relay_unref(relay);
}

/* ---- asking the host (core loop) ---- */

typedef struct {
  Relay *relay;
  char *reason;
} Refusal;

static void tell_refusal(void *arg)
{
  Refusal *refusal = arg;
  relay_end(refusal->relay, 4001, refusal->reason);
  relay_unref(refusal->relay);
  g_free(refusal->reason);
  g_free(refusal);
}

static bool ask_host(Relay *relay, GError **error)
{
  static const HttpSocketEvents events = {.opened = on_host_opened,
                                          .message = on_host_message,
                                          .writable = on_host_writable,
                                          .closed = on_host_closed};
  Center *center = relay->center;
  const Seat *seat = relay->seat;
  RpcLink *link = hosts_link(center, seat->host, error);
  if (!link)
    return false;
  g_autofree char *stream = hosts_expect_stream(center, seat->host, &events, relay_ref(relay), relay_unref);
  WsRpcVmConsoleOpen params = {.vm = seat->vm,
                               .uuid = seat->uuid,
                               .kind = seat->kind == WS_VM_CONSOLE_KIND_VNC ? WS_RPC_VM_CONSOLE_OPEN_KIND_VNC
                                                                            : WS_RPC_VM_CONSOLE_OPEN_KIND_SERIAL,
                               .stream = stream};
  return rpc_vm_console_open(link, &params, NULL, NULL, NULL, error);
}

static void open_console(void *arg)
{
  Relay *relay = arg;
  g_autoptr(GError) error = NULL;
  if (!ask_host(relay, &error)) {
    Refusal *refusal = g_new(Refusal, 1);
    *refusal = (Refusal){relay_ref(relay), g_strndup(error->message, 100)};
    http_io_post(relay->center->io, tell_refusal, refusal);
  }
  relay_unref(relay);
}

static void start_open(void *arg)
{
  Relay *relay = arg;
  ws_co_start(relay->center->loop, open_console, relay);
}

void fixed_console(ApiCall *call)
{
  static const HttpSocketEvents events = {
      .message = on_viewer_message, .writable = on_viewer_writable, .closed = on_viewer_closed};
  g_autoptr(GError) error = NULL;
  Seat *seat = NULL;
  if (!http_call_wants_upgrade(call->http))
    ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "Upgrade", "expected", "a WebSocket handshake", NULL);
  else
    seat = tickets_redeem(call->center->tickets, "console", http_call_query(call->http, "ticket"), &error);
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  if (seat && !auth_still_may(call->center, snap, seat->user, seat->session, seat->token, "vm.console")) {
    g_clear_pointer(&seat, seat_free);
    ws_fail(&error, WS_ERROR_TICKET_INVALID, NULL);
  }
  if (!seat) {
    strangers_refused(call->center, http_call_peer_address(call->http), &error);
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
    api_call_free(call);
    return;
  }
  Relay *relay = g_new0(Relay, 1);
  *relay = (Relay){.refs = 1, .center = call->center, .seat = seat};
  relay->guard = watch_guard_new(call->center->watch_hub, seat->user, seat->session, seat->token, on_rights_gone, relay);
  relay->viewer = http_call_upgrade(call->http, NULL, &events, relay);
  http_socket_pause(relay->viewer);
  ws_loop_post(call->center->loop, start_open, relay_ref(relay), NULL);
  api_call_free(call);
}

/* ---- screenshot, keys ---- */

static const WsVm *target_in_use(ApiCall *call, const InvSnapshot *head, const char *operation, RpcLink **link, GError **error)
{
  const WsVm *vm = api_call_find_target(call, head, error);
  if (!vm || !allowed_check(operation, vm, error))
    return NULL;
  *link = hosts_link(api_call_center(call), vm->host, error);
  return *link ? vm : NULL;
}

bool vm_screenshot(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  RpcLink *link;
  const WsVm *vm = target_in_use(call, head, "vm_screenshot", &link, error);
  g_autoptr(WsRpcVmScreenshotResult) result = NULL;
  if (!vm)
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"take picture", NULL});
  WsRpcVmScreenshot params = {.vm = vm->id, .uuid = vm->uuid};
  if (!rpc_vm_screenshot(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  WsVmScreenshotResult answer = {.png = result->png, .taken = ws_clock_wall_us(center->clock)};
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(&ws_type_vm_screenshot_result, &answer, WS_WRITE_CLIENT, NULL, &w);
  return api_call_answer_json(call, 200, body);
}

#define PRESSES_MAX    256
#define PRESS_KEYS_MAX 16

/* What was typed may be a password. */
static void forget(char **words)
{
  for (char **word = words; *word; word++)
    ws_secret_free(*word);
  g_free(words);
}

/* One press of a sequence: shift+h. */
static bool is_press(const char *press)
{
  char **names = g_strsplit(press, "+", PRESS_KEYS_MAX + 1);
  bool good = *names && g_strv_length(names) <= PRESS_KEYS_MAX;
  for (char **name = names; good && *name; name++)
    good = **name && strlen(*name) <= 32 && !(*name)[strspn(*name, "abcdefghijklmnopqrstuvwxyz0123456789_")];
  forget(names);
  return good;
}

static bool check_presses(const WsVmSendKeys *args, GError **error)
{
  if (args->sequence && args->keys.len)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "sequence", "expected", "keys or a sequence, not both",
                   NULL);
  if (!args->sequence)
    return args->keys.len || ws_fail(error, WS_ERROR_REQUIRED, "field", "keys", NULL);
  char **presses = g_strsplit(args->sequence, " ", -1);
  bool good = g_strv_length(presses) <= PRESSES_MAX;
  for (char **press = presses; good && *press; press++)
    good = is_press(*press);
  forget(presses);
  return good || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "sequence", "expected",
                         "up to 256 presses such as a, shift+b, enter, with a space between", NULL);
}

/* The host knows of one press at a time, so that agents of any age can; each is done before the next is asked
 * for. */
static bool press_in_turn(Center *center, const WsVm *vm, const WsVmSendKeys *args, GError **error)
{
  char **presses = g_strsplit(args->sequence, " ", -1);
  bool ok = true;
  for (char **press = presses; ok && *press; press++) {
    RpcLink *link = hosts_link(center, vm->host, error); /* good until the next wait */
    char **names = g_strsplit(*press, "+", -1);
    WsRpcVmSendKeys params = {.vm = vm->id, .uuid = vm->uuid, .hold_ms = args->hold_ms};
    params.keys.items = names;
    params.keys.len = g_strv_length(names);
    ok = link && rpc_vm_send_keys(link, &params, NULL, NULL, NULL, error);
    forget(names);
  }
  forget(presses);
  return ok;
}

bool vm_send_keys(ApiCall *call, GError **error)
{
  const WsVmSendKeys *args = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  RpcLink *link;
  const WsVm *vm = target_in_use(call, head, "vm_send_keys", &link, error);
  if (!vm || !check_presses(args, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"press keys", NULL});
  WsRpcVmSendKeys params = {.vm = vm->id, .uuid = vm->uuid, .hold_ms = args->hold_ms};
  params.keys.len = args->keys.len;
  params.keys.items = args->keys.items;
  if (!args->sequence)
    return rpc_vm_send_keys(link, &params, NULL, NULL, NULL, error) && api_call_answer_none(call);
  return press_in_turn(api_call_center(call), vm, args, error) && api_call_answer_none(call);
}

// SPDX-License-Identifier: Apache-2.0
/* A console joined to a stream that this host dials to the manager. Whichever end closes first closes the other; each holds the
 * other back while it is full.
 *
 * Threads: the console's events come on libvirt's event thread, the socket's on the I/O thread; both doors are thread-safe. */
#include "host/hypervisor/serve-private.h"

#define QUEUE_HIGH_BYTES (1 << 20)

typedef struct {
  gint refs; /* of console, socket, and who opens them */
  GMutex lock;
  VirtConsole *console;
  HttpSocket *socket; /* NULL: not dialled yet; guarded by lock */
  bool ended;         /* the console hung up; guarded by lock */
} Bridge;

static Bridge *bridge_ref(Bridge *bridge)
{
  g_atomic_int_inc(&bridge->refs);
  return bridge;
}

static void bridge_unref(Bridge *bridge)
{
  if (!g_atomic_int_dec_and_test(&bridge->refs))
    return;
  virt_console_unref(bridge->console);
  g_clear_pointer(&bridge->socket, http_socket_unref);
  g_mutex_clear(&bridge->lock);
  g_free(bridge);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bridge, bridge_unref)

/* ---- the console's events ---- */

static void on_bytes(const char *bytes, gsize n, void *arg)
{
  Bridge *bridge = arg; /* the stream is open: before, nothing is read */
  g_autoptr(GBytes) message = g_bytes_new(bytes, n);
  if (!http_socket_send(bridge->socket, message, true))
    virt_console_close(bridge->console, "the stream to the manager is closed");
  else if (http_socket_queued(bridge->socket) > QUEUE_HIGH_BYTES)
    virt_console_flow(bridge->console, false);
}

static void on_room(void *arg)
{
  http_socket_resume(((Bridge *)arg)->socket);
}

static void on_ended(const char *reason, void *arg)
{
  Bridge *bridge = arg;
  g_mutex_lock(&bridge->lock);
  bridge->ended = true;
  if (bridge->socket)
    http_socket_close(bridge->socket, 1000, reason);
  g_mutex_unlock(&bridge->lock);
  bridge_unref(bridge);
}

static const VirtConsoleEvents console_events = {on_bytes, on_room, on_ended};

/* ---- the socket's events ---- */

static void on_opened(HttpSocket *socket, void *arg)
{
  Bridge *bridge = arg;
  g_mutex_lock(&bridge->lock); /* the dialling has returned: bridge->socket is set */
  g_mutex_unlock(&bridge->lock);
  virt_console_flow(bridge->console, true);
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  if (!virt_console_send(((Bridge *)arg)->console, bytes, n))
    http_socket_pause(socket);
}

static void on_writable(HttpSocket *socket, void *arg)
{
  virt_console_flow(((Bridge *)arg)->console, true);
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Bridge *bridge = arg;
  virt_console_close(bridge->console, "the viewer left");
  bridge_unref(bridge);
}

static const HttpSocketEvents socket_events = {
  .opened = on_opened, .message = on_message, .writable = on_writable, .closed = on_closed};

bool virt_serve_console(Agent *agent, Hypervisor *hv, const WsRpcVmConsoleOpen *params, GError **error)
{
  g_autoptr(Bridge) bridge = g_new0(Bridge, 1);
  bridge->refs = 1;
  g_mutex_init(&bridge->lock);
  bridge_ref(bridge); /* the console's */
  bridge->console = hypervisor_console_open(hv, params->vm, params->uuid, params->kind == WS_RPC_VM_CONSOLE_OPEN_KIND_VNC,
                                            &console_events, bridge, error);
  if (!bridge->console) {
    bridge_unref(bridge);
    return false;
  }
  /* Under the lock: the socket's first events may come before the dialling returns. */
  g_mutex_lock(&bridge->lock);
  bridge->socket = agent_dial_stream(agent, params->stream, &socket_events, bridge_ref(bridge));
  if (bridge->ended)
    http_socket_close(bridge->socket, 1000, "the console ended");
  g_mutex_unlock(&bridge->lock);
  return true;
}

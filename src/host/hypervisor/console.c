// SPDX-License-Identifier: Apache-2.0
/* Screen and serial port as a stream of bytes, without a TCP port. See hypervisor.h.
 *
 * A screen is one end of a socket pair whose other end QEMU got (virDomainOpenGraphicsFD); a serial port is a stream inside our
 * connection to libvirtd (virDomainOpenConsole). Both are driven by libvirt's event loop, never blocking. Below, a *channel* is
 * what differs between the two: read, write, which events to wait for, end.
 *
 * Locking: `lock` guards all that changes; no callback of the user is called under it. While the event thread is at work on a console, an
 * end that others bring about waits until it is done: `ended` is the last event, and what belongs to `arg` may go with it. */
#include "host/hypervisor/hypervisor-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES   65536
#define PENDING_BYTES (256 * 1024) /* more than this waits for the guest: the sender holds back */

typedef struct {
  /* Bytes moved; 0: the end; -1: would block; -2: broken. */
  int (*read)(VirtConsole *console, char *buf, gsize n);
  int (*write)(VirtConsole *console, const char *buf, gsize n);
  void (*want)(VirtConsole *console, bool readable, bool writable);
  void (*end)(VirtConsole *console);
} Channel;

struct VirtConsole {
  gint refs;
  Hypervisor *hv;
  const Channel *channel;
  const VirtConsoleEvents *events;
  void *arg;
  int fd, watch;       /* screen */
  virStreamPtr stream; /* serial port */
  GMutex lock;
  GByteArray *pending; /* towards the guest */
  bool flow, ended, full;
  bool busy;    /* the event thread is at work on it */
  char *reason; /* of an end that came meanwhile */
};

VirtConsole *virt_console_ref(VirtConsole *console)
{
  g_atomic_int_inc(&console->refs);
  return console;
}

void virt_console_unref(VirtConsole *console)
{
  if (!console || !g_atomic_int_dec_and_test(&console->refs))
    return;
  if (console->fd >= 0)
    close(console->fd);
  if (console->stream)
    virStreamFree(console->stream);
  g_byte_array_unref(console->pending);
  g_free(console->reason);
  g_mutex_clear(&console->lock);
  virt_hv_unref(console->hv);
  g_free(console);
}

static void console_unref(void *console)
{
  virt_console_unref(console);
}

/* With the lock held. */
static void update_wants(VirtConsole *console)
{
  if (!console->ended)
    console->channel->want(console, console->flow, console->pending->len > 0);
}

static void finish(VirtConsole *console, const char *reason)
{
  console->channel->end(console);
  console->events->ended(reason, console->arg);
}

static void end(VirtConsole *console, const char *reason)
{
  g_mutex_lock(&console->lock);
  bool now = !console->ended && !console->busy;
  if (!console->ended && console->busy)
    console->reason = g_strdup(reason);
  console->ended = true;
  g_mutex_unlock(&console->lock);
  if (now)
    finish(console, reason);
}

/* ---- moving bytes (event thread) ---- */

static void pull(VirtConsole *console)
{
  g_autofree char *piece = g_malloc(PIECE_BYTES);
  int n = console->channel->read(console, piece, PIECE_BYTES);
  if (n > 0)
    console->events->bytes(piece, (gsize)n, console->arg);
  else if (n == 0)
    end(console, "the console was closed by the host");
  else if (n == -2)
    end(console, "the console broke off");
}

static void push(VirtConsole *console)
{
  g_mutex_lock(&console->lock);
  int n = console->pending->len ? console->channel->write(console, (char *)console->pending->data, console->pending->len) : -1;
  if (n > 0)
    g_byte_array_remove_range(console->pending, 0, (guint)n);
  bool room = console->full && console->pending->len == 0;
  if (room)
    console->full = false;
  update_wants(console);
  g_mutex_unlock(&console->lock);
  if (n == -2)
    end(console, "the console broke off");
  else if (room && console->events->room)
    console->events->room(console->arg);
}

static void on_ready(VirtConsole *console, bool readable, bool writable, bool broken)
{
  g_mutex_lock(&console->lock);
  bool live = !console->ended, flow = console->flow;
  console->busy = live;
  g_mutex_unlock(&console->lock);
  if (!live)
    return;
  if (writable)
    push(console);
  /* What was said before the end still comes through, one piece at each call. */
  if ((readable || broken) && flow)
    pull(console);
  else if (broken)
    end(console, "the console broke off");
  g_mutex_lock(&console->lock);
  console->busy = false;
  bool over = console->ended;
  g_mutex_unlock(&console->lock);
  if (over)
    finish(console, console->reason);
}

/* ---- screen: a socket ---- */

static int fd_result(ssize_t n)
{
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static int screen_read(VirtConsole *console, char *buf, gsize n)
{
  return fd_result(read(console->fd, buf, n));
}

static int screen_write(VirtConsole *console, const char *buf, gsize n)
{
  return fd_result(send(console->fd, buf, n, MSG_NOSIGNAL));
}

static void screen_want(VirtConsole *console, bool readable, bool writable)
{
  virEventUpdateHandle(console->watch, (readable ? VIR_EVENT_HANDLE_READABLE : 0) | (writable ? VIR_EVENT_HANDLE_WRITABLE : 0));
}

static void screen_end(VirtConsole *console)
{
  virEventRemoveHandle(console->watch); /* drops the loop's reference later, on its thread */
}

static void on_screen(int watch, int fd, int events, void *arg)
{
  on_ready(arg, events & VIR_EVENT_HANDLE_READABLE, events & VIR_EVENT_HANDLE_WRITABLE,
           events & (VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP));
}

static const Channel screen = {screen_read, screen_write, screen_want, screen_end};

static bool open_screen(VirtConsole *console, virDomainPtr domain)
{
  console->fd = virDomainOpenGraphicsFD(domain, 0, VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH);
  if (console->fd < 0)
    return false;
  fcntl(console->fd, F_SETFL, fcntl(console->fd, F_GETFL) | O_NONBLOCK);
  fcntl(console->fd, F_SETFD, FD_CLOEXEC);
  console->channel = &screen;
  console->watch = virEventAddHandle(console->fd, 0, on_screen, virt_console_ref(console), console_unref);
  if (console->watch >= 0)
    return true;
  virt_console_unref(console);
  return false;
}

/* ---- serial port: a stream of libvirt's ---- */

static int serial_read(VirtConsole *console, char *buf, gsize n)
{
  return virStreamRecv(console->stream, buf, n); /* has the same results */
}

static int serial_write(VirtConsole *console, const char *buf, gsize n)
{
  return virStreamSend(console->stream, buf, n);
}

static void serial_want(VirtConsole *console, bool readable, bool writable)
{
  virStreamEventUpdateCallback(console->stream,
                               (readable ? VIR_STREAM_EVENT_READABLE : 0) | (writable ? VIR_STREAM_EVENT_WRITABLE : 0));
}

static void abort_stream(void *arg)
{
  VirtConsole *console = arg;
  virStreamAbort(console->stream);
}

/* To tell libvirtd waits for its answer: not here, on the event thread. */
static void serial_end(VirtConsole *console)
{
  virStreamEventRemoveCallback(console->stream);
  virt_run(console->hv, NULL, abort_stream, virt_console_ref(console), console_unref);
}

static void on_serial(virStreamPtr stream, int events, void *arg)
{
  on_ready(arg, events & VIR_STREAM_EVENT_READABLE, events & VIR_STREAM_EVENT_WRITABLE,
           events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP));
}

static const Channel serial = {serial_read, serial_write, serial_want, serial_end};

/* A new connection takes the port over from an older one: two people at one prompt help nobody. */
static bool open_serial(VirtConsole *console, virDomainPtr domain)
{
  console->stream = virStreamNew(virDomainGetConnect(domain), VIR_STREAM_NONBLOCK);
  console->channel = &serial;
  if (!console->stream || virDomainOpenConsole(domain, NULL, console->stream, VIR_DOMAIN_CONSOLE_FORCE) < 0)
    return false;
  if (virStreamEventAddCallback(console->stream, 0, on_serial, virt_console_ref(console), console_unref) == 0)
    return true;
  virt_console_unref(console);
  return false;
}

/* ---- the door ---- */

VirtConsole *hypervisor_console_open(Hypervisor *hv, WsId vm, const char *uuid, bool vnc, const VirtConsoleEvents *events, void *arg,
                                     GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, vm, uuid, error) : NULL;
  if (!domain)
    return NULL;
  if (virDomainIsActive(domain) != 1) {
    virt_wrong_state(error, vm, uuid, "open a console", virt_state(domain));
    return NULL;
  }
  VirtConsole *console = g_new0(VirtConsole, 1);
  *console = (VirtConsole){.refs = 1, .hv = virt_hv_ref(hv), .events = events, .arg = arg, .fd = -1, .watch = -1};
  g_mutex_init(&console->lock);
  console->pending = g_byte_array_new();
  if (vnc ? open_screen(console, domain) : open_serial(console, domain))
    return console;
  if (virt_error_is(VIR_ERR_INTERNAL_ERROR) || virt_error_is(VIR_ERR_CONFIG_UNSUPPORTED) || virt_error_is(VIR_ERR_OPERATION_UNSUPPORTED))
    ws_fail(error, WS_ERROR_UNSUPPORTED, "what", vnc ? "a graphical console" : "a serial console", "cause",
            virGetLastErrorMessage(), NULL);
  else
    virt_fail(error, vm, uuid, "open a console of");
  virt_console_unref(console);
  return NULL;
}

void virt_console_flow(VirtConsole *console, bool on)
{
  g_mutex_lock(&console->lock);
  console->flow = on;
  update_wants(console);
  g_mutex_unlock(&console->lock);
}

bool virt_console_send(VirtConsole *console, const char *bytes, gsize n)
{
  g_mutex_lock(&console->lock);
  if (!console->ended)
    g_byte_array_append(console->pending, (const guint8 *)bytes, (guint)n);
  console->full |= console->pending->len > PENDING_BYTES;
  bool go_on = !console->full || console->ended;
  update_wants(console);
  g_mutex_unlock(&console->lock);
  return go_on;
}

void virt_console_close(VirtConsole *console, const char *reason)
{
  end(console, reason);
}

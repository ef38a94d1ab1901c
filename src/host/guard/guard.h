// SPDX-License-Identifier: Apache-2.0
/* What a host that sends a VM may say to the libvirt of the host that takes it.
 *
 * libvirt's peer-to-peer protocol makes the two hosts equals: whoever may call one procedure may call all of
 * them. The target's agent carries the bytes, so it reads them: every message whole before any of it goes on,
 * and only what the move of one VM needs goes on. Everything else ends the connection. Pure: bytes in,
 * verdict out; what a definition or a cookie may say is asked of its owner.
 *
 * What goes on, as recorded of real moves and as libvirt's source has it (src/remote/remote_protocol.x,
 * src/rpc/virnetprotocol.x; 9.0):
 *
 *     keepalive            ping and pong
 *     connection           auth_list, open ("qemu:///system", no flags), close, get_uri, supports_feature,
 * (un)register_close_callback domain_migrate_prepare3_params   once; the definition is this VM's, QEMU
 * listens on this session's sockets and nowhere else domain_migrate_finish3_params    after it; the same VM
 * by name
 *
 * The procedures that begin, perform and confirm a move run on the source. Neither streams nor file
 * descriptors are used.
 *
 * Threads: one guard, one thread; it is as large as the message that is arriving, at most GUARD_MESSAGE_MAX.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define GUARD_MESSAGE_MAX (3 * 1024 * 1024) /* a definition (1 MiB at most), a cookie with another */
#define GUARD_CALL_MAX    4096              /* any other call; libvirt's own are below 100 bytes */

/* Constant, borrowed while the guard lives. */
typedef struct {
  const char *uri;                    /* what is opened: "qemu:///system" */
  const char *memory_uri, *disks_uri; /* where this session's QEMU listens: "unix:///..." */
  /* The definition that the VM would have here. Fills in its name (the caller's) or says what is wrong with
   * it. */
  bool (*definition)(const char *xml, void *arg, char **name, GError **error);
  /* libvirt's own notes to itself, with the definition that is kept. name: as above. */
  bool (*cookie)(const char *xml, const char *name, void *arg, GError **error);
  void *arg;
} GuardTerms;

typedef struct Guard Guard;

Guard *guard_new(const GuardTerms *terms);
void guard_free(Guard *guard); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guard, guard_free)
/* Takes what the source sent; appends to `pass` what may go on, whole messages. WS_ERROR_PEER_REFUSED
 * (reason), or that of a callback: what came is not to go on, nor anything after it. */
bool guard_take(Guard *guard, const void *bytes, gsize n, GByteArray *pass, GError **error);

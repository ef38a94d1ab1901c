// SPDX-License-Identifier: Apache-2.0
/* A machine reached over SSH, and programs that are run on it. See README.md.
 *
 * Any thread, one at a time for each connection; all of it blocks: on a worker. Errors: WS_ERROR_SSH_UNREACHABLE (nobody answers, or the connection
 * was lost), WS_ERROR_HOST_KEY_UNKNOWN, WS_ERROR_HOST_KEY_CHANGED, WS_ERROR_SSH_REFUSED, WS_ERROR_BAD_VALUE (a private key that is none),
 * WS_ERROR_REMOTE_FAILED (a program's exit status, the last line of its stderr as cause), WS_ERROR_TOO_LARGE (its output),
 * WS_ERROR_DEADLINE_EXCEEDED, WS_ERROR_CANCELLED. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct Remote Remote;

/* Borrowed while the connection lives. */
typedef struct {
  const char *address;     /* name or address */
  guint port;
  const char *user;
  const char *password;    /* or the private key's passphrase; may be NULL */
  const char *private_key; /* PEM or OpenSSH form; NULL: by password */
  const char *host_key;    /* confirmed fingerprint "SHA256:..."; NULL: none is */
  volatile gint *cancel;   /* polled; may be NULL */
} RemoteTarget;

/* Connects, looks at the host key, logs in. NULL with error. */
Remote *remote_open(const RemoteTarget *target, GError **error);
void remote_close(Remote *remote); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Remote, remote_close)
/* The manager's own address on this connection, in brackets where it is IPv6; borrowed. */
const char *remote_own_address(const Remote *remote);

typedef struct {
  const char *const *argv; /* NULL-ended; each word reaches the program as it is */
  bool by_sudo;            /* sudo -n before it */
  const void *input;       /* bytes for stdin, or NULL */
  gsize input_bytes;
  int input_fd;            /* a file whose bytes are stdin, from where it stands; 0: none */
  guint timeout_ms;        /* 0: 30,000 */
  bool any_status;         /* a non-zero exit is no error; read *status */
  void (*progress)(gint64 sent_bytes, void *arg); /* of stdin; may be NULL */
  void *progress_arg;
} RemoteRun;

#define REMOTE_OUTPUT_MAX (1 << 20)

/* `out` (may be NULL): stdout, NUL-terminated, caller frees; set on success only. `status` may be NULL: exit status, 128 + n when a signal ended
 * it; 127: there is no such program. A program that leaves children behind with its stdout open has ended nevertheless. */
bool remote_run(Remote *remote, const RemoteRun *run, char **out, int *status, GError **error);

/* Words of a command for a POSIX shell, each in quotes. Caller frees. */
char *remote_quote(const char *const *argv, bool by_sudo);

/* Tests only: a far side in the network's place; NULL restores. `out` as above, never NULL. `run` gives the status; what follows from it is
 * decided here. Called on the thread that asks. */
typedef struct {
  bool (*open)(const RemoteTarget *target, char **own_address, void *arg, GError **error);
  bool (*run)(const RemoteTarget *target, const RemoteRun *run, char **out, int *status, void *arg, GError **error);
  void *arg;
} RemoteFake;
void remote_set_fake(const RemoteFake *fake);

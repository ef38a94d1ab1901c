// SPDX-License-Identifier: Apache-2.0
/* A machine that is to become a host: what is looked at and done there over SSH (ssh/remote.h). Each function is a connection of its own.
 * Blocking, on a worker; knows nothing of the inventory. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define MACHINE_STATE_DIR "/var/lib/winsphere/host" /* the agent's own default */

typedef struct {
  char *address, *user;
  char *password, *private_key; /* either, or both */
  char *host_key;               /* confirmed; NULL: none */
  guint port;
  volatile gint *cancel;        /* may be NULL */
} MachineLogin;
void machine_login_clear(MachineLogin *login); /* wipes what is secret */

typedef struct {
  char *own_address;          /* the manager's, as the machine sees it */
  char *architecture;         /* uname -m */
  char *package_architecture; /* dpkg's; NULL: no dpkg */
  char *agent_version;        /* NULL: not installed */
  char *machine_hash;         /* NULL: it has no machine-id */
  char *ca_fingerprint;       /* of the site it has joined; NULL: none */
  char *host;                 /* which host it is there, "host-3" */
  char *manager;              /* its manager's URL */
} MachineLook;
void machine_look_clear(MachineLook *look);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MachineLook, machine_look_clear)

/* Besides the errors of ssh/remote.h: WS_ERROR_NOT_ROOT. */
bool machine_look(const MachineLogin *login, MachineLook *look, GError **error);
/* The newest package of the agent for dpkg's architecture in a directory; `version` (may be NULL) is its own. NULL: there is none. Caller frees
 * both. */
char *machine_find_package(const char *directory, const char *architecture, char **version);
bool machine_install(const MachineLogin *login, const char *package, void (*progress)(gint64 sent_bytes, void *arg), void *arg,
                     GError **error);
/* The token goes by standard input. */
bool machine_join(const MachineLogin *login, const char *manager_url, const char *token, GError **error);
bool machine_start(const MachineLogin *login, GError **error);
/* Takes back what was done: the agent is stopped, what it joined with is removed, and with `purge` its package. Nothing is touched on a machine
 * that is by now another host than `host` (may be NULL). */
bool machine_clean(const MachineLogin *login, const char *host, bool purge, GError **error);

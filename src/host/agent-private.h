// SPDX-License-Identifier: Apache-2.0
/* The agent's own parts: identity (identity.c), enrolment (join.c), link (agent.c). Not for the rooms. */
#pragma once
#include "host/agent.h"
#include "http/rest.h"

/* Name in every manager's certificate: an agent trusts the site's CA and this name, not whatever address it dials. */
#define AGENT_MANAGER_NAME REST_MANAGER_NAME

/* ---- identity.c: key and certificate in state_dir (host.key 0600, host.crt, ca.crt), address of the manager (manager) ---- */
/* Fills agent->tls and config.manager_url. WS_ERROR_UNAUTHENTICATED when the host has not joined. */
bool agent_identity_load(Agent *agent, GError **error);
void agent_identity_clear(Agent *agent);
/* When the certificate in the file is to be renewed, and when it ends; wall time. Read anew each time: a join may have replaced it. Both 0:
 * unreadable; due 0: its life has not begun, by this clock. */
void agent_identity_times(const Agent *agent, gint64 *due_us, gint64 *ends_us);
char *agent_identity_csr(Agent *agent, GError **error);                       /* for the key at hand; caller frees */
bool agent_identity_take(Agent *agent, const char *cert_pem, GError **error); /* checked against the key, then kept */

/* ---- join.c: blocking, before the loop runs ---- */
/* Enrols with a join token. The key is made here and never leaves. Repeating it after success with the same token fails, the files stay. */
bool agent_join(const AgentConfig *config, WsClock *clock, const char *manager_url, const char *token, GError **error);

/* ---- check.c: blocking; nothing else runs ---- */
/* Prints what a host needs and whether this machine has it, with advice; the manager is asked where config names one. True: nothing fails. */
bool agent_check(const AgentConfig *config);

/* "wss://manager:8443"; caller frees. */
char *agent_socket_url(const Agent *agent);

/* config's strings must outlive the agent. */
Agent *agent_new(const AgentConfig *config, WsClock *clock, WsLoop *loop, GError **error);
void agent_free(Agent *agent);

// SPDX-License-Identifier: Apache-2.0
/* Byte streams that a host dials back (consoles, uploads, downloads): matched to who asked by a one-time name. See hosts.h. */
#include "center/api/fixed.h"
#include "center/hosts/hosts.h"
#include "center/tickets.h"

#define STREAM_WAIT_S 30

typedef struct {
  WsId host; /* only this host may bring it */
  HttpSocketEvents events;
  void *arg;
  GDestroyNotify destroy;
} Expected;

static void expected_free(void *value)
{
  Expected *expected = value;
  if (expected->destroy)
    expected->destroy(expected->arg);
  g_free(expected);
}

char *hosts_expect_stream(Center *center, WsId host, const HttpSocketEvents *events, void *arg, GDestroyNotify destroy)
{
  Expected *expected = g_new(Expected, 1);
  *expected = (Expected){host, *events, arg, destroy};
  return tickets_issue(center->tickets, "stream", STREAM_WAIT_S, expected, expected_free);
}

void fixed_agent_stream(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  Expected *expected = NULL;
  if (!http_call_wants_upgrade(call->http))
    ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "Upgrade", "expected", "a WebSocket handshake", NULL);
  else
    expected = tickets_redeem(call->center->tickets, "stream", http_call_query(call->http, "stream"), &error);
  if (expected && expected->host != call->target) {
    g_clear_pointer(&expected, expected_free);
    ws_fail(&error, WS_ERROR_TICKET_INVALID, NULL);
  }
  if (!expected) {
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
  } else {
    g_autoptr(HttpSocket) socket = http_call_upgrade(call->http, NULL, &expected->events, expected->arg);
    g_free(expected);
  }
  api_call_free(call);
}

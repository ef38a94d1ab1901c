// SPDX-License-Identifier: Apache-2.0
/* One JSON-RPC 2.0 message as bytes: taken apart, and put together. Inside of src/rpc.
 *
 * Ours are a subset: ids are whole numbers from 1, params and results are objects, there are no batches. Pure functions; any
 * thread. */
#pragma once
#include "base/json.h"
#include "model/type.h"

#define RPC_METHOD_NAME_MAX 64 /* with NUL */

typedef enum { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESULT, RPC_FAILURE } RpcMessageKind;

typedef struct {
  RpcMessageKind kind;
  gint64 id;                        /* 0: a notification, or an error that names no call */
  char method[RPC_METHOD_NAME_MAX]; /* REQUEST, NOTIFICATION */
  const char *body;                 /* params or result: one JSON value, borrowed from the bytes; NULL: absent */
  gsize body_bytes;
  GError *failure;                  /* FAILURE: the peer's error as one of ours */
} RpcMessage;

/* false with WS_ERROR_BAD_JSON (not JSON at all) or WS_ERROR_BAD_VALUE (no message of ours). Then message->id and ->method hold what
 * could be read of them and ->kind is of no meaning. Clear `message` in both cases. The body is checked to be JSON, no more. */
bool rpc_message_parse(RpcMessage *message, const char *bytes, gsize n, GError **error);
void rpc_message_clear(RpcMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RpcMessage, rpc_message_clear)

/* A request, or with id 0 a notification. params may be NULL. */
GBytes *rpc_message_new_call(gint64 id, const char *method, const WsType *type, const void *params);
/* mode: WS_WRITE_PEER or WS_WRITE_OLDER. */
GBytes *rpc_message_new_call_as(gint64 id, const char *method, const WsType *type, const void *params, WsWriteMode mode);
/* type NULL or result NULL: `"result":{}`. */
GBytes *rpc_message_new_result(gint64 id, const WsType *type, const void *result);
/* id 0: null, for a message whose id could not be read. */
GBytes *rpc_message_new_failure(gint64 id, const GError *failure);

// SPDX-License-Identifier: Apache-2.0
/* Inside of an ApiCall; for center/api/ only.
 *
 * Ownership: the I/O thread makes the call and fills the request half; from api_write() on the core loop owns it until it
 * is answered. Nothing is ever used by both at a time, so nothing is locked. */
#pragma once
#include "center/api/call.h"
#include "model/model.h"

struct ApiCall {
  /* request: constant once handed over */
  Center *center;
  HttpCall *http; /* referenced */
  const WsRoute *route;
  WsId target;
  ApiIdentity identity;
  void *body;               /* typed; freed with body_type */
  const WsType *body_type;
  char *patch;              /* update: merge patch */
  gsize patch_bytes;
  char request_id[64];      /* of a part: that of the whole, a slash and its number */
  char *idempotency_key;    /* or NULL */
  char *request_hash;       /* with idempotency_key */
  char *key_hash;           /* SHA-256 over user and key; NULL: no key, or a dry run */
  Revision if_match;        /* 0: none */
  bool if_match_any;        /* "*" or none */
  bool dry_run;
  bool is_part; /* one object of a batch */
  WsLang lang;
  WsRouteCall then;         /* streamed calls: what the core loop runs; NULL: the route's own */
  void *stream;             /* theirs */
  GError *refused;          /* found by the I/O thread; only audit is left to do */
  bool noted;               /* strangers_note() said that it has a record of its own */

  /* core half */
  WsId idempotency_record;
  const WsType *object_type; /* what the call is about, for audit */
  WsId object;
  WsBatch *batch; /* what a batch was asked for, for audit; owned; NULL: it is none, or not understood */
  char *task_text;           /* "task-7" when it goes on as a task */
  bool audited;              /* the audit record went with the call's own transaction */
  bool streamed;             /* the answer went its own way: nothing is left to send */
  int status;                /* the answer, sent once the audit record is durable; 0: none yet */
  GString *answer;
  char **dry_steps; /* what that says, of a dry run; NULL: nothing */
  char **dry_waits; /* settings that would wait for a restart, set before it is answered; NULL: none */
  TaskShown dry_shown;       /* what else a dry run found out, set before it is answered */
  GString *answer_short;     /* for a repeat, where the answer is too long to be kept; or NULL */
  bool answer_private;       /* it holds what is not to be read again (a token, a screen): never written to disk */
  Revision etag;
  char *location;
};

ApiCall *api_call_new(Center *center, HttpCall *http, const WsRoute *route, WsId target);
void api_call_free(ApiCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ApiCall, api_call_free)

/* Reads headers common to all calls (request id, language, dry_run, If-Match, Idempotency-Key). */
bool api_call_read_headers(ApiCall *call, GError **error);

/* Sends body (taken over) with the headers that every answer has. `etag` 0: none. Any thread. */
void api_answer_json(HttpCall *http, const char *request_id, int status, GString *body, Revision etag,
                     const char *location);
/* Adds the headers that every answer has. Any thread. */
void api_answer_headers(HttpCall *http, const char *request_id);
/* The one error shape. `task` may be NULL. Any thread. */
void api_answer_error(HttpCall *http, const char *request_id, WsLang lang, const GError *error, const char *task);
GString *api_error_json(const char *request_id, WsLang lang, const GError *error, const char *task);

/* A member that is a list of texts; NULL: an empty one. */
void api_write_texts(WsJsonWriter *w, const char *key, char *const *texts);
/* What the dry run of a call found, in an object that is begun. */
void api_write_dry(WsJsonWriter *w, ApiCall *call);

/* Reads (I/O thread; long ones move to a worker). Take the call. */
void api_read_list(ApiCall *call);
void api_read_object(ApiCall *call);
void api_read_view(ApiCall *call);
bool api_read_limit(ApiCall *call, guint *limit, GError **error); /* of a list */

/* One object of a batch: a call of `route` by the caller of `call`, with nothing of its own yet but number
 * and target. */
ApiCall *api_call_new_part(ApiCall *call, const WsRoute *route, WsId target, guint number);
/* Executes and audits it as if it had come by itself; what it answers stays in it. Core loop, in a coroutine.
 */
bool api_call_run_part(ApiCall *part, GError **error);
/* Audits that it was not executed. */
void api_call_refuse_part(ApiCall *part, const GError *why);

/* Hands the call to the core loop, which executes, audits and answers it. Takes the call. Any thread. */
void api_write(ApiCall *call);

/* Routes. NULL: WS_ERROR_NOT_FOUND or WS_ERROR_METHOD_NOT_ALLOWED. Target is filled when the path has an id. */
const WsRoute *api_route_find(const char *method, const char *path, WsId *target, GError **error);

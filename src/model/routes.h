// SPDX-License-Identifier: Apache-2.0
/* The routes of the API as data: what the contract's methods, verbs and fixed paths are, who may use them and
 * who serves them.
 *
 * The table itself is generated into the manager (center/routes.c), because it binds the C functions of
 * `call:`: one that is missing does not link. Threads: constant; any. */
#pragma once
#include "model/type.h"

typedef struct ApiCall ApiCall; /* center/api/call.h */
typedef bool (*WsRouteCall)(ApiCall *call, GError **error);
typedef struct ApiView ApiView; /* center/api/view.h */
typedef bool (*WsRouteView)(const ApiView *view, void **result, GError **error);

typedef enum {
  WS_ROUTE_LIST,
  WS_ROUTE_GET,
  WS_ROUTE_CREATE,
  WS_ROUTE_UPDATE,
  WS_ROUTE_DELETE,
  WS_ROUTE_VERB,            /* POST /<plural>/{id}/<verb> */
  WS_ROUTE_COLLECTION_VERB, /* POST /<plural>/<verb> */
  WS_ROUTE_VIEW,            /* GET /<plural>/{id}/<view> or GET /<plural>/<view>: made from a snapshot */
  WS_ROUTE_BATCH,           /* POST /<plural>/batch: one verb on many; its right is checked on each object */
  WS_ROUTE_FIXED,           /* a path of openapi.yaml */
} WsRouteKind;

/* One condition of a verb: the ENUM `field` (of the part `part`, when not NULL) has one of the words; bit i
 * stands for value i + 1. */
typedef struct {
  const WsField *part, *field;
  guint64 words;
} WsAllowed;

/* What changing one field takes beside the route's own right. */
typedef struct {
  const char *field, *permission; /* "group", "group.write" */
} WsFieldRight;

typedef struct {
  WsRouteKind kind;
  const char *method;     /* "POST" */
  const char *path;       /* "/api/v1/volumes/{id}/resize"; the only parameter there is, is {id} */
  const char *operation;  /* "volume_resize": operationId, name in the audit log */
  const char *verb;       /* "resize", "delete"; NULL: a fixed path */
  const WsType *type;     /* of the collection or of {id}; NULL: none */
  const WsType *body;     /* JSON body to parse; NULL: none, or a merge patch of `type` (UPDATE) */
  const char *const *query; /* names of the query parameters it takes, NULL-ended; NULL: none */
  const char *permission; /* "volume.write"; "public": no login; "any": whoever is logged in; "self": the user
                             itself, or whoever has <type>.write; "host-certificate": an enrolled host */
  const WsFieldRight *field_rights; /* of an update: n_field_rights */
  guint n_field_rights;
  const char *audit_kind; /* "resource_operation"; NULL: not audited */
  int audit_risk;         /* WsAuditRecordRisk */
  const char *activity;   /* word shown while its task runs; NULL: none */
  int danger; /* what a client asks first: 0 nothing, 1 one line, 2 the list of what happens, 3 the object's
                 name */
  const char *task;         /* kind of task that serves it; NULL: none */
  WsRouteCall call;         /* function that serves it; NULL: none. Neither: the change is a checked commit */
  WsRouteView view;         /* function that answers a read from a snapshot; NULL: none */
  bool asks_host;           /* the view asks a host: it is a coroutine on the core loop, not a worker's */
  const WsType *result;     /* what it answers */
  const WsAllowed *allowed; /* n_allowed conditions on the object's state; all must hold */
  guint n_allowed;
} WsRoute;

extern const WsRoute
    ws_routes[]; /* of one type together: list, get, create, update, delete, verbs, batch; fixed ones last */
extern const guint ws_n_routes;

/* Does the object's state allow it? If not: which condition fails (may be NULL) and the word that the object
 * has there. A field that is absent counts as its default; one without a default allows nothing. Borrowed
 * texts. */
bool ws_allowed_check(const WsAllowed *allowed, guint n_allowed, const void *object, const WsAllowed **failed,
                      const char **word);

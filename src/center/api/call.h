// SPDX-License-Identifier: Apache-2.0
/* One API call on its way: made and checked on the I/O thread, executed on the core loop, answered from either.
 *
 * A `call:` function of the contract is a coroutine on the core loop:
 *
 *     bool user_create(ApiCall *call, GError **error)
 *     {
 *       WsUser *user = api_call_body(call);
 *       ...                                  // checks
 *       if (api_call_is_dry_run(call))
 *         return api_call_answer_dry(call, (const char *[]){"create user", NULL});
 *       g_autoptr(InvTxn) txn = api_call_begin(call); 
 *       ...
 *       return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_user, user->id, error);
 *     }
 *
 * Returning false refuses the call with that error. Audit, idempotency and the error's form are the caller's business. */
#pragma once
#include "center/center.h"
#include "model/routes.h"

typedef struct ApiCall ApiCall;

/* Who calls, and what they may. Fixed when the call is authenticated. */
typedef struct {
  WsId user;           /* 0: nobody (public routes) */
  char *name;
  WsId session, token; /* by which it is known; one of them or neither */
  GPtrArray *rights;   /* patterns such as "vm.*" of all roles */
  GPtrArray *bound;    /* the token's own bound, or NULL */
} ApiIdentity;

bool api_identity_may(const ApiIdentity *identity, const char *permission);
/* May it list objects of this type? */
bool api_identity_may_read(const ApiIdentity *identity, const WsType *type);

Center *api_call_center(ApiCall *call);
const ApiIdentity *api_call_identity(ApiCall *call);
const WsRoute *api_call_route(ApiCall *call);
WsId api_call_target(ApiCall *call);
/* Typed body: the resource for create, the verb's body type else; NULL when the route has none. Owned by the call. */
void *api_call_body(ApiCall *call);
/* For update: the merge patch as it came. */
const char *api_call_patch(ApiCall *call, gsize *n);
bool api_call_is_dry_run(ApiCall *call);
const char *api_call_query(ApiCall *call, const char *name);
const char *api_call_header(ApiCall *call, const char *name); /* lower case; NULL: absent */
void api_call_add_header(ApiCall *call, const char *name, const char *value);
const char *api_call_origin(ApiCall *call);
const char *api_call_user_agent(ApiCall *call);
const char *api_call_request_id(ApiCall *call);
WsLang api_call_lang(ApiCall *call);

/* The target's version in the head, checked against If-Match: WS_ERROR_NOT_FOUND, WS_ERROR_REVISION_MISMATCH. Borrowed from `head`. */
const void *api_call_find_target(ApiCall *call, const InvSnapshot *head, GError **error);
InvTxn *api_call_begin(ApiCall *call);
/* Commits with the call's audit record in the same transaction, so that no change is ever without one. */
bool api_call_commit(ApiCall *call, InvTxn *txn, GError **error);
/* Whom the audit record names when the call itself established it (a login). */
void api_call_set_subject(ApiCall *call, const char *user_name);
/* The object that the call made, for audit and Location. */
void api_call_set_object(ApiCall *call, const WsType *type, WsId id);

bool api_call_answer_object(ApiCall *call, int status, const WsType *type, WsId id, GError **error);
/* With the caller's copy of an object that was just committed, which holds what is shown only once; it takes the object's revision. */
bool api_call_answer_made(ApiCall *call, const WsType *type, void *copy);
/* With an object that is not (only) in the inventory, or with a result that is none: then without ETag and Location. */
bool api_call_answer_value(ApiCall *call, int status, const WsType *type, const void *object);
/* The whole of a PATCH that is one commit: finds the target, merges the patch, asks `updated` (NULL: nothing more to check), answers. It sees the
 * object before and after, may refuse, and may edit others in the transaction; also in a dry run, whose transaction is dropped. */
typedef bool (*ApiUpdated)(InvTxn *txn, const InvSnapshot *head, const void *before, void *after, GError **error);
bool api_call_update(ApiCall *call, ApiUpdated updated, GError **error);
/* Any JSON body; taken over. */
bool api_call_answer_json(ApiCall *call, int status, GString *body);
/* What became of each object of a batch: holds nothing that must not be read again. Taken over. */
bool api_call_answer_results(ApiCall *call, GString *body);
bool api_call_answer_none(ApiCall *call); /* 204 */
bool api_call_answer_dry(ApiCall *call, const char *const *steps);
/* Cause for tasks that this call starts. Borrowed from the call. */
TaskCause api_call_cause(ApiCall *call);

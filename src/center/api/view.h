// SPDX-License-Identifier: Apache-2.0
/* Views: reads that are computed, not stored - capacity, search, what-if. The contract names them under `x-views` (or `x-view` of a fixed path);
 * each is a function of one snapshot:
 *
 *     bool cluster_capacity(const ApiView *view, void **result, GError **error)
 *     {
 *       const WsCluster *cluster = view->object;
 *       WsCapacity *capacity = ...;            // the contract's result type, plain; the caller frees it
 *       *result = capacity;
 *       return true;
 *     }
 *
 * Thread: a worker. Nothing but the snapshot may be looked at; nothing is changed, so nothing is audited. A view with `asks_host: true` is a
 * coroutine on the core loop instead, so that it can use the link of a host. */
#pragma once
#include "center/api/call.h"

struct ApiView {
  Center *center;
  const InvSnapshot *snap;
  const void *object; /* the target in it; NULL: a view of the collection or of a fixed path */
  ApiCall *call;      /* whose query it is; NULL in tests */
};

/* A query parameter as it came, NULL: absent. */
const char *api_view_query(const ApiView *view, const char *name);
/* A whole number of the query, between min and max; absent: preset. WS_ERROR_OUT_OF_RANGE naming it. */
bool api_view_query_int(const ApiView *view, const char *name, gint64 min, gint64 max, gint64 preset, gint64 *value,
                        GError **error);
/* A list of ids such as vm-1,vm-2, added to `ids` (WsId). WS_ERROR_BAD_VALUE or WS_ERROR_BAD_REFERENCE naming it. */
bool api_view_query_ids(const ApiView *view, const char *name, const WsType *type, GArray *ids, GError **error);
/* May the caller read objects of this type? Views that show several types leave out what may not be seen. */
bool api_view_may_read(const ApiView *view, const WsType *type);

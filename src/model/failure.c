// SPDX-License-Identifier: Apache-2.0
/* Errors as values; see failure.h. */
#include "model/failure.h"

static int by_key(const void *a, const void *b)
{
  return g_strcmp0(((const WsMapEntry *)a)->key, ((const WsMapEntry *)b)->key);
}

WsFailure *ws_failure_from_error(const GError *error)
{
  WsFailure *failure = ws_failure_new();
  guint n = ws_error_n_params(error);

  failure->code = g_strdup(ws_error_code_name(ws_error_code(error)));
  failure->field = g_strdup(ws_error_field(error));
  failure->cause = g_strdup(ws_error_cause(error));
  failure->params.len = n;
  failure->params.items = n ? g_new0(WsMapEntry, n) : NULL;
  for (guint i = 0; i < n; i++) {
    const char *name, *value;
    ws_error_nth_param(error, i, &name, &value);
    failure->params.items[i] = (WsMapEntry){g_strdup(name), g_strdup(value)};
  }
  if (n > 1)
    qsort(failure->params.items, n, sizeof(WsMapEntry), by_key);
  return failure;
}

GError *ws_failure_to_error(const WsFailure *failure)
{
  GError *error = NULL;
  WsErrorCode code = failure && failure->code ? ws_error_code_from_name(failure->code) : WS_ERROR_INTERNAL;
  bool known = failure && failure->code && g_str_equal(ws_error_code_name(code), failure->code);

  ws_fail(&error, code, NULL);
  if (!failure)
    return error;
  for (guint i = 0; known && i < failure->params.len; i++)
    ws_error_set_param(error, failure->params.items[i].key, failure->params.items[i].value);
  if (failure->field)
    ws_error_set_param(error, "field", failure->field);
  if (failure->cause)
    ws_error_set_param(error, "cause", failure->cause);
  if (!known && failure->code)
    ws_error_context(&error, "%s", failure->code);
  return error;
}

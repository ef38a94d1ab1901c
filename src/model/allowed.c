// SPDX-License-Identifier: Apache-2.0
/* Whether an object's state allows a verb: reads the enums that the contract's `allowed:` names. */
#include "model/routes.h"
#include "model/type-private.h"

/* Value of the enum, its default when absent, 0 when there is neither. */
static int value_at(const WsAllowed *allowed, const void *object)
{
  if (allowed->part)
    object = *(void **)ws_field_at(allowed->part, object);
  int value = object ? *(int *)ws_field_at(allowed->field, object) : 0;
  if (!value)
    ws_field_apply_default(allowed->field, &value);
  return value;
}

bool ws_allowed_check(const WsAllowed *allowed, guint n_allowed, const void *object, const WsAllowed **failed,
                      const char **word)
{
  for (guint i = 0; i < n_allowed; i++) {
    int value = value_at(&allowed[i], object);
    if (value && (allowed[i].words >> (value - 1)) & 1)
      continue;
    if (failed)
      *failed = &allowed[i];
    if (word)
      *word = value ? allowed[i].field->names[value - 1] : "unknown";
    return false;
  }
  return true;
}

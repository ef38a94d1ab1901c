// SPDX-License-Identifier: Apache-2.0
/* Finding types and fields by name. */
#include "model/type-private.h"
#include <stdlib.h>

static int compare_name(const void *key, const void *member)
{
  const WsType *const *type = member;
  return strcmp(key, (*type)->name);
}

const WsType *ws_type_by_name(const char *name)
{
  const WsType *const *found =
      bsearch(name, ws_all_types, ws_n_all_types, sizeof *ws_all_types, compare_name);
  return found ? *found : NULL;
}

const WsType *ws_type_by_plural(const char *plural)
{
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (strcmp(ws_resource_types[i]->plural, plural) == 0)
      return ws_resource_types[i];
  return NULL;
}

const WsType *ws_type_by_prefix(const char *prefix)
{
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (strcmp(ws_resource_types[i]->prefix, prefix) == 0)
      return ws_resource_types[i];
  return NULL;
}

const WsField *ws_type_field(const WsType *type, const char *name, gsize n)
{
  guint low = 0, high = type->n_fields;
  while (low < high) {
    guint middle = (low + high) / 2;
    const WsField *field = &type->fields[type->by_name[middle]];
    gsize len = ws_field_name_len(field);
    int order = memcmp(name, field->name, MIN(n, len));
    if (order == 0 && n == len)
      return field;
    if (order < 0 || (order == 0 && n < len))
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

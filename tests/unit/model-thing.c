// SPDX-License-Identifier: Apache-2.0
#include "model-thing.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const colours[] = {"red", "green", "blue", NULL};

/* Loose limits first, then what the field itself says. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define FIELD(type, member, kind_, ...)                                                                      \
  {                                                                                                          \
    .name = #member, .quoted = "\"" #member "\":", .quoted_len = sizeof #member + 2,                         \
    .kind = WS_KIND_##kind_, .offset = offsetof(type, member), .min = G_MININT64 + 1, .max = G_MAXINT64,     \
    .fmin = -G_MAXDOUBLE, .fmax = G_MAXDOUBLE, .max_items = 100, __VA_ARGS__                                 \
  }

static const WsField part_fields[] = {
    FIELD(ThingPart, key, STRING, .min = 0, .max = 16),
    FIELD(ThingPart, size, INT, .flags = WS_FIELD_REQUIRED, .min = 1),
    FIELD(ThingPart, serial, STRING, .flags = WS_FIELD_READ_ONLY, .min = 0),
    FIELD(ThingPart, secret, STRING, .flags = WS_FIELD_INTERNAL, .min = 0),
    FIELD(ThingPart, model, STRING, .flags = WS_FIELD_IMMUTABLE, .min = 0),
};
static const guint16 part_by_name[] = {0, 4, 3, 2, 1};
const WsType thing_part_type = {.name = "ThingPart",
                                .size = sizeof(ThingPart),
                                .n_fields = 5,
                                .fields = part_fields,
                                .by_name = part_by_name};

static const WsField inner_fields[] = {
    FIELD(ThingInner, word, STRING, .flags = WS_FIELD_REQUIRED, .min = 1, .max = 8),
    FIELD(ThingInner, loud, BOOL, .default_json = "true"),
    FIELD(ThingInner, level, DOUBLE, .flags = WS_FIELD_VOLATILE),
};
static const guint16 inner_by_name[] = {2, 1, 0};
const WsType thing_inner_type = {.name = "ThingInner",
                                 .size = sizeof(ThingInner),
                                 .n_fields = 3,
                                 .fields = inner_fields,
                                 .by_name = inner_by_name};

static const WsField fields[] = {
    FIELD(Thing, on, BOOL, .default_json = "true"),
    FIELD(Thing, count, INT, .min = 10, .max = 100, .multiple_of = 10, .default_json = "20"),
    FIELD(Thing, ratio, DOUBLE, .fmin = 0, .fmax = 1.5),
    FIELD(Thing, name, STRING,
          .flags = WS_FIELD_REQUIRED | WS_FIELD_NAME_LIKE | WS_FIELD_UNIQUE | WS_FIELD_INDEXED, .min = 1,
          .max = 8),
    FIELD(Thing, address, STRING, .min = 0, .format = "ip"),
    FIELD(Thing, colour, ENUM, .flags = WS_FIELD_INDEXED | WS_FIELD_NULLABLE, .names = colours,
          .default_json = "\"green\""),
    FIELD(Thing, volume, REF, .flags = WS_FIELD_INDEXED, .sub = &ws_type_volume),
    FIELD(Thing, about, ANYREF),
    FIELD(Thing, since, TIME),
    FIELD(Thing, inner, OBJECT, .sub = &thing_inner_type),
    FIELD(Thing, parts, ARRAY, .item_kind = WS_KIND_OBJECT, .sub = &thing_part_type, .max_items = 3),
    FIELD(Thing, numbers, ARRAY, .item_kind = WS_KIND_INT, .min = 0, .max = 9, .min_items = 1,
          .max_items = 20),
    FIELD(Thing, colours, ARRAY, .item_kind = WS_KIND_ENUM, .names = colours, .max_items = 20),
    FIELD(Thing, labels, MAP, .min = 0, .max = 3, .max_items = 10),
    FIELD(Thing, extra, ANY),
    FIELD(Thing, password, STRING, .flags = WS_FIELD_SECRET, .min = 0),
    FIELD(Thing, hidden, STRING, .flags = WS_FIELD_INTERNAL, .min = 0),
    FIELD(Thing, load, INT, .flags = WS_FIELD_VOLATILE),
    FIELD(Thing, serial, STRING, .flags = WS_FIELD_READ_ONLY, .min = 0),
    FIELD(Thing, origin, STRING, .flags = WS_FIELD_IMMUTABLE, .min = 0, .pattern = "^[a-z]+$"),
    FIELD(Thing, fresh, STRING, .flags = WS_FIELD_TRANSIENT, .min = 0),
    FIELD(Thing, note, STRING, .flags = WS_FIELD_NAME_LIKE, .min = 0, .max = 1000),
};
static guint16 by_name[G_N_ELEMENTS(fields)];
const WsType thing_type = {.name = "Thing",
                           .prefix = "thing",
                           .plural = "things",
                           .flags = WS_TYPE_RESOURCE,
                           .size = sizeof(Thing),
                           .n_fields = G_N_ELEMENTS(fields),
                           .fields = fields,
                           .by_name = by_name};

static int compare_names(const void *a, const void *b)
{
  return strcmp(fields[*(const guint16 *)a].name, fields[*(const guint16 *)b].name);
}

/* Before main(), so that the table above can stay in the order of the struct. */
__attribute__((constructor)) static void sort_names(void)
{
  for (guint16 i = 0; i < G_N_ELEMENTS(fields); i++)
    by_name[i] = i;
  qsort(by_name, G_N_ELEMENTS(fields), sizeof *by_name, compare_names);
}

Thing *thing_parse(const char *json, WsParseMode mode, GError **error)
{
  /* Exactly as long as the text, so that a sanitizer sees a byte read beyond it. */
  gsize n = strlen(json);
  g_autofree char *exact = g_memdup2(json, n);
  return ws_object_parse(&thing_type, exact, n, mode, error);
}

char *thing_json(const void *thing, WsWriteMode mode)
{
  return ws_object_to_json(&thing_type, thing, mode, NULL);
}

void thing_free(Thing *thing)
{
  ws_resource_unref(thing);
}

void assert_error(GError *error, WsErrorCode code, ...)
{
  g_assert_nonnull(error);
  if (ws_error_code(error) != code)
    g_error("expected %s, got: %s", ws_error_code_name(code), error->message);
  va_list args;
  va_start(args, code);
  for (const char *name; (name = va_arg(args, const char *));) {
    const char *wanted = va_arg(args, const char *);
    const char *got = strcmp(name, "field") == 0 ? ws_error_field(error) : ws_error_param(error, name);
    if (g_strcmp0(got, wanted) != 0)
      g_error("%s: %s is \"%s\", not \"%s\"", ws_error_code_name(code), name, got ? got : "(absent)", wanted);
  }
  va_end(args);
  g_error_free(error);
}

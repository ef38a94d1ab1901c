// SPDX-License-Identifier: Apache-2.0
/* A resource type with a field of every kind and flag, for the tests of the engine. */
#pragma once
#include "model/model.h"

enum { THING_COLOUR_RED = 1, THING_COLOUR_GREEN, THING_COLOUR_BLUE };

typedef struct {
  char *key;
  gint64 size;
  char *serial; /* read-only */
  char *secret; /* internal */
  char *model;  /* immutable */
} ThingPart;

typedef struct {
  char *word;   /* required */
  bool loud;    /* default true */
  double level; /* volatile */
} ThingInner;

typedef struct {
  WS_RESOURCE_FIELDS;
  bool on; /* default true */
  gint64 count;
  double ratio;
  char *name;
  char *address;
  int colour;
  WsId volume;
  WsAnyRef about;
  gint64 since;
  ThingInner *inner;
  struct {
    guint len;
    ThingPart **items;
  } parts;
  struct {
    guint len;
    gint64 *items;
  } numbers;
  struct {
    guint len;
    int *items;
  } colours;
  WsMap labels;
  char *extra;
  char *password;
  char *hidden;
  gint64 load;
  char *serial;
  char *origin;
  char *fresh;
  char *note;
} Thing;

extern const WsType thing_type, thing_part_type, thing_inner_type;

Thing *thing_parse(const char *json, WsParseMode mode, GError **error);
char *thing_json(const void *thing, WsWriteMode mode);
void thing_free(Thing *thing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Thing, thing_free)

/* Asserts the code and the parameters, given as name, value pairs ended by NULL; frees the error. */
void assert_error(GError *error, WsErrorCode code, ...) G_GNUC_NULL_TERMINATED;

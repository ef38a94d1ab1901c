// SPDX-License-Identifier: Apache-2.0
/* The commands of winctl as data: one noun for each resource, one command for each method and verb, its
 * options from the body's fields.
 *
 * `winctl port-group create --name lan --switch sw-1` is noun, command, options. The table (cli/commands.c)
 * is generated from api/; descriptions of values (kind, limits, words of an enum, default) are the fields of
 * model/type.h. Threads: constant; any. */
#pragma once
#include "model/routes.h"

typedef enum { CLI_IN_BODY, CLI_IN_QUERY } CliPlace;

typedef struct {
  const char *name; /* option without the dashes: "size-bytes", "cpu.vcpus" */
  const char *path; /* where its value goes: "size_bytes", "cpu.vcpus" */
  CliPlace place;
  const WsField *field;
  const char *help; /* English; NULL: none */
  const char *zh;   /* Chinese label; NULL: none */
  const char *unit; /* "bytes", "s"; NULL: none */
  bool required;
} CliOption;

typedef struct {
  const char *name; /* "list", "create", "power-off" */
  const char *summary, *zh;
  WsRouteKind
      kind; /* what else it takes: GET, UPDATE, DELETE, VERB one or many ids; LIST the list's parameters */
  const char *method;
  const char *path;      /* "/api/v1/volumes/{id}/resize" */
  const char *operation; /* "volume_resize" */
  int danger;            /* as in model/routes.h: what to ask first */
  bool is_task;          /* answers 202 with a task */
  bool is_socket;        /* answers with a WebSocket */
  bool takes_bytes;      /* the body is a stream of bytes */
  const WsType
      *body; /* of the JSON body; NULL: none. UPDATE: the resource, sent as a merge patch of what is given */
  const WsType *result; /* of the answer; NULL: the object, the task, or nothing */
  const CliOption *options;
  guint n_options;
  const WsAllowed *allowed; /* states in which it is offered */
  guint n_allowed;
} CliCommand;

typedef struct {
  const char *path; /* "power.state" */
  const char *heading, *zh;
  const char *unit;
  const WsField *field; /* the last step; NULL: id, revision */
} CliColumn;

typedef struct {
  const char *name; /* "port-group"; "system" for routes of no resource */
  const char *zh;
  const char *summary;
  const WsType *type;     /* NULL: system */
  const char *batch_path; /* "/api/v1/vms/batch" for one verb on many; NULL: not offered */
  const CliColumn *columns;
  guint n_columns;
  const CliCommand *commands;
  guint n_commands;
} CliNoun;

extern const CliNoun cli_nouns[]; /* in the contract's order, system last */
extern const guint cli_n_nouns;

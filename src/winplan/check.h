// SPDX-License-Identifier: Apache-2.0
/* An evaluator of its own for the files of the ROADEF/EURO challenge 2012: it reads them itself and shares no code with the solver, so that what one gets
 * wrong the other shows. Slow and plain. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  const char *name, *text;
  gsize n;
} CheckFile;

typedef struct {
  guint64 load, balance, process_moves, service_moves, machine_moves, total;
  char *broken; /* the first hard rule that the solution breaks, in English; NULL: none. Freed by the caller */
} CheckResult;

/* false: a file is malformed (WS_ERROR_BAD_VALUE, field FILE:LINE), or a sum does not fit 64 bits. */
bool check_roadef(const CheckFile *model, const CheckFile *initial, const CheckFile *solution, CheckResult *result, GError **error);

// SPDX-License-Identifier: Apache-2.0
/* The files of the ROADEF/EURO challenge 2012: a model, and assignments (the machine of each process). */
#pragma once
#include "plan/problem.h"

/* `model_name` and `assignment_name` stand in errors: WS_ERROR_BAD_VALUE, field FILE:LINE. What the first assignment breaks is not looked at. */
PlanProblem *roadef_read(const char *model_name, const char *model, gsize model_n, const char *assignment_name, const char *assignment,
                         gsize assignment_n, GError **error);
/* Appends one line. */
void roadef_write(GString *out, const guint32 *at, guint32 n);

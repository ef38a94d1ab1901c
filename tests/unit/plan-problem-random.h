// SPDX-License-Identifier: Apache-2.0
/* Random small problems with every kind of rule, the first assignment allowed. */
#pragma once
#include "plan/problem.h"

PlanProblem *random_problem(guint64 seed, guint32 n_hosts, guint32 n_items);

// SPDX-License-Identifier: Apache-2.0
/* The challenge's files: whatever is read is evaluated, or refused with a line. The model and the first assignment are apart by a NUL. */
#include "base/error.h"
#include "plan/problem.h"
#include "winplan/check.h"
#include "winplan/roadef.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  const uint8_t *nul = n ? memchr(data, 0, n) : NULL;
  size_t model_n = nul ? (size_t)(nul - data) : n, rest = nul ? n - model_n - 1 : 0;
  const char *assignment = nul ? (const char *)nul + 1 : "";
  g_autoptr(GError) error = NULL;
  CheckFile model = {"m", (const char *)data, model_n}, initial = {"a", assignment, rest};
  CheckResult checked;
  bool good = check_roadef(&model, &initial, &initial, &checked, NULL);
  g_autoptr(PlanProblem) p = roadef_read("m", (const char *)data, model_n, "a", assignment, rest, &error);
  if (!p) {
    g_assert_nonnull(ws_error_field(error));
  } else if (plan_problem_fits(p, NULL)) {
    /* Two readers and two evaluators, one answer. */
    PlanCost cost;
    g_assert_true(good);
    bool allowed = plan_problem_evaluate(p, p->initial, &cost, NULL);
    g_assert_true(allowed == !checked.broken);
    g_assert_true(!allowed || (guint64)cost.total == checked.total);
  }
  g_free(checked.broken);
  return 0;
}

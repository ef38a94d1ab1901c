// SPDX-License-Identifier: Apache-2.0
/* Ganeti's text format: whatever is read is balanced, or refused with a line. */
#include "base/error.h"
#include "winplan/ganeti.h"
#include <math.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(Ganeti) ganeti = ganeti_read("f", (const char *)data, n, &error);
  if (!ganeti) {
    g_assert_nonnull(ws_error_field(error));
    return 0;
  }
  PlanBalanceOptions options = {.max_steps = 20};
  PlanBalanceResult result;
  plan_balance(&ganeti->cluster, &options, &result);
  g_assert_true(result.n_steps <= 20);
  plan_balance_result_clear(&result);
  return 0;
}

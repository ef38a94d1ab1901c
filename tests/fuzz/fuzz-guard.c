// SPDX-License-Identifier: Apache-2.0
/* Any bytes from the source of a move to the target's libvirt, as recorded (the seeds are what real moves of
 * one VM sent). However they are cut, the verdict is the same; what goes on is the beginning of what came, in
 * whole messages; and of these another guard says the same. */
#include "base/error.h"
#include "guard-sample.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool feed(const GuardTerms *terms, const uint8_t *data, size_t n, size_t step, GByteArray *pass)
{
  g_autoptr(Guard) guard = guard_new(terms);
  for (size_t at = 0; at < n; at += step) {
    g_autoptr(GError) error = NULL;
    size_t now = MIN(step, n - at);
    g_autofree uint8_t *exact = g_memdup2(data + at, now);
    if (!guard_take(guard, exact, now, pass, &error)) {
      g_assert_error(error, WS_ERROR, WS_ERROR_PEER_REFUSED);
      return false;
    }
    g_assert_no_error(error);
  }
  return true;
}

static void judge(const GuardTerms *terms, const uint8_t *data, size_t n)
{
  g_autoptr(GByteArray) pass = g_byte_array_new(), pieces = g_byte_array_new(), again = g_byte_array_new();
  bool all = feed(terms, data, n, MAX(n, 1), pass);
  g_assert_cmpuint(pass->len, <=, n);
  g_assert_true(pass->len == 0 || memcmp(pass->data, data, pass->len) == 0);
  g_assert_true(feed(terms, data, n, n % 61 + 1, pieces) == all);
  g_assert_cmpmem(pieces->data, pieces->len, pass->data, pass->len);
  g_assert_true(feed(terms, pass->data, pass->len, MAX(pass->len, 1), again));
  g_assert_cmpuint(again->len, ==, pass->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  judge(&sample_terms, data, n);
  judge(&sample_terms_qcow2, data, n);
  return 0;
}

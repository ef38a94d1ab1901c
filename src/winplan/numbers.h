// SPDX-License-Identifier: Apache-2.0
/* Whole numbers of a text, one after the other, each with the line it is on. Strict: digits between white space, nothing else. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  const char *name; /* of the file, for errors */
  const char *at, *end;
  guint line;       /* of `at` */
} Numbers;

/* The text is borrowed and need not end with a NUL. */
void numbers_init(Numbers *numbers, const char *name, const char *text, gsize n);
/* The next number, at most `most`. WS_ERROR_BAD_VALUE: field is file and line, `what` says what is expected there (English, no capital; a line of
 * api/phrases.yaml or a part of one). */
bool numbers_take(Numbers *numbers, const char *what, guint64 most, guint64 *value, GError **error);
bool numbers_take32(Numbers *numbers, const char *what, guint32 most, guint32 *value, GError **error);
/* Nothing but white space is left. */
bool numbers_end(Numbers *numbers, GError **error);
/* An error about the number taken last. Always false. */
bool numbers_refuse(const Numbers *numbers, const char *what, GError **error);

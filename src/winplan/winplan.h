// SPDX-License-Identifier: Apache-2.0
/* The commands of winplan. Each takes its options from a parsed line and returns the exit status: 0 done, 1 the answer is no, 2 bad input (told). */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  const char *format, *out, *use; /* --format, -o, -U */
  double seconds;                 /* -t of solve */
  guint64 seed, steps;
  guint threads;
  guint hosts, limit, per_host, vms;
  const char *mix;                /* --mix */
  const char **offline;           /* -O */
  guint n_offline;
  bool only_evacuate;             /* --evac-mode */
  const char *file;               /* -t of balance, defrag */
  gint64 begin_us;                /* when the program began */
  char **words;                   /* what is no option */
  guint n_words;
} Options;

int winplan_solve(const Options *options);
int winplan_check(const Options *options);
int winplan_balance(const Options *options);
int winplan_generate(const Options *options);
int winplan_generate_numa(const Options *options); /* as winplan generate --format numa */
int winplan_defrag(const Options *options);

/* Tells the error on standard error in the reader's language. Always 2. */
int winplan_complain(GError *error);
/* The file's bytes, NUL behind them, or NULL with an error. */
char *winplan_read(const char *path, gsize *n, GError **error);
/* Set by SIGINT and SIGTERM: the best so far is wanted at once. */
bool winplan_is_stopped(void);

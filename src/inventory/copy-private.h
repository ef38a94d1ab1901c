// SPDX-License-Identifier: Apache-2.0
/* Inside copies: a stream of rows from a database or a file into a database or a file. Nobody but src/inventory/copy*.c
 * includes this.
 *
 *   copy.c       streams out of and into databases, sums, and what takes which place
 *   copy-file.c  the backup file
 *
 * A source drives a sink. Both keep sums; the rows of a table come by id, tables in the contract's order, then facts. */
#pragma once
#include "base/hash.h"
#include "inventory/copy.h"
#include "inventory/store-private.h"

typedef struct {
  /* Each may be NULL. table NULL: the facts, whose rows have a name instead of id and revision. */
  bool (*head)(void *sink, gint64 schema, GError **error);
  bool (*begin_table)(void *sink, const char *table, GError **error);
  bool (*row)(void *sink, WsId id, Revision revision, const char *body, gsize n, GError **error);
  bool (*fact)(void *sink, const char *name, const char *value, GError **error);
  bool (*end_table)(void *sink, const char *table, const CopySum *sum, GError **error);
  bool (*file)(void *sink, const char *name, const char *bytes, gsize n, GError **error);
} CopySink;

#define COPY_FACTS "facts" /* their sum's name */

/* What a row adds to the sum of its table, also its head in a file. */
#define COPY_HEAD_MAX 80
gsize copy_row_head(char head[static COPY_HEAD_MAX], WsId id, Revision revision, gsize n);

/* copy.c */
/* A sum that grows row by row. */
typedef struct {
  WsSha256 *sha;
  guint64 n_rows;
} CopyCount;
void copy_count_row(CopyCount *count, WsId id, Revision revision, const char *body, gsize n);
void copy_count_fact(CopyCount *count, const char *name, const char *value);
/* Adds the sum to the summary, and returns it. */
const CopySum *copy_count_end(CopyCount *count, CopySummary *summary, const char *table);
CopySummary *copy_summary_new(void);
/* Everything in the store at one moment into the sink. */
bool copy_from_store(Store *store, const CopySink *sink, void *arg, CopySummary *summary, GError **error);

/* copy-file.c */
bool copy_from_file(const char *path, const CopySink *sink, void *arg, CopySummary *summary, GError **error);

// SPDX-License-Identifier: Apache-2.0
/* The compatibility list: the platform's own (data/compatibility, compiled in), and a site's in compatibility.jsonl of the manager's data
 * directory. Any thread; reading the latter blocks. */
#pragma once
#include "center/center.h"

#define COMPATIBILITY_FILE "compatibility.jsonl"
#define COMPATIBILITY_MAX_BYTES (1024 * 1024)
#define COMPATIBILITY_MAX_ENTRIES 10000

/* One line: an entry, NULL for a comment or an empty line, or an error that says what is wrong with it. Caller frees. */
WsCompatibilityEntry *compatibility_parse(const char *line, gsize n, GError **error);
/* The platform's own. Owned by the function, the same each time. A line of it that is wrong ends the program: a test has seen to it. */
const GPtrArray *compatibility_builtin(void);
/* Both, the site's own first; of char *path (NULL: none). problems (of WsCompatibilityProblem, may be NULL): lines that were left out. Caller unrefs. */
GPtrArray *compatibility_load(const char *path, GPtrArray *problems);
/* The site's file. Caller frees. */
char *compatibility_path(const Center *center);

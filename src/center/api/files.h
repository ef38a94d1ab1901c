// SPDX-License-Identifier: Apache-2.0
/* The console's static files under `/`, from config.web_dir, with a strict content security policy. Read once at start, so no
 * request ever opens a file. I/O thread, but for files_load/free. */
#pragma once
#include "center/center.h"

typedef struct WebFiles WebFiles;
bool files_load(Center *center, GError **error); /* at most 2,000 files and 64 MiB */
void files_free(Center *center);
void files_answer(Center *center, HttpCall *http);

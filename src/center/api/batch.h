// SPDX-License-Identifier: Apache-2.0
/* One verb on many objects: `POST /<plural>/batch`. Verbs that are tasks run as children of one parent task; short ones
 * are executed at once and answered with one result for each object. Core loop, in a coroutine. */
#pragma once
#include "center/api/call-private.h"

bool api_batch(ApiCall *call, GError **error);
/* The parent's task kind; registered at start. */
const TaskKind *api_batch_task_kind(void);
/* Starts a task for a call (audit included) and answers 202 or the dry run's steps. Takes args. In write.c. */
bool api_call_start_task(ApiCall *call, const TaskKind *kind, WsId target, void *args, GError **error);

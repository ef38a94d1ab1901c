// SPDX-License-Identifier: Apache-2.0
/* What loop.c, co.c and workers.c know of each other. All on the loop's thread. */
#pragma once
#include "base/loop.h"

typedef struct WsCoPool WsCoPool;

/* Runs func(arg) on this turn of the loop or the next one, after what was asked before. No lock, no system call. */
void ws_loop_soon(WsLoop *loop, WsLoopFunc func, void *arg);
WsCoPool *ws_loop_co_pool(WsLoop *loop);

WsCoPool *ws_co_pool_new(WsLoop *loop);
void ws_co_pool_free(WsCoPool *pool);

/* Waits for ws_co_resume() and nothing else: wakes that come meanwhile are remembered for ws_co_yield(). */
void ws_co_suspend(void);
/* Goes on with a coroutine that waits in ws_co_suspend(). Called from the loop, not from a coroutine. */
void ws_co_resume(WsCo *co);

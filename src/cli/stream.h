// SPDX-License-Identifier: Apache-2.0
/* A WebSocket for a program with one thread: messages queue until they are taken. See stream.c. */
#pragma once
#include "cli/cli.h"

typedef struct CliStream CliStream;
/* path with query; authenticated as the login. Waits until it is open. */
CliStream *stream_open(Cli *cli, const char *path, GError **error);
/* Next message, or NULL: closed (with its reason as error unless it ended well), or timeout_ms passed (no error; -1: none). */
GBytes *stream_take(CliStream *stream, int timeout_ms, GError **error);
/* stream_open() failed because the manager answered that it does not want such a stream: asking again is no
 * use. */
bool stream_is_refused(const GError *error);
int stream_fd(CliStream *stream); /* readable while there is something to take */
void stream_send(CliStream *stream, const void *bytes, gsize n);
void stream_close(CliStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliStream, stream_close)

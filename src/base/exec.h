// SPDX-License-Identifier: Apache-2.0
/* The one way to run another program: argv, never a shell; bounded in time, memory, output and rights.
 *
 * Blocking; call it on a worker. Standard input is /dev/null or the given bytes; output is collected up to a limit.
 * The child gets a clean environment (PATH, LANG=C.UTF-8 plus `env`), no inherited fds but 0-2 and `pass_fd`, its own process group,
 * PR_SET_PDEATHSIG, and is killed as a group on time-out. Errors: WS_ERROR_PROGRAM_MISSING, WS_ERROR_PROGRAM_FAILED (program,
 * exit status or signal, last line of stderr as cause), WS_ERROR_DEADLINE_EXCEEDED, WS_ERROR_TOO_LARGE (output). Secrets go through
 * `input` or `pass_fd`, never argv. Test seam: ws_exec_set_recorder() lets tests see argv and answer instead of a program. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  const char *const *argv;    /* NULL-ended; argv[0] is looked up in a fixed PATH of system directories */
  const char *const *env;     /* extra "NAME=value", NULL-ended, or NULL */
  const char *directory;      /* NULL: "/" */
  const void *input;          /* bytes for stdin, or NULL */
  gsize input_bytes;
  int pass_fd;                /* given to the child as fd 3; 0 or -1: none */
  guint timeout_ms;           /* 0: 60,000 */
  guint64 max_output_bytes;   /* of stdout; 0: 1 MiB. stderr keeps its last 4 KiB */
  guint64 max_memory_bytes;   /* RLIMIT_AS; 0: unlimited */
  guint max_cpu_s;            /* RLIMIT_CPU; 0: unlimited */
  guint64 max_file_bytes;     /* RLIMIT_FSIZE; 0: unlimited */
  bool confine;               /* private mount namespace with everything read-only but `writable`, no network, seccomp filter
                                 that refuses mounting, ptrace, sockets, module, keyctl, ...; no new privileges; caps dropped */
  const char *writable;       /* with confine: one file or directory that stays writable, or NULL */
  bool any_status;            /* a non-zero exit is no error; read *status */
  volatile gint *cancel;      /* polled; non-zero kills the child: WS_ERROR_CANCELLED */
  void (*on_stdout)(const char *chunk, gsize n, void *arg); /* streaming consumer (progress); output is then not kept */
  void *on_stdout_arg;
} WsExec;

/* `out` may be NULL; else a NUL-terminated buffer the caller frees. `status` may be NULL: exit status, 128+signal when killed. */
bool ws_exec(const WsExec *exec, char **out, gsize *out_bytes, int *status, GError **error);

typedef bool (*WsExecRecorder)(const WsExec *exec, char **out, int *status, void *arg);
void ws_exec_set_recorder(WsExecRecorder recorder, void *arg); /* tests only; NULL restores */

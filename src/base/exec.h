// SPDX-License-Identifier: Apache-2.0
/* The one way to run another program: argv, never a shell; bounded in time, memory, output and rights.
 *
 * Blocking; call it on a worker. Standard input is /dev/null or the given bytes; output is collected up to a limit.
 * The child gets a clean environment (PATH, LANG=C.UTF-8 plus `env`), umask 077, no core dumps, default signals, no inherited fds
 * but 0-2 and `pass_fd`, its own process group and PR_SET_PDEATHSIG (its own children may outlive us if we are killed; confined ones do
 * not). When the program has ended, or its time is over, what is left of its group is killed. Secrets go through `input` or
 * `pass_fd`, never argv.
 *
 * Errors: WS_ERROR_PROGRAM_MISSING; WS_ERROR_PROGRAM_FAILED (program, exit status or 128 + signal; last line of stderr as cause);
 * WS_ERROR_DEADLINE_EXCEEDED; WS_ERROR_TOO_LARGE (output); WS_ERROR_CANCELLED; WS_ERROR_IO_ERROR (a path to show or to write that is
 * not there); WS_ERROR_UNSUPPORTED (confinement asked for and not to be had here: the program was not run);
 * WS_ERROR_INTERNAL (no process, no memory).
 *
 * Confinement, for programs that read what strangers made (disk images): own mount, process, network and IPC name space. The
 * file system is there read-only, without devices but null, zero, full, random, urandom, without /sys and /run, with a /proc that
 * shows only the program itself; or, with `visible`, nothing of it but the system's programs and libraries and the named paths. All
 * capabilities are gone but the right to read and write files of other owners in what is visible (disks belong to libvirt's user).
 * A seccomp filter allows computing, threads, children and files; anything else (sockets, mounts, ptrace, keys, modules, io_uring,
 * namespaces, ...) fails with EPERM. Needs root, or unprivileged user namespaces; Linux 4.19 will do, where bind mounts made read-only
 * one by one take the place of detached ones (5.12), and the end of a program is looked for each 10 ms (5.2 tells). Not bounded: memory of all
 * children together (each has max_memory_bytes), reading what `visible` shows. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  const char *const *argv;    /* NULL-ended; argv[0]: absolute, or looked up in /usr/sbin, /usr/bin, /sbin, /bin */
  const char *const *env;     /* extra "NAME=value", NULL-ended, or NULL */
  const char *directory;      /* NULL: "/" */
  const void *input;          /* bytes for stdin, or NULL */
  gsize input_bytes;
  int pass_fd;                /* given to the child as fd 3; 0 or -1: none */
  guint timeout_ms;           /* 0: 60,000; up to 49 days */
  guint64 max_output_bytes;   /* of stdout; 0: 1 MiB, with on_stdout no limit. stderr keeps its last 4 KiB */
  guint64 max_memory_bytes;   /* RLIMIT_AS; 0: unlimited */
  guint max_cpu_s;            /* RLIMIT_CPU; 0: unlimited */
  guint64 max_file_bytes;     /* RLIMIT_FSIZE; 0: unlimited */
  bool confine;               /* see above */
  const char *writable;       /* with confine: one file or directory that stays writable, or NULL; absolute, exists */
  const char *const *visible; /* with confine: NULL-ended, the only other paths that are there (read-only); absolute, exist.
                                 NULL: the whole file system */
  bool merge_stderr;          /* what it says on stderr comes with stdout, in order */
  bool any_status;            /* a non-zero exit is no error; read *status */
  volatile gint *cancel;      /* polled; non-zero kills the child: WS_ERROR_CANCELLED */
  void (*on_stdout)(const char *chunk, gsize n, void *arg); /* streaming consumer (progress); output is then not kept */
  void *on_stdout_arg;
} WsExec;

/* `out` may be NULL; else a NUL-terminated buffer the caller frees, set on success only. `status` may be NULL: exit status, 128 +
 * signal when killed; set whenever the program has run to its end. */
bool ws_exec(const WsExec *exec, char **out, gsize *out_bytes, int *status, GError **error);

/* Tests only. The recorder sees each call and answers in the program's place: sets *out (freed by ws_exec()'s
 * caller) and *status, and returns true; a *status other than 0 is an error as usual, and a negative one that
 * its time was over. False: the program is run after all. NULL restores. */
typedef bool (*WsExecRecorder)(const WsExec *exec, char **out, int *status, void *arg);
void ws_exec_set_recorder(WsExecRecorder recorder, void *arg);

// SPDX-License-Identifier: Apache-2.0
/* See bmc.h. ipmitool's exit status tells only that something failed; why is in its words, of which -v makes it say more. */
#include "center/hosts/bmc.h"
#include "base/error.h"
#include "base/exec.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 45000
#define DEFAULT_PORT 623

static const char *const verbs[] = {"status", "on", "off", "cycle"};
static const char *const operations[] = {"tell its power", "switch on", "switch off", "cycle the power"};

/* ---- what it said ---- */

/* Words of ipmitool 1.8.18 and .19 (src/plugins/lanplus), and what they mean to people. The first that is there counts. */
static const struct {
  const char *words, *reason; /* reason NULL: nobody answered */
} said_why[] = {
    {"HMAC is invalid", "user or password is wrong"},
    {"unauthorized name", "user or password is wrong"},
    {"Invalid user name", "user or password is wrong"},
    {"RAKP 2 message indicates an error", "user or password is wrong"},
    {"RAKP 4 message indicates an error", "user or password is wrong"},
    {"invalid integrity check value", "user or password is wrong"},
    {"invalid authentication algorithm", "the cipher suite is not offered"},
    {"no matching cipher suite", "the cipher suite is not offered"},
    {"nvalid cipher suite", "the cipher suite is not offered"},
    {"invalid role", "the user may not switch the power"},
    {"unauthorized role", "the user may not switch the power"},
    {"nsufficient privilege level", "the user may not switch the power"},
    {"exceeds limit", "the user may not switch the power"},
    {"Address lookup for", NULL},
    {"Could not open socket", NULL},
    {"Get Auth Capabilities", NULL},
    {"Authentication Capabilities", NULL},
    {"Unable to establish", NULL},
    {"No response", NULL},
    {"timed out", NULL},
    {"timeout", NULL},
};

static char *last_line(const char *text)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = g_strv_length(lines); i-- > 0;)
    if (*g_strstrip(lines[i]))
      return g_utf8_make_valid(lines[i], -1);
  return g_strdup("it said nothing");
}

static bool fail(const char *said, const char *host, const char *address, BmcAction action, bool reasons, GError **error)
{
  g_autofree char *line = last_line(said);
  for (guint i = 0; reasons && i < G_N_ELEMENTS(said_why); i++) {
    if (!strstr(said, said_why[i].words))
      continue;
    if (said_why[i].reason)
      return ws_fail(error, WS_ERROR_BMC_REFUSED, "host", host, "address", address, "reason", said_why[i].reason, "cause", line, NULL);
    return ws_fail(error, WS_ERROR_BMC_UNREACHABLE, "host", host, "address", address, "cause", line, NULL);
  }
  return ws_fail(error, WS_ERROR_BMC_ERROR, "host", host, "address", address, "operation", operations[action], "cause", line, NULL);
}

bool bmc_read(const char *said, int status, const char *host, const char *address, BmcAction action, bool *is_on, GError **error)
{
  if (status != 0)
    return fail(said, host, address, action, true, error);
  if (action != BMC_STATUS)
    return true;
  bool on = strstr(said, "Chassis Power is on") != NULL, off = strstr(said, "Chassis Power is off") != NULL;
  if (on == off)
    return fail(said, host, address, action, false, error);
  *is_on = on;
  return true;
}

/* ---- asking ---- */

typedef struct {
  char *host, *address, *user, *password;
  int port, cipher_suite; /* cipher_suite < 0: the best */
  BmcAction action;
  bool is_on;
  volatile gint *cancel;
} Ask;

static void ask_free(void *arg)
{
  Ask *ask = arg;
  g_free(ask->host);
  g_free(ask->address);
  g_free(ask->user);
  ws_secret_free(ask->password);
  g_free(ask);
}

/* A pipe holds 4 KiB at least without a reader: the password is in it, and nowhere else. */
static int password_pipe(const char *password, GError **error)
{
  int ends[2];
  gsize n = strlen(password);
  bool made = pipe2(ends, O_CLOEXEC) == 0;
  if (!made || write(ends[1], password, n) != (gssize)n) {
    int saved = errno;
    if (made) {
      close(ends[0]);
      close(ends[1]);
    }
    ws_fail(error, WS_ERROR_INTERNAL, "cause", g_strerror(saved), NULL);
    return -1;
  }
  close(ends[1]);
  return ends[0];
}

static bool ask_on_worker(void *arg, GError **error)
{
  Ask *ask = arg;
  g_autofree char *port = g_strdup_printf("%d", ask->port), *said = NULL;
  g_autofree char *suite = g_strdup_printf("%d", ask->cipher_suite);
  const char *argv[] = {"ipmitool", "-v", "-I", "lanplus", "-L", "OPERATOR", "-N", "2", "-R", "3", "-H", ask->address, "-p", port,
                        "-U", ask->user, "-f", "/dev/fd/3", "chassis", "power", verbs[ask->action], NULL, NULL, NULL};
  if (ask->cipher_suite >= 0) { /* options come before the command */
    memmove(argv + 3, argv + 1, 20 * sizeof *argv);
    argv[1] = "-C";
    argv[2] = suite;
  }
  int status = 0, fd = password_pipe(ask->password, error);
  if (fd < 0)
    return false;
  WsExec exec = {.argv = argv, .pass_fd = fd, .timeout_ms = TIMEOUT_MS, .max_output_bytes = 65536, .merge_stderr = true, .any_status = true, .cancel = ask->cancel};
  g_autoptr(GError) failed = NULL;
  bool ran = ws_exec(&exec, &said, NULL, &status, &failed);
  close(fd);
  if (ran)
    return bmc_read(said, status, ask->host, ask->address, ask->action, &ask->is_on, error);
  if (ws_error_code(failed) == WS_ERROR_DEADLINE_EXCEEDED)
    return ws_fail(error, WS_ERROR_BMC_UNREACHABLE, "host", ask->host, "address", ask->address, NULL);
  g_propagate_error(error, g_steal_pointer(&failed));
  return false;
}

bool bmc_is_set(const WsHost *host)
{
  return host->bmc && host->bmc->address && *host->bmc->address;
}

bool bmc_do(Center *center, const WsHost *host, BmcAction action, bool *is_on, volatile gint *cancel, GError **error)
{
  if (!bmc_is_set(host))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", operations[action], "reason",
                   "it has no BMC settings", NULL);
  const WsHostBmc *bmc = host->bmc;
  Ask *ask = g_new0(Ask, 1);
  *ask = (Ask){g_strdup(host->name), g_strdup(bmc->address), g_strdup(bmc->user ? bmc->user : ""),
               g_strdup(bmc->password ? bmc->password : ""),
               bmc->port == WS_INT_UNSET ? DEFAULT_PORT : (int)bmc->port,
               bmc->cipher_suite == WS_INT_UNSET ? -1 : (int)bmc->cipher_suite, action, false, cancel};
  g_autofree char *line = g_strdup_printf("bmc %s", ask->address); /* many a BMC has one session, or few */
  if (!ws_co_blocking_keyed(center->workers, line, ask_on_worker, ask, ask_free, 0, error))
    return false;
  if (is_on)
    *is_on = ask->is_on;
  ask_free(ask);
  return true;
}

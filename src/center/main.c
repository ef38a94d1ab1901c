// SPDX-License-Identifier: Apache-2.0
/* wincenterd: the manager. Options, signals, and a loop; all else is in center.c. */
#include "base/log.h"
#include "center/auth/audit.h"
#include "center/center.h"
#include "center/database.h"
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define CERT_LIFE_MIN_S 10
#define CERT_LIFE_MAX_S (825 * 24 * 3600) /* some programs believe no longer one */

#define EXIT_DAMAGED 65 /* EX_DATAERR of sysexits.h: starting again does not help */

static WsLoop *main_loop;

static void on_signal(int number)
{
  ws_loop_quit(main_loop); /* async-signal-safe */
}

static void catch_signals(void)
{
  struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGPIPE, &ignore, NULL);
}

/* A core of this process would hold keys and tokens; and each host's link is a descriptor. */
static void set_limits(void)
{
  struct rlimit none = {0, 0}, files;
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = MIN(files.rlim_max, 65536);
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

/* A password's hash takes 19 MiB for a moment. By default malloc learns from such a block to keep ones of that size for ever. */
static void set_memory(void)
{
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20); /* not by every piece of a long answer */
}

typedef struct {
  CenterConfig config;
  char *log_file, *backup, *restore, *move;
  int port, audit_days, event_days, task_days, migration_days, login_failures, login_window, address_failures, address_refusals;
  gboolean debug, version, verify_audit;
} Options;

/* Renewal begins at two thirds of a life, and is looked for each second at most. */
static bool check_life(const char *option, gint64 life_s, GError **error)
{
  if (life_s == 0 || (life_s >= CERT_LIFE_MIN_S && life_s <= CERT_LIFE_MAX_S))
    return true;
  g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--%s: between %d and %d seconds", option, CERT_LIFE_MIN_S, CERT_LIFE_MAX_S);
  return false;
}

static bool parse_options(int argc, char **argv, Options *options)
{
  const GOptionEntry entries[] = {
      {"data-dir", 'd', 0, G_OPTION_ARG_FILENAME, &options->config.data_dir, "Directory of database and keys", "DIR"},
      {"database", 0, 0, G_OPTION_ARG_FILENAME, &options->config.database, "Database: a file, or postgresql://HOST/NAME", "ADDRESS"},
      {"backup", 0, 0, G_OPTION_ARG_FILENAME, &options->backup, "Write a backup of the database and the keys to FILE, and end", "FILE"},
      {"restore", 0, 0, G_OPTION_ARG_FILENAME, &options->restore, "Make database and keys what the backup FILE holds, and end", "FILE"},
      {"move-database", 0, 0, G_OPTION_ARG_FILENAME, &options->move, "Move the database to ADDRESS (or: file), and end", "ADDRESS"},
      {"packages", 0, 0, G_OPTION_ARG_FILENAME, &options->config.packages_dir, "Directory of the host agent's packages (/usr/share/winsphere/packages)", "DIR"},
      {"web", 'w', 0, G_OPTION_ARG_FILENAME, &options->config.web_dir, "Directory of the web console's files", "DIR"},
      {"bind", 'b', 0, G_OPTION_ARG_STRING, &options->config.bind_address, "Address to listen on (0.0.0.0)", "ADDRESS"},
      {"port", 'p', 0, G_OPTION_ARG_INT, &options->port, "Port to listen on (8443); 0: any", "PORT"},
      {"trusted-proxy", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->config.trusted_proxies,
       "Address or network of a proxy before this manager, whose X-Forwarded-For is believed (repeatable)", "ADDRESS"},
      {"name", 'n', 0, G_OPTION_ARG_STRING_ARRAY, &options->config.names, "Further name or address of this manager", "NAME"},
      {"server-cert-life", 0, 0, G_OPTION_ARG_INT64, &options->config.server_cert_life_s, "Life of this manager's certificate (34387200)", "SECONDS"},
      {"host-cert-life", 0, 0, G_OPTION_ARG_INT64, &options->config.host_cert_life_s, "Life of certificates issued to hosts (31536000)", "SECONDS"},
      {"audit-days", 0, 0, G_OPTION_ARG_INT, &options->audit_days, "Days that audit records are kept (0: for ever)", "DAYS"},
      {"event-days", 0, 0, G_OPTION_ARG_INT, &options->event_days, "Days that events are kept (365; 0: for ever)", "DAYS"},
      {"task-days", 0, 0, G_OPTION_ARG_INT, &options->task_days, "Days that ended tasks are kept, with steps and log (0: for ever)", "DAYS"},
      {"migration-days", 0, 0, G_OPTION_ARG_INT, &options->migration_days, "Days that records of moves are kept (0: for ever)", "DAYS"},
      {"login-failures", 0, 0, G_OPTION_ARG_INT, &options->login_failures, "Failed logins of an account from one address in a window (5)", "N"},
      {"login-window", 0, 0, G_OPTION_ARG_INT, &options->login_window, "That window (300)", "SECONDS"},
      {"address-failures", 0, 0, G_OPTION_ARG_INT, &options->address_failures, "Failed logins from one address in a window (100)", "N"},
      {"address-refusals", 0, 0, G_OPTION_ARG_INT, &options->address_refusals, "Refused calls without a login from one address in a window (1000)", "N"},
      {"verify-audit", 0, 0, G_OPTION_ARG_NONE, &options->verify_audit, "Check the audit log of the database in the data directory, and end", NULL},
      {"log", 'l', 0, G_OPTION_ARG_FILENAME, &options->log_file, "Log to this file instead of stderr", "FILE"},
      {"debug", 0, 0, G_OPTION_ARG_NONE, &options->debug, "Log more", NULL},
      {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- the WinSphere manager");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (g_option_context_parse(context, &argc, &argv, &error) && argc == 1 && check_life("server-cert-life", options->config.server_cert_life_s, &error) &&
      check_life("host-cert-life", options->config.host_cert_life_s, &error))
    return true;
  g_printerr("wincenterd: %s\nTry: wincenterd --help\n", error ? error->message : "unexpected argument");
  return false;
}

/* Of a database that no manager has open: a backup, or after stopping. 0: it is whole; 1: it is not, or could not be read. */
static int verify_audit(const CenterConfig *config)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *address = center_database_address(config->data_dir, config->database, &error);
  g_auto(AuditVerdict) verdict = {0};
  bool there = address && (store_address_is_server(address) || g_file_test(address, G_FILE_TEST_EXISTS));
  Store *store = there ? store_open(address, main_loop, &error) : NULL;
  bool ok = store && audit_verify(store, &(AuditExpected){0}, &verdict, &error);
  if (ok)
    g_print("%" G_GINT64_FORMAT " records from %s to %s, chain %s\n", verdict.n_records, verdict.oldest, verdict.newest, verdict.chain);
  else
    g_printerr("wincenterd: %s\n", error ? error->message : "there is no database in the data directory");
  store_close(store);
  return ok ? 0 : 1;
}

/* What is done to the database of a manager that does not run; -1: nothing is asked for. */
static int run_command(const Options *options)
{
  const char *dir = options->config.data_dir, *database = options->config.database;
  g_autoptr(GError) error = NULL;
  if (!options->backup && !options->restore && !options->move)
    return -1;
  if (options->backup ? center_database_backup(dir, database, options->backup, &error)
      : options->restore ? center_database_restore(dir, database, options->restore, &error)
                         : center_database_move(dir, database, options->move, &error))
    return 0;
  g_printerr("wincenterd: %s\n", error->message);
  return 1;
}

/* A start that fails, to whoever reads the terminal or the journal; of a damaged database with what to do. */
static int explain_failure(const Options *options, const GError *error)
{
  ws_log_error(WS_LOG_ERROR, "start-failed", error, NULL);
  g_printerr("wincenterd: %s\n", error->message);
  if (ws_error_code(error) != WS_ERROR_DATABASE_DAMAGED)
    return 1;
  g_autofree char *backup = center_newest_backup(options->config.data_dir);
  ws_log(WS_LOG_ERROR, "backup-to-use", "file", backup ? backup : "none", NULL);
  if (backup)
    g_printerr("The newest backup that is whole: %s\nTo use it: wincenterd --data-dir %s --restore %s\n", backup,
               options->config.data_dir, backup);
  else
    g_printerr("There is no whole backup in %s/backups. One from elsewhere: wincenterd --data-dir %s --restore FILE\n",
               options->config.data_dir, options->config.data_dir);
  return EXIT_DAMAGED;
}

int main(int argc, char **argv)
{
  static Options options = {.port = 8443, .event_days = 365}; /* what it points to lives as long as the process */
  g_autoptr(GError) error = NULL;
  if (!parse_options(argc, argv, &options))
    return 2;
  if (options.version) {
    g_print("wincenterd %s\n", WS_VERSION);
    return 0;
  }
  if (!options.config.data_dir)
    options.config.data_dir = g_strdup("/var/lib/winsphere/center");
  options.config.port = (guint16)options.port;
  options.config.login_failures_max = (guint)CLAMP(options.login_failures, 0, 1000);
  options.config.login_window_s = (guint)CLAMP(options.login_window, 0, 86400);
  options.config.login_failures_address = (guint)CLAMP(options.address_failures, 0, 1000000);
  options.config.refused_calls_address = (guint)CLAMP(options.address_refusals, 0, 1000000);
  options.config.audit_keep_days = (guint)CLAMP(options.audit_days, 0, 36500);
  options.config.event_keep_days = (guint)CLAMP(options.event_days, 0, 36500);
  options.config.task_keep_days = (guint)CLAMP(options.task_days, 0, 36500);
  options.config.migration_keep_days = (guint)CLAMP(options.migration_days, 0, 36500);
  set_memory();
  set_limits();
  ws_log_init("wincenterd", options.debug ? WS_LOG_DEBUG : WS_LOG_INFO, options.log_file);
  int command = run_command(&options);
  if (command >= 0)
    return command;
  main_loop = ws_loop_new(ws_clock_system());
  catch_signals();
  if (options.verify_audit)
    return verify_audit(&options.config);
  Center *center = center_new(&options.config, ws_clock_system(), main_loop, &error);
  if (!center)
    return explain_failure(&options, error);
  char port[8];
  g_snprintf(port, sizeof port, "%u", http_server_port(center->server));
  ws_log(WS_LOG_NOTICE, "started", "version", WS_VERSION, "port", port, "data", options.config.data_dir, NULL);
  ws_loop_run(main_loop);
  ws_log(WS_LOG_NOTICE, "stopping", NULL);
  center_settle(center);
  center_free(center);
  ws_loop_free(main_loop);
  return 0;
}

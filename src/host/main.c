// SPDX-License-Identifier: Apache-2.0
/* winserverd: the host agent. Options, signals, and a loop; all else is in agent.c and the rooms. */
#include "base/log.h"
#include "host/agent-private.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static WsLoop *main_loop;

static void on_signal(int number)
{
  ws_loop_quit(main_loop); /* async-signal-safe */
}

static void prepare_process(void)
{
  struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
  struct rlimit none = {0, 0};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGPIPE, &ignore, NULL);
  setrlimit(RLIMIT_CORE, &none); /* a core would hold the host's key */
  prctl(PR_SET_DUMPABLE, 0);
}

typedef struct {
  AgentConfig config;
  char *join, *log_file;
  gboolean debug, version, check;
} Options;

/* Whoever gave a token has shown it by now: it is told as lost, not quietly used. */
static bool check_join(const char *join)
{
  if (!join || strcmp(join, "-") == 0)
    return true;
  g_printerr("winserverd: the join token comes by standard input, not on the command line, where everybody on this host can read it.\n"
             "Make a new one (winctl join-token create), and: winserverd --join - --manager URL\n");
  return false;
}

static bool parse_options(int argc, char **argv, Options *o)
{
  const GOptionEntry entries[] = {
      {"join", 'j', 0, G_OPTION_ARG_STRING, &o->join, "Enrol with the join token read from standard input, and end", "-"},
      {"manager", 'm', 0, G_OPTION_ARG_STRING, &o->config.manager_url, "The manager, https://name:port", "URL"},
      {"check", 'c', 0, G_OPTION_ARG_NONE, &o->check, "Print whether this machine has what a host needs, and end: 1 when something is missing", NULL},
      {"state-dir", 's', 0, G_OPTION_ARG_FILENAME, &o->config.state_dir, "Directory of key and state", "DIR"},
      {"pool-root", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->config.pool_roots, "Folder below which pools may lie (repeatable)", "DIR"},
      {"libvirt", 0, 0, G_OPTION_ARG_STRING, &o->config.libvirt_uri, "libvirt's URI (qemu:///system)", "URI"},
      {"ovsdb", 0, 0, G_OPTION_ARG_FILENAME, &o->config.ovsdb_socket, "Open vSwitch's database socket", "PATH"},
      {"move-emulated-live", 0, 0, G_OPTION_ARG_NONE, &o->config.move_emulated_live,
       "In a lab only: guests without KVM go on while their memory moves, though QEMU before 9.0 may lose some of what they write", NULL},
      {"log", 'l', 0, G_OPTION_ARG_FILENAME, &o->log_file, "Log to this file instead of stderr", "FILE"},
      {"debug", 0, 0, G_OPTION_ARG_NONE, &o->debug, "Log more", NULL},
      {"version", 'V', 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- the WinSphere host agent");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (g_option_context_parse(context, &argc, &argv, &error) && argc == 1)
    return check_join(o->join);
  g_printerr("winserverd: %s\nTry: winserverd --help\n", error ? error->message : "unexpected argument");
  return false;
}

static void fill_defaults(AgentConfig *config)
{
  static const char *const roots[] = {"/var/lib/winsphere/pools", NULL};
  if (!config->state_dir)
    config->state_dir = g_strdup("/var/lib/winsphere/host");
  if (!config->pool_roots)
    config->pool_roots = g_strdupv((char **)roots);
  if (!config->libvirt_uri)
    config->libvirt_uri = g_strdup("qemu:///system");
  if (!config->ovsdb_socket)
    config->ovsdb_socket = g_strdup("/run/openvswitch/db.sock");
}

/* One line of standard input: a token on the command line shows in the process list, to everybody on this host. */
static char *read_token(void)
{
  char line[512];
  char *token = g_strdup(fgets(line, sizeof line, stdin) ? line : "");
  explicit_bzero(line, sizeof line);
  return g_strstrip(token);
}

static bool join(Options *o, GError **error)
{
  if (!o->config.manager_url)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "--manager", NULL);
  g_autofree char *token = read_token();
  return agent_join(&o->config, ws_clock_system(), o->config.manager_url, token, error);
}

static void complain(const char *event, const GError *error)
{
  ws_log_error(WS_LOG_ERROR, event, error, NULL);
  g_printerr("winserverd: %s\n%s%s", error->message, ws_error_cause(error) ? ws_error_cause(error) : "",
             ws_error_cause(error) ? "\n" : "");
}

int main(int argc, char **argv)
{
  static Options options; /* what it points to lives as long as the process */
  g_autoptr(GError) error = NULL;
  if (!parse_options(argc, argv, &options))
    return 2;
  if (options.version) {
    g_print("winserverd %s\n", WS_VERSION);
    return 0;
  }
  fill_defaults(&options.config);
  prepare_process();
  ws_log_init("winserverd", options.debug ? WS_LOG_DEBUG : WS_LOG_INFO, options.log_file);
  if (options.check)
    return agent_check(&options.config) ? 0 : 1;
  if (options.join) {
    if (join(&options, &error))
      return 0;
    complain("join-failed", error);
    return 1;
  }
  main_loop = ws_loop_new(ws_clock_system());
  Agent *agent = agent_new(&options.config, ws_clock_system(), main_loop, &error);
  if (!agent) {
    complain("start-failed", error);
    return 1;
  }
  ws_log(WS_LOG_NOTICE, "started", "version", WS_VERSION, "state", options.config.state_dir, NULL);
  ws_loop_run(main_loop);
  ws_log(WS_LOG_NOTICE, "stopping", NULL);
  agent_free(agent);
  ws_loop_free(main_loop);
  return 0;
}

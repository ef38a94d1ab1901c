// SPDX-License-Identifier: Apache-2.0
/* winplan: the planner on files. `winplan COMMAND [options] FILE...`; --help tells the commands. */
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "winplan/winplan.h"
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((gsize)1 << 30)
#define SECONDS_MAX 864000.0
#define THREADS_MAX 64

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
  (void)signal;
  stopped = 1;
}

bool winplan_is_stopped(void)
{
  return stopped;
}

char *winplan_read(const char *path, gsize *n, GError **error)
{
  return ws_file_read(path, FILE_MAX, n, error);
}

static WsLang language(void)
{
  const char *names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *value = getenv(names[i]);
    if (value && *value)
      return g_str_has_prefix(value, "zh") ? WS_LANG_ZH : WS_LANG_EN;
  }
  return WS_LANG_EN;
}

int winplan_complain(GError *error)
{
  g_autofree char *message = ws_error_message(error, language());
  const char *cause = ws_error_cause(error);
  (void)fprintf(stderr, "winplan: %s%s%s%s\n", message, cause ? " (" : "", cause ? cause : "", cause ? ")" : "");
  g_error_free(error);
  return 2;
}

/* ---- the line ---- */

typedef struct {
  const char *name, *form; /* what follows it, for help */
  int (*run)(const Options *options);
  guint n_words;
  const char *formats; /* of --format, with bars between them */
  const char *needs;   /* letters of options that must be there */
  const char *help;
} Command;

static const Command commands[] = {
    {"solve", "--format roadef MODEL ASSIGNMENT -o OUT [-t SECONDS] [--steps N] [--seed N] [--threads N]", winplan_solve, 2, "roadef", "o",
     "Look for a cheaper assignment until the time is over (10 s) and write it to OUT."},
    {"check", "--format roadef MODEL ASSIGNMENT SOLUTION", winplan_check, 3, "roadef", "",
     "Say whether a solution keeps all rules, and what it costs (exit status 1: it does not)."},
    {"balance", "--format ganeti -t FILE [-U FILE] [-O NODE]... [--evac-mode] [--limit N]", winplan_balance, 0, "ganeti", "t",
     "Print moves that balance a cluster, as hbal does (exit status 1: something on an offline node has nowhere to go)."},
    {"defrag", "--format numa -t FILE [--limit N] [--seed N]", winplan_defrag, 0, "numa", "t",
     "Print at most N moves that free most slots for large VMs, on hosts with NUMA nodes."},
    {"generate", "--format ganeti|numa -o FILE [-U FILE] [--hosts N] [--per-host N] [--vms N] [--mix small|mixed|large|odd] [--seed N]", winplan_generate, 0,
     "ganeti|numa", "o", "Write a cluster of N hosts (25). ganeti: so many VMs each (10), unevenly spread; -U: and their use. numa: --vms VMs of a mix of sizes."},
};

static void print_help(FILE *to)
{
  (void)fputs("winplan: the planner of WinSphere, on files.\n\n", to);
  for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
    (void)fprintf(to, "  winplan %s %s\n      %s\n", commands[i].name, commands[i].form, commands[i].help);
  (void)fputs("\n  -t SECONDS     time for all of it, the reading too\n"
              "  --steps N      instead of a time: so many moves tried by each thread; the same seed gives the same answer\n"
              "  --seed N       another search (1)\n"
              "  --threads N    searches at a time, the best one counts (with a time: one for each CPU; with --steps: 1)\n"
              "  -O NODE        this node is out of service (again for more); --evac-mode: move only what is on such nodes\n"
              "  --limit N      at most so many moves\n",
              to);
}

static bool bad_option(GError **error, const char *name, const char *expected)
{
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", name, "expected", expected, NULL);
}

static bool take_number(const char *name, const char *text, guint64 least, guint64 most, guint64 *value, GError **error)
{
  if (g_ascii_string_to_unsigned(text, 10, least, most, value, NULL))
    return true;
  g_autofree char *low = g_strdup_printf("%" G_GUINT64_FORMAT, least), *high = g_strdup_printf("%" G_GUINT64_FORMAT, most);
  return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", name, "min", low, "max", high, NULL);
}

static bool take_seconds(const char *text, double *seconds, GError **error)
{
  char *end;
  *seconds = g_ascii_strtod(text, &end);
  if (end == text || *end || !isfinite(*seconds) || *seconds < 0 || *seconds > SECONDS_MAX)
    return bad_option(error, "-t", "a number of seconds");
  return true;
}

static bool take_option(Options *o, const char *name, const char *value, bool time, GError **error)
{
  guint64 number;
  if (strcmp(name, "--format") == 0)
    o->format = value;
  else if (strcmp(name, "-o") == 0)
    o->out = value;
  else if (strcmp(name, "-O") == 0)
    o->offline[o->n_offline++] = value;
  else if (strcmp(name, "-U") == 0)
    o->use = value;
  else if (strcmp(name, "--mix") == 0)
    o->mix = value;
  else if (strcmp(name, "-t") == 0 && time)
    return take_seconds(value, &o->seconds, error);
  else if (strcmp(name, "-t") == 0)
    o->file = value;
  else if (strcmp(name, "--seed") == 0)
    return take_number(name, value, 0, G_MAXUINT64, &o->seed, error);
  else if (strcmp(name, "--steps") == 0)
    return take_number(name, value, 1, G_MAXINT64, &o->steps, error);
  else if (strcmp(name, "--hosts") == 0) {
    bool good = take_number(name, value, 2, 100000, &number, error);
    o->hosts = good ? (guint)number : 2;
    return good;
  } else if (strcmp(name, "--per-host") == 0) {
    bool good = take_number(name, value, 1, 16, &number, error);
    o->per_host = good ? (guint)number : 1;
    return good;
  } else if (strcmp(name, "--vms") == 0) {
    bool good = take_number(name, value, 1, 1000000, &number, error);
    o->vms = good ? (guint)number : 1;
    return good;
  } else if (strcmp(name, "--limit") == 0) {
    bool good = take_number(name, value, 1, G_MAXUINT32, &number, error);
    o->limit = good ? (guint)number : 0;
    return good;
  } else if (strcmp(name, "--threads") == 0) {
    bool good = take_number(name, value, 1, THREADS_MAX, &number, error);
    o->threads = good ? (guint)number : 1;
    return good;
  } else
    return ws_fail(error, WS_ERROR_UNKNOWN_FIELD, "field", name, NULL);
  return true;
}

static bool parse(const Command *command, Options *o, int argc, char **argv, GError **error)
{
  bool words_only = false;
  for (int i = 2; i < argc; i++) {
    if (!words_only && strcmp(argv[i], "--") == 0) {
      words_only = true;
    } else if (words_only || argv[i][0] != '-' || !argv[i][1]) {
      o->words[o->n_words++] = argv[i];
    } else {
      char *equals = g_str_has_prefix(argv[i], "--") ? strchr(argv[i], '=') : NULL;
      g_autofree char *name = equals ? g_strndup(argv[i], (gsize)(equals - argv[i])) : g_strdup(argv[i]);
      if (strcmp(name, "--evac-mode") == 0) {
        o->only_evacuate = true;
        continue;
      }
      const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
      if (!value)
        return ws_fail(error, WS_ERROR_REQUIRED, "field", name, NULL);
      if (!take_option(o, name, value, strcmp(command->name, "solve") == 0, error))
        return false;
    }
  }
  g_auto(GStrv) formats = g_strsplit(command->formats, "|", -1);
  if (!o->format || !g_strv_contains((const char *const *)formats, o->format))
    return bad_option(error, "--format", command->formats);
  if (strchr(command->needs, 'o') && !o->out)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "-o", NULL);
  if (strchr(command->needs, 't') && !o->file)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "-t", NULL);
  if (o->n_words != command->n_words) {
    g_autofree char *expected = g_strdup_printf("winplan %s %s", command->name, command->form);
    return bad_option(error, "the command line", expected);
  }
  if (!o->threads) /* an answer that can be had again does not depend on the machine */
    o->threads = o->steps ? 1 : CLAMP(g_get_num_processors(), 1, THREADS_MAX);
  return true;
}

int main(int argc, char **argv)
{
  gint64 begin_us = ws_clock_monotonic_us(ws_clock_system());
  (void)setlocale(LC_CTYPE, "");
  ws_log_init("winplan", WS_LOG_ERROR, NULL);
  if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
    print_help(stdout);
    return 0;
  }
  if (argc > 1 && strcmp(argv[1], "--version") == 0) {
    printf("winplan %s\n", WS_VERSION);
    return 0;
  }
  for (guint i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++)
    if (strcmp(argv[1], commands[i].name) == 0) {
      GError *error = NULL;
      g_autofree char **words = g_new0(char *, argc + 1);
      g_autofree const char **offline = g_new0(const char *, argc + 1);
      Options o = {.seconds = 10, .seed = 1, .hosts = 25, .per_host = 10, .begin_us = begin_us, .words = words, .offline = offline};
      struct sigaction action = {.sa_handler = on_signal};
      (void)sigaction(SIGINT, &action, NULL);
      (void)sigaction(SIGTERM, &action, NULL);
      return parse(&commands[i], &o, argc, argv, &error) ? commands[i].run(&o) : winplan_complain(error);
    }
  print_help(stderr);
  return 2;
}

// SPDX-License-Identifier: Apache-2.0
/* winsim: runs seeds, tells those that fail and how to repeat them.
 *
 * Each seed is a process, forked from one that has made the site; so an assertion of the product is a failed seed like any other. */
#include "base/log.h"
#include "sim/faults.h"
#include "sim/plant.h"
#include "sim/run.h"
#include "sim/work.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
  gint64 first, n, jobs, seconds, users, minutes, keep_going, budget_s;
  gboolean show, no_faults, summary, hashes;
  char *plant;
} Options;

typedef struct {
  pid_t pid;
  guint64 seed;
  SimResult *result; /* shared memory */
} Job;

static SimSite *site;
static char *data_dir;

static void run_child(const Options *options, guint64 seed, SimResult *result)
{
  g_autofree char *log = g_strdup_printf("log-%d", (int)getpid());
  SimOptions run = {.seed = seed,
                    .safety_us = options->seconds * G_USEC_PER_SEC,
                    .n_users = (guint)options->users,
                    .no_faults = options->no_faults,
                    .show = options->show,
                    .log_path = log};
  sim_plant(options->plant);
  ws_log_init("winsim", WS_LOG_INFO, options->show ? NULL : log);
  alarm(120);
  sim_run(site, &run, result);
  g_unlink(log);
  (void)fflush(stdout);
  _exit(result->failure[0] ? 1 : 0);
}

static void start_job(Job *job, const Options *options, guint64 seed)
{
  job->seed = seed;
  memset(job->result, 0, sizeof *job->result);
  (void)fflush(stdout);
  job->pid = fork();
  if (job->pid < 0)
    g_error("fork failed");
  if (job->pid == 0)
    run_child(options, seed, job->result);
}

static void add_up(SimResult *sum, const SimResult *one)
{
  sum->hash ^= one->hash;
  sum->n_steps += one->n_steps;
  sum->n_calls += one->n_calls;
  sum->n_answers += one->n_answers;
  sum->virtual_us += one->virtual_us;
  sum->starts += one->starts;
  sum->crashes += one->crashes;
  sum->quiet_us = MAX(sum->quiet_us, one->quiet_us);
  for (guint i = 0; i < G_N_ELEMENTS(sum->actions); i++)
    sum->actions[i] += one->actions[i];
  for (guint i = 0; i < G_N_ELEMENTS(sum->faults); i++)
    sum->faults[i] += one->faults[i];
}

/* false: the seed failed. */
static bool end_job(Job *job, int status, const Options *options)
{
  SimResult *result = job->result;
  job->pid = 0;
  if (WIFSIGNALED(status))
    g_snprintf(result->failure, sizeof result->failure, "%s",
               WTERMSIG(status) == SIGALRM ? "it does not end: 120 s of real time" : strsignal(WTERMSIG(status)));
  if (options->hashes)
    printf("seed %" G_GUINT64_FORMAT " %016" G_GINT64_MODIFIER "x\n", job->seed, result->hash);
  if (!result->failure[0])
    return true;
  printf("seed %" G_GUINT64_FORMAT " FAILED: %s\n", job->seed, result->failure);
  printf("  again, with every event: winsim --seed %" G_GUINT64_FORMAT " --seconds %" G_GINT64_FORMAT " --users %" G_GINT64_FORMAT
         "%s%s%s --show\n",
         job->seed, options->seconds, options->users, options->no_faults ? " --no-faults" : "", options->plant ? " --plant " : "",
         options->plant ? options->plant : "");
  (void)fflush(stdout);
  return false;
}

static void tell_summary(const SimResult *sum, gint64 n, double real_s)
{
  printf("%" G_GINT64_FORMAT " seeds, %.0f simulated s in %.1f s, %" G_GUINT64_FORMAT " turns, %" G_GUINT64_FORMAT " calls, %" G_GUINT64_FORMAT
         " answered, %u starts, %u crashes, at rest within %.1f s\n",
         n, (double)sum->virtual_us / 1e6, real_s, sum->n_steps, sum->n_calls, sum->n_answers, sum->starts, sum->crashes,
         (double)sum->quiet_us / 1e6);
}

static void tell_counts(const SimResult *sum)
{
  for (guint i = 0; sim_work_action(i); i++)
    printf("  %-16s %u\n", sim_work_action(i), sum->actions[i]);
  for (guint i = 0; sim_faults_name(i); i++)
    printf("  %-20s %u\n", sim_faults_name(i), sum->faults[i]);
}

static Job *job_of(Job *jobs, gint64 n, pid_t pid)
{
  for (gint64 i = 0; i < n; i++)
    if (jobs[i].pid == pid)
      return &jobs[i];
  return NULL;
}

/* How many seeds failed. */
static gint64 run_all(const Options *options)
{
  Job *jobs = g_new0(Job, options->jobs);
  SimResult sum = {0};
  gint64 next = options->first, end = options->first + options->n, running = 0, failed = 0, done = 0;
  gint64 began = ws_clock_monotonic_us(ws_clock_system());
  for (gint64 i = 0; i < options->jobs; i++)
    jobs[i].result = mmap(NULL, sizeof(SimResult), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (;;) {
    gint64 spent_us = ws_clock_monotonic_us(ws_clock_system()) - began;
    if ((options->minutes && spent_us > options->minutes * 60 * G_USEC_PER_SEC) ||
        (options->budget_s && spent_us > options->budget_s * G_USEC_PER_SEC))
      end = next;
    if (failed && !options->keep_going)
      end = next;
    for (Job *job; running < options->jobs && next < end && (job = job_of(jobs, options->jobs, 0)); running++)
      start_job(job, options, (guint64)next++);
    if (!running)
      break;
    int status;
    Job *job = job_of(jobs, options->jobs, wait(&status));
    g_assert(job);
    running--;
    done++;
    if (!end_job(job, status, options))
      failed++;
    add_up(&sum, job->result);
  }
  tell_summary(&sum, done, (double)(ws_clock_monotonic_us(ws_clock_system()) - began) / 1e6);
  if (options->summary)
    tell_counts(&sum);
  g_free(jobs);
  return failed;
}

static bool remove_file(const char *name)
{
  g_autofree char *path = g_build_filename(data_dir, name, NULL);
  return g_unlink(path) == 0;
}

static void clean_up(void)
{
  GDir *dir = g_dir_open(data_dir, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name(dir));)
    remove_file(name);
  if (dir)
    g_dir_close(dir);
  g_rmdir(data_dir);
}

int main(int argc, char **argv)
{
  Options options = {.first = 1, .n = 1, .jobs = 1, .seconds = 60, .users = 4};
  gint64 seed = -1, seeds = -1;
  gboolean keep_going = FALSE;
  const GOptionEntry entries[] = {
      {"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Run this seed alone", "N"},
      {"seeds", 0, 0, G_OPTION_ARG_INT64, &seeds, "Run so many, from --first", "N"},
      {"first", 0, 0, G_OPTION_ARG_INT64, &options.first, "First seed (1)", "N"},
      {"jobs", 'j', 0, G_OPTION_ARG_INT64, &options.jobs, "Seeds at a time (1)", "N"},
      {"seconds", 0, 0, G_OPTION_ARG_INT64, &options.seconds, "Simulated seconds with faults (60)", "N"},
      {"users", 0, 0, G_OPTION_ARG_INT64, &options.users, "Users at a time (4)", "N"},
      {"minutes", 0, 0, G_OPTION_ARG_INT64, &options.minutes, "Stop after so much real time", "N"},
      {"budget", 0, 0, G_OPTION_ARG_INT64, &options.budget_s, "Stop after so many real seconds", "N"},
      {"plant", 0, 0, G_OPTION_ARG_STRING, &options.plant, "With this planted fault", "NAME"},
      {"keep-going", 'k', 0, G_OPTION_ARG_NONE, &keep_going, "Go on after a failed seed", NULL},
      {"no-faults", 0, 0, G_OPTION_ARG_NONE, &options.no_faults, "Only the workload", NULL},
      {"show", 0, 0, G_OPTION_ARG_NONE, &options.show, "Tell every event", NULL},
      {"summary", 0, 0, G_OPTION_ARG_NONE, &options.summary, "Tell how often each action and fault came", NULL},
      {"hashes", 0, 0, G_OPTION_ARG_NONE, &options.hashes, "Tell the hash of each seed's record", NULL},
      {NULL}};
  g_autoptr(GOptionContext) context = g_option_context_new("- the manager in a simulated world");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error)) {
    (void)fprintf(stderr, "winsim: %s\n", error->message);
    return 2;
  }
  options.keep_going = keep_going;
  options.n = seeds >= 0 ? seeds : options.minutes ? G_MAXINT32 : 1;
  if (seed >= 0) {
    options.first = seed;
    options.n = 1;
  }
  data_dir = g_dir_make_tmp("winsim-XXXXXX", &error);
  if (!data_dir) {
    (void)fprintf(stderr, "winsim: %s\n", error->message);
    return 2;
  }
  ws_log_init("winsim", WS_LOG_ERROR, "/dev/null");
  /* From here on it is ".": its name is another each time, and names are written into databases and messages. */
  if (chdir(data_dir) != 0) {
    (void)fprintf(stderr, "winsim: %s: %s\n", data_dir, strerror(errno));
    return 2;
  }
  site = sim_site_make(".");
  gint64 failed = run_all(&options);
  clean_up();
  return failed > 0;
}

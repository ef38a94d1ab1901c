// SPDX-License-Identifier: Apache-2.0
#include "folders.h"
#include "pg-server.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char *bin_dir, *dir;
static pid_t server, owner;
static const char *fsync_option = "fsync=off";

/* ---- programs ---- */

/* The newest version that is installed; also where it is not on the path. */
static char *find_programs(void)
{
  g_autofree char *found = g_find_program_in_path("initdb");
  glob_t paths = {0};
  char *folder = NULL;

  if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &paths) == 0)
    folder = g_path_get_dirname(paths.gl_pathv[paths.gl_pathc - 1]);
  else if (found)
    folder = g_path_get_dirname(found);
  globfree(&paths);
  return folder;
}

/* PostgreSQL refuses to be run by root. */
static const struct passwd *unprivileged(void)
{
  const struct passwd *user = getpwnam("postgres");

  return user ? user : getpwnam("nobody");
}

static void become_unprivileged(void)
{
  const struct passwd *user = geteuid() == 0 ? unprivileged() : NULL;

  if (user && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
    _exit(125);
  prctl(PR_SET_PDEATHSIG, SIGQUIT); /* after the change of user, which clears it */
}

static pid_t start_here(char *const *argv)
{
  g_autofree char *log = g_build_filename(dir, "log", NULL);
  pid_t pid = fork();

  g_assert_cmpint(pid, >=, 0);
  if (pid != 0)
    return pid;
  become_unprivileged();
  int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  for (int other = 3; other < 256; other++)
    close(other);
  setenv("LC_ALL", "C.UTF-8", 1);
  execv(argv[0], argv);
  _exit(126);
}

/* The death of a thread that forked counts as the parent's: so all forks are one thread's, which never ends. */
typedef struct {
  char *const *argv;
  pid_t pid;
  GMutex lock;
  GCond started;
} Start;

static gpointer fork_for_others(gpointer queue)
{
  for (;;) {
    Start *start = g_async_queue_pop(queue);
    g_mutex_lock(&start->lock);
    start->pid = start_here(start->argv);
    g_cond_signal(&start->started);
    g_mutex_unlock(&start->lock);
  }
  return NULL;
}

static pid_t start(char *const *argv)
{
  static GAsyncQueue *queue;
  Start start = {.argv = argv};

  if (!queue) {
    queue = g_async_queue_new();
    g_thread_unref(g_thread_new("forks", fork_for_others, queue));
  }
  g_mutex_lock(&start.lock);
  g_async_queue_push(queue, &start);
  while (start.pid == 0)
    g_cond_wait(&start.started, &start.lock);
  g_mutex_unlock(&start.lock);
  return start.pid;
}

static void show_log(void)
{
  g_autofree char *log = g_build_filename(dir, "log", NULL), *text = NULL;

  if (g_file_get_contents(log, &text, NULL, NULL))
    g_test_message("%s", text);
}

static void run_program(char *const *argv)
{
  pid_t pid = start(argv);
  int status;

  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  if (status != 0)
    show_log();
  g_assert_cmpint(status, ==, 0);
}

/* ---- the cluster ---- */

static void stop(int number)
{
  if (server > 0) {
    kill(server, number);
    while (waitpid(server, NULL, 0) < 0)
      ;
  }
  server = 0;
}

static void clean_up(void)
{
  if (getpid() != owner)
    return;
  stop(SIGQUIT);
  folder_remove(dir);
}

static char *address(const char *database, const char *schema)
{
  return schema ? g_strdup_printf("postgresql:///%s?host=%s&user=winsphere&options=-csearch_path%%3D%s", database, dir, schema)
                : g_strdup_printf("postgresql:///%s?host=%s&user=winsphere", database, dir);
}

void pg_server_start(void)
{
  g_autofree char *program = g_build_filename(bin_dir, "postgres", NULL), *folder = g_build_filename(dir, "cluster", NULL),
                  *where = address("postgres", NULL), *sockets = g_strconcat("unix_socket_directories=", dir, NULL);
  char *argv[] = {program, "-D", folder, "-c", "listen_addresses=", "-c", sockets, "-c", (char *)fsync_option, "-c", "shared_buffers=32MB",
                  "-c", "max_connections=50", NULL};
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  g_assert_cmpint(server, ==, 0);
  server = start(argv);
  while (PQping(where) != PQPING_OK) {
    if (waitpid(server, NULL, WNOHANG) != 0 || g_get_monotonic_time() > deadline) {
      show_log();
      g_error("the PostgreSQL server does not start");
    }
    g_usleep(5000);
  }
}

void pg_server_crash(void)
{
  stop(SIGQUIT);
}

static bool make_cluster(const char *parent)
{
  if (dir)
    return true;
  bin_dir = bin_dir ? bin_dir : find_programs();
  if (!bin_dir || (geteuid() == 0 && !unprivileged()))
    return false;
  dir = g_build_filename(parent, "pg-XXXXXX", NULL);
  g_assert_nonnull(g_mkdtemp(dir));
  owner = getpid();
  atexit(clean_up);
  if (geteuid() == 0)
    g_assert_cmpint(chown(dir, unprivileged()->pw_uid, unprivileged()->pw_gid), ==, 0);
  g_autofree char *program = g_build_filename(bin_dir, "initdb", NULL), *folder = g_build_filename(dir, "cluster", NULL);
  char *argv[] = {program, "-D", folder, "-U", "winsphere", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
                  "--wal-segsize=16", NULL};
  run_program(argv);
  pg_server_start();
  return true;
}

bool pg_server_get(void)
{
  return make_cluster(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

bool pg_server_get_on_disk(const char *parent)
{
  fsync_option = "fsync=on";
  return make_cluster(parent);
}

/* ---- use ---- */

static PGconn *session(void)
{
  g_autofree char *where = address("postgres", NULL);
  PGconn *conn = PQconnectdb(where);

  g_assert_cmpstr(PQerrorMessage(conn), ==, "");
  PQclear(PQexec(conn, "SET client_min_messages TO warning"));
  return conn;
}

void pg_server_run(const char *sql)
{
  PGconn *conn = session();
  PGresult *result = PQexec(conn, sql);

  g_assert_cmpstr(PQresultErrorMessage(result), ==, "");
  PQclear(result);
  PQfinish(conn);
}

char *pg_server_query(const char *sql)
{
  PGconn *conn = session();
  PGresult *result = PQexec(conn, sql);
  char *text;

  g_assert_cmpstr(PQresultErrorMessage(result), ==, "");
  g_assert_cmpint(PQntuples(result), >, 0);
  text = g_strdup(PQgetvalue(result, 0, 0));
  PQclear(result);
  PQfinish(conn);
  return text;
}

char *pg_server_address(const char *schema)
{
  return address("postgres", schema);
}

char *pg_server_dir(void)
{
  return g_strdup(dir);
}

void pg_server_use(const char *server_dir)
{
  dir = g_strdup(server_dir);
}

char *pg_server_new_schema(void)
{
  static guint number;

  return g_strdup_printf("rig_%d_%u", (int)getpid(), ++number);
}

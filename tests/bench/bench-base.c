// SPDX-License-Identifier: Apache-2.0
/* What the base room costs: JSON beside jansson, coroutines, loop, workers, programs. Each figure is the best
 * of five runs of at least 40 ms, in nanoseconds for one operation. A table, then one line of JSON. */
#include "base/clock.h"
#include "base/error.h"
#include "base/exec.h"
#include "base/id.h"
#include "base/json.h"
#include "base/loop.h"
#include <jansson.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RUN_US 40000
#define RUNS   5

typedef void (*Operation)(guint n); /* does it n times */

static GString *json_line;

static double nanoseconds(Operation operation, guint *n)
{
  for (;;) {
    gint64 began = g_get_monotonic_time();
    operation(*n);
    gint64 took = g_get_monotonic_time() - began;
    if (took >= RUN_US)
      return (double)took * 1000 / *n;
    *n = took < RUN_US / 100 ? *n * 20 : (guint)((double)*n * RUN_US * 1.2 / (double)took) + 1;
  }
}

static double measure(const char *name, const char *text, Operation operation)
{
  guint n = 1;
  double best = nanoseconds(operation, &n);
  for (int i = 1; i < RUNS; i++)
    best = MIN(best, nanoseconds(operation, &n));
  g_print("%-58s %12.1f ns\n", text, best);
  g_string_append_printf(json_line, "%s\"%s_ns\":%.1f", json_line->len > 1 ? "," : "", name, best);
  return best;
}

/* ---- JSON: an object of 60 fields, about 2.2 KB ---- */

#define FIELDS 60

static char *sample; /* as text */
static gsize sample_n;
static char keys[FIELDS][32];   /* "field_17_of_the_vm" */
static char quoted[FIELDS][36]; /* "\"field_17_of_the_vm\":" */

static void write_sample(GString *out, bool raw_keys)
{
  WsJsonWriter w = ws_json_writer(out);
  ws_json_begin_object(&w);
  for (int i = 0; i < FIELDS; i++) {
    if (raw_keys)
      ws_json_key_raw(&w, quoted[i], strlen(quoted[i]));
    else
      ws_json_key(&w, keys[i]);
    switch (i % 6) {
    case 0:
      ws_json_string(&w, "a string of ordinary length, 36 long");
      break;
    case 1:
      ws_json_int(&w, 4294967296 + i);
      break;
    case 2:
      ws_json_bool(&w, i & 1);
      break;
    case 3:
      ws_json_string(&w, "volume-1234");
      break;
    case 4:
      ws_json_double(&w, 12.75 + i);
      break;
    default:
      ws_json_string(&w, "2026-11-23T14:32:05.000000Z");
    }
  }
  ws_json_end_object(&w);
}

static void json_setup(void)
{
  for (int i = 0; i < FIELDS; i++) {
    g_snprintf(keys[i], sizeof keys[i], "field_%d_of_the_vm", i);
    g_snprintf(quoted[i], sizeof quoted[i], "\"%s\":", keys[i]);
  }
  GString *out = g_string_new(NULL);
  write_sample(out, true);
  sample_n = out->len;
  sample = g_string_free(out, FALSE);
}

static void json_write(guint n)
{
  g_autoptr(GString) out = g_string_sized_new(4096);
  for (guint i = 0; i < n; i++) {
    g_string_truncate(out, 0);
    write_sample(out, true);
  }
}

static void json_write_keys(guint n)
{
  g_autoptr(GString) out = g_string_sized_new(4096);
  for (guint i = 0; i < n; i++) {
    g_string_truncate(out, 0);
    write_sample(out, false);
  }
}

static void read_member(WsJsonReader *r)
{
  const char *s;
  gsize n;
  gint64 whole;
  double number;
  bool truth;
  switch (ws_json_peek(r)) {
  case WS_JSON_STRING:
    ws_json_take_string(r, &s, &n, NULL);
    break;
  case WS_JSON_INT:
    ws_json_take_int(r, &whole, NULL);
    break;
  case WS_JSON_NUMBER:
    ws_json_take_double(r, &number, NULL);
    break;
  default:
    ws_json_take_bool(r, &truth, NULL);
  }
}

static void json_read(guint n)
{
  for (guint i = 0; i < n; i++) {
    g_auto(WsJsonReader) r;
    const char *key;
    gsize key_n;
    guint fields = 0;
    ws_json_reader_init(&r, sample, sample_n);
    ws_json_enter_object(&r, NULL);
    while (ws_json_next_key(&r, &key, &key_n, NULL)) {
      read_member(&r);
      fields++;
    }
    g_assert_cmpuint(fields, ==, FIELDS);
  }
}

static void jansson_write(guint n)
{
  json_t *tree = json_loadb(sample, sample_n, 0, NULL);
  for (guint i = 0; i < n; i++)
    free(json_dumps(tree, JSON_COMPACT));
  json_decref(tree);
}

static void jansson_read(guint n)
{
  for (guint i = 0; i < n; i++)
    json_decref(json_loadb(sample, sample_n, 0, NULL));
}

static void bench_json(void)
{
  json_setup();
  g_print("JSON object of %d fields, %" G_GSIZE_FORMAT " bytes\n", FIELDS, sample_n);
  double write = measure("json_write", "  write, prepared keys", json_write);
  measure("json_write_keys", "  write, keys escaped each time", json_write_keys);
  double read = measure("json_read", "  read, every field", json_read);
  double jansson_w = measure("jansson_write", "  jansson: write a tree", jansson_write);
  double jansson_r = measure("jansson_read", "  jansson: read into a tree", jansson_read);
  g_print("  jansson takes %.1f times as long to write, %.1f times to read\n\n", jansson_w / write,
          jansson_r / read);
  g_free(sample);
}

/* ---- small things ---- */

static void time_format(guint n)
{
  char buf[32];
  for (guint i = 0; i < n; i++)
    ws_time_format(1795444325000000 + (gint64)i * 86400 * G_USEC_PER_SEC, buf);
}

static void time_parse(guint n)
{
  gint64 us;
  for (guint i = 0; i < n; i++)
    ws_time_parse("2026-11-23T14:32:05.000000Z", &us);
}

static void id_both_ways(guint n)
{
  char buf[WS_ID_TEXT_MAX];
  WsId id;
  for (guint i = 0; i < n; i++)
    ws_id_parse("vm", ws_id_format("vm", i + 1, buf), &id);
}

static void make_error(guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autoptr(GError) error = NULL;
    ws_fail(&error, WS_ERROR_BUSY, "object", "vm-7", "verb", "migrate", "task", "task-3", NULL);
  }
}

/* ---- loop and coroutines ---- */

static WsLoop *loop;
static guint n_left;

static void count_down(void *arg)
{
  if (--n_left == 0)
    ws_loop_quit(loop);
}

static void post_own_thread(guint n)
{
  n_left = n;
  for (guint i = 0; i < n; i++)
    ws_loop_post(loop, count_down, NULL, NULL);
  ws_loop_run(loop);
}

static gpointer post_from_thread(gpointer n)
{
  for (guint i = 0; i < GPOINTER_TO_UINT(n); i++)
    ws_loop_post(loop, count_down, NULL, NULL);
  return NULL;
}

static void post_other_thread(guint n)
{
  n_left = n;
  GThread *thread = g_thread_new("poster", post_from_thread, GUINT_TO_POINTER(n));
  ws_loop_run(loop);
  g_thread_join(thread);
}

static void timer_fire(guint n)
{
  n_left = n;
  for (guint i = 0; i < n; i++)
    ws_loop_after(loop, 0, count_down, NULL);
  ws_loop_run(loop);
}

static void timer_cancel_among_many(guint n)
{
  WsTimer *others[10000];
  for (guint i = 0; i < G_N_ELEMENTS(others); i++)
    others[i] = ws_loop_after(loop, (gint64)(i * 7919 % 10000 + 1) * G_USEC_PER_SEC, count_down, NULL);
  for (guint i = 0; i < n; i++)
    ws_timer_cancel(ws_loop_after(loop, (gint64)(i * 104729 % 10000 + 1) * G_USEC_PER_SEC, count_down, NULL));
  for (guint i = 0; i < G_N_ELEMENTS(others); i++)
    ws_timer_cancel(others[i]);
}

static void start_and_end(guint n)
{
  n_left = n + 1;
  for (guint i = 0; i < n; i++)
    ws_co_start(loop, count_down, NULL);
}

static WsCo *partner;

static void be_woken(void *arg)
{
  partner = ws_co_self();
  while (n_left > 0) {
    ws_co_yield();
    n_left--;
  }
}

static void wake_and_resume(guint n)
{
  n_left = n;
  ws_co_start(loop, be_woken, NULL);
  while (n_left > 0) {
    ws_co_wake(partner);
    ws_loop_step(loop, 0);
  }
}

static void ping(void *arg)
{
  for (guint i = 0; i < GPOINTER_TO_UINT(arg); i++)
    ws_co_sleep(0);
  count_down(NULL);
}

static void sleep_turn_of_100(guint n)
{
  n_left = 100;
  for (guint i = 0; i < 100; i++)
    ws_co_start(loop, ping, GUINT_TO_POINTER(n / 100 + 1));
  ws_loop_run(loop);
}

/* ---- waking among idle connections ---- */

#define IDLE_FDS 5000

static int active_fd;

static void take_event(int fd, guint32 events, void *arg)
{
  guint64 count;
  if (read(fd, &count, sizeof count) == (gssize)sizeof count)
    n_left--;
}

static void wake_by_fd(guint n)
{
  guint64 one = 1;
  for (n_left = n; n_left > 0;) {
    if (write(active_fd, &one, sizeof one) != (gssize)sizeof one)
      g_error("eventfd");
    ws_loop_step(loop, -1);
  }
}

static void bench_idle_fds(void)
{
  static WsFdWatch *watches[IDLE_FDS];
  static int fds[IDLE_FDS];
  guint n = 0;
  for (; n < IDLE_FDS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0; n++)
    watches[n] = ws_loop_watch_fd(loop, fds[n], EPOLLIN, take_event, NULL);
  active_fd = fds[n / 2];
  g_autofree char *text = g_strdup_printf("  event of one fd among %u idle ones", n);
  measure("fd_event", text, wake_by_fd);
  while (n-- > 0) {
    ws_fd_watch_remove(watches[n]);
    close(fds[n]);
  }
}

/* ---- workers and programs ---- */

static WsWorkers *workers;

static bool do_nothing(void *arg, GError **error)
{
  return true;
}

static void call_in_turn(void *arg)
{
  for (guint i = 0; i < GPOINTER_TO_UINT(arg); i++)
    ws_co_blocking(workers, do_nothing, NULL, NULL, 1000, NULL);
  count_down(NULL);
}

static void worker_call(guint n)
{
  n_left = 1;
  ws_co_start(loop, call_in_turn, GUINT_TO_POINTER(n));
  ws_loop_run(loop);
}

static void worker_calls_of_100(guint n)
{
  n_left = 100;
  for (guint i = 0; i < 100; i++)
    ws_co_start(loop, call_in_turn, GUINT_TO_POINTER(n / 100 + 1));
  ws_loop_run(loop);
}

static void run_program(guint n)
{
  for (guint i = 0; i < n; i++)
    ws_exec(&(WsExec){.argv = (const char *const[]){"true", NULL}}, NULL, NULL, NULL, NULL);
}

static void run_confined(guint n)
{
  for (guint i = 0; i < n; i++)
    ws_exec(&(WsExec){.argv = (const char *const[]){"true", NULL}, .confine = true}, NULL, NULL, NULL, NULL);
}

int main(void)
{
  json_line = g_string_new("{");
  bench_json();

  g_print("Small things\n");
  measure("time_format", "  format a time", time_format);
  measure("time_parse", "  parse a time", time_parse);
  measure("id", "  format and parse an id", id_both_ways);
  measure("error", "  make and free an error with three parameters", make_error);

  loop = ws_loop_new(ws_clock_system());
  workers = ws_workers_new("bench", 4);
  g_print("\nLoop and coroutines\n");
  measure("post_own_thread", "  post from the loop's thread, run", post_own_thread);
  measure("post_other_thread", "  post from another thread, run", post_other_thread);
  measure("timer_fire", "  timer made and fired", timer_fire);
  measure("timer_cancel", "  timer made and cancelled among 10,000", timer_cancel_among_many);
  measure("co_start", "  coroutine started and ended (two switches)", start_and_end);
  measure("co_wake", "  coroutine woken, one turn of the loop each", wake_and_resume);
  measure("co_sleep", "  coroutine slept 0, 100 of them in turn", sleep_turn_of_100);
  bench_idle_fds();

  g_print("\nWorkers and programs\n");
  measure("worker_call", "  call on a worker, one after the other", worker_call);
  measure("worker_call_100", "  call on a worker, 100 at a time", worker_calls_of_100);
  measure("exec", "  /bin/true", run_program);
  measure("exec_confined", "  /bin/true confined", run_confined);
  ws_workers_free(workers);
  ws_loop_free(loop);

  g_print("\n%s}\n", json_line->str);
  g_string_free(json_line, TRUE);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Calls to the API. See client.h. */
#include "sim/client.h"
#include <string.h>

#define PATIENCE_US (60 * G_USEC_PER_SEC)

typedef struct {
  SimClients *clients;
  WsCo *co;
  SimConn *conn;
  SimAnswer *answer; /* NULL: nobody waits any more */
  bool over;
  guint refs;
} Waiting;

SimClients *sim_clients_new(SimManager *manager)
{
  SimClients *clients = g_new0(SimClients, 1);
  clients->manager = manager;
  clients->machine = sim_machine_new(manager->world, "clients");
  clients->loop = ws_loop_new(&clients->machine->clock);
  ws_loop_step(clients->loop, 0);
  sim_machine_run(clients->machine, clients->loop);
  clients->calls = g_ptr_array_new();
  clients->results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  return clients;
}

void sim_answer_clear(SimAnswer *answer)
{
  g_clear_pointer(&answer->body, g_free);
  g_clear_pointer(&answer->etag, g_free);
  g_clear_pointer(&answer->location, g_free);
  answer->status = 0;
}

static void waiting_unref(void *arg)
{
  Waiting *waiting = arg;
  if (--waiting->refs == 0)
    g_free(waiting);
}

static void wake(void *arg)
{
  Waiting *waiting = arg;
  if (!waiting->answer)
    return;
  waiting->over = true;
  ws_co_wake(waiting->co);
}

static void wake_soon(Waiting *waiting)
{
  waiting->refs++;
  ws_loop_post(waiting->clients->loop, wake, waiting, waiting_unref);
}

static void on_answered(SimConn *conn, int status, const char *etag, const char *location, GBytes *body, void *arg)
{
  Waiting *waiting = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(body, &n);
  if (!waiting->answer || waiting->answer->status)
    return;
  waiting->answer->status = status;
  waiting->answer->body = g_strndup(bytes ? bytes : "", n);
  waiting->answer->etag = g_strdup(etag);
  waiting->answer->location = g_strdup(location);
  wake_soon(waiting);
}

static void on_lost(SimConn *conn, const char *reason, void *arg)
{
  Waiting *waiting = arg;
  if (waiting->answer && !waiting->answer->status)
    wake_soon(waiting);
}

static const SimConnEvents events = {.answered = on_answered, .lost = on_lost};

static SimCall *keep_call(SimClients *clients, const char *method, const char *target, const char *key)
{
  SimCall *call = g_new0(SimCall, 1);
  g_snprintf(call->request_id, sizeof call->request_id, "r-%" G_GUINT64_FORMAT, clients->n_calls++);
  call->method = g_strdup(method);
  call->target = g_strdup(target);
  call->key = g_strdup(key);
  call->mutating = strcmp(method, "GET") != 0;
  call->dry_run = strstr(target, "dry_run=true") != NULL;
  call->incarnation = clients->manager->starts;
  if (call->mutating)
    g_ptr_array_add(clients->calls, call);
  return call;
}

/* The same key: the same outcome, whatever happened between. */
static void check_key(SimClients *clients, const SimCall *call, const SimAnswer *answer)
{
  if (!call->key || answer->status < 200 || answer->status > 299 || call->dry_run)
    return;
  const char *known = g_hash_table_lookup(clients->results, call->key);
  if (!known)
    g_hash_table_insert(clients->results, g_strdup(call->key), g_strdup(answer->location));
  else if (strcmp(known, answer->location) != 0)
    sim_fail(clients->manager->world, "idempotency", "%s %s with one key gave %s, then %s", call->method, call->target, known,
             answer->location);
}

/* No secret in an answer, no failure of our own making. */
static void check_answer(SimClients *clients, const SimCall *call, const SimAnswer *answer)
{
  SimWorld *world = clients->manager->world;
  if (answer->status == 500 && strstr(answer->body, "\"code\":\"internal\""))
    sim_fail(world, "internal error", "%s %s: %s", call->method, call->target, answer->body);
  if (answer->body && strstr(answer->body, "SECRET-"))
    sim_fail(world, "secret", "in the answer to %s %s", call->method, call->target);
  check_key(clients, call, answer);
}

void sim_call(SimClients *clients, const SimCaller *caller, const char *method, const char *target, const char *body,
              const char *key, const char *if_match, SimAnswer *answer)
{
  SimCall *call = keep_call(clients, method, target, key);
  guint64 failed_before = sim_disk_n_failed(clients->manager->disk);
  const char *headers[16] = {NULL};
  guint n = 0;
  g_autofree char *bearer = caller->token ? g_strconcat("Bearer ", caller->token, NULL) : NULL;
  const struct {
    const char *name, *value;
  } given[] = {{"x-request-id", call->request_id},
               {"authorization", bearer},
               {"content-type", body ? "application/json" : NULL},
               {"idempotency-key", key},
               {"if-match", if_match}};
  for (guint i = 0; i < G_N_ELEMENTS(given); i++)
    if (given[i].value) {
      headers[n++] = given[i].name;
      headers[n++] = given[i].value;
    }
  HttpLocalRequest request = {.method = method,
                              .target = target,
                              .headers = headers,
                              .body = body,
                              .body_bytes = body ? strlen(body) : 0,
                              .address = caller->address};
  Waiting *waiting = g_new0(Waiting, 1);
  *waiting = (Waiting){.clients = clients, .co = ws_co_self(), .answer = answer, .refs = 1};
  *answer = (SimAnswer){0};
  sim_note(clients->manager->world, "call %s %s %s%s%s", call->request_id, method, target, key ? " key " : "", key ? key : "");
  waiting->conn = sim_net_request(clients->manager->net, caller->node, &request, &events, waiting);
  gint64 until = sim_now_us(clients->manager->world) + PATIENCE_US;
  while (!waiting->over && sim_now_us(clients->manager->world) < until)
    ws_co_yield_timeout(until - sim_now_us(clients->manager->world));
  waiting->answer = NULL;
  sim_conn_drop(waiting->conn, true);
  waiting_unref(waiting);
  call->status = answer->status;
  call->disk_failed = sim_disk_n_failed(clients->manager->disk) != failed_before;
  sim_note(clients->manager->world, "answer %s: %d %s", call->request_id, answer->status,
           answer->status >= 400 && answer->body ? answer->body : answer->location ? answer->location : "");
  *(answer->status ? &clients->n_answers : &clients->n_lost) += 1;
  if (answer->status)
    check_answer(clients, call, answer);
}

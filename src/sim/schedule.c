// SPDX-License-Identifier: Apache-2.0
/* A cluster with DRS. See schedule.h. */
#include "sim/schedule.h"
#include "model/model.h"
#include "plan/rules.h"
#include <string.h>

typedef struct {
  SimWork *work;
  SimCaller caller;
  SimRandom random;
  guint n_rules;
} Scheduler;

static bool add_id(const void *object, void *arg)
{
  g_array_append_val((GArray *)arg, ((const WsResource *)object)->id);
  return true;
}

/* One of the type, as "vm-7"; NULL: there is none, or the manager does not run. Past the API: only to choose well. Caller frees. */
static char *pick(Scheduler *s, const WsType *type)
{
  Center *center = s->work->clients->manager->center;
  char text[WS_ID_TEXT_MAX];
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  if (!center)
    return NULL;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  inv_each(snap, type, add_id, ids);
  return ids->len ? g_strdup(ws_id_format(type->prefix, g_array_index(ids, WsId, sim_below(&s->random, ids->len)), text)) : NULL;
}

static void call(Scheduler *s, const char *method, const char *target, const char *body)
{
  g_auto(SimAnswer) answer = {0};
  s->work->n_busy++;
  sim_call(s->work->clients, &s->caller, method, target, body, NULL, NULL, &answer);
  s->work->n_busy--;
}

static void make_cluster(Scheduler *s)
{
  g_autofree char *cluster = pick(s, &ws_type_cluster), *pool = pick(s, &ws_type_host_pool), *host = pick(s, &ws_type_host);
  g_autofree char *make = g_strdup_printf("{\"name\":\"scheduled\",\"host_pool\":\"%s\",\"drs\":{\"level\":\"automatic\",\"interval_s\":5,"
                                          "\"duration_s\":0,\"aggression\":5,\"cpu_percent\":10}}",
                                          pool ? pool : "hp-1");
  if (!cluster) {
    call(s, "POST", "/api/v1/clusters", make);
    return;
  }
  g_autofree char *target = g_strdup_printf("/api/v1/hosts/%s/assign", host ? host : "host-1");
  g_autofree char *body = g_strdup_printf("{\"cluster\":\"%s\"}", cluster);
  call(s, "POST", target, body);
}

static void make_rule(Scheduler *s)
{
  g_autofree char *cluster = pick(s, &ws_type_cluster), *a = pick(s, &ws_type_vm), *b = pick(s, &ws_type_vm), *host = pick(s, &ws_type_host);
  guint kind = (guint)sim_below(&s->random, 8);
  if (!cluster || !a || !b || !host)
    return;
  g_autofree char *hosts = plan_rule_names_hosts((PlanRuleKind)(kind + 1))
                               ? g_strdup_printf(",\"hosts\":[\"%s\"]", host)
                               : g_strdup("");
  g_autofree char *body = g_strdup_printf("{\"name\":\"rule-%u\",\"cluster\":\"%s\",\"kind\":\"%s\",\"vms\":[\"%s\",\"%s\"]%s}", s->n_rules++, cluster,
                                          ws_affinity_rule_kind_names[kind], a, b, hosts);
  call(s, "POST", "/api/v1/affinity-rules", body);
}

/* Racks are few, so that rules which spread over them bind, and change, so that they come to be broken. */
static void move_to_rack(Scheduler *s)
{
  g_autofree char *host = pick(s, &ws_type_host);
  g_autofree char *target = host ? g_strdup_printf("/api/v1/hosts/%s", host) : NULL;
  guint rack = (guint)sim_below(&s->random, 4);
  g_autofree char *body =
      rack ? g_strdup_printf("{\"fault_domain\":\"rack-%u\"}", rack) : g_strdup("{\"fault_domain\":null}");
  if (target)
    call(s, "PATCH", target, body);
}

static void drop_rule(Scheduler *s)
{
  g_autofree char *rule = pick(s, &ws_type_affinity_rule);
  g_autofree char *target = rule ? g_strdup_printf("/api/v1/affinity-rules/%s", rule) : NULL;
  if (target)
    call(s, "DELETE", target, NULL);
}

static void change_level(Scheduler *s)
{
  g_autofree char *cluster = pick(s, &ws_type_cluster);
  g_autofree char *target = cluster ? g_strdup_printf("/api/v1/clusters/%s", cluster) : NULL;
  g_autofree char *body = g_strdup_printf("{\"drs\":{\"level\":\"%s\"}}", sim_chance(&s->random, 0.7) ? "automatic" : "manual");
  if (target)
    call(s, "PATCH", target, body);
}

static void tell(Scheduler *s)
{
  g_autofree char *cluster = pick(s, &ws_type_cluster);
  g_autofree char *body = cluster ? g_strdup_printf("{\"cluster\":\"%s\"}", cluster) : NULL;
  if (body)
    call(s, "POST", sim_chance(&s->random, 0.5) ? "/api/v1/drs-recommendations/refresh" : "/api/v1/drs-recommendations/accept_all", body);
}

static void live(void *arg)
{
  static void (*const actions[])(Scheduler *) = {
      make_cluster, make_cluster, make_rule, make_rule, move_to_rack, drop_rule, change_level, tell, tell};
  Scheduler *s = arg;
  for (guint i = 0; !s->work->stopped; i++) {
    ws_co_sleep(sim_delay(&s->random, s->work->pause_us / 2, s->work->pause_us * 5));
    if (!s->work->stopped)
      (i < 8 ? make_cluster : actions[sim_below(&s->random, G_N_ELEMENTS(actions))])(s);
  }
}

static void start(void *arg)
{
  ws_co_start(((Scheduler *)arg)->work->clients->loop, live, arg);
}

void sim_schedule_start(SimWork *work)
{
  Scheduler *s = g_new0(Scheduler, 1);
  s->work = work;
  s->caller = (SimCaller){39, work->admin_token, "10.0.2.2"};
  sim_random_seed(&s->random, sim_world_seed(work->clients->manager->world), 2999);
  ws_loop_post(work->clients->loop, start, s, NULL);
}

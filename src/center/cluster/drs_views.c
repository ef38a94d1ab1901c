// SPDX-License-Identifier: Apache-2.0
/* What DRS tells: why a move, how it sees a cluster, how much more fits, what would be if. See drs.h. On workers; nothing is done. */
#include "center/api/view.h"
#include "center/cluster/drs.h"
#include "center/verbs.h"
#include "model/texts.h"
#include "plan/fit.h"
#include <math.h>
#include <string.h>

#define GIB ((gint64)1 << 30)

/* ---- explain ---- */

static WsLang lang_of(const ApiView *view)
{
  return view->call ? api_call_lang(view->call) : WS_LANG_EN;
}

/* Pairs of name and value, NULL at the end. */
static char *sentence(WsLang lang, const char *name, ...) G_GNUC_NULL_TERMINATED;
static char *sentence(WsLang lang, const char *name, ...)
{
  WsMap params = {0, NULL};
  va_list args;
  va_start(args, name);
  for (const char *key; (key = va_arg(args, const char *));)
    ws_map_set(&params, key, va_arg(args, const char *));
  va_end(args);
  char *text = ws_text_format(name, lang, &params);
  for (guint i = 0; i < params.len; i++) {
    g_free(params.items[i].key);
    g_free(params.items[i].value);
  }
  g_free(params.items);
  return text;
}

static const char *number(char text[32], double value)
{
  double shown = isnan(value) ? 0 : value;
  g_snprintf(text, 32, "%.*f", fabs(shown) >= 100 || shown == floor(shown) ? 0 : fabs(shown) >= 1 ? 1 : 2, shown); /* people read no exponents */
  return text;
}

static const char *name_of_host(const InvSnapshot *snap, WsId id)
{
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  return host ? host->name : "-";
}

static char *host_line(WsLang lang, const char *host, double cpu_before, double cpu_after, double memory_before, double memory_after)
{
  char a[32], b[32], c[32], d[32];
  return sentence(lang, "drs_why_host", "host", host, "cpu_before", number(a, cpu_before), "cpu_after", number(b, cpu_after), "memory_before",
                  number(c, memory_before), "memory_after", number(d, memory_after), NULL);
}

static const char *name_of_pool(const InvSnapshot *snap, WsId id)
{
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  return pool ? pool->name : "-";
}

static char *pool_line(WsLang lang, const char *pool, double before, double after)
{
  char a[32], b[32];
  return sentence(lang, "drs_why_pool", "pool", pool, "before", number(a, before), "after", number(b, after),
                  NULL);
}

static void explain_disk(const ApiView *view, const WsDrsRecommendation *advice,
                         WsDrsRecommendationExplainResult *out)
{
  const WsDrsEffect *e = advice->effect;
  const char *from = name_of_pool(view->snap, advice->from_pool),
             *to = name_of_pool(view->snap, advice->to_pool);
  WsLang lang = lang_of(view);
  ws_array_add(&out->lines, sentence(lang, "drs_why_space", "pool", from, NULL));
  if (!e)
    return;
  g_autofree char *mib = g_strdup_printf("%" G_GINT64_FORMAT, e->disk_bytes >> 20);
  ws_array_add(&out->lines,
               sentence(lang, "drs_why_disk", "disk", advice->disk, "vm", advice->vm_name, "mib", mib, NULL));
  ws_array_add(&out->lines, pool_line(lang, from, e->from_space_before, e->from_space_after));
  ws_array_add(&out->lines, pool_line(lang, to, e->to_space_before, e->to_space_after));
}

static char *alternative_line(WsLang lang, const WsDrsAlternative *one)
{
  char figure[32];
  g_autofree char *reason = one->refused ? ws_phrase(one->refused, lang) : NULL;
  if (reason)
    return sentence(lang, "drs_why_refused", "host", one->pool ? one->pool : one->host, "reason", reason,
                    NULL);
  return one->pool ? sentence(lang, "drs_why_other_pool", "pool", one->pool, "percent",
                              number(figure, one->space_after), NULL)
                   : sentence(lang, "drs_why_alternative", "host", one->host, "gain",
                              number(figure, one->gain), NULL);
}

static void explain_figures(const ApiView *view, const WsDrsRecommendation *advice, WsDrsRecommendationExplainResult *out)
{
  const WsDrsEffect *e = advice->effect;
  WsLang lang = lang_of(view);
  char a[32], b[32], c[32];
  if (!e)
    return;
  ws_array_add(&out->lines, sentence(lang, "drs_why_vm", "vm", advice->vm_name, "cpu", number(a, e->vm_cpu), "forecast", number(b, e->vm_cpu_forecast),
                                     "memory", number(c, (double)(e->vm_memory_bytes >> 20)), NULL));
  ws_array_add(&out->lines, host_line(lang, name_of_host(view->snap, advice->from), e->from_cpu_before, e->from_cpu_after, e->from_memory_before,
                                      e->from_memory_after));
  ws_array_add(&out->lines, host_line(lang, name_of_host(view->snap, advice->to), e->to_cpu_before, e->to_cpu_after, e->to_memory_before,
                                      e->to_memory_after));
  ws_array_add(&out->lines, sentence(lang, "drs_why_gain", "gain", number(a, e->gain), "cost", number(b, e->cost), NULL));
}

bool drs_recommendation_explain(const ApiView *view, void **result, GError **error)
{
  const WsDrsRecommendation *advice = view->object;
  const WsAffinityRule *rule = advice->rule ? inv_find(view->snap, &ws_type_affinity_rule, advice->rule) : NULL;
  WsDrsRecommendationExplainResult *out = ws_drs_recommendation_explain_result_new();
  WsLang lang = lang_of(view);
  if (drs_kind_of(advice) == DRS_OF_STORAGE) {
    explain_disk(view, advice, out);
  } else if ((int)advice->reason) {
    g_autofree char *name = g_strconcat("drs_why_", ws_drs_recommendation_reason_names[advice->reason - 1], NULL);
    ws_array_add(&out->lines, sentence(lang, name, "vm", advice->vm_name, "from", name_of_host(view->snap, advice->from), "rule",
                                       rule ? rule->name : "-", NULL));
  }
  if (drs_kind_of(advice) == DRS_OF_HOSTS)
    explain_figures(view, advice, out);
  for (guint i = 0; i < advice->alternatives.len; i++)
    ws_array_add(&out->lines, alternative_line(lang, advice->alternatives.items[i]));
  *result = out;
  return true;
}

/* ---- hosts ---- */

static double rounded(double value)
{
  return round(value * 100) / 100;
}

static WsDrsHost *host_row(const DrsPicture *picture, guint i, const PlanDrsLoad *load, guint n_vms)
{
  WsDrsHost *row = ws_drs_host_new();
  double now = 0, then = 0;
  for (guint j = 0; j < picture->plan.n_vms; j++)
    if (picture->plan.vms[j].host == i) {
      now += picture->plan.vms[j].cpu;
      then += picture->plan.vms[j].cpu_forecast;
    }
  const PlanDrsHost *host = &picture->plan.hosts[i];
  row->host = g_array_index(picture->hosts, WsId, i);
  row->name = g_strdup(host->name);
  row->in_service = host->takes;
  row->vms = n_vms;
  row->cpu_percent = host->threads > 0 ? rounded(100 * now / host->threads) : 0;
  row->cpu_forecast_percent = host->threads > 0 ? rounded(100 * then / host->threads) : 0;
  row->memory_percent = rounded(load->memory);
  return row;
}

static gint64 now_us(const ApiView *view)
{
  return ws_clock_monotonic_us(view->center->clock);
}

bool cluster_drs_status(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  Drs *drs = view->center->drs;
  gint64 now = now_us(view), wall = ws_clock_wall_us(view->center->clock);
  drs_sample(drs, view->snap, cluster->id, now);
  g_autoptr(DrsPicture) picture = drs_picture_new(drs, view->snap, cluster, NULL, now);
  g_autoptr(WsAffinityViolations) violations = room_rules_violations(picture->rules, 0);
  g_autofree PlanDrsLoad *loads = g_new(PlanDrsLoad, picture->plan.n_hosts + 1);
  g_autofree guint *n_vms = g_new0(guint, picture->plan.n_hosts + 1);
  WsDrsStatus *out = ws_drs_status_new();
  guint pending, accepted;
  plan_drs_loads(&picture->plan, loads, n_vms);
  drs_count(view->snap, cluster->id, DRS_OF_HOSTS, &pending, &accepted);
  out->level = (int)picture->settings->level;
  out->pending = pending;
  out->under_way = accepted;
  out->violations = violations->items.len;
  out->imbalance = rounded(plan_drs_imbalance(&picture->plan));
  g_mutex_lock(&drs->lock);
  const DrsCluster *known = drs_cluster(drs, cluster->id);
  out->looked = known->looked_us;
  if (known->next_us)
    out->next = wall + MAX(known->next_us - now, 0);
  for (guint i = 0; i < picture->plan.n_hosts; i++) {
    WsDrsHost *row = host_row(picture, i, &loads[i], n_vms[i]);
    const gint64 *since = g_hash_table_lookup(known->hot, &row->host);
    if (since)
      row->hot_since = wall - (now - *since);
    ws_array_add(&out->hosts, row);
  }
  g_mutex_unlock(&drs->lock);
  *result = out;
  return true;
}

/* ---- how many fit ---- */

static bool query_size(const ApiView *view, gint64 *vcpus, gint64 *memory_bytes, GError **error)
{
  return api_view_query_int(view, "vcpus", 1, 512, 1, vcpus, error) &&
         api_view_query_int(view, "memory_bytes", 1 << 20, (gint64)16 << 40, GIB, memory_bytes, error);
}

bool cluster_fit(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  gint64 vcpus, memory_bytes, lost;
  PlanFit fit;
  if (!query_size(view, &vcpus, &memory_bytes, error) || !api_view_query_int(view, "hosts_lost", 0, 2, 1, &lost, error))
    return false;
  g_autoptr(DrsPicture) picture = drs_picture_new(view->center->drs, view->snap, cluster, NULL, now_us(view));
  g_autoptr(GArray) hosts = g_array_new(FALSE, TRUE, sizeof(PlanFitHost)), vms = g_array_new(FALSE, TRUE, sizeof(PlanFitVm));
  g_autofree guint32 *index = g_new(guint32, picture->plan.n_hosts + 1);
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; i < picture->plan.n_hosts; i++) { /* those that can be used */
    const PlanDrsHost *h = &picture->plan.hosts[i];
    PlanFitHost row = {h->memory_limit_bytes, h->vcpus_limit, h->memory_real_bytes, h->cpu_percent};
    index[i] = h->takes ? hosts->len : PLAN_DRS_NOWHERE;
    if (h->takes) {
      g_array_append_val(hosts, row);
      g_ptr_array_add(names, (gpointer)h->name);
    }
  }
  for (guint i = 0; i < picture->plan.n_vms; i++) {
    const PlanDrsVm *v = &picture->plan.vms[i];
    PlanFitVm row = {index[v->host], v->memory_bytes, v->vcpus, v->memory_reserved_bytes,
                     v->cpu_reserved_percent};
    if (row.host != PLAN_DRS_NOWHERE)
      g_array_append_val(vms, row);
  }
  if (!plan_fit((PlanFitHost *)hosts->data, hosts->len, (PlanFitVm *)vms->data, vms->len, memory_bytes, vcpus, (guint)lost, &fit))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts_lost", "expected", "0 or 1 with so many hosts", NULL);
  WsFitAnswer *out = ws_fit_answer_new();
  out->fit = MIN(fit.fit, 1000000000);
  out->fit_now = MIN(fit.fit_now, 1000000000);
  out->hosts_lost = lost;
  out->survives = fit.survives;
  out->limited_by = (int)fit.limited_by;
  for (guint i = 0; i < fit.n_worst; i++)
    ws_array_add(&out->worst, g_strdup(names->pdata[fit.worst[i]]));
  *result = out;
  return true;
}

/* ---- what if ---- */

/* NULL: the query names no rule. With *error set: it is not valid. */
static WsAffinityRule *query_rule(const ApiView *view, GError **error)
{
  const char *kind = api_view_query(view, "rule_kind");
  g_autoptr(GArray) vms = g_array_new(FALSE, FALSE, sizeof(WsId)), hosts = g_array_new(FALSE, FALSE, sizeof(WsId));
  gint64 min_domains;
  if (!kind || !api_view_query_ids(view, "rule_vms", &ws_type_vm, vms, error) ||
      !api_view_query_ids(view, "rule_hosts", &ws_type_host, hosts, error) ||
      !api_view_query_int(view, "rule_min_domains", 2, 4096, WS_INT_UNSET, &min_domains, error))
    return NULL;
  WsAffinityRule *rule = ws_affinity_rule_new();
  ws_apply_defaults(&ws_type_affinity_rule, rule);
  rule->min_domains = min_domains;
  rule->name = g_strdup(kind);
  rule->cluster = ((const WsCluster *)view->object)->id;
  for (guint i = 0; ws_affinity_rule_kind_names[i]; i++)
    if (strcmp(ws_affinity_rule_kind_names[i], kind) == 0)
      rule->kind = (int)i + 1;
  for (guint i = 0; i < vms->len; i++)
    ws_array_add(&rule->vms, g_array_index(vms, WsId, i));
  for (guint i = 0; i < hosts->len; i++)
    ws_array_add(&rule->hosts, g_array_index(hosts, WsId, i));
  return rule;
}

/* Takes the hosts out; their VMs run nowhere. */
static void lose_hosts(DrsPicture *picture, const GArray *lost, GArray *restarted)
{
  for (guint i = 0; i < picture->plan.n_hosts; i++)
    for (guint j = 0; j < lost->len; j++)
      if (g_array_index(picture->hosts, WsId, i) == g_array_index(lost, WsId, j))
        picture->plan.hosts[i].takes = false, picture->plan.hosts[i].threads = 0;
  for (guint32 i = 0; i < picture->plan.n_vms; i++)
    if (picture->plan.hosts[picture->plan.vms[i].host].threads <= 0) {
      picture->plan.vms[i].host = PLAN_DRS_NOWHERE;
      g_array_append_val(restarted, i);
    }
}

static void add_vms(DrsPicture *picture, gint64 n, gint64 vcpus, gint64 memory_bytes, gint64 percent)
{
  double cpu = (double)(vcpus * percent) / 100;
  guint32 row = picture->plan.n_hosts ? picture->reach->len / picture->plan.n_hosts : 0;
  WsId none = 0;
  for (guint i = 0; n && i < picture->plan.n_hosts; i++)
    g_ptr_array_add(picture->reach, NULL);
  for (gint64 i = 0; i < n; i++) {
    PlanDrsVm vm = {.name = "+", .host = PLAN_DRS_NOWHERE, .reach = row, .cpu = cpu, .cpu_forecast = cpu, .memory_used_bytes = memory_bytes,
                    .memory_bytes = memory_bytes, .vcpus = vcpus};
    g_array_append_val(picture->vms, none);
    g_array_append_val(picture->plan_vms, vm);
  }
  drs_picture_settle(picture);
}

static void tell_moves(const DrsPicture *picture, const PlanDrsResult *plan, WsWhatIfAnswer *out)
{
  for (guint i = 0; i < plan->moves->len; i++) {
    const PlanDrsMove *move = &g_array_index(plan->moves, PlanDrsMove, i);
    WsWhatIfMove *one = ws_what_if_move_new();
    one->vm = g_strdup(picture->plan.vms[move->vm].name);
    one->from = g_strdup(picture->plan.hosts[move->from].name);
    one->to = g_strdup(picture->plan.hosts[move->to].name);
    one->reason = g_strdup(ws_drs_recommendation_reason_names[move->reason - 1]);
    ws_array_add(&out->moves, one);
    picture->plan.vms[move->vm].host = move->to;
  }
}

static void tell_hosts(const DrsPicture *picture, WsWhatIfAnswer *out)
{
  g_autofree PlanDrsLoad *loads = g_new(PlanDrsLoad, picture->plan.n_hosts + 1);
  g_autofree guint *n_vms = g_new0(guint, picture->plan.n_hosts + 1);
  plan_drs_loads(&picture->plan, loads, n_vms);
  for (guint i = 0; i < picture->plan.n_hosts; i++)
    ws_array_add(&out->hosts, host_row(picture, i, &loads[i], n_vms[i]));
}

static WsWhatIfAnswer *answer(DrsPicture *picture, const GArray *lost, gint64 n, gint64 vcpus, gint64 memory_bytes, gint64 percent, WsLang lang)
{
  WsWhatIfAnswer *out = ws_what_if_answer_new();
  g_autoptr(GArray) restarted = g_array_new(FALSE, FALSE, sizeof(guint32));
  g_autoptr(GError) conflict = NULL;
  PlanDrsResult plan;
  char *why = NULL;
  guint first_new = picture->plan.n_vms;
  lose_hosts(picture, lost, restarted);
  guint missing = plan_drs_place(&picture->plan, &picture->options, &why);
  for (guint i = 0; i < restarted->len; i++) {
    const PlanDrsVm *vm = &picture->plan.vms[g_array_index(restarted, guint32, i)];
    if (vm->host == PLAN_DRS_NOWHERE)
      ws_array_add(&out->stranded, g_strdup(vm->name));
  }
  out->restarted = restarted->len - out->stranded.len;
  add_vms(picture, n, vcpus, memory_bytes, percent);
  missing += plan_drs_place(&picture->plan, &picture->options, why ? NULL : &why) - out->stranded.len;
  out->placed = 0;
  for (guint i = first_new; i < picture->plan.n_vms; i++)
    out->placed += picture->plan.vms[i].host != PLAN_DRS_NOWHERE;
  picture->options.balance = picture->options.heal = true;
  picture->options.duration_s = picture->options.uneven_s = 0;
  for (guint i = 0; i < picture->plan.n_hosts; i++)
    picture->plan.hosts[i].hot_s = 0;
  plan_drs(&picture->plan, &picture->options, &plan);
  if (why)
    ws_array_add(&out->reasons, ws_phrase(why, lang));
  g_free(why);
  if (!room_rules_check(picture->rules, &conflict))
    ws_array_add(&out->reasons, g_strdup(conflict->message));
  out->feasible = !missing && !conflict && !plan.n_broken;
  tell_moves(picture, &plan, out);
  tell_hosts(picture, out);
  plan_drs_result_clear(&plan);
  return out;
}

bool cluster_what_if(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  gint64 vcpus, memory_bytes, n, percent;
  g_autoptr(GError) bad = NULL;
  g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(WsId));
  if (!query_size(view, &vcpus, &memory_bytes, error) || !api_view_query_int(view, "vms", 0, 10000, 0, &n, error) ||
      !api_view_query_int(view, "cpu_percent", 0, 100, 20, &percent, error) || !api_view_query_ids(view, "lost", &ws_type_host, lost, error))
    return false;
  g_autoptr(WsAffinityRule) rule = query_rule(view, &bad);
  if (bad) {
    g_propagate_error(error, g_steal_pointer(&bad));
    return false;
  }
  drs_sample(view->center->drs, view->snap, cluster->id, now_us(view));
  g_autoptr(DrsPicture) picture = drs_picture_new(view->center->drs, view->snap, cluster, rule, now_us(view));
  *result = answer(picture, lost, n, vcpus, memory_bytes, percent, lang_of(view));
  return true;
}

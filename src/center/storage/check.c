// SPDX-License-Identifier: Apache-2.0
/* Can hosts use a pool? All of them are asked at a time, each tries it in its own way
 * (host/storage/pool_probe.h), and what they found is judged (plan/pool_signs.h). Nothing of the inventory
 * changes; one that hangs, is away or is too old to know the question is a finding, no failure. */
#include "center/api/allowed.h"
#include "center/api/call.h"
#include "center/storage/storage.h"
#include "center/verbs.h"
#include "model/texts.h"
#include "plan/estate.h"
#include "plan/pool_signs.h"
#include "rpc/methods.h"

#define AT_ONCE  512                           /* hosts asked at a time: each is a coroutine of the loop's */
#define WHOLE_US (65 * (gint64)G_USEC_PER_SEC) /* of all of them: the deadline of one call and a little */

/* ---- asking ---- */

typedef struct Asking Asking;

typedef struct {
  Asking *asking;
  WsId host;
  bool create, is_over;
  WsRpcPoolCheckResult *result; /* NULL: it did not tell */
  WsPoolSignWord why;           /* then */
  char *said;
} Ask;

/* Lives until the last that asks is done: who waits goes when the time is up. */
struct Asking {
  Center *center;
  WsPool *pool;
  bool is_pool; /* it has been made */
  WsCo *waiter; /* NULL: gone */
  guint under_way, n;
  volatile gint cancel;
  Ask *asks;
};

static void asking_free(Asking *asking)
{
  for (guint i = 0; i < asking->n; i++) {
    ws_rpc_pool_check_result_free(asking->asks[i].result);
    g_free(asking->asks[i].said);
  }
  ws_resource_unref(asking->pool);
  g_free(asking->asks);
  g_free(asking);
}

static WsPoolSignWord sign_of(const GError *error)
{
  switch (ws_error_code(error)) {
  case WS_ERROR_HOST_UNREACHABLE:
    return WS_POOL_SIGN_WORD_HOST_AWAY;
  case WS_ERROR_PEER_OLDER:
    return WS_POOL_SIGN_WORD_HOST_OLDER;
  default:
    return WS_POOL_SIGN_WORD_HOST_FAILED;
  }
}

static void ask_one(void *arg)
{
  Ask *ask = arg;
  Asking *asking = ask->asking;
  const WsPool *pool = asking->pool;
  g_autoptr(GError) error = NULL;
  RpcLink *link = hosts_link(asking->center, ask->host, &error);
  WsRpcPoolCheck params = {.kind = (int)pool->kind,
                           .path = pool->path,
                           .uuid = asking->is_pool ? pool->uuid : NULL,
                           .nfs = pool->nfs,
                           .create = ask->create};
  if (!link || !rpc_pool_check(link, &params, &ask->result, NULL, NULL, &asking->cancel, &error)) {
    ask->why = sign_of(error);
    ask->said = g_strdup(ws_error_cause(error) ? ws_error_cause(error) : error->message);
  }
  ask->is_over = true;
  asking->under_way--;
  if (asking->waiter)
    ws_co_wake(asking->waiter);
  else if (!asking->under_way)
    asking_free(asking);
}

/* Until no more than `n` are under way; false: the time is up. */
static bool await_fewer(const Asking *asking, guint n, gint64 end_us)
{
  WsClock *clock = asking->center->clock;
  while (asking->under_way > n) {
    gint64 left_us = end_us - ws_clock_monotonic_us(clock);
    if (left_us <= 0)
      return false;
    ws_co_yield_timeout(left_us);
  }
  return true;
}

/* One whose call goes on and on, or was not begun for those before it, has not told. */
static void ask_all(Asking *asking)
{
  gint64 end_us = ws_clock_monotonic_us(asking->center->clock) + WHOLE_US;
  asking->waiter = ws_co_self();
  for (guint i = 0; i < asking->n && await_fewer(asking, AT_ONCE - 1, end_us); i++) {
    asking->under_way++;
    ws_co_start(asking->center->loop, ask_one, &asking->asks[i]);
  }
  await_fewer(asking, 0, end_us);
  asking->waiter = NULL;
}

/* ---- what they say ---- */

static void take(const Ask *ask, WsPoolFindings *findings)
{
  if (!ask->is_over)
    ws_array_add(&findings->findings,
                 plan_pool_finding(ask->host, WS_POOL_SIGN_WORD_HOST_FAILED, "no answer in time"));
  else if (!ask->result)
    ws_array_add(&findings->findings, plan_pool_finding(ask->host, ask->why, ask->said));
  for (guint i = 0; ask->result && i < ask->result->signs.len; i++) {
    const WsPoolSign *sign = ask->result->signs.items[i];
    if (sign->sign) /* else: a word of a newer agent */
      ws_array_add(&findings->findings, plan_pool_finding(ask->host, sign->sign, sign->found));
  }
}

static void judge_ways(const InvSnapshot *snap, const Ask *asks, guint n, WsPoolFindings *findings)
{
  g_autofree PlanPoolWay *ways = g_new0(PlanPoolWay, n);
  guint known = 0;
  for (guint i = 0; i < n; i++) {
    const WsHost *host =
        asks[i].result && asks[i].result->device ? inv_find(snap, &ws_type_host, asks[i].host) : NULL;
    if (host && host->facts)
      ways[known++] = (PlanPoolWay){host, asks[i].result->device, asks[i].result->source};
  }
  plan_pool_judge_ways(ways, known, findings);
}

WsPoolFindings *storage_check_pool(Center *center, const WsPool *pool, bool is_pool, const WsId *hosts,
                                   guint n)
{
  WsPoolFindings *findings = ws_pool_findings_new();
  Asking *asking = g_new0(Asking, 1);
  *asking = (Asking){
      .center = center, .pool = ws_pool_copy(pool), .is_pool = is_pool, .n = n, .asks = g_new0(Ask, n)};
  for (guint i = 0; i < n; i++)
    asking->asks[i] = (Ask){.asking = asking, .host = hosts[i], .create = !is_pool && i == 0};
  ask_all(asking);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  for (guint i = 0; i < n; i++)
    take(&asking->asks[i], findings);
  judge_ways(snap, asking->asks, n, findings);
  if (asking->under_way)
    g_atomic_int_set(&asking->cancel, 1); /* the last of them frees it */
  else
    asking_free(asking);
  return findings;
}

void storage_findings_in_words(void *object, WsLang lang)
{
  WsPoolFindings *findings = object;
  for (guint i = 0; i < findings->findings.len; i++) {
    WsPoolFinding *finding = findings->findings.items[i];
    g_autofree char *name = g_strconcat("pool_sign_", ws_pool_sign_word_names[finding->sign - 1], NULL);
    const WsText *text = ws_text_find(name);
    g_free(finding->reason);
    g_free(finding->advice);
    finding->reason = g_strdup(text ? text->text[lang] : name);
    finding->advice = g_strdup(text ? text->hint[lang] : NULL);
  }
}

void storage_show_check(Task *task, const WsPool *pool, bool is_pool, const WsId *hosts, guint n)
{
  if (!task_is_dry_run(task) || task_is_one_of_many(task))
    return;
  WsPoolFindings *findings = storage_check_pool(task_center(task), pool, is_pool, hosts, n);
  task_show_dry(task, (TaskShown){.name = "check",
                                  .type = &ws_type_pool_findings,
                                  .object = findings,
                                  .in_words = storage_findings_in_words,
                                  .hosts_asked = true});
}

/* ---- the verb ---- */

static bool check_hosts(const InvSnapshot *snap, const WsPool *pool, const WsPoolCheck *body, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  for (guint i = 0; i < body->hosts.len; i++) {
    WsId host = body->hosts.items[i];
    if (!inv_find(snap, &ws_type_host, host))
      return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "hosts", "object",
                     storage_text(&ws_type_host, host, text), NULL);
    for (guint j = 0; j < i; j++)
      if (body->hosts.items[j] == host)
        return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts", "expected", "each host once", NULL);
    if (pool->kind == WS_POOL_KIND_DIRECTORY && !plan_pool_has_host(pool, host))
      return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a second host for a local directory", NULL);
  }
  return true;
}

bool pool_check(ApiCall *call, GError **error)
{
  static const WsPoolCheck all = {.hosts = {.len = 0}};
  const WsPoolCheck *body = api_call_body(call);
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsPool *pool = api_call_find_target(call, head, error);
  body = body ? body : &all;
  if (!pool || !allowed_check("pool_check", pool, error) || !check_hosts(head, pool, body, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"check", NULL});
  const WsId *hosts = body->hosts.len ? body->hosts.items : pool->hosts.items;
  g_autoptr(WsPoolFindings) findings =
      storage_check_pool(center, pool, true, hosts, body->hosts.len ? body->hosts.len : pool->hosts.len);
  storage_findings_in_words(findings, api_call_lang(call));
  return api_call_answer_value(call, 200, &ws_type_pool_findings, findings);
}

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

#define AT_ONCE 64 /* hosts asked at a time */

/* ---- asking ---- */

typedef struct Asking Asking;

typedef struct {
  Asking *asking;
  WsId host;
  bool create;
  WsRpcPoolCheckResult *result; /* NULL: it did not tell */
  WsPoolSignWord why;           /* then */
  char *said;
} Ask;

struct Asking {
  Center *center;
  const WsPool *pool;
  bool is_pool; /* it has been made */
  WsCo *waiter;
  guint under_way;
};

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
  if (!link || !rpc_pool_check(link, &params, &ask->result, NULL, NULL, NULL, &error)) {
    ask->why = sign_of(error);
    ask->said = g_strdup(ws_error_cause(error) ? ws_error_cause(error) : error->message);
  }
  asking->under_way--;
  ws_co_wake(asking->waiter);
}

/* The stacks of those that ask are gone before this one's is. */
static void ask_all(Asking *asking, Ask *asks, guint n)
{
  asking->waiter = ws_co_self();
  for (guint i = 0; i < n; i++) {
    while (asking->under_way >= AT_ONCE)
      ws_co_yield();
    asking->under_way++;
    ws_co_start(asking->center->loop, ask_one, &asks[i]);
  }
  while (asking->under_way)
    ws_co_yield();
}

/* ---- what they say ---- */

static void take(const Ask *ask, WsPoolFindings *findings)
{
  if (!ask->result)
    ws_array_add(&findings->findings, plan_pool_finding(ask->host, ask->why, ask->said));
  for (guint i = 0; ask->result && i < ask->result->signs.len; i++) {
    const WsPoolSign *sign = ask->result->signs.items[i];
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
  Asking asking = {.center = center, .pool = pool, .is_pool = is_pool};
  WsPoolFindings *findings = ws_pool_findings_new();
  g_autofree Ask *asks = g_new0(Ask, n);
  for (guint i = 0; i < n; i++)
    asks[i] = (Ask){.asking = &asking, .host = hosts[i], .create = !is_pool && i == 0};
  ask_all(&asking, asks, n);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  for (guint i = 0; i < n; i++)
    take(&asks[i], findings);
  judge_ways(snap, asks, n, findings);
  for (guint i = 0; i < n; i++) {
    ws_rpc_pool_check_result_free(asks[i].result);
    g_free(asks[i].said);
  }
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
  if (!task_is_dry_run(task))
    return;
  WsPoolFindings *findings = storage_check_pool(task_center(task), pool, is_pool, hosts, n);
  task_show_dry(task, (TaskShown){"check", &ws_type_pool_findings, findings, storage_findings_in_words});
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

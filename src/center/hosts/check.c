// SPDX-License-Identifier: Apache-2.0
/* The requirements check of a host, as people read it: the planner's lines with advice from the reader's catalogue. What fails when a host
 * joins becomes an event. */
#include "center/api/view.h"
#include "center/hosts/compatibility.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include "plan/check.h"
#include "plan/compatibility.h"
#include "model/texts.h"

typedef struct {
  const WsHost *host, *twin;
} TwinLook;

static bool look_for_twin(const void *object, void *arg)
{
  TwinLook *look = arg;
  const WsHost *other = object;
  if (other->id != look->host->id && other->facts && g_strcmp0(other->facts->machine_id, look->host->facts->machine_id) == 0)
    look->twin = other;
  return !look->twin;
}

static WsHostCheck *check_of(const InvSnapshot *snap, const WsHost *host)
{
  TwinLook look = {host, NULL};
  if (host->facts && host->facts->machine_id)
    inv_each(snap, &ws_type_host, look_for_twin, &look);
  return plan_host_check(host, look.twin);
}

bool host_check(const ApiView *view, void **result, GError **error)
{
  const WsHost *host = view->object;
  WsHostCheck *check = check_of(view->snap, host);
  g_autofree char *path = compatibility_path(view->center);
  g_autoptr(GPtrArray) list = compatibility_load(path, NULL);
  if (host->facts)
    plan_compatibility_add_lines(check, host->facts, list);
  for (guint i = 0; i < check->lines.len; i++) {
    WsHostCheckLine *line = check->lines.items[i];
    g_autofree char *name = g_strconcat("check_", ws_host_check_line_check_names[line->check - 1], NULL);
    if (line->state != WS_HOST_CHECK_LINE_STATE_PASS)
      line->advice = ws_text_format(name, view->call ? api_call_lang(view->call) : WS_LANG_EN, NULL);
  }
  *result = check;
  return true;
}

/* ---- a host that has joined ---- */

#define TELL_US (60 * (gint64)G_USEC_PER_SEC) /* until then its agent has met libvirt and Open vSwitch, where they are */

typedef struct {
  Center *center;
  WsId host;
} Job;

static void tell(void *arg)
{
  g_autofree Job *job = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(job->center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, job->host);
  g_autoptr(WsHostCheck) check = host ? check_of(snap, host) : NULL;
  g_autoptr(GString) names = g_string_new(NULL);
  for (guint i = 0; check && i < check->lines.len; i++) {
    const WsHostCheckLine *line = check->lines.items[i];
    if (line->state == WS_HOST_CHECK_LINE_STATE_FAIL)
      g_string_append_printf(names, "%s%s", names->len ? ", " : "", ws_host_check_line_check_names[line->check - 1]);
  }
  if (names->len)
    center_event(job->center, CENTER_MAJOR, &ws_type_host, job->host, "host report", "host_lacks", "names", names->str, NULL);
}

static void on_timer(void *arg)
{
  ws_co_start(((Job *)arg)->center->loop, tell, arg);
}

void hosts_report_check(Center *center, WsId host)
{
  Job *job = g_new(Job, 1);
  *job = (Job){center, host};
  ws_loop_after(center->loop, TELL_US, on_timer, job);
}

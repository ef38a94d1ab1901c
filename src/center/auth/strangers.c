// SPDX-License-Identifier: Apache-2.0
/* See strangers.h. */
#include "center/auth/strangers.h"
#include "base/log.h"
#include "center/auth/audit.h"
#include "center/auth/auth-private.h"
#include "center/auth/password_turns.h"
#include "center/auth/refusals.h"
#include "center/verbs.h"
#include "model/model.h"
#include <string.h>

#define TICK_US (2 * (gint64)G_USEC_PER_SEC)
#define ALARM   "login_attack"

struct Strangers {
  LoginGuard *guard;
  Refusals *refusals;
  PasswordTurns *turns;
  WsTimer *timer;
  guint n_places;  /* that are hammering now */
  bool looked_for; /* alarms that an earlier process left open */
  bool at_it;
};

static ThrottleLimit limit_of(guint failures, guint window_s)
{
  return (ThrottleLimit){failures, (gint64)window_s * G_USEC_PER_SEC};
}

/* So many at a time: half of the cores are everybody else's. */
static guint running_max(void)
{
  return CLAMP(g_get_num_processors() / 2, 1, 4);
}

Strangers *strangers_new(Center *center)
{
  const CenterConfig *config = &center->config;
  const LoginGuardLimits limits = {
      .pair = limit_of(config->login_failures_max, config->login_window_s),
      .address = limit_of(config->login_failures_address, config->login_window_s),
      .account = limit_of(config->login_failures_account, 3600),
      .attack = limit_of(config->login_failures_address, config->login_window_s),
      .refused = limit_of(config->refused_calls_address, config->login_window_s),
  };
  Strangers *strangers = g_new0(Strangers, 1);
  strangers->guard = login_guard_new(center->clock, &limits);
  strangers->refusals = refusals_new();
  strangers->turns = password_turns_new(running_max());
  return strangers;
}

void strangers_free(Strangers *strangers)
{
  if (!strangers)
    return;
  login_guard_free(strangers->guard);
  refusals_free(strangers->refusals);
  password_turns_free(strangers->turns);
  g_free(strangers);
}

/* ---- what they leave in the audit log ---- */

bool strangers_note(Center *center, const WsRoute *route, const WsType *type, WsId object, const char *address, const GError *error)
{
  char id[WS_ID_TEXT_MAX], place[INET6_ADDRSTRLEN];
  const Refusal refusal = {
      .operation = route->operation,
      .kind = route->audit_kind,
      .error = error ? ws_error_code_name(ws_error_code(error)) : NULL,
      .object = object ? ws_id_format(type->prefix, object, id) : NULL,
      .place = login_guard_place_of(address, place),
      .risk = route->audit_risk,
      .result = error ? WS_AUDIT_RECORD_RESULT_REFUSED : WS_AUDIT_RECORD_RESULT_DONE,
  };
  return refusals_note(center->strangers->refusals, &refusal, ws_clock_monotonic_us(center->clock));
}

typedef struct {
  const InvSnapshot *snap;
  GPtrArray *records;
} Counts;

static void add_record(const Refusal *sum, guint64 count, void *arg)
{
  const Counts *counts = arg;
  WsAuditRecord *record = ws_audit_record_new();
  WsId id;
  const WsUser *user = sum->object && ws_id_parse(ws_type_user.prefix, sum->object, &id) ? inv_find(counts->snap, &ws_type_user, id) : NULL;
  record->user = g_strdup("nobody");
  record->address = g_strdup(sum->place);
  record->operation = g_strdup(sum->operation);
  record->object = g_strdup(sum->object);
  record->object_name = g_strdup(user ? user->name : NULL);
  record->kind = g_strdup(sum->kind);
  record->risk = sum->risk;
  record->result = sum->result;
  record->error = g_strdup(sum->error);
  record->count = (gint64)MIN(count, (guint64)1 << 50);
  g_ptr_array_add(counts->records, record);
}

static void record_counts(Center *center, bool all)
{
  g_autoptr(GPtrArray) records = g_ptr_array_new();
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  Counts counts = {snap, records};
  refusals_take(center->strangers->refusals, ws_clock_monotonic_us(center->clock), all, add_record, &counts);
  if (!records->len)
    return;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < records->len; i++)
    audit_append(center->audit, txn, records->pdata[i]);
  if (!inv_commit(txn, NULL, &error)) {
    g_autofree char *kinds = g_strdup_printf("%u", records->len);
    ws_log_error(WS_LOG_ERROR, "audit-counts-lost", error, "kinds", kinds, NULL);
  }
}

/* ---- the alarm ---- */

static void tell_of_account(Center *center, const LoginGuardAttack *attack)
{
  g_autofree char *tries = g_strdup_printf("%" G_GUINT64_FORMAT, attack->tries);
  if (attack->ended) {
    center_alarm_close(center, &ws_type_user, attack->user, ALARM);
    center_event(center, CENTER_INFO, &ws_type_user, attack->user, "alarm", "login_attack_over", "tries", tries, NULL);
    return;
  }
  center_event(center, CENTER_MAJOR, &ws_type_user, attack->user, "alarm", "login_attack_account", "address", attack->place, NULL);
  center_alarm_open(center, CENTER_MAJOR, &ws_type_user, attack->user, ALARM);
}

/* Of addresses there is one alarm, the manager's, while there is one of them; each has its events. */
static void tell_of_place(Center *center, const LoginGuardAttack *attack)
{
  g_autofree char *tries = g_strdup_printf("%" G_GUINT64_FORMAT, attack->tries);
  if (attack->ended) {
    center_event(center, CENTER_INFO, NULL, 0, "alarm", "login_attack_address_over", "address", attack->place, "tries", tries, NULL);
    if (--center->strangers->n_places == 0)
      center_alarm_close(center, NULL, 0, ALARM);
    return;
  }
  center->strangers->n_places++;
  center_event(center, CENTER_MAJOR, NULL, 0, "alarm", "login_attack_address", "address", attack->place, NULL);
  center_alarm_open(center, CENTER_MAJOR, NULL, 0, ALARM);
}

static bool add_alarm(const void *object, void *arg)
{
  g_array_append_val((GArray *)arg, ((const WsAlarm *)object)->object);
  return true;
}

/* Of the manager's life before this one: what was counted is gone, and so is the condition as far as anybody can tell. */
static void close_old(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) objects = g_array_new(FALSE, FALSE, sizeof(WsAnyRef));
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "kind", 4), 0, ALARM, add_alarm, objects);
  for (guint i = 0; i < objects->len; i++) {
    const WsAnyRef *of = &g_array_index(objects, WsAnyRef, i);
    center_alarm_close(center, of->type, of->id, ALARM);
  }
}

static void tick(void *arg)
{
  Center *center = arg;
  Strangers *strangers = center->strangers;
  if (strangers->at_it)
    return;
  strangers->at_it = true;
  if (!strangers->looked_for)
    close_old(center);
  strangers->looked_for = true;
  g_autoptr(GArray) news = login_guard_take_news(strangers->guard);
  for (guint i = 0; i < news->len; i++) {
    const LoginGuardAttack *attack = &g_array_index(news, LoginGuardAttack, i);
    if (attack->user)
      tell_of_account(center, attack);
    else
      tell_of_place(center, attack);
  }
  record_counts(center, false);
  strangers->at_it = false;
}

static void on_timer(void *arg)
{
  Center *center = arg;
  center->strangers->timer = ws_loop_after(center->loop, TICK_US, on_timer, center);
  ws_co_start(center->loop, tick, center);
}

void strangers_start(Center *center)
{
  center->strangers->timer = ws_loop_after(center->loop, TICK_US, on_timer, center);
}

void strangers_stop(Center *center)
{
  if (center->strangers)
    g_clear_pointer(&center->strangers->timer, ws_timer_cancel);
}

void strangers_settle(Center *center)
{
  record_counts(center, true);
}

/* ---- refused calls ---- */

static char *seconds_of(gint64 wait_us)
{
  return g_strdup_printf("%" G_GINT64_FORMAT, (wait_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

void strangers_refused(Center *center, const char *address, GError **error)
{
  gint64 wait = login_guard_refused(center->strangers->guard, address);
  g_autofree char *seconds = seconds_of(wait);
  if (!wait)
    return;
  g_clear_error(error);
  ws_fail(error, WS_ERROR_TOO_MANY_REFUSALS, "seconds", seconds, NULL);
}

bool strangers_is_over(Center *center, const char *address)
{
  return login_guard_is_over(center->strangers->guard, address);
}

/* ---- passwords ---- */

static bool turn_away(gint64 wait_us, GError **error)
{
  g_autofree char *seconds = seconds_of(wait_us);
  return ws_fail(error, WS_ERROR_LOGIN_THROTTLED, "seconds", seconds, NULL);
}

static bool may_try(Center *center, const LoginGuardTry *try, GError **error)
{
  LoginGuard *guard = center->strangers->guard;
  gint64 wait = login_guard_wait_us(guard, try);
  if (!wait)
    return true;
  login_guard_turned_away(guard, try);
  return turn_away(wait, error);
}

/* Its user sees how often it went wrong; while many are at it they are not each worth a transaction. */
static void note_failure(Center *center, const LoginGuardTry *try)
{
  if (!try->user || login_guard_is_hammered(center->strangers->guard, try->name))
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsUser *edit = inv_edit_id(txn, &ws_type_user, try->user);
  if (!edit)
    return;
  edit->last_failure = ws_clock_wall_us(center->clock);
  edit->failures = edit->failures == WS_INT_UNSET ? 1 : MIN(edit->failures + 1, 1000000);
  inv_commit(txn, NULL, NULL);
}

/* In its turn. */
static bool look(Center *center, const LoginGuardTry *try, const StrangersLogin *login, bool *fits,
                 GError **error)
{
  LoginGuard *guard = center->strangers->guard;
  gint64 over = login_guard_address_wait_us(guard, try->address);
  if (!may_try(center, try, error))
    return false;
  *fits = auth_password_fits(center, login->password, login->hash) && login->usable;
  if (*fits) {
    login_guard_fitted(guard, try);
    return true;
  }
  login_guard_failed(guard, try);
  /* Where the address has no more tries all are told so, those too whose password was looked at: else it would tell who has logged in from there. */
  return over == 0 || turn_away(over, error);
}

bool strangers_try(ApiCall *call, const StrangersLogin *login, bool *fits, GError **error)
{
  Center *center = api_call_center(call);
  Strangers *strangers = center->strangers;
  char place[INET6_ADDRSTRLEN];
  const LoginGuardTry try = {login->name, api_call_origin(call), login->user, login->known};
  login_guard_place_of(try.address, place);
  guint64 at = login_guard_key(strangers->guard, "turn", place, ""),
          pair = login_guard_key(strangers->guard, "turn", place, try.name);
  *fits = false;
  if (!may_try(center, &try, error) || !password_turn_take(strangers->turns, at, pair, error))
    return false;
  bool looked = look(center, &try, login, fits, error); /* once more: while it waited others failed */
  password_turn_end(strangers->turns, pair);
  if (!*fits)
    note_failure(center, &try);
  return looked;
}

/* ---- whom the manager knows ---- */

#define SESSIONS_LOOKED_AT 256

typedef struct {
  char place[INET6_ADDRSTRLEN];
  guint n;
  bool found;
} FromThere;

static bool is_from(const char *address, FromThere *there)
{
  char place[INET6_ADDRSTRLEN];
  return address && strcmp(login_guard_place_of(address, place), there->place) == 0;
}

static bool look_at_session(const void *object, void *arg)
{
  FromThere *there = arg;
  there->found = is_from(((const WsSession *)object)->address, there);
  return !there->found && ++there->n < SESSIONS_LOOKED_AT;
}

bool strangers_knows(const InvSnapshot *snap, const WsUser *user, const char *address)
{
  FromThere there = {.n = 0};
  login_guard_place_of(address, there.place);
  if (is_from(user->last_login_address, &there))
    return true;
  inv_each_by(snap, &ws_type_session, ws_type_field(&ws_type_session, "user", 4), user->id, NULL, look_at_session, &there);
  return there.found;
}

bool strangers_admit(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsSession *body = api_call_body(call);
  if (api_call_route(call)->call != session_create || !body)
    return true;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsUser *user = inv_find_by(snap, &ws_type_user, "name", 0, body->user_name);
  const char *address = api_call_origin(call);
  const LoginGuardTry try = {body->user_name, address, user ? user->id : 0,
                             user && strangers_knows(snap, user, address)};
  if (user)
    api_call_set_object(call, &ws_type_user, user->id);
  return may_try(center, &try, error);
}

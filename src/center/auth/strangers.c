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

#define TICK_US     (2 * (gint64)G_USEC_PER_SEC)
#define ALARM_TICKS 30  /* a change of alarms that could not be written is made up for so much later */
#define FAILED_MAX  256 /* users whose failures wait to be written */
#define ALARM       "login_attack"

typedef struct {
  WsId user;
  gint64 n, last_us;
} Failed;

struct Strangers {
  LoginGuard *guard;
  Refusals *refusals;
  PasswordTurns *turns;
  WsTimer *timer;
  GArray *failed;   /* Failed, one of a user; core loop only */
  char *nobodys;    /* a hash that fits nothing; made when it is needed first */
  guint alarms_due; /* in so many ticks; 0: at the next, as those that an earlier process left open are */
  bool at_it;
  WsCo *waits; /* until nobody is at it */
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
  strangers->failed = g_array_new(FALSE, FALSE, sizeof(Failed));
  return strangers;
}

void strangers_free(Strangers *strangers)
{
  if (!strangers)
    return;
  login_guard_free(strangers->guard);
  refusals_free(strangers->refusals);
  password_turns_free(strangers->turns);
  g_array_unref(strangers->failed);
  g_free(strangers->nobodys);
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
      .login = route->call == session_create,
  };
  return refusals_note(center->strangers->refusals, &refusal, ws_clock_monotonic_us(center->clock));
}

typedef struct {
  const InvSnapshot *snap;
  GPtrArray *records;
  guint64 calls;
} Counts;

static void add_record(const Refusal *sum, guint64 count, void *arg)
{
  Counts *counts = arg;
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
  counts->calls += count;
  g_ptr_array_add(counts->records, record);
}

static bool write_records(Center *center, const GPtrArray *records, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < records->len; i++)
    audit_append(center->audit, txn, records->pdata[i]);
  return inv_commit(txn, NULL, error);
}

/* Of which one runs at a time. all: at the end, after which what could not be written is lost; else it waits for the next minute. */
static void record_counts(Center *center, bool all)
{
  g_autoptr(GPtrArray) records = g_ptr_array_new();
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(GError) error = NULL;
  Counts counts = {snap, records, 0};
  Refusals *refusals = center->strangers->refusals;
  refusals_take(refusals, ws_clock_monotonic_us(center->clock), all, add_record, &counts);
  if (!records->len)
    return;
  bool written = write_records(center, records, &error);
  refusals_taken(refusals, written);
  if (written)
    return;
  g_autofree char *kinds = g_strdup_printf("%u", records->len), *calls = g_strdup_printf("%" G_GUINT64_FORMAT, counts.calls);
  ws_log_error(WS_LOG_ERROR, all ? "audit-counts-lost" : "audit-counts-wait", error, "kinds", kinds, "calls", calls, NULL);
}

/* ---- the alarm ---- */

static void tell_of_account(Center *center, const LoginGuardAttack *attack)
{
  g_autofree char *tries = g_strdup_printf("%" G_GUINT64_FORMAT, attack->tries);
  if (attack->ended)
    center_event(center, CENTER_INFO, &ws_type_user, attack->user, "alarm", "login_attack_over", "tries", tries, NULL);
  else
    center_event(center, CENTER_MAJOR, &ws_type_user, attack->user, "alarm", "login_attack_account",
                 "address", attack->place, NULL);
}

static void tell_of_place(Center *center, const LoginGuardAttack *attack)
{
  g_autofree char *tries = g_strdup_printf("%" G_GUINT64_FORMAT, attack->tries);
  if (attack->ended)
    center_event(center, CENTER_INFO, NULL, 0, "alarm", "login_attack_address_over", "address", attack->place, "tries", tries, NULL);
  else
    center_event(center, CENTER_MAJOR, NULL, 0, "alarm", "login_attack_address", "address", attack->place,
                 NULL);
}

static bool add_alarm(const void *object, void *arg)
{
  g_hash_table_add(arg, g_memdup2(&((const WsAlarm *)object)->object.id, sizeof(WsId)));
  return true;
}

/* Opens what is missing, and closes what is over: of this process, and of one before it, whose counts are
 * gone. An account that is hammered has its own; of addresses there is one, the manager's (0), while there is
 * one of them. */
static void match_alarms(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GHashTable) over = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  g_autoptr(GArray) attacks = login_guard_attacks(center->strangers->guard);
  GHashTableIter iter;
  const WsId *id;
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "kind", 4), 0, ALARM, add_alarm, over);
  for (guint i = 0; i < attacks->len; i++) {
    WsId user = g_array_index(attacks, LoginGuardAttack, i).user;
    g_hash_table_remove(over, &user);
    if (!user || inv_find(head, &ws_type_user, user))
      center_alarm_open(center, CENTER_MAJOR, user ? &ws_type_user : NULL, user, ALARM);
  }
  g_hash_table_iter_init(&iter, over);
  while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL))
    center_alarm_close(center, *id ? &ws_type_user : NULL, *id, ALARM);
}

static void follow_attacks(Center *center)
{
  Strangers *strangers = center->strangers;
  g_autoptr(GArray) news = login_guard_take_news(strangers->guard);
  for (guint i = 0; i < news->len; i++) {
    const LoginGuardAttack *attack = &g_array_index(news, LoginGuardAttack, i);
    if (attack->user)
      tell_of_account(center, attack);
    else
      tell_of_place(center, attack);
  }
  if (!news->len && strangers->alarms_due && --strangers->alarms_due)
    return;
  strangers->alarms_due = ALARM_TICKS;
  match_alarms(center);
}

/* ---- what users see of their failed logins ---- */

static void note_failures(Strangers *strangers, const Failed *more)
{
  for (guint i = 0; i < strangers->failed->len; i++) {
    Failed *failed = &g_array_index(strangers->failed, Failed, i);
    if (failed->user != more->user)
      continue;
    failed->n += more->n;
    failed->last_us = MAX(failed->last_us, more->last_us);
    return;
  }
  if (strangers->failed->len < FAILED_MAX)
    g_array_append_val(strangers->failed, *more);
}

void strangers_logged_in(Center *center, WsId user)
{
  GArray *failed = center->strangers->failed;
  for (guint i = 0; i < failed->len; i++)
    if (g_array_index(failed, Failed, i).user == user) {
      g_array_remove_index_fast(failed, i);
      return;
    }
}

static void write_failures(Center *center)
{
  Strangers *strangers = center->strangers;
  if (!strangers->failed->len)
    return;
  g_autoptr(GArray) taken = g_steal_pointer(&strangers->failed);
  strangers->failed = g_array_new(FALSE, FALSE, sizeof(Failed));
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < taken->len; i++) {
    const Failed *failed = &g_array_index(taken, Failed, i);
    WsUser *edit = inv_edit_id(txn, &ws_type_user, failed->user);
    if (!edit)
      continue;
    edit->last_failure = failed->last_us;
    edit->failures = MIN((edit->failures == WS_INT_UNSET ? 0 : edit->failures) + failed->n, 1000000);
  }
  if (!inv_commit(txn, NULL, NULL)) /* one of them was changed meanwhile, or nothing can be written: once more
                                       at the next tick */
    for (guint i = 0; i < taken->len; i++)
      note_failures(strangers, &g_array_index(taken, Failed, i));
}

/* ---- the timer ---- */

static void tick(void *arg)
{
  Center *center = arg;
  Strangers *strangers = center->strangers;
  if (strangers->at_it)
    return;
  strangers->at_it = true;
  follow_attacks(center);
  write_failures(center);
  record_counts(center, false);
  strangers->at_it = false;
  if (strangers->waits)
    ws_co_wake(strangers->waits);
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
  Strangers *strangers = center->strangers;
  strangers->waits = ws_co_self();
  while (strangers->at_it) /* what it has taken and cannot write is taken once more */
    ws_co_yield();
  strangers->waits = NULL;
  strangers->at_it = true;
  write_failures(center);
  record_counts(center, true);
  strangers->at_it = false;
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
  int status = ws_error_http_status(ws_error_code(*error));
  if (!wait || (status != 401 && status != 403))
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
  gint64 wait = login_guard_wait_us(guard, try), over = login_guard_address_wait_us(guard, try->address);
  if (!wait)
    return true;
  login_guard_turned_away(guard, try);
  /* The same to all: an account's own time would tell that it logged in from there. */
  return turn_away(over ? over : wait, error);
}

/* NULL with error. It is made once, in a turn: nobody gets more looks by it. */
static const char *nobodys_hash(Center *center, GError **error)
{
  Strangers *strangers = center->strangers;
  if (strangers->nobodys)
    return strangers->nobodys;
  g_autofree char *made = auth_hash_password(center, "no user has this password", error);
  if (!made)
    return NULL;
  if (!strangers->nobodys) /* others may have made it meanwhile, and look at it */
    strangers->nobodys = g_steal_pointer(&made);
  return strangers->nobodys;
}

/* false: it could not be looked at, which is nobody's failure. */
static bool compare(Center *center, const StrangersLogin *login, bool *fits, GError **error)
{
  g_autoptr(GError) failed = NULL;
  const char *hash = login->hash ? login->hash : nobodys_hash(center, &failed);
  if (hash && auth_password_fits(center, login->password, hash, fits, &failed)) {
    *fits = *fits && login->usable;
    return true;
  }
  ws_log_error(WS_LOG_WARNING, "password-not-looked-at", failed, NULL);
  return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
}

/* In its turn. */
static bool look(Center *center, const LoginGuardTry *try, const StrangersLogin *login, bool *fits,
                 GError **error)
{
  LoginGuard *guard = center->strangers->guard;
  gint64 over = login_guard_address_wait_us(guard, try->address);
  if (!may_try(center, try, error) || !compare(center, login, fits, error))
    return false;
  if (*fits) {
    login_guard_fitted(guard, try);
    return true;
  }
  login_guard_failed(guard, try);
  if (try->user && !login_guard_is_hammered(guard, try->name))
    note_failures(center->strangers, &(Failed){try->user, 1, ws_clock_wall_us(center->clock)});
  /* Where the address has no more tries all are told so, those too whose password was looked at: else it would tell who has logged in from there. */
  return over == 0 || turn_away(over, error);
}

bool strangers_try(ApiCall *call, const StrangersLogin *login, bool *fits, GError **error)
{
  Center *center = api_call_center(call);
  Strangers *strangers = center->strangers;
  char place[INET6_ADDRSTRLEN], site[INET6_ADDRSTRLEN];
  const LoginGuardTry try = {login->name, api_call_origin(call), login->user, login->known};
  guint64 at = login_guard_key(strangers->guard, "turn", login_guard_site_of(try.address, site), ""),
          pair = login_guard_key(strangers->guard, "turn of", login_guard_place_of(try.address, place),
                                 try.name);
  *fits = false;
  if (!may_try(center, &try, error))
    return false;
  if (!password_turn_take(strangers->turns, at, pair, try.known, error)) {
    login_guard_turned_away(strangers->guard, &try);
    return false;
  }
  bool looked = look(center, &try, login, fits, error); /* once more: while it waited others failed */
  password_turn_end(strangers->turns, pair);
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

// SPDX-License-Identifier: Apache-2.0
/* See refusals.h. */
#include "center/auth/refusals.h"

typedef struct {
  char *operation, *kind, *error, *object, *place;
  int risk, result;
  gint64 begun_us; /* the minute under way */
  guint64 count;   /* not handed out yet */
  guint64 handed;  /* handed out, and it is not known yet whether that was written */
  bool goes_on;    /* counted by user since it was handed out last: it stays, whoever was named */
} Kind;

struct Refusals {
  GMutex lock;
  GHashTable *kinds; /* text of what is alike -> Kind */
  GHashTable *users; /* the same of logins by user; of each the kind without the user is in `kinds` */
};

static void kind_free(void *arg)
{
  Kind *kind = arg;
  g_free(kind->operation);
  g_free(kind->kind);
  g_free(kind->error);
  g_free(kind->object);
  g_free(kind->place);
  g_free(kind);
}

Refusals *refusals_new(void)
{
  Refusals *refusals = g_new0(Refusals, 1);
  g_mutex_init(&refusals->lock);
  refusals->kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, kind_free);
  refusals->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, kind_free);
  return refusals;
}

void refusals_free(Refusals *refusals)
{
  if (!refusals)
    return;
  g_hash_table_unref(refusals->kinds);
  g_hash_table_unref(refusals->users);
  g_mutex_clear(&refusals->lock);
  g_free(refusals);
}

static const char *word(const char *text)
{
  return text ? text : "";
}

static char *key_of(const Refusal *r)
{
  return g_strdup_printf("%s\n%s\n%s\n%s\n%d", word(r->operation), word(r->error), word(r->object), word(r->place), r->result);
}

static guint kinds_of_place(const Refusals *refusals, const char *place)
{
  GHashTableIter iter;
  void *kind;
  guint n = 0;
  g_hash_table_iter_init(&iter, refusals->kinds);
  while (g_hash_table_iter_next(&iter, NULL, &kind))
    n += g_strcmp0(((Kind *)kind)->place, place) == 0;
  return n;
}

/* Where there is no room for one more kind it is one of many: of its place, or of all places. */
static Refusal widen(const Refusals *refusals, const Refusal *r)
{
  Refusal many = {.operation = REFUSALS_MANY, .kind = r->kind, .place = r->place, .risk = r->risk, .result = r->result};
  if (g_hash_table_size(refusals->kinds) >= (r->login ? REFUSALS_MAX : REFUSALS_MAX - REFUSALS_LOGINS))
    many.place = NULL;
  else if (kinds_of_place(refusals, r->place) < REFUSALS_PLACE_MAX)
    return *r;
  return many;
}

static Kind *add(GHashTable *kinds, char *key, const Refusal *r, gint64 now_us)
{
  Kind *kind = g_new(Kind, 1);
  *kind = (Kind){g_strdup(r->operation),
                 g_strdup(r->kind),
                 g_strdup(r->error),
                 g_strdup(r->object),
                 g_strdup(r->place),
                 r->risk,
                 r->result,
                 now_us,
                 0,
                 0,
                 false};
  g_hash_table_insert(kinds, key, kind);
  return kind;
}

/* NULL: there is no room. */
static Kind *kind_of_user(Refusals *refusals, const Refusal *r, gint64 now_us)
{
  g_autofree char *key = key_of(r);
  Kind *kind = g_hash_table_lookup(refusals->users, key);
  if (!kind && g_hash_table_size(refusals->users) < REFUSALS_USERS_MAX)
    kind = add(refusals->users, g_steal_pointer(&key), r, now_us);
  return kind;
}

static void count(Refusals *refusals, Kind *kind, const Refusal *r, gint64 now_us)
{
  Kind *user = r->login && r->object ? kind_of_user(refusals, r, now_us) : NULL;
  if (user)
    kind->goes_on = true;
  (user ? user : kind)->count++;
}

bool refusals_note(Refusals *refusals, const Refusal *refusal, gint64 now_us)
{
  bool first = false;
  Refusal alike = *refusal;
  if (alike.login)
    alike.object = NULL;
  g_mutex_lock(&refusals->lock);
  g_autofree char *key = key_of(&alike);
  Kind *kind = g_hash_table_lookup(refusals->kinds, key);
  if (!kind) {
    Refusal as = widen(refusals, &alike);
    g_autofree char *wide = key_of(&as);
    kind = g_hash_table_lookup(refusals->kinds, wide);
    first = !kind;
    if (!kind)
      kind = add(refusals->kinds, g_steal_pointer(&wide), &as, now_us);
  }
  if (!first)
    count(refusals, kind, refusal, now_us);
  g_mutex_unlock(&refusals->lock);
  return first;
}

typedef void (*Each)(const Refusal *sum, guint64 count, void *arg);

static void take(GHashTable *kinds, gint64 now_us, bool all, Each each, void *arg)
{
  GHashTableIter iter;
  void *value;
  g_hash_table_iter_init(&iter, kinds);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    Kind *kind = value;
    if (!all && now_us - kind->begun_us < REFUSALS_PERIOD_US)
      continue;
    if (!kind->count && !kind->goes_on) {
      g_hash_table_iter_remove(&iter);
      continue;
    }
    const Refusal sum = {.operation = kind->operation,
                         .kind = kind->kind,
                         .error = kind->error,
                         .object = kind->object,
                         .place = kind->place,
                         .risk = kind->risk,
                         .result = kind->result};
    if (kind->count)
      each(&sum, kind->count, arg);
    kind->handed = kind->count;
    kind->count = 0;
    kind->goes_on = false;
    kind->begun_us = now_us;
  }
}

void refusals_take(Refusals *refusals, gint64 now_us, bool all, Each each, void *arg)
{
  g_mutex_lock(&refusals->lock);
  take(refusals->kinds, now_us, all, each, arg);
  take(refusals->users, now_us, all, each, arg);
  g_mutex_unlock(&refusals->lock);
}

static void settle(GHashTable *kinds, bool written)
{
  GHashTableIter iter;
  void *value;
  g_hash_table_iter_init(&iter, kinds);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    Kind *kind = value;
    if (!written)
      kind->count += kind->handed;
    kind->handed = 0;
  }
}

void refusals_taken(Refusals *refusals, bool written)
{
  g_mutex_lock(&refusals->lock);
  settle(refusals->kinds, written);
  settle(refusals->users, written);
  g_mutex_unlock(&refusals->lock);
}

guint refusals_kinds(Refusals *refusals)
{
  g_mutex_lock(&refusals->lock);
  guint n = g_hash_table_size(refusals->kinds);
  g_mutex_unlock(&refusals->lock);
  return n;
}

// SPDX-License-Identifier: Apache-2.0
/* The persistent map against a plain sorted array: random puts and removals, walks from any key, old handles
 * that stay as they were, and each value's count right at the end. Deterministic: fixed seeds. */
#include "inventory/pmap.h"
#include <pthread.h> /* not GMutex: ThreadSanitizer does not see into GLib */
#include <string.h>

typedef struct {
  gint ref_count;
} Value;

static void value_ref(const void *value)
{
  g_atomic_int_inc(&((Value *)value)->ref_count);
}

static void value_unref(const void *value)
{
  g_assert_cmpint(g_atomic_int_add(&((Value *)value)->ref_count, -1), >, 0);
}

static const PmapValues counted = {value_ref, value_unref};
static const PmapValues set = {NULL, NULL};

/* The model: every possible key has a number; present[] says which value it has. */
#define N_KEYS 600
typedef struct {
  const void *value[N_KEYS];
  guint count;
} Model;

static PmapKey nth_key(guint i)
{
  return (PmapKey){i / 7, (i % 7) * 3 + 1};
}

static void assert_same(const Pmap *map, const Model *model)
{
  PmapIter iter;
  PmapKey key;
  const void *value;
  guint i = 0;

  pmap_measure(map); /* asserts order and balance */
  g_assert_cmpuint(map->count, ==, model->count);
  pmap_iter_init(&iter, map, (PmapKey){0, 0});
  while (pmap_iter_next(&iter, &key, &value)) {
    while (i < N_KEYS && !model->value[i])
      i++;
    g_assert_cmpuint(i, <, N_KEYS);
    g_assert_cmpint(pmap_key_compare(key, nth_key(i)), ==, 0);
    g_assert_true(map->values->ref == NULL || value == model->value[i]);
    i++;
  }
  while (i < N_KEYS)
    g_assert_null(model->value[i++]);
}

static void change(Pmap *map, Model *model, guint i, const Value *value)
{
  bool is_set = map->values->ref == NULL;

  if (value) {
    g_assert_cmpint(pmap_put(map, nth_key(i), is_set ? NULL : value), ==, model->value[i] == NULL);
    model->count += model->value[i] == NULL;
  } else {
    g_assert_cmpint(pmap_remove(map, nth_key(i)), ==, model->value[i] != NULL);
    model->count -= model->value[i] != NULL;
  }
  model->value[i] = value;
  g_assert_cmpint(pmap_has(map, nth_key(i)), ==, value != NULL);
  if (!is_set)
    g_assert_true(pmap_get(map, nth_key(i)) == value);
}

/* Random changes in phases that grow and shrink; up to 8 old handles are kept beside and compared again
 * later. */
static void random_changes(gconstpointer values)
{
  enum { KEPT = 8, ROUNDS = 400 };
  static Value value[50];
  Pmap map, kept[KEPT];
  Model *model = g_new0(Model, 1), *kept_model = g_new0(Model, KEPT);

  memset(value, 0, sizeof value);
  for (guint seed = 1; seed <= 6; seed++) {
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    pmap_init(&map, values);
    memset(model, 0, sizeof *model);
    for (guint k = 0; k < KEPT; k++) {
      pmap_init(&kept[k], values);
      memset(&kept_model[k], 0, sizeof(Model));
    }
    for (guint round = 0; round < ROUNDS; round++) {
      double growing = round / 100 % 2 == 0 ? 0.7 : 0.2;
      for (gint n = g_rand_int_range(rand, 1, 30); n > 0; n--) {
        const Value *v = g_rand_double(rand) < growing ? &value[g_rand_int_range(rand, 0, 50)] : NULL;
        change(&map, model, g_rand_int_range(rand, 0, N_KEYS), v);
      }
      assert_same(&map, model);
      guint k = g_rand_int_range(rand, 0, KEPT);
      assert_same(&kept[k], &kept_model[k]);
      pmap_clear(&kept[k]);
      kept[k] = pmap_copy(&map);
      kept_model[k] = *model;
    }
    pmap_clear(&map);
    for (guint k = 0; k < KEPT; k++) {
      assert_same(&kept[k], &kept_model[k]);
      pmap_clear(&kept[k]);
    }
    for (guint v = 0; v < G_N_ELEMENTS(value); v++)
      g_assert_cmpint(value[v].ref_count, ==, 0);
  }
  g_free(model);
  g_free(kept_model);
}

/* Rising, falling and scattered orders, in and out, take the edges of splitting and joining. */
static void ordered_changes(gconstpointer values)
{
  enum { N = 5000 };
  static const guint steps[] = {1, N - 1, 7,
                                1237}; /* none shares a factor with N: each order visits every key once */
  static Value value;
  const void *v = ((const PmapValues *)values)->ref ? &value : NULL;
  Pmap map;

  value.ref_count = 0;
  for (guint in = 0; in < G_N_ELEMENTS(steps); in++)
    for (guint out = 0; out < G_N_ELEMENTS(steps); out++) {
      pmap_init(&map, values);
      for (guint i = 0; i < N; i++) {
        guint id = i * steps[in] % N;
        g_assert_true(pmap_put(&map, (PmapKey){id, 0}, v));
        if (i % 3 == 0) { /* a neighbour that comes and goes, as tasks do */
          g_assert_true(pmap_put(&map, (PmapKey){id, 1}, v));
          g_assert_true(pmap_remove(&map, (PmapKey){id, 1}));
        }
      }
      pmap_measure(&map);
      g_assert_cmpuint(map.count, ==, N);
      for (guint i = 0; i < N; i++) {
        g_assert_true(pmap_remove(&map, (PmapKey){i * steps[out] % N, 0}));
        if (i % 97 == 0)
          pmap_measure(&map);
      }
      g_assert_null(map.root);
      g_assert_cmpint(value.ref_count, ==, 0);
    }
}

static void walk_starts_at_any_key(void)
{
  Pmap map;
  PmapIter iter;
  PmapKey key;

  pmap_init(&map, &set);
  pmap_iter_init(&iter, &map, (PmapKey){0, 0});
  g_assert_false(pmap_iter_next(&iter, &key, NULL));
  for (guint i = 0; i < 1000; i++)
    pmap_put(&map, (PmapKey){10, i * 2}, NULL);
  for (guint from = 0; from < 2001; from++) {
    guint n = 0;
    pmap_iter_init(&iter, &map, (PmapKey){10, from});
    for (guint want = (from + 1) / 2 * 2; pmap_iter_next(&iter, &key, NULL) && n < 40; want += 2, n++)
      g_assert_cmpuint(key.lo, ==, want);
    g_assert_cmpuint(n, ==, MIN(40, from > 1998 ? 0 : (1998 - (from + 1) / 2 * 2) / 2 + 1));
  }
  pmap_iter_init(&iter, &map, (PmapKey){11, 0});
  g_assert_false(pmap_iter_next(&iter, &key, NULL));
  g_assert_false(pmap_iter_next(&iter, &key, NULL));
  pmap_clear(&map);
}

/* A writer goes on from version to version while readers walk handles they were given: each must stay
 * constant. */
typedef struct {
  pthread_mutex_t lock;
  Pmap published;
  gint stop;
} Shared;

static gpointer read_versions(gpointer arg)
{
  Shared *shared = arg;
  guint versions = 0;

  for (; !g_atomic_int_get(&shared->stop); versions++) {
    pthread_mutex_lock(&shared->lock);
    Pmap mine = pmap_copy(&shared->published);
    pthread_mutex_unlock(&shared->lock);
    guint64 sums[2] = {0, 0};
    for (guint pass = 0; pass < 2; pass++) {
      PmapIter iter;
      PmapKey key;
      guint64 n = 0;
      pmap_iter_init(&iter, &mine, (PmapKey){0, 0});
      for (; pmap_iter_next(&iter, &key, NULL); n++)
        sums[pass] += key.hi * 31 + key.lo;
      g_assert_cmpuint(n, ==, mine.count);
    }
    g_assert_cmpuint(sums[0], ==, sums[1]);
    pmap_clear(&mine);
  }
  return GUINT_TO_POINTER(versions);
}

static void readers_on_other_threads_see_constant_versions(void)
{
  Shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER};
  g_autoptr(GRand) rand = g_rand_new_with_seed(7);
  static Value value[16];
  GThread *reader[2];
  Pmap head;

  pmap_init(&head, &counted);
  shared.published = pmap_copy(&head);
  for (guint i = 0; i < G_N_ELEMENTS(reader); i++)
    reader[i] = g_thread_new("reader", read_versions, &shared);
  for (guint i = 0; i < 20000; i++) {
    PmapKey key = {g_rand_int_range(rand, 0, 2000), 0};
    if (g_rand_boolean(rand))
      pmap_put(&head, key, &value[i % 16]);
    else
      pmap_remove(&head, key);
    Pmap next = pmap_copy(&head), old;
    pthread_mutex_lock(&shared.lock);
    old = shared.published;
    shared.published = next;
    pthread_mutex_unlock(&shared.lock);
    pmap_clear(&old);
  }
  g_atomic_int_set(&shared.stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS(reader); i++)
    g_thread_join(reader[i]);
  pmap_clear(&head);
  pmap_clear(&shared.published);
  for (guint i = 0; i < 16; i++)
    g_assert_cmpint(value[i].ref_count, ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_data_func("/pmap/random_changes_equal_the_model", &counted, random_changes);
  g_test_add_data_func("/pmap/random_changes_equal_the_model_in_a_set", &set, random_changes);
  g_test_add_data_func("/pmap/ordered_changes_keep_balance", &counted, ordered_changes);
  g_test_add_data_func("/pmap/ordered_changes_keep_balance_in_a_set", &set, ordered_changes);
  g_test_add_func("/pmap/walk_starts_at_any_key", walk_starts_at_any_key);
  g_test_add_func("/pmap/readers_on_other_threads_see_constant_versions",
                  readers_on_other_threads_see_constant_versions);
  return g_test_run();
}

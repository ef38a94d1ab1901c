// SPDX-License-Identifier: Apache-2.0
/* Life of objects: copies are deep, counting is exact, secrets are wiped, comparing knows what is volatile;
 * the tables are sound. */
#include "model-thing.h"
#include <math.h>
#include <string.h>

#define FULL                                                                                                 \
  "{\"id\":\"thing-1\",\"revision\":7,\"on\":true,\"count\":30,\"ratio\":0.5,\"name\":\"web\",\"address\":"  \
  "\"::1\",\"colour\":\"red\","                                                                              \
  "\"volume\":\"vol-7\",\"about\":\"vm-1\",\"since\":\"2026-01-01T00:00:00Z\",\"inner\":{\"word\":\"w\","    \
  "\"level\":1.5},"                                                                                          \
  "\"parts\":[{\"key\":\"a\",\"size\":1},{\"key\":\"b\",\"size\":2}],\"numbers\":[1,2],\"colours\":["        \
  "\"red\"],"                                                                                                \
  "\"labels\":{\"env\":\"prod\"},\"extra\":[1],\"password\":\"p\",\"hidden\":\"h\",\"load\":1,\"serial\":"   \
  "\"s\",\"origin\":\"o\",\"note\":\"n\"}"

static void a_new_object_is_absent_all_over(void)
{
  g_autoptr(Thing) thing = ws_object_new(&thing_type);
  g_assert_true(thing->type == &thing_type);
  g_assert_cmpint(thing->ref_count, ==, 1);
  g_assert_cmpint(thing->count, ==, WS_INT_UNSET);
  g_assert_true(isnan(thing->ratio));
  g_autofree char *json = thing_json(thing, WS_WRITE_STORED);
  g_assert_cmpstr(json, ==, "{\"on\":false}");
}

static void a_copy_is_equal_and_its_own(void)
{
  g_autoptr(Thing) thing = thing_parse(FULL, WS_PARSE_STORED, NULL);
  ws_resource_ref(thing);
  Thing *copy = ws_object_copy(&thing_type, thing);
  g_assert_cmpint(copy->ref_count, ==, 1);
  g_assert_true(ws_object_equal(&thing_type, thing, copy));
  g_autofree char *before = thing_json(copy, WS_WRITE_PEER);
  thing_free(thing);
  g_assert_cmpint(thing->ref_count, ==, 1);
  thing->name[0] = 'X';
  thing->parts.items[0]->key[0] = 'X';
  thing->numbers.items[0] = 99;
  thing->labels.items[0].value[0] = 'X';
  thing->inner->word[0] = 'X';
  g_autofree char *after = thing_json(copy, WS_WRITE_PEER);
  g_assert_cmpstr(before, ==, after);
  thing_free(copy);
}

static bool lies_in(const void *at, gsize n, const Thing *block)
{
  return (const char *)at >= (const char *)block && (const char *)at + n <= (const char *)block + block->packed_bytes;
}

/* Whatever it has or lacks, a packed resource is the same in one block, outlives the original, and its copies are ordinary ones. */
static void a_packed_resource_is_the_same_in_one_block(void)
{
  static const char *const cases[] = {FULL, "{\"on\":false}", "{\"id\":\"thing-1\",\"name\":\"\",\"parts\":[],\"labels\":{}}",
                                      "{\"parts\":[{}],\"labels\":{\"\":\"\"},\"inner\":{},\"colours\":[\"red\",\"red\"]}"};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    Thing *thing = thing_parse(cases[i], WS_PARSE_STORED, NULL);
    Thing *packed = ws_resource_pack(thing), *copy = ws_object_copy(&thing_type, packed);
    g_autofree char *before = thing_json(thing, WS_WRITE_PEER);
    g_assert_true(ws_object_equal(&thing_type, thing, packed));
    g_assert_cmpint(packed->ref_count, ==, 1);
    g_assert_cmpuint(packed->packed_bytes, >=, sizeof *packed);
    g_assert_true(!packed->name || lies_in(packed->name, strlen(packed->name) + 1, packed));
    for (guint k = 0; k < packed->parts.len; k++)
      g_assert_true(lies_in(packed->parts.items[k], sizeof *packed->parts.items[k], packed));
    for (guint k = 0; k < packed->labels.len; k++)
      g_assert_true(lies_in(packed->labels.items[k].value, strlen(packed->labels.items[k].value) + 1, packed));
    g_assert_cmpuint(copy->packed_bytes, ==, 0);
    thing_free(thing);
    ws_map_set(&copy->labels, "more", "of it");
    g_autofree char *after = thing_json(packed, WS_WRITE_PEER);
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpstr(ws_map_get(&copy->labels, "more"), ==, "of it");
    thing_free(copy);
    ws_resource_unref(packed);
  }
}

/* Every single difference is seen; which of them are volatile is known. */
static void comparing_sees_every_difference(void)
{
  static const struct {
    const char *patch;
    bool is_volatile;
  } cases[] = {
      {"\"on\":false", false},
      {"\"count\":40", false},
      {"\"ratio\":0.75", false},
      {"\"name\":\"x\"", false},
      {"\"address\":null", false},
      {"\"colour\":\"blue\"", false},
      {"\"volume\":\"vol-8\"", false},
      {"\"about\":\"vm-2\"", false},
      {"\"since\":\"2026-01-01T00:00:01Z\"", false},
      {"\"inner\":{\"level\":2.5}", true},
      {"\"inner\":{\"word\":\"x\"}", false},
      {"\"inner\":null", false},
      {"\"parts\":[{\"key\":\"a\",\"size\":1}]", false},
      {"\"parts\":[{\"key\":\"a\",\"size\":1},{\"key\":\"b\",\"size\":3}]", false},
      {"\"numbers\":[1,3]", false},
      {"\"colours\":[]", false},
      {"\"labels\":{\"env\":\"test\"}", false},
      {"\"labels\":{\"x\":\"y\"}", false},
      {"\"extra\":[2]", false},
      {"\"password\":\"q\"", false},
      {"\"load\":2", true},
      {"\"note\":null", false},
      {"\"load\":2,\"note\":null", false},
      {"\"load\":null,\"inner\":{\"level\":null}", true},
  };
  g_autoptr(Thing) thing = thing_parse(FULL, WS_PARSE_STORED, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Thing) other = ws_object_copy(&thing_type, thing);
    g_autofree char *patch = g_strdup_printf("{%s}", cases[i].patch);
    g_test_message("%s", patch);
    g_assert_true(ws_object_merge_patch(&thing_type, other, patch, strlen(patch), NULL, &error));
    g_assert_no_error(error);
    g_assert_false(ws_object_equal(&thing_type, thing, other));
    g_assert_cmpint(ws_object_differs_only_volatile(&thing_type, thing, other), ==, cases[i].is_volatile);
  }
  g_autoptr(Thing) newer = ws_object_copy(&thing_type, thing);
  newer->revision++;
  g_assert_true(ws_object_equal(&thing_type, thing, newer));
  g_assert_false(ws_object_differs_only_volatile(&thing_type, thing, newer));
  newer->id++;
  g_assert_false(ws_object_equal(&thing_type, thing, newer));
}

static gpointer count_up_and_down(gpointer thing)
{
  for (int i = 0; i < 100000; i++)
    ws_resource_unref(ws_resource_ref(thing));
  return NULL;
}

static void counting_is_safe_between_threads(void)
{
  g_autoptr(Thing) thing = thing_parse(FULL, WS_PARSE_STORED, NULL);
  GThread *threads[4];
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("count", count_up_and_down, thing);
  for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_assert_cmpint(thing->ref_count, ==, 1);
  ws_resource_unref(NULL);
}

static void lists_and_maps_are_built_by_hand(void)
{
  g_autoptr(Thing) thing = ws_object_new(&thing_type);
  for (gint64 i = 0; i < 10; i++)
    ws_array_add(&thing->numbers, i);
  g_assert_cmpuint(thing->numbers.len, ==, 10);
  g_assert_cmpint(thing->numbers.items[9], ==, 9);
  ThingPart *part = ws_object_new(&thing_part_type);
  part->key = g_strdup("k");
  ws_array_add(&thing->parts, part);
  ws_map_set(&thing->labels, "m", "1");
  ws_map_set(&thing->labels, "z", "2");
  ws_map_set(&thing->labels, "a", "3");
  ws_map_set(&thing->labels, "m", "4");
  ws_map_set(&thing->labels, "none", NULL);
  ws_map_set(&thing->labels, "z", NULL);
  g_assert_cmpuint(thing->labels.len, ==, 2);
  g_assert_cmpstr(thing->labels.items[0].key, ==, "a");
  g_assert_cmpstr(ws_map_get(&thing->labels, "m"), ==, "4");
  g_assert_null(ws_map_get(&thing->labels, "z"));
}

/* ---- the generated tables ---- */

static void check_fields(const WsType *type)
{
  const char *before = "";
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *sorted = &type->fields[type->by_name[i]];
    g_assert_cmpstr(before, <, sorted->name);
    before = sorted->name;
    const WsField *field = &type->fields[i];
    g_assert_true(ws_type_field(type, field->name, strlen(field->name)) == field);
    g_autofree char *quoted = g_strdup_printf("\"%s\":", field->name);
    g_assert_cmpstr(field->quoted, ==, quoted);
    g_assert_cmpuint(field->quoted_len, ==, strlen(quoted));
    g_assert_cmpuint(field->offset, <, type->size);
    int base = field->kind == WS_KIND_ARRAY ? field->item_kind : field->kind;
    g_assert_cmpint(field->sub != NULL, ==, base == WS_KIND_OBJECT || base == WS_KIND_REF);
    g_assert_cmpint(field->names != NULL, ==, base == WS_KIND_ENUM);
    if (base == WS_KIND_REF)
      g_assert_nonnull(field->sub->prefix);
    if (field->format) {
      g_test_message("format %s", field->format);
      g_assert_true(ws_format_is_known(field->format));
    }
    if (field->pattern)
      g_assert_true(g_regex_match_simple(field->pattern, "", G_REGEX_DOLLAR_ENDONLY, 0) ||
                    true); /* compiles */
  }
}

static void generated_tables_are_sound(void)
{
  for (guint i = 0; i < ws_n_all_types; i++) {
    const WsType *type = ws_all_types[i];
    g_test_message("%s", type->name);
    g_assert_true(ws_type_by_name(type->name) == type);
    check_fields(type);
    void *object = ws_object_new(type);
    ws_apply_defaults(type, object); /* every default is a valid value */
    gsize n;
    g_autofree char *json = ws_object_to_json(type, object, WS_WRITE_STORED, &n);
    g_autoptr(GError) error = NULL;
    void *again = ws_object_parse(type, json, n, WS_PARSE_STORED, &error);
    g_assert_no_error(error);
    g_assert_true(ws_object_equal(type, object, again));
    ws_object_free(type, object);
    ws_object_free(type, again);
  }
  for (guint i = 0; i < ws_n_resource_types; i++) {
    const WsType *type = ws_resource_types[i];
    g_assert_cmpuint(type->index, ==, i);
    g_assert_true(ws_type_by_prefix(type->prefix) == type);
    g_assert_true(ws_type_by_plural(type->plural) == type);
  }
  g_assert_null(ws_type_by_name("Nothing"));
  g_assert_null(ws_type_by_prefix("nothing"));
  g_assert_null(ws_type_by_plural("nothings"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/life/a_new_object_is_absent_all_over", a_new_object_is_absent_all_over);
  g_test_add_func("/model/life/a_copy_is_equal_and_its_own", a_copy_is_equal_and_its_own);
  g_test_add_func("/model/life/a_packed_resource_is_the_same_in_one_block", a_packed_resource_is_the_same_in_one_block);
  g_test_add_func("/model/life/comparing_sees_every_difference", comparing_sees_every_difference);
  g_test_add_func("/model/life/counting_is_safe_between_threads", counting_is_safe_between_threads);
  g_test_add_func("/model/life/lists_and_maps_are_built_by_hand", lists_and_maps_are_built_by_hand);
  g_test_add_func("/model/tables/generated_tables_are_sound", generated_tables_are_sound);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* Merge patches: what changes, what may not, and that the same patch twice is no change. */
#include "model-thing.h"
#include <string.h>

#define BASE                                                                                                 \
  "{\"id\":\"thing-1\",\"revision\":7,\"on\":true,\"count\":30,\"name\":\"web\",\"colour\":\"red\","         \
  "\"volume\":\"vol-7\","                                                                                    \
  "\"inner\":{\"word\":\"w\",\"loud\":true},"                                                                \
  "\"parts\":[{\"key\":\"a\",\"size\":1,\"serial\":\"s1\",\"secret\":\"x1\",\"model\":\"m1\"},"              \
  "{\"key\":\"b\",\"size\":2,\"serial\":\"s2\",\"secret\":\"x2\",\"model\":\"m2\"}],"                        \
  "\"numbers\":[1,2],\"labels\":{\"env\":\"prod\",\"tier\":\"1\"},\"password\":\"old\",\"hidden\":\"h\","    \
  "\"serial\":\"ser\",\"origin\":\"here\"}"

static Thing *base(void)
{
  Thing *thing = thing_parse(BASE, WS_PARSE_STORED, NULL);
  g_assert_nonnull(thing);
  return thing;
}

static bool patch(Thing *thing, const char *json, bool *changed, GError **error)
{
  gsize n = strlen(json);
  g_autofree char *exact = g_memdup2(json, n);
  return ws_object_merge_patch(&thing_type, thing, exact, n, changed, error);
}

/* A patch that works, and the stored form of each field it touches afterwards. */
static void patches_are_applied_and_idempotent(void)
{
  static const struct {
    const char *json;
    const char *contains[3];
    bool changes;
  } cases[] = {
      {"{}", {"\"count\":30"}, false},
      {"{\"count\":30}", {"\"count\":30"}, false},
      {"{\"count\":40}", {"\"count\":40"}, true},
      {"{\"count\":null}", {"\"count\":20"}, true}, /* its default */
      {"{\"on\":false}", {"\"on\":false"}, true},
      {"{\"on\":null}", {"\"on\":true"}, false},
      {"{\"colour\":null}", {"\"colour\":\"green\""}, true},
      {"{\"volume\":null}", {"\"name\":\"web\""}, true},
      {"{\"name\":\" web \"}", {"\"name\":\"web\""}, false},
      {"{\"inner\":{\"loud\":false}}", {"\"inner\":{\"word\":\"w\",\"loud\":false}"}, true},
      {"{\"inner\":null}", {"\"numbers\""}, true},
      {"{\"numbers\":[3]}", {"\"numbers\":[3]"}, true},
      {"{\"labels\":{\"env\":null,\"zone\":\"a\"}}", {"\"labels\":{\"tier\":\"1\",\"zone\":\"a\"}"}, true},
      {"{\"labels\":{\"env\":\"prod\"}}", {"\"labels\":{\"env\":\"prod\",\"tier\":\"1\"}"}, false},
      {"{\"labels\":null}", {"\"numbers\""}, true},
      {"{\"password\":\"new\"}", {"\"password\":\"new\""}, true},
      /* What a client read comes back unchanged. */
      {"{\"id\":\"thing-1\",\"revision\":7,\"serial\":\"ser\",\"origin\":\"here\"}", {"\"count\":30"}, false},
      /* Parts are known by their key, in any order; what the client cannot see stays with them. */
      {"{\"parts\":[{\"key\":\"b\",\"size\":5}]}",
       {"\"parts\":[{\"key\":\"b\",\"size\":5,\"serial\":\"s2\",\"secret\":\"x2\",\"model\":\"m2\"}]"},
       true},
      {"{\"parts\":[{\"key\":\"b\",\"size\":2,\"serial\":\"s2\",\"model\":\"m2\"},{\"size\":9,\"model\":"
       "\"m9\"}]}",
       {"\"secret\":\"x2\"", "{\"size\":9,\"model\":\"m9\"}"},
       true},
      {"{\"parts\":[{\"size\":1,\"key\":\"a\",\"serial\":\"s1\"},{\"key\":\"b\"}]}",
       {"\"secret\":\"x1\"", "\"secret\":\"x2\""},
       false},
      {"{\"parts\":[]}", {"\"numbers\""}, true},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(Thing) thing = base();
    g_autoptr(GError) error = NULL;
    bool changed;
    g_test_message("%s", cases[i].json);
    g_assert_true(patch(thing, cases[i].json, &changed, &error));
    g_assert_no_error(error);
    g_assert_cmpint(changed, ==, cases[i].changes);
    g_autofree char *stored = thing_json(thing, WS_WRITE_STORED);
    for (gsize k = 0; k < G_N_ELEMENTS(cases[i].contains) && cases[i].contains[k]; k++)
      if (!strstr(stored, cases[i].contains[k]))
        g_error("%s lacks %s", stored, cases[i].contains[k]);
    g_assert_true(patch(thing, cases[i].json, &changed, &error));
    g_assert_false(changed);
  }
}

static void bad_patches_name_the_field(void)
{
  static const struct {
    const char *json;
    WsErrorCode code;
    const char *field;
  } cases[] = {
      {"[]", WS_ERROR_WRONG_TYPE, ""},
      {"{\"count\":30} {}", WS_ERROR_BAD_JSON, NULL},
      {"{\"count\":30", WS_ERROR_BAD_JSON, NULL},
      {"{\"count\":30,\"count\":30}", WS_ERROR_BAD_JSON, NULL},
      {"{\"nmae\":1}", WS_ERROR_UNKNOWN_FIELD, "nmae"},
      {"{\"hidden\":\"h\"}", WS_ERROR_UNKNOWN_FIELD, "hidden"},
      {"{\"name\":null}", WS_ERROR_REQUIRED, "name"},
      {"{\"count\":5}", WS_ERROR_OUT_OF_RANGE, "count"},
      {"{\"id\":\"thing-2\"}", WS_ERROR_READ_ONLY_FIELD, "id"},
      {"{\"revision\":8}", WS_ERROR_READ_ONLY_FIELD, "revision"},
      {"{\"serial\":\"other\"}", WS_ERROR_READ_ONLY_FIELD, "serial"},
      {"{\"serial\":null}", WS_ERROR_READ_ONLY_FIELD, "serial"},
      {"{\"origin\":\"there\"}", WS_ERROR_IMMUTABLE_FIELD, "origin"},
      {"{\"origin\":\"Bad One\"}", WS_ERROR_BAD_VALUE, "origin"},
      {"{\"inner\":{\"word\":null}}", WS_ERROR_REQUIRED, "inner.word"},
      {"{\"inner\":{\"x\":1}}", WS_ERROR_UNKNOWN_FIELD, "inner.x"},
      {"{\"inner\":5}", WS_ERROR_WRONG_TYPE, "inner"},
      {"{\"parts\":[{\"key\":\"a\",\"serial\":\"s2\"}]}", WS_ERROR_READ_ONLY_FIELD, "parts[0].serial"},
      {"{\"parts\":[{\"key\":\"b\"},{\"key\":\"a\",\"model\":\"m2\"}]}", WS_ERROR_IMMUTABLE_FIELD,
       "parts[1].model"},
      {"{\"parts\":[{\"key\":\"a\",\"secret\":\"x1\"}]}", WS_ERROR_UNKNOWN_FIELD, "parts[0].secret"},
      {"{\"parts\":[{\"key\":\"new\"}]}", WS_ERROR_REQUIRED, "parts[0].size"},
      {"{\"parts\":[{\"key\":\"new\",\"size\":1,\"serial\":\"s\"}]}", WS_ERROR_READ_ONLY_FIELD,
       "parts[0].serial"},
      {"{\"parts\":[{\"key\":\"a\"},{\"key\":\"b\"},{\"size\":1},{\"size\":1}]}", WS_ERROR_BAD_VALUE,
       "parts"},
      {"{\"parts\":[5]}", WS_ERROR_WRONG_TYPE, "parts[0]"},
      {"{\"parts\":[null]}", WS_ERROR_WRONG_TYPE, "parts[0]"},
      {"{\"parts\":[{\"key\":\"a\"},{\"key\":\"a\",\"si", WS_ERROR_BAD_JSON, NULL},
      {"{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", WS_ERROR_BAD_VALUE, "labels"},
      {"{\"labels\":{\"a\":1}}", WS_ERROR_WRONG_TYPE, "labels.a"},
      {"{\"labels\":[]}", WS_ERROR_WRONG_TYPE, "labels"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(Thing) thing = base();
    GError *error = NULL;
    bool changed;
    g_test_message("%s", cases[i].json);
    g_assert_false(patch(thing, cases[i].json, &changed, &error));
    if (cases[i].field)
      g_assert_cmpstr(ws_error_field(error), ==, cases[i].field);
    assert_error(error, cases[i].code, NULL);
  }
}

/* A read-only part goes back as it was read, also inside a whole object that was read. */
static void an_object_as_read_is_no_change(void)
{
  const char *stored =
      "{\"id\":\"vm-3\",\"revision\":4,\"name\":\"web\",\"management\":\"managed\",\"created\":\"2026-01-"
      "01T00:00:00Z\","
      "\"power\":{\"state\":\"running\",\"since\":\"2026-01-01T00:00:00Z\"},\"labels\":{\"a\":\"b\"},"
      "\"activity\":{\"task\":\"task-9\",\"verb\":\"starting\",\"since\":\"2026-01-01T00:00:00Z\","
      "\"percent\":5}}";
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVm) vm = ws_vm_parse(stored, strlen(stored), WS_PARSE_STORED, &error);
  g_assert_no_error(error);
  gsize n;
  g_autofree char *client = ws_object_to_json(&ws_type_vm, vm, WS_WRITE_CLIENT, &n);
  bool changed;
  g_assert_true(ws_object_merge_patch(&ws_type_vm, vm, client, n, &changed, &error));
  g_assert_no_error(error);
  g_assert_false(changed);
  const char *other = "{\"power\":{\"state\":\"off\"}}";
  GError *refused = NULL;
  g_assert_false(ws_object_merge_patch(&ws_type_vm, vm, other, strlen(other), &changed, &refused));
  assert_error(refused, WS_ERROR_READ_ONLY_FIELD, "field", "power", NULL);
}

static void a_new_part_gets_its_defaults(void)
{
  g_autoptr(Thing) thing = thing_parse("{\"name\":\"x\"}", WS_PARSE_CREATE, NULL);
  bool changed;
  g_assert_true(patch(thing, "{\"inner\":{\"word\":\"w\"}}", &changed, NULL));
  g_assert_true(changed);
  g_assert_true(thing->inner->loud);
  g_autoptr(Thing) other = thing_parse("{\"name\":\"x\"}", WS_PARSE_CREATE, NULL);
  GError *error = NULL;
  g_assert_false(patch(other, "{\"inner\":{}}", &changed, &error));
  assert_error(error, WS_ERROR_REQUIRED, "field", "inner.word", NULL);
}

/* What is told of a request. */
static void secrets_are_left_out(void)
{
  static const struct {
    const WsType *type;
    const char *json, *told;
  } cases[] = {
      {&thing_type, "{\"name\":\"x\",\"password\":\"p\",\"count\":3}", "{\"name\":\"x\",\"count\":3}"},
      {&thing_type, "{\"p\\u0061ssword\":\"p\"}", "{}"},
      {&thing_type, "{\"password\":{\"deep\":[1]},\"name\":null}", "{\"name\":null}"},
      {&thing_type, " { \"parts\" : [ {\"key\":\"a\"} , 5 ], \"odd\": [1, {\"x\":2}] } ", "{\"parts\":[{\"key\":\"a\"},5],\"odd\":[1, {\"x\":2}]}"},
      {&ws_type_vm, "{\"cloud_init\":{\"hostname\":\"h\",\"password\":\"p\"},\"description\":\"d\"}", "{\"cloud_init\":{\"hostname\":\"h\"},\"description\":\"d\"}"},
      {&ws_type_vm, "[]", "{}"},
      {&ws_type_vm, "{\"description\":\"d\",\"name\":", "{}"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *told = ws_json_without_secrets(cases[i].type, cases[i].json, strlen(cases[i].json));
    g_assert_cmpstr(told, ==, cases[i].told);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/patch/patches_are_applied_and_idempotent", patches_are_applied_and_idempotent);
  g_test_add_func("/model/patch/bad_patches_name_the_field", bad_patches_name_the_field);
  g_test_add_func("/model/patch/an_object_as_read_is_no_change", an_object_as_read_is_no_change);
  g_test_add_func("/model/patch/a_new_part_gets_its_defaults", a_new_part_gets_its_defaults);
  g_test_add_func("/model/patch/secrets_are_left_out", secrets_are_left_out);
  return g_test_run();
}

// SPDX-License-Identifier: Apache-2.0
/* The engine reads and writes JSON: every kind, every error with its path, what each mode hides or skips. */
#include "model-thing.h"
#include <math.h>
#include <string.h>

static void every_kind_survives_a_round_trip(void)
{
  const char *json =
      "{\"on\":false,\"count\":30,\"ratio\":0.25,\"name\":\"w\\u00e9b\",\"address\":\"2001:db8::1\","
      "\"colour\":\"blue\","
      "\"volume\":\"vol-7\",\"about\":\"vm-42\",\"since\":\"2026-01-31T08:00:00.000000Z\","
      "\"inner\":{\"word\":\"hi\",\"loud\":false,\"level\":2.5},"
      "\"parts\":[{\"key\":\"a\",\"size\":1},{\"key\":\"b\",\"size\":2,\"model\":\"m\"}],\"numbers\":[1,2,3],"
      "\"colours\":[\"red\",\"blue\"],\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"extra\":{\"x\":[1,null]},"
      "\"password\":\"secret\",\"origin\":\"here\",\"note\":\"two\\nlines\"}";
  g_autoptr(GError) error = NULL;
  g_autoptr(Thing) thing = thing_parse(json, WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  g_assert_false(thing->on);
  g_assert_cmpint(thing->count, ==, 30);
  g_assert_cmpfloat(thing->ratio, ==, 0.25);
  g_assert_cmpstr(thing->name, ==, "wéb");
  g_assert_cmpint(thing->colour, ==, THING_COLOUR_BLUE);
  g_assert_cmpuint(thing->volume, ==, 7);
  g_assert_true(thing->about.type == &ws_type_vm);
  g_assert_cmpuint(thing->about.id, ==, 42);
  g_assert_cmpint(thing->since, ==, G_GINT64_CONSTANT(1769846400000000));
  g_assert_cmpstr(thing->inner->word, ==, "hi");
  g_assert_cmpuint(thing->parts.len, ==, 2);
  g_assert_cmpstr(thing->parts.items[1]->model, ==, "m");
  g_assert_cmpint(thing->numbers.items[2], ==, 3);
  g_assert_cmpint(thing->colours.items[1], ==, THING_COLOUR_BLUE);
  g_assert_cmpstr(ws_map_get(&thing->labels, "a"), ==, "1");
  g_assert_cmpstr(thing->labels.items[0].key, ==, "a");

  for (WsWriteMode mode = WS_WRITE_CLIENT; mode <= WS_WRITE_PEER; mode++) {
    thing->id = 9;
    thing->revision = 5;
    g_autofree char *written = thing_json(thing, mode);
    g_autoptr(Thing) again = thing_parse(written, WS_PARSE_STORED, &error);
    g_assert_no_error(error);
    if (mode != WS_WRITE_CLIENT)
      g_assert_true(ws_object_equal(&thing_type, thing, again));
    g_assert_cmpuint(again->id, ==, 9);
    g_assert_cmpuint(again->revision, ==, 5);
    g_autofree char *twice = thing_json(again, mode);
    g_assert_cmpstr(written, ==, twice);
  }
}

static void written_form_is_as_documented(void)
{
  g_autoptr(Thing) thing = ws_object_new(&thing_type);
  thing->id = 3;
  thing->name = g_strdup("a\"b");
  thing->password = g_strdup("p");
  thing->hidden = g_strdup("h");
  thing->fresh = g_strdup("f");
  g_autofree char *client = thing_json(thing, WS_WRITE_CLIENT);
  g_autofree char *stored = thing_json(thing, WS_WRITE_STORED);
  g_autofree char *peer = thing_json(thing, WS_WRITE_PEER);
  g_assert_cmpstr(client, ==,
                  "{\"id\":\"thing-3\",\"revision\":0,\"on\":false,\"name\":\"a\\\"b\",\"parts\":[],"
                  "\"numbers\":[],\"colours\":[],"
                  "\"labels\":{},\"fresh\":\"f\"}");
  g_assert_cmpstr(stored, ==,
                  "{\"id\":\"thing-3\",\"revision\":0,\"on\":false,\"name\":\"a\\\"b\",\"password\":\"p\","
                  "\"hidden\":\"h\"}");
  g_assert_cmpstr(peer, ==,
                  "{\"id\":\"thing-3\",\"revision\":0,\"on\":false,\"name\":\"a\\\"b\",\"password\":\"p\","
                  "\"hidden\":\"h\",\"fresh\":\"f\"}");
}

static void defaults_fill_what_create_leaves_out(void)
{
  g_autoptr(Thing) made = thing_parse("{\"name\":\"x\",\"inner\":{\"word\":\"w\"}}", WS_PARSE_CREATE, NULL);
  g_assert_true(made->on);
  g_assert_cmpint(made->count, ==, 20);
  g_assert_cmpint(made->colour, ==, THING_COLOUR_GREEN);
  g_assert_true(made->inner->loud);
  g_assert_true(isnan(made->inner->level));
  g_assert_true(isnan(made->ratio));
  /* A stored row says what it says; only a missing boolean is older than its field. */
  g_autoptr(Thing) stored = thing_parse("{}", WS_PARSE_STORED, NULL);
  g_assert_true(stored->on);
  g_assert_cmpint(stored->count, ==, WS_INT_UNSET);
  g_assert_cmpint(stored->colour, ==, 0);
  /* null stands for absent where the contract says so. */
  g_autoptr(Thing) null = thing_parse("{\"name\":\"x\",\"colour\":null}", WS_PARSE_CREATE, NULL);
  g_assert_cmpint(null->colour, ==, 0);
}

typedef struct {
  const char *json;
  WsErrorCode code;
  const char *field, *param, *value;
} Bad;

static const Bad bad_requests[] = {
    {"", WS_ERROR_BAD_JSON, NULL, "position", "0"},
    {"{\"name\":\"x\"", WS_ERROR_BAD_JSON, NULL, NULL, NULL},
    {"{\"name\":\"x\"} x", WS_ERROR_BAD_JSON, NULL, NULL, NULL},
    {"{\"name\":\"x\",\"name\":\"y\"}", WS_ERROR_BAD_JSON, NULL, "expected", "\"name\" only once"},
    {"[]", WS_ERROR_WRONG_TYPE, NULL, "expected", "an object"},
    {"{}", WS_ERROR_REQUIRED, "name", NULL, NULL},
    {"{\"name\":null}", WS_ERROR_WRONG_TYPE, "name", "expected", "a string"},
    {"{\"name\":\"x\",\"inner\":{}}", WS_ERROR_REQUIRED, "inner.word", NULL, NULL},
    {"{\"name\":\"x\",\"nmae\":1}", WS_ERROR_UNKNOWN_FIELD, "nmae", NULL, NULL},
    {"{\"name\":\"x\",\"inner\":{\"wrod\":1}}", WS_ERROR_UNKNOWN_FIELD, "inner.wrod", NULL, NULL},
    {"{\"name\":\"x\",\"hidden\":\"h\"}", WS_ERROR_UNKNOWN_FIELD, "hidden", NULL, NULL},
    {"{\"name\":\"x\",\"id\":\"thing-1\"}", WS_ERROR_READ_ONLY_FIELD, "id", NULL, NULL},
    {"{\"name\":\"x\",\"revision\":1}", WS_ERROR_READ_ONLY_FIELD, "revision", NULL, NULL},
    {"{\"name\":\"x\",\"serial\":\"s\"}", WS_ERROR_READ_ONLY_FIELD, "serial", NULL, NULL},
    {"{\"name\":\"x\",\"parts\":[{\"size\":1,\"serial\":\"s\"}]}", WS_ERROR_READ_ONLY_FIELD,
     "parts[0].serial", NULL, NULL},
    {"{\"name\":5}", WS_ERROR_WRONG_TYPE, "name", "expected", "a string"},
    {"{\"name\":\"x\",\"on\":1}", WS_ERROR_WRONG_TYPE, "on", "expected", "true or false"},
    {"{\"name\":\"x\",\"count\":\"20\"}", WS_ERROR_WRONG_TYPE, "count", "expected", "an integer"},
    {"{\"name\":\"x\",\"count\":20.0}", WS_ERROR_WRONG_TYPE, "count", "expected", "an integer"},
    {"{\"name\":\"x\",\"count\":99999999999999999999}", WS_ERROR_OUT_OF_RANGE, "count", "max", "100"},
    {"{\"name\":\"x\",\"count\":110}", WS_ERROR_OUT_OF_RANGE, "count", "max", "100"},
    {"{\"name\":\"x\",\"count\":0}", WS_ERROR_OUT_OF_RANGE, "count", "min", "10"},
    {"{\"name\":\"x\",\"count\":25}", WS_ERROR_BAD_VALUE, "count", "expected", "a multiple of 10"},
    {"{\"name\":\"x\",\"ratio\":1.6}", WS_ERROR_OUT_OF_RANGE, "ratio", "max", "1.5"},
    {"{\"name\":\"x\",\"ratio\":\"1\"}", WS_ERROR_WRONG_TYPE, "ratio", "expected", "a number"},
    {"{\"name\":\"\"}", WS_ERROR_BAD_VALUE, "name", "expected", "1 to 8 characters"},
    {"{\"name\":\"   \"}", WS_ERROR_BAD_VALUE, "name", "expected", "1 to 8 characters"},
    {"{\"name\":\"123456789\"}", WS_ERROR_BAD_VALUE, "name", "expected", "1 to 8 characters"},
    {"{\"name\":\"a\\nb\"}", WS_ERROR_BAD_VALUE, "name", "expected", "text without control characters"},
    {"{\"name\":\"a\\u202eb\"}", WS_ERROR_BAD_VALUE, "name", "expected", "text without control characters"},
    {"{\"name\":\"x\",\"note\":\"a\\u0007\"}", WS_ERROR_BAD_VALUE, "note", NULL, NULL},
    {"{\"name\":\"x\",\"address\":\"1.2.3\"}", WS_ERROR_BAD_VALUE, "address", "expected", "an IP address"},
    {"{\"name\":\"x\",\"origin\":\"abc\\n\"}", WS_ERROR_BAD_VALUE, "origin", "expected",
     "text matching ^[a-z]+$"},
    {"{\"name\":\"x\",\"colour\":\"pink\"}", WS_ERROR_BAD_VALUE, "colour", "expected",
     "one of red, green, blue"},
    {"{\"name\":\"x\",\"colour\":2}", WS_ERROR_WRONG_TYPE, "colour", "expected", "a string"},
    {"{\"name\":\"x\",\"volume\":\"vm-1\"}", WS_ERROR_BAD_VALUE, "volume", "expected", "an id such as vol-7"},
    {"{\"name\":\"x\",\"volume\":\"vol-0\"}", WS_ERROR_BAD_VALUE, "volume", NULL, NULL},
    {"{\"name\":\"x\",\"volume\":7}", WS_ERROR_WRONG_TYPE, "volume", "expected", "an id"},
    {"{\"name\":\"x\",\"about\":\"nothing-1\"}", WS_ERROR_BAD_VALUE, "about", "expected",
     "an id such as vm-7"},
    {"{\"name\":\"x\",\"since\":\"yesterday\"}", WS_ERROR_BAD_VALUE, "since", NULL, NULL},
    {"{\"name\":\"x\",\"inner\":[]}", WS_ERROR_WRONG_TYPE, "inner", "expected", "an object"},
    {"{\"name\":\"x\",\"parts\":{}}", WS_ERROR_WRONG_TYPE, "parts", "expected", "a list"},
    {"{\"name\":\"x\",\"parts\":[{\"size\":1},{\"size\":0}]}", WS_ERROR_OUT_OF_RANGE, "parts[1].size", "min",
     "1"},
    {"{\"name\":\"x\",\"parts\":[{\"size\":1},{\"size\":1},{\"size\":1},{\"size\":1}]}", WS_ERROR_BAD_VALUE,
     "parts", "expected", "0 to 3 items"},
    {"{\"name\":\"x\",\"numbers\":[]}", WS_ERROR_BAD_VALUE, "numbers", "expected", "1 to 20 items"},
    {"{\"name\":\"x\",\"numbers\":[1,2,10]}", WS_ERROR_OUT_OF_RANGE, "numbers[2]", "max", "9"},
    {"{\"name\":\"x\",\"colours\":[\"red\",null]}", WS_ERROR_WRONG_TYPE, "colours[1]", NULL, NULL},
    {"{\"name\":\"x\",\"labels\":{\"a\":1}}", WS_ERROR_WRONG_TYPE, "labels.a", "expected", "a string"},
    {"{\"name\":\"x\",\"labels\":{\"a\":\"12345678901\"}}", WS_ERROR_BAD_VALUE, "labels.a", "expected",
     "0 to 10 characters"},
    {"{\"name\":\"x\",\"labels\":{\"a\":\"\",\"a\":\"\"}}", WS_ERROR_BAD_VALUE, "labels", "expected",
     "each key once"},
    {"{\"name\":\"x\",\"labels\":{\"\":\"\"}}", WS_ERROR_BAD_VALUE, "labels", NULL, NULL},
    {"{\"name\":\"x\",\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}}", WS_ERROR_BAD_VALUE,
     "labels", "expected", "0 to 3 entries"},
    {"{\"name\":\"x\",\"extra\":{\"a\":}}", WS_ERROR_BAD_JSON, NULL, NULL, NULL},
};

static void bad_requests_name_the_field(void)
{
  for (gsize i = 0; i < G_N_ELEMENTS(bad_requests); i++) {
    const Bad *bad = &bad_requests[i];
    GError *error = NULL;
    g_test_message("%s", bad->json);
    g_assert_null(thing_parse(bad->json, WS_PARSE_CREATE, &error));
    if (bad->field)
      g_assert_cmpstr(ws_error_field(error), ==, bad->field);
    assert_error(error, bad->code, bad->param, bad->value, NULL);
  }
}

/* Whatever prefix of a valid text arrives, it is refused and nothing is read beyond it or leaked. */
static void truncated_text_is_refused(void)
{
  const char *json = "{\"name\":\"x\",\"inner\":{\"word\":\"w\"},\"parts\":[{\"key\":\"\\u00e9\",\"size\":1}]"
                     ",\"labels\":{\"a\":\"b\"},\"numbers\":[1,2]}";
  for (gsize n = 0; n < strlen(json); n++) {
    g_autofree char *part = g_strndup(json, n);
    GError *error = NULL;
    g_assert_null(thing_parse(part, WS_PARSE_CREATE, &error));
    assert_error(error, WS_ERROR_BAD_JSON, NULL);
  }
}

static void deep_nesting_is_refused(void)
{
  GString *json = g_string_new("{\"name\":\"x\",\"extra\":");
  for (guint i = 0; i < 100000; i++)
    g_string_append_c(json, '[');
  GError *error = NULL;
  g_assert_null(thing_parse(json->str, WS_PARSE_CREATE, &error));
  assert_error(error, WS_ERROR_BAD_JSON, NULL);
  g_string_free(json, TRUE);
}

static void stored_rows_of_other_versions_are_read(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(Thing) thing =
      thing_parse("{\"id\":\"thing-4\",\"revision\":8,\"future\":{\"a\":[1]},\"colour\":\"pink\",\"count\":5,"
                  "\"about\":\"nothing-1\",\"colours\":[\"red\",\"pink\",\"blue\"],\"name\":null,"
                  "\"inner\":{\"newer\":1},\"hidden\":\"h\",\"serial\":\"s\"}",
                  WS_PARSE_STORED, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(thing->id, ==, 4);
  g_assert_cmpint(thing->colour, ==, 0);
  g_assert_cmpint(thing->count, ==, 5); /* limits may have changed since */
  g_assert_null(thing->about.type);
  g_assert_cmpuint(thing->colours.len, ==, 2);
  g_assert_cmpint(thing->colours.items[1], ==, THING_COLOUR_BLUE);
  g_assert_cmpstr(thing->hidden, ==, "h");
  g_assert_nonnull(thing->inner);
}

static void peers_are_checked_but_may_be_newer(void)
{
  GError *error = NULL;
  g_autoptr(Thing) thing =
      thing_parse("{\"name\":\"x\",\"future\":1,\"serial\":\"s\",\"hidden\":\"h\"}", WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(thing->serial, ==, "s");
  g_assert_cmpint(thing->count, ==, 20);
  g_assert_null(thing_parse("{\"future\":1}", WS_PARSE_RPC, &error));
  assert_error(error, WS_ERROR_REQUIRED, "field", "name", NULL);
  error = NULL;
  g_assert_null(thing_parse("{\"name\":\"x\",\"count\":5}", WS_PARSE_RPC, &error));
  assert_error(error, WS_ERROR_OUT_OF_RANGE, "field", "count", NULL);
  error = NULL;
  g_autoptr(Thing) pink = thing_parse("{\"name\":\"x\",\"colour\":\"pink\",\"colours\":[\"red\",\"pink\"]}", WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(pink->colours.len, ==, 1);
  g_autoptr(Thing) plain = thing_parse("{\"name\":\"x\"}", WS_PARSE_RPC, &error);
  g_assert_cmpint(pink->colour, ==, plain->colour);
}

/* What a newer peer asks for must not be done in part. */
static void requests_are_understood_or_refused(void)
{
  static const char *const nothing[] = {"null", "false", "0", "\"\"", "[]", "{}"};
  static const char *const something[] = {"true", "1", "\"a\"", "[0]", "{\"a\":1}"};
  GError *error = NULL;
  for (guint i = 0; i < G_N_ELEMENTS(nothing); i++) {
    g_autofree char *json = g_strdup_printf("{\"name\":\"x\",\"future\":%s}", nothing[i]);
    g_autoptr(Thing) thing = thing_parse(json, WS_PARSE_REQUEST, &error);
    g_assert_no_error(error);
    g_assert_cmpint(thing->count, ==, 20);
  }
  for (guint i = 0; i < G_N_ELEMENTS(something); i++) {
    g_autofree char *json = g_strdup_printf("{\"name\":\"x\",\"inner\":{\"word\":\"w\",\"future\":%s}}", something[i]);
    g_assert_null(thing_parse(json, WS_PARSE_REQUEST, &error));
    assert_error(error, WS_ERROR_UNSUPPORTED, "what", "inner.future", NULL);
    error = NULL;
  }
  g_assert_null(thing_parse("{\"name\":\"x\",\"colour\":\"pink\"}", WS_PARSE_REQUEST, &error));
  assert_error(error, WS_ERROR_UNSUPPORTED, "what", "colour pink", NULL);
  error = NULL;
  g_assert_null(thing_parse("{\"future\":0}", WS_PARSE_REQUEST, &error));
  assert_error(error, WS_ERROR_REQUIRED, "field", "name", NULL);
}

static void names_are_trimmed(void)
{
  g_autoptr(Thing) thing = thing_parse("{\"name\":\" \\u00a0web 1\\t\"}", WS_PARSE_CREATE, NULL);
  g_assert_cmpstr(thing->name, ==, "web 1");
}

static void length_counts_characters_not_bytes(void)
{
  g_autoptr(Thing) thing = thing_parse("{\"name\":\"虚拟机虚拟机虚拟\"}", WS_PARSE_CREATE, NULL);
  g_assert_nonnull(thing);
  GError *error = NULL;
  g_assert_null(thing_parse("{\"name\":\"虚拟机虚拟机虚拟机\"}", WS_PARSE_CREATE, &error));
  assert_error(error, WS_ERROR_BAD_VALUE, "field", "name", NULL);
}

static void chosen_fields_are_written(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(Thing) thing =
      thing_parse("{\"name\":\"x\",\"count\":30,\"numbers\":[1]}", WS_PARSE_CREATE, NULL);
  thing->id = 1;
  g_autoptr(WsFieldSet) set = ws_field_set_parse(&thing_type, "numbers,id,name", &error);
  g_assert_no_error(error);
  g_autoptr(GString) out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_object_write(&thing_type, thing, WS_WRITE_CLIENT, set, &w);
  g_assert_cmpstr(out->str, ==, "{\"id\":\"thing-1\",\"revision\":0,\"name\":\"x\",\"numbers\":[1]}");

  static const char *const bad[] = {"nmae", "name,,count", "hidden", "password", "inner.word", "name "};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    GError *refused = NULL;
    g_assert_null(ws_field_set_parse(&thing_type, bad[i], &refused));
    assert_error(refused, WS_ERROR_UNKNOWN_FIELD, NULL);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/parse/every_kind_survives_a_round_trip", every_kind_survives_a_round_trip);
  g_test_add_func("/model/parse/written_form_is_as_documented", written_form_is_as_documented);
  g_test_add_func("/model/parse/defaults_fill_what_create_leaves_out", defaults_fill_what_create_leaves_out);
  g_test_add_func("/model/parse/bad_requests_name_the_field", bad_requests_name_the_field);
  g_test_add_func("/model/parse/truncated_text_is_refused", truncated_text_is_refused);
  g_test_add_func("/model/parse/deep_nesting_is_refused", deep_nesting_is_refused);
  g_test_add_func("/model/parse/stored_rows_of_other_versions_are_read",
                  stored_rows_of_other_versions_are_read);
  g_test_add_func("/model/parse/peers_are_checked_but_may_be_newer", peers_are_checked_but_may_be_newer);
  g_test_add_func("/model/parse/requests_are_understood_or_refused", requests_are_understood_or_refused);
  g_test_add_func("/model/parse/names_are_trimmed", names_are_trimmed);
  g_test_add_func("/model/parse/length_counts_characters_not_bytes", length_counts_characters_not_bytes);
  g_test_add_func("/model/parse/chosen_fields_are_written", chosen_fields_are_written);
  return g_test_run();
}

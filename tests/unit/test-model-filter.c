// SPDX-License-Identifier: Apache-2.0
/* Filters and sorting of lists. */
#include "model-thing.h"
#include <string.h>

static const char *const rows[] = {
    "{\"id\":\"thing-1\",\"revision\":5,\"name\":\"web-10\",\"on\":true,\"count\":10,\"ratio\":0.5,"
    "\"colour\":\"red\",\"volume\":\"vol-7\","
    "\"about\":\"vm-42\",\"since\":\"2026-01-31T08:00:00Z\",\"inner\":{\"word\":\"a "
    "b\"},\"parts\":[{\"key\":\"x\",\"size\":1},{\"key\":\"y\",\"size\":2}],"
    "\"numbers\":[1,2],\"labels\":{\"env\":\"prod\",\"a.b\":\"c\"},\"colours\":[\"blue\"],\"extra\":{}}",
    "{\"id\":\"thing-2\",\"revision\":6,\"name\":\"Web-2\",\"on\":false,\"count\":20,\"colour\":\"blue\",\"numbers\":[3]}",
    "{\"id\":\"thing-3\",\"revision\":7,\"name\":\"ÄPFEL\",\"on\":false,\"note\":\"\"}",
};

static Thing *row(guint i)
{
  return thing_parse(rows[i], WS_PARSE_STORED, NULL);
}

static void filters_choose_rows(void)
{
  static const struct {
    const char *text, *rows;
  } cases[] = {
      {"name=web-10", "1"},
      {"name=Web-10", ""},
      {"name!=web-10", "23"},
      {"name~WEB", "12"},
      {"name~äpfel", "3"},
      {"name~b-1", "1"},
      {"name<web-10", "2"},
      {"name<=web-10", "12"},
      {"name>web-2", "13"},
      {"on=true", "1"},
      {"on!=true", "23"},
      {"on = false", "23"},
      {"count=10", "1"},
      {"count>=20", "2"},
      {"count<20", "1"},
      {"count!=10", "23"},
      {"count=\"\"", "3"},
      {"count!=\"\"", "12"},
      {"ratio>0.25", "1"},
      {"ratio<=0.5", "1"},
      {"colour=blue", "2"},
      {"colour>=green", "2"},
      {"colour!=blue", "13"},
      {"colour=\"\"", "3"},
      {"volume=vol-7", "1"},
      {"volume=vol-8", ""},
      {"volume=\"\"", "23"},
      {"volume>=vol-7", "1"},
      {"about=vm-42", "1"},
      {"about=vol-42", ""},
      {"about!=vm-42", "23"},
      {"since>2026-01-31", "1"},
      {"since>2026-01-31T08:00:00Z", ""},
      {"since>=2026-01-31T09:00:00+01:00", "1"},
      {"since=\"\"", "23"},
      {"inner.word=\"a b\"", "1"},
      {"inner!=\"\"", "1"},
      {"inner=\"\"", "23"},
      {"inner.word!=x", "123"},
      {"parts.size=2", "1"},
      {"parts.size!=2", "23"},
      {"parts.key=z", ""},
      {"parts=\"\"", "23"},
      {"parts!=\"\"", "1"},
      {"numbers=3", "2"},
      {"numbers>1", "12"},
      {"numbers!=3", "13"},
      {"colours=blue", "1"},
      {"labels.env=prod", "1"},
      {"labels.a.b=c", "1"},
      {"labels.env!=prod", "23"},
      {"labels.env=\"\"", "23"},
      {"labels.env~RO", "1"},
      {"labels!=\"\"", "1"},
      {"extra!=\"\"", "1"},
      {"note=\"\"", "123"},
      {"id=thing-2", "2"},
      {"id!=thing-2", "13"},
      {"revision>5", "23"},
      {"name~web and count>10", "2"},
      {"name~web and on=true and count=10", "1"},
      {"  name~web   and  on=false ", "2"},
      {"name=\"say \\\"hi\\\\\"", ""},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GError) error = NULL;
    g_test_message("%s", cases[i].text);
    g_autoptr(WsFilter) filter = ws_filter_parse(&thing_type, cases[i].text, &error);
    g_assert_no_error(error);
    g_autoptr(GString) got = g_string_new(NULL);
    for (guint k = 0; k < G_N_ELEMENTS(rows); k++) {
      g_autoptr(Thing) thing = row(k);
      if (ws_filter_match(filter, thing))
        g_string_append_printf(got, "%u", k + 1);
    }
    g_assert_cmpstr(got->str, ==, cases[i].rows);
  }
}

static void assert_bad(WsFilter *(*parse)(const WsType *type, const char *text, GError **error), const char *text, const char *position,
                       const char *expected)
{
  GError *error = NULL;
  g_test_message("%s", text);
  g_assert_null(parse(&thing_type, text, &error));
  assert_error(error, WS_ERROR_BAD_FILTER, "position", position, "expected", expected, NULL);
}

static void bad_filters_tell_where(void)
{
  static const struct {
    const char *text, *position, *expected;
  } cases[] = {
      {"", "1", "a field"},
      {"=x", "1", "a field"},
      {"nmae=x", "1", "a field of Thing"},
      {"password=x", "1", "a field of Thing"},
      {"hidden=x", "1", "a field of Thing"},
      {"inner.wrod=x", "1", "a field of Thing"},
      {"name.x=x", "1", "a field of Thing"},
      {"labels.=x", "1", "a field of Thing"},
      {"name", "5", "one of = != < <= > >= ~"},
      {"name x", "6", "one of = != < <= > >= ~"},
      {"name=", "6", "a value (\"\" for none)"},
      {"name= and on=true", "11", "and, or the end"},
      {"name=\"x", "6", "a closing quote"},
      {"name~\"\"", "6", "a value"},
      {"on=yes", "4", "true or false"},
      {"on>true", "3", "= or !="},
      {"count=x", "7", "an integer"},
      {"count=99999999999999999999", "7", "an integer"},
      {"count~1", "6", "one of = != < <= > >="},
      {"ratio=half", "7", "a number"},
      {"colour=pink", "8", "one of red, green, blue"},
      {"volume=vm-1", "8", "an id such as vol-7"},
      {"volume~1", "7", "= or !="},
      {"about=7", "7", "an id such as vm-7"},
      {"about>vm-7", "6", "= or !="},
      {"since>soon", "7", "a time such as 2026-01-31T08:00:00Z, or a date"},
      {"inner=x", "6", "=\"\" or !=\"\" (whether it is there), or a field inside"},
      {"id=vm-1", "4", "an id such as thing-7"},
      {"name=a or name=b", "8", "and, or the end"},
      {"name=a and", "8", "and, or the end"},
      {"name=a and ", "12", "a field"},
      {"name=ä and x=1", "12", "a field of Thing"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
    assert_bad(ws_filter_parse, cases[i].text, cases[i].position, cases[i].expected);
  GError *error = NULL;
  g_autofree char *long_text = g_strnfill(9000, 'a');
  g_assert_null(ws_filter_parse(&thing_type, long_text, &error));
  assert_error(error, WS_ERROR_BAD_FILTER, NULL);
  error = NULL;
  g_assert_null(ws_filter_parse(&thing_type, "name=\xff", &error));
  assert_error(error, WS_ERROR_BAD_FILTER, NULL);
}

static void equality_on_an_index_is_hinted(void)
{
  const WsField *field = NULL;
  WsId ref;
  const char *text;
  g_autoptr(WsFilter) by_ref = ws_filter_parse(&thing_type, "count>5 and volume=vol-7", NULL);
  g_assert_true(ws_filter_index_hint(by_ref, &field, &ref, &text));
  g_assert_cmpstr(field->name, ==, "volume");
  g_assert_cmpuint(ref, ==, 7);
  g_autoptr(WsFilter) by_text = ws_filter_parse(&thing_type, "colour=red", NULL);
  g_assert_true(ws_filter_index_hint(by_text, &field, &ref, &text));
  g_assert_cmpstr(text, ==, "red");
  static const char *const none[] = {"count=10", "volume!=vol-7", "volume=\"\"", "name~x", "inner.word=x"};
  for (gsize i = 0; i < G_N_ELEMENTS(none); i++) {
    g_autoptr(WsFilter) filter = ws_filter_parse(&thing_type, none[i], NULL);
    g_assert_false(ws_filter_index_hint(filter, &field, &ref, &text));
  }
  const char *path, *op, *value;
  g_assert_cmpuint(ws_filter_n_terms(by_ref), ==, 2);
  ws_filter_nth_term(by_ref, 0, &path, &op, &value);
  g_assert_cmpstr(path, ==, "count");
  g_assert_cmpstr(op, ==, ">");
  g_assert_cmpstr(value, ==, "5");
}

static void times_bound_what_matches(void)
{
  static const struct {
    const char *text;
    gint64 from_s, until_s;
  } cases[] = {
      {"name=x", 0, 0},
      {"since>=1970-01-02 and since<1970-01-03", 86400, 172800},
      {"since>1970-01-02 and since>=1970-01-03 and name=x", 172800, 0},
      {"since=1970-01-02T00:00:00Z", 86400, 86400},
      {"since!=1970-01-02 and since=\"\"", 0, 0},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(WsFilter) filter = ws_filter_parse(&thing_type, cases[i].text, NULL);
    gint64 from, until;
    g_test_message("%s", cases[i].text);
    ws_filter_time_range(filter, "since", &from, &until);
    g_assert_cmpint(from, ==, cases[i].from_s ? cases[i].from_s * G_USEC_PER_SEC : G_MININT64);
    g_assert_cmpint(until, ==, cases[i].until_s ? cases[i].until_s * G_USEC_PER_SEC : G_MAXINT64);
  }
}

/* Tells each term over a reference which of these volumes it finds. */
static void find_volumes(WsFilter *filter)
{
  static const char *const volumes[] = {
      "{\"id\":\"vol-7\",\"revision\":1,\"name\":\"data\",\"pool\":\"pool-3\"}",
      "{\"id\":\"vol-9\",\"revision\":1,\"name\":\"logs\",\"pool\":\"pool-4\"}"};
  const WsFilter *beyond;
  const WsType *type;
  for (guint n = 0; (beyond = ws_filter_join(filter, n, &type)); n++) {
    g_assert_true(type == &ws_type_volume);
    for (guint i = 0; i < G_N_ELEMENTS(volumes); i++) {
      g_autoptr(WsVolume) volume =
          ws_object_parse(&ws_type_volume, volumes[i], strlen(volumes[i]), WS_PARSE_STORED, NULL);
      g_assert_nonnull(volume);
      if (ws_filter_match(beyond, volume))
        ws_filter_join_add(filter, n, volume->id);
    }
  }
}

static void a_path_goes_over_one_reference(void)
{
  static const struct {
    const char *text, *rows, *hinted;
  } cases[] = {
      {"volume.pool=pool-3", "1", "7"},
      {"volume.pool=pool-4", "", "9"},
      {"volume.pool!=pool-3", "23", NULL},
      {"volume.pool=\"\"", "23", NULL},
      {"volume.pool!=\"\"", "1", "7,9"},
      {"volume.name~A", "1", "7"},
      {"volume.name=nobody", "", ""},
      {"count>5 and volume.name=data and volume.pool=pool-3", "1", "7"},
      {"count>20 and volume.pool=pool-3", "", "7"},
      {"volume=vol-7", "1", NULL},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    const WsField *field = NULL;
    WsId ref;
    const char *text;
    g_test_message("%s", cases[i].text);
    g_autoptr(WsFilter) filter = ws_filter_parse_joined(&thing_type, cases[i].text, NULL);
    g_assert_nonnull(filter);
    find_volumes(filter);
    g_autoptr(GString) got = g_string_new(NULL);
    for (guint k = 0; k < G_N_ELEMENTS(rows); k++) {
      g_autoptr(Thing) thing = row(k);
      if (ws_filter_match(filter, thing))
        g_string_append_printf(got, "%u", k + 1);
    }
    g_assert_cmpstr(got->str, ==, cases[i].rows);
    g_assert_true(ws_filter_index_hint(filter, &field, &ref, &text) == (strchr(cases[i].text, '.') == NULL));
    g_autoptr(GArray) ids = ws_filter_join_hint(filter, &field);
    g_assert_true((ids != NULL) == (cases[i].hinted != NULL));
    g_string_truncate(got, 0);
    for (guint k = 0; ids && k < ids->len; k++)
      g_string_append_printf(got, "%s%" G_GUINT64_FORMAT, k ? "," : "", g_array_index(ids, WsId, k));
    if (ids) {
      g_assert_cmpstr(got->str, ==, cases[i].hinted);
      g_assert_cmpstr(field->name, ==, "volume");
    }
  }
}

static void bad_paths_over_references_tell_where(void)
{
  static const struct {
    const char *text, *position, *expected;
  } cases[] = {
      {"volume.nope=x", "8", "a field of Volume"},
      {"volume.pool.name=x", "8",
       "a path over at most one reference, and over none in a watch or in history"},
      {"volume.pool=x", "13", "an id such as pool-7"},
      {"name.x=x", "1", "a field of Thing"},
      {"on=true and volume.pool", "24", "one of = != < <= > >= ~"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
    assert_bad(ws_filter_parse_joined, cases[i].text, cases[i].position, cases[i].expected);
  /* Where nobody can say what is there. */
  assert_bad(ws_filter_parse, "volume.pool=pool-3", "1", "a path over at most one reference, and over none in a watch or in history");
}

static int by_sort(gconstpointer a, gconstpointer b, gpointer sort)
{
  return ws_sort_compare(sort, *(void *const *)a, *(void *const *)b);
}

static void sorting_is_natural_total_and_keeps_absent_last(void)
{
  static const struct {
    const char *text, *order;
  } cases[] = {
      {"name", "213"},
      {"-name", "312"},
      {"count", "123"},
      {"-count", "213"},
      {"on,-count", "231"},
      {"-on,name", "123"},
      {"ratio", "123"},
      {"since", "123"},
      {"colour", "123"},
      {"-colour", "213"},
      {"volume", "123"},
      {"about", "123"},
      {"inner.word", "123"},
      {"labels.env", "123"},
      {"id", "123"},
      {"-id", "321"},
      {"revision", "123"},
      {"hidden_is_unknown", NULL},
      {"-revision,name", "321"},
      {"", NULL},
      {"name,", NULL},
      {"name,name,name,name,name", NULL},
      {"numbers", NULL},
      {"inner", NULL},
      {"password", NULL},
      {"extra", NULL},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    GError *error = NULL;
    g_test_message("%s", cases[i].text);
    g_autoptr(WsSort) sort = ws_sort_parse(&thing_type, cases[i].text, &error);
    if (!cases[i].order) {
      g_assert_null(sort);
      g_assert_nonnull(ws_error_field(error));
      g_error_free(error);
      continue;
    }
    g_assert_no_error(error);
    g_autoptr(GPtrArray) things = g_ptr_array_new_with_free_func((GDestroyNotify)thing_free);
    for (guint k = G_N_ELEMENTS(rows); k-- > 0;)
      g_ptr_array_add(things, row(k));
    g_ptr_array_sort_with_data(things, by_sort, sort);
    g_autoptr(GString) got = g_string_new(NULL);
    for (guint k = 0; k < things->len; k++)
      g_string_append_printf(got, "%d", (int)((Thing *)things->pdata[k])->id);
    g_assert_cmpstr(got->str, ==, cases[i].order);
  }
}

/* Each name sorts before the next. */
static void names_sort_as_people_expect(void)
{
  static const char *const names[] = {"",
                                      "2",
                                      "10",
                                      "a",
                                      "A",
                                      "a0",
                                      "a00",
                                      "a1",
                                      "a01b",
                                      "a2",
                                      "a10",
                                      "B",
                                      "web-2",
                                      "Web-2-x",
                                      "web-9999999999999999999999",
                                      "web-10000000000000000000000",
                                      "zz",
                                      "äa",
                                      "Äb",
                                      "虚拟机2",
                                      "虚拟机10"};
  for (gsize i = 0; i + 1 < G_N_ELEMENTS(names); i++) {
    Thing a = {.id = 1, .name = (char *)names[i]}, b = {.id = 1, .name = (char *)names[i + 1]};
    g_autoptr(WsSort) sort = ws_sort_parse(&thing_type, "name", NULL);
    bool case_only = strcmp(names[i], "a") == 0 || strcmp(names[i], "a0") == 0;
    g_test_message("%s < %s", names[i], names[i + 1]);
    if (!case_only) /* near: only the bytes decide, but never 0 */
      g_assert_cmpint(ws_sort_compare(sort, &a, &b), <, 0);
    g_assert_cmpint(ws_sort_compare(sort, &a, &b), !=, 0);
    g_assert_cmpint(ws_sort_compare(sort, &a, &b) < 0, ==, ws_sort_compare(sort, &b, &a) > 0);
    g_assert_cmpint(ws_sort_compare(sort, &a, &a), ==, 0);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/filter/filters_choose_rows", filters_choose_rows);
  g_test_add_func("/model/filter/bad_filters_tell_where", bad_filters_tell_where);
  g_test_add_func("/model/filter/equality_on_an_index_is_hinted", equality_on_an_index_is_hinted);
  g_test_add_func("/model/filter/times_bound_what_matches", times_bound_what_matches);
  g_test_add_func("/model/filter/a_path_goes_over_one_reference", a_path_goes_over_one_reference);
  g_test_add_func("/model/filter/bad_paths_over_references_tell_where", bad_paths_over_references_tell_where);
  g_test_add_func("/model/sort/sorting_is_natural_total_and_keeps_absent_last",
                  sorting_is_natural_total_and_keeps_absent_last);
  g_test_add_func("/model/sort/names_sort_as_people_expect", names_sort_as_people_expect);
  return g_test_run();
}

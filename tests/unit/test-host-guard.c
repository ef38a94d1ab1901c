// SPDX-License-Identifier: Apache-2.0
/* What goes through to the target's libvirt in a move, and what does not. The messages are made here as
 * libvirt makes them; those of real moves are in tests/fuzz/corpus/guard. */
#include "base/error.h"
#include "host/guard/guard.h"
#include "host/guard/message.h"
#include <libvirt/libvirt.h>
#include <string.h>

#define MEMORY "unix:///run/s/memory"
#define DISKS  "unix:///run/s/disks"
#define REMOTE 0x20008086u

/* ---- the owner: a definition is its own if it says so, and the name is what follows ---- */

static bool take_definition(const char *xml, void *arg, char **name, GError **error)
{
  if (!g_str_has_prefix(xml, "mine "))
    return ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", "not mine", NULL);
  *name = g_strdup(xml + 5);
  return true;
}

static bool take_cookie(const char *xml, const char *name, void *arg, GError **error)
{
  return strcmp(xml, name) == 0 || ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", "not its cookie", NULL);
}

static const GuardTerms terms = {"qemu:///system", MEMORY, DISKS, take_definition, take_cookie, NULL};

/* ---- messages ---- */

static void put_u32(GByteArray *out, guint32 value)
{
  guint32 wire = GUINT32_TO_BE(value);
  g_byte_array_append(out, (const guint8 *)&wire, sizeof wire);
}

static void put_bytes(GByteArray *out, const void *bytes, gsize n)
{
  put_u32(out, (guint32)n);
  g_byte_array_append(out, bytes, (guint)n);
  g_byte_array_append(out, (const guint8 *)"\0\0\0", (guint)((4 - n % 4) % 4));
}

static void put_text(GByteArray *out, const char *text)
{
  put_bytes(out, text, strlen(text));
}

static void put_param(GByteArray *out, const char *field, const char *text)
{
  put_text(out, field);
  put_u32(out, 7);
  put_text(out, text);
}

static void put_head(GByteArray *out, guint32 n, guint32 program, guint32 version, guint32 procedure,
                     guint32 type, guint32 status)
{
  const guint32 head[] = {28 + n, program, version, procedure, type, 5, status};
  for (guint i = 0; i < G_N_ELEMENTS(head); i++)
    put_u32(out, head[i]);
}

static GByteArray *message(guint32 procedure, const GByteArray *body)
{
  GByteArray *out = g_byte_array_new();
  put_head(out, body ? body->len : 0, REMOTE, 1, procedure, 0, 0);
  if (body)
    g_byte_array_append(out, body->data, body->len);
  return out;
}

static void add(GByteArray *all, guint32 procedure, const GByteArray *body)
{
  g_autoptr(GByteArray) one = message(procedure, body);
  g_byte_array_append(all, one->data, one->len);
}

/* Arguments of prepare (finish: with `cancelled` behind them). NULLs are left out. */
typedef struct {
  const char *xml, *uri, *disks_uri, *name, *more, *more_value;
  const char *cookie;
  guint32 flags;
} Call;

static GByteArray *body_of(const Call *call, bool finish)
{
  GByteArray *out = g_byte_array_new();
  const struct {
    const char *field, *value;
  } rows[] = {
      {"destination_xml", call->xml},   {"migrate_uri", call->uri},     {"disks_uri", call->disks_uri},
      {"destination_name", call->name}, {call->more, call->more_value},
  };
  guint n = 1;
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    n += rows[i].value != NULL;
  put_u32(out, n);
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].value)
      put_param(out, rows[i].field, rows[i].value);
  put_text(out, "bandwidth");
  put_u32(out, 4);
  put_u32(out, 0);
  put_u32(out, 100);
  if (call->cookie)
    put_bytes(out, call->cookie, strlen(call->cookie) + 1);
  else
    put_u32(out, 0);
  put_u32(out, call->flags);
  if (finish)
    put_u32(out, 1);
  return out;
}

static const Call good_prepare = {
    "mine vm-7",     MEMORY, DISKS,  NULL,
    "migrate_disks", "vda",  "vm-7", VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PAUSED};
static const Call good_finish = {"mine vm-7",     MEMORY, DISKS,  "vm-7",
                                 "migrate_disks", "vda",  "vm-7", VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER};

static void add_call(GByteArray *all, guint32 procedure, const Call *call)
{
  g_autoptr(GByteArray) body = body_of(call, procedure == 306);
  add(all, procedure, body);
}

static void add_feature(GByteArray *all)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  put_u32(body, 15);
  add(all, 60, body);
}

static void add_open(GByteArray *all, const char *uri, guint32 flags)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  put_u32(body, uri != NULL);
  if (uri)
    put_text(body, uri);
  put_u32(body, flags);
  add(all, 1, body);
}

/* ---- verdicts ---- */

/* What goes on of these bytes, taken `step` at a time; *reason: why no more did, or NULL. */
static GByteArray *sent(const GByteArray *bytes, gsize step, char **reason)
{
  g_autoptr(Guard) guard = guard_new(&terms);
  GByteArray *pass = g_byte_array_new();
  *reason = NULL;
  for (gsize at = 0; at < bytes->len; at += step) {
    g_autoptr(GError) error = NULL;
    gsize n = MIN(step, bytes->len - at);
    g_autofree guint8 *exact = g_memdup2(bytes->data + at, n);
    if (guard_take(guard, exact, n, pass, &error))
      continue;
    g_assert_error(error, WS_ERROR, WS_ERROR_PEER_REFUSED);
    *reason = g_strdup(error->message);
    break;
  }
  return pass;
}

static void expect_passes(const GByteArray *bytes)
{
  for (gsize step = 1; step <= bytes->len; step = step < 8 ? step + 1 : step * 3) {
    g_autofree char *reason = NULL;
    g_autoptr(GByteArray) pass = sent(bytes, step, &reason);
    g_assert_cmpstr(reason, ==, NULL);
    g_assert_cmpmem(pass->data, pass->len, bytes->data, bytes->len);
  }
}

/* Of these bytes the first `n` go on, nothing else, in whatever pieces they come. */
static void expect_refused(const GByteArray *bytes, gsize n, const char *why)
{
  const gsize steps[] = {1, 5, 28, bytes->len};
  for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
    g_autofree char *reason = NULL;
    g_autoptr(GByteArray) pass = sent(bytes, steps[i], &reason);
    if (!reason || !strstr(reason, why))
      g_error("expected \"%s\", got \"%s\"", why, reason ? reason : "nothing");
    g_assert_cmpmem(pass->data, pass->len, bytes->data, n);
  }
}

static void expect_call_refused(guint32 procedure, const Call *call, const char *why)
{
  g_autoptr(GByteArray) all = g_byte_array_new();
  gsize before = 0;
  if (procedure == 306) {
    add_call(all, 303, &good_prepare);
    before = all->len;
  }
  add_call(all, procedure, call);
  expect_refused(all, before, why);
}

/* ---- tests ---- */

static void whole_move_goes_through(void)
{
  g_autoptr(GByteArray) all = g_byte_array_new();
  add(all, 66, NULL);
  add_open(all, "qemu:///system", 0);
  add_feature(all);
  add(all, 110, NULL);
  add(all, 360, NULL);
  add_call(all, 303, &good_prepare);
  put_head(all, 0, 0x6b656570, 1, 1, 2, 0);
  put_head(all, 0, 0x6b656570, 1, 2, 2, 0);
  add_call(all, 306, &good_finish);
  add(all, 361, NULL);
  add(all, 2, NULL);
  expect_passes(all);
}

static void every_other_procedure_is_refused(void)
{
  static const guint32 known[] = {1, 2, 60, 66, 110, 303, 306, 360, 361};
  for (guint32 procedure = 0; procedure < 1000; procedure++) {
    bool is_known = false;
    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
      is_known = is_known || known[i] == procedure;
    if (is_known)
      continue;
    g_autoptr(GByteArray) all = g_byte_array_new();
    add(all, 66, NULL);
    gsize before = all->len;
    add(all, procedure, NULL);
    g_autofree char *why = g_strdup_printf("procedure %u", procedure);
    expect_refused(all, before, why);
  }
}

static void anything_but_a_call_is_refused(void)
{
  static const struct {
    guint32 program, version, procedure, type, status;
    const char *why;
  } rows[] = {
      {REMOTE, 1, 303, 1, 0, "type 1"},    {REMOTE, 1, 303, 2, 0, "type 2"},
      {REMOTE, 1, 303, 3, 0, "type 3"},    {REMOTE, 1, 303, 4, 0, "type 4"},
      {REMOTE, 1, 303, 5, 0, "type 5"},    {REMOTE, 1, 66, 0, 1, "type 0"},
      {REMOTE, 1, 66, 0, 2, "type 0"},     {REMOTE, 2, 66, 0, 0, "program"},
      {0x20008087, 1, 1, 0, 0, "program"}, {0x20008088, 1, 1, 0, 0, "program"},
      {0x06900690, 1, 1, 0, 0, "program"}, {0x6b656570, 1, 3, 2, 0, "type 2"},
      {0x6b656570, 1, 1, 0, 0, "type 0"},  {0x6b656570, 2, 1, 2, 0, "type 2"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GByteArray) all = g_byte_array_new();
    put_head(all, 0, rows[i].program, rows[i].version, rows[i].procedure, rows[i].type, rows[i].status);
    expect_refused(all, 0, rows[i].why);
  }
}

static void length_is_judged_before_the_bytes_come(void)
{
  static const struct {
    guint32 more, procedure;
    const char *why;
  } rows[] = {
      {GUARD_MESSAGE_MAX, 303, "bytes"},   {GUARD_CALL_MAX, 66, "bytes"},
      {0xffffffffu - 28, 306, "bytes"},    {0xffffffe4u /* comes to 0 */, 66, "bytes"},
      {0xfffffffcu /* 24 */, 66, "bytes"}, {4, 66, "cannot be read"},
      {8, 60, "cannot be read"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GByteArray) all = g_byte_array_new();
    put_head(all, rows[i].more, REMOTE, 1, rows[i].procedure, 0, 0);
    if (rows[i].more < 100)
      for (guint32 at = 0; at < rows[i].more; at += 4)
        put_u32(all, 0);
    expect_refused(all, 0, rows[i].why);
  }
  g_autoptr(GByteArray) ping = g_byte_array_new();
  put_head(ping, 4, 0x6b656570, 1, 1, 2, 0);
  expect_refused(ping, 0, "type 2");
}

static void only_the_hypervisor_itself_is_opened(void)
{
  static const struct {
    const char *uri;
    guint32 flags;
  } rows[] = {
      {"lxc:///system", 0},
      {"qemu:///session", 0},
      {"test:///default", 0},
      {"qemu+ssh://other/system", 0},
      {"", 0},
      {NULL, 0},
      {"qemu:///system", 1},
      {"qemu:///system?socket=/x", 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GByteArray) all = g_byte_array_new();
    add_open(all, rows[i].uri, rows[i].flags);
    expect_refused(all, 0, "connection to something else");
  }
}

static void prepare_is_for_this_vm_and_this_session(void)
{
  Call call = good_prepare;
  call.xml = "another";
  expect_call_refused(303, &call, "not mine");
  call = good_prepare, call.xml = NULL;
  expect_call_refused(303, &call, "without a definition");
  call = good_prepare, call.uri = NULL;
  expect_call_refused(303, &call, "without a socket");
  call = good_prepare, call.uri = "tcp://0.0.0.0:49152";
  expect_call_refused(303, &call, "not this session's: tcp://");
  call = good_prepare, call.uri = "unix:///run/s/memory2";
  expect_call_refused(303, &call, "not this session's");
  call = good_prepare, call.disks_uri = MEMORY;
  expect_call_refused(303, &call, "not this session's");
  call = good_prepare, call.more = "listen_address", call.more_value = "0.0.0.0";
  expect_call_refused(303, &call, "listen_address");
  call = good_prepare, call.more = "migrate_uri", call.more_value = "tcp://0.0.0.0";
  expect_call_refused(303, &call, "not this session's");
  call = good_prepare, call.more = "destination_xml", call.more_value = "mine vm-8";
  expect_call_refused(303, &call, "destination_xml");
  call = good_prepare, call.more = "bandwidth", call.more_value = "text";
  expect_call_refused(303, &call, "bandwidth");
  call = good_prepare, call.name = "vm-8";
  expect_call_refused(303, &call, "another virtual machine: vm-8");
  call = good_prepare, call.cookie = "vm-8";
  expect_call_refused(303, &call, "not its cookie");
  for (guint bit = 0; bit < 32; bit++) {
    static const guint32 fine = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST |
                                VIR_MIGRATE_PAUSED | VIR_MIGRATE_NON_SHARED_DISK |
                                VIR_MIGRATE_CHANGE_PROTECTION | VIR_MIGRATE_UNSAFE |
                                VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_POSTCOPY;
    call = good_prepare, call.flags = 1u << bit;
    if (!(fine & call.flags))
      expect_call_refused(303, &call, "flags");
  }
}

static void one_connection_moves_one_vm(void)
{
  g_autoptr(GByteArray) all = g_byte_array_new();
  add_call(all, 303, &good_prepare);
  gsize before = all->len;
  add_call(all, 303, &good_prepare);
  expect_refused(all, before, "second virtual machine");
}

static void only_what_began_here_ends_here(void)
{
  Call call = good_finish;
  g_autoptr(GByteArray) all = g_byte_array_new();
  add_call(all, 306, &call);
  expect_refused(all, 0, "did not begin");
  call.name = "vm-8";
  expect_call_refused(306, &call, "another virtual machine: vm-8");
  call = good_finish, call.name = NULL;
  expect_call_refused(306, &call, "another virtual machine");
  call = good_finish, call.more = "destination_name", call.more_value = "vm-8";
  expect_call_refused(306, &call, "destination_name");
  call = good_finish, call.xml = "mine vm-8";
  expect_call_refused(306, &call, "another virtual machine");
  call = good_finish, call.cookie = "vm-8";
  expect_call_refused(306, &call, "not its cookie");
}

/* One byte of a good message is another, or it is shorter or longer: nobody reads past its end, and what is
 * not as XDR has it does not go on. */
static void malformed_arguments_are_refused(void)
{
  g_autoptr(GByteArray) body = body_of(&good_prepare, false);
  for (guint n = 0; n < body->len; n++) {
    g_autoptr(GByteArray) cut = g_byte_array_new(), all = g_byte_array_new();
    g_byte_array_append(cut, body->data, n);
    add(all, 303, cut);
    expect_refused(all, 0, "");
  }
  g_autoptr(GByteArray) longer = g_byte_array_new(), too_long = g_byte_array_new();
  g_byte_array_append(longer, body->data, body->len);
  put_u32(longer, 0);
  add(too_long, 303, longer);
  expect_refused(too_long, 0, "cannot be read");
  for (guint at = 0; at < body->len; at++) {
    g_autoptr(GByteArray) other = g_byte_array_new(), all = g_byte_array_new();
    g_autofree char *reason = NULL;
    g_byte_array_append(other, body->data, body->len);
    other->data[at] ^= 0xff;
    add(all, 303, other);
    g_autoptr(GByteArray) pass = sent(all, all->len, &reason);
    g_assert_true(pass->len == 0 || pass->len == all->len);
    g_assert_true((reason != NULL) == (pass->len == 0));
  }
}

static void texts_are_whole(void)
{
  static const struct {
    const char *bytes;
    gsize n;
  } rows[] = {
      {"\0\0\0\3a\0b\0", 8}, /* NUL inside: two readers would see two texts */
      {"\0\0\0\3abcd", 8},   /* filled up with something */
      {"\0\0\0\3abc", 7},    /* not filled up */
      {"\0\0\0\x9"
       "abcdefghi\0\0\0",
       16}, /* longer than asked for */
      {"\xff\xff\xff\xff"
       "abcd",
       8},
      {"\0\0\0", 3},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree guint8 *exact = g_memdup2(rows[i].bytes, rows[i].n);
    MessageArgs args = {exact, rows[i].n};
    char *text = NULL;
    g_assert_false(message_text(&args, 8, &text));
    g_assert_null(text);
  }
  MessageArgs good = {(const guint8 *)"\0\0\0\3abc\0", 8};
  g_autofree char *text = NULL;
  g_assert_true(message_text(&good, 8, &text));
  g_assert_cmpstr(text, ==, "abc");
  g_assert_cmpuint(good.n, ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/guard/" #name, name)
  TEST(whole_move_goes_through);
  TEST(every_other_procedure_is_refused);
  TEST(anything_but_a_call_is_refused);
  TEST(length_is_judged_before_the_bytes_come);
  TEST(only_the_hypervisor_itself_is_opened);
  TEST(prepare_is_for_this_vm_and_this_session);
  TEST(one_connection_moves_one_vm);
  TEST(only_what_began_here_ends_here);
  TEST(malformed_arguments_are_refused);
  TEST(texts_are_whole);
  return g_test_run();
}

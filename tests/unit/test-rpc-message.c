// SPDX-License-Identifier: Apache-2.0
/* JSON-RPC messages as bytes: the table in tests/data/rpc/messages.txt (each line is a test), and what we write is read back. */
#include "base/error.h"
#include "model/model.h"
#include "rpc/message.h"
#include <string.h>

static const char *const kinds[] = {"request", "notification", "result", "failure"};

static void describe(GString *out, const RpcMessage *message)
{
  g_string_append_printf(out, "%s %" G_GINT64_FORMAT, kinds[message->kind], message->id);
  if (message->kind == RPC_REQUEST || message->kind == RPC_NOTIFICATION)
    g_string_append_printf(out, " %s", message->method);
}

static void describe_failure(GString *out, const GError *failure)
{
  const char *code = ws_error_code_name(ws_error_code(failure)), *cause = ws_error_cause(failure);

  /* Of an error that we do not know, the cause tells its name or text. */
  g_string_append_printf(out, " %s %s", g_strcmp0(code, "internal") ? "x" : cause ? cause : "-", code);
}

static char *take(const char *bytes, gsize n)
{
  g_auto(RpcMessage) message = {0};
  g_autoptr(GError) error = NULL;
  GString *out = g_string_new(NULL);

  if (!rpc_message_parse(&message, bytes, n, &error)) {
    const char *field = ws_error_field(error);
    g_string_append_printf(out, "refused %s", ws_error_code_name(ws_error_code(error)));
    if (ws_error_code(error) == WS_ERROR_BAD_VALUE)
      g_string_append_printf(out, " %s", field && *field ? field : "-");
  } else {
    describe(out, &message);
    if (message.kind == RPC_FAILURE)
      describe_failure(out, message.failure);
  }
  return g_string_free(out, FALSE);
}

static void message_is_taken_as_the_table_says(const void *line)
{
  g_auto(GStrv) parts = g_strsplit(line, "\t", 2);
  g_autofree char *taken = take(parts[1], strlen(parts[1]));

  g_assert_cmpstr(taken, ==, parts[0]);
}

/* Each prefix of a message is refused, and reading stops at its end (the sanitizer watches the copy's bounds). */
static void cut_short_messages_are_refused(void)
{
  const char *whole = "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1,\"message\":\"a\\u0041\",\"data\":{\"code\":\"x\"}}}";

  for (gsize n = 0; n < strlen(whole); n++) {
    g_autofree char *cut = g_memdup2(whole, n ? n : 1);
    g_autofree char *taken = take(cut, n);
    g_assert_true(g_str_has_prefix(taken, "refused"));
  }
}

static void parse_bytes(RpcMessage *message, GBytes *bytes)
{
  g_autoptr(GError) error = NULL;
  gsize n;
  const char *text = g_bytes_get_data(bytes, &n);

  rpc_message_parse(message, text, n, &error);
  g_assert_no_error(error);
}

static void calls_are_read_back(void)
{
  WsRpcLinkProgress params = {.call = 5, .done = 17, .total = WS_INT_UNSET, .unit = (char *)"bytes \"\n\xE2\x82\xAC"};
  g_autoptr(GBytes) bytes = rpc_message_new_call(9, "link.progress", &ws_type_rpc_link_progress, &params);
  g_auto(RpcMessage) message = {0};
  g_autoptr(GError) error = NULL;

  parse_bytes(&message, bytes);
  g_assert_cmpint(message.kind, ==, RPC_REQUEST);
  g_assert_cmpint(message.id, ==, 9);
  WsRpcLinkProgress *back =
    ws_rpc_link_progress_parse(message.body, message.body_bytes, WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_true(ws_rpc_link_progress_equal(back, &params));
  ws_rpc_link_progress_free(back);
}

static void errors_are_read_back_whole(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(RpcMessage) message = {0};

  ws_fail(&error, WS_ERROR_BUSY, "object", "vm-1", "verb", "starting", "task", "task-2", "field", "disks[0]", "cause",
          "said \"no\"", NULL);
  g_autoptr(GBytes) bytes = rpc_message_new_failure(4, error);
  parse_bytes(&message, bytes);
  g_assert_cmpint(message.kind, ==, RPC_FAILURE);
  g_assert_cmpint(message.id, ==, 4);
  g_assert_error(message.failure, WS_ERROR, WS_ERROR_BUSY);
  g_assert_cmpstr(ws_error_param(message.failure, "object"), ==, "vm-1");
  g_assert_cmpstr(ws_error_param(message.failure, "verb"), ==, "starting");
  g_assert_cmpstr(ws_error_param(message.failure, "task"), ==, "task-2");
  g_assert_cmpstr(ws_error_field(message.failure), ==, "disks[0]");
  g_assert_cmpstr(ws_error_cause(message.failure), ==, "said \"no\"");
  g_assert_cmpstr(message.failure->message, ==, error->message);
}

static void add_table(void)
{
  g_autofree char *path = g_build_filename(g_getenv("G_TEST_SRCDIR"), "..", "data", "rpc", "messages.txt", NULL);
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(GStrv) lines = NULL;

  g_file_get_contents(path, &text, NULL, &error);
  g_assert_no_error(error);
  lines = g_strsplit(text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    if (lines[i][0] == '#' || !strchr(lines[i], '\t'))
      continue;
    g_autofree char *name = g_strdup_printf("/rpc/message/line_%u", i + 1);
    g_test_add_data_func_full(name, g_strdup(lines[i]), message_is_taken_as_the_table_says, g_free);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  add_table();
  g_test_add_func("/rpc/message/cut_short_messages_are_refused", cut_short_messages_are_refused);
  g_test_add_func("/rpc/message/calls_are_read_back", calls_are_read_back);
  g_test_add_func("/rpc/message/errors_are_read_back_whole", errors_are_read_back_whole);
  return g_test_run();
}

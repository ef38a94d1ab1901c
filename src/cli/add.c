// SPDX-License-Identifier: Apache-2.0
/* winctl host add ADDRESS: the machine's host key is shown and asked about, its password asked for without showing it. See cli.h.
 *
 * The key first: the manager tells it of a machine that it was asked to add without one, and was told no password then. */
#include "base/hash.h"
#include "cli/cli.h"
#include "model/model.h"
#include <stdlib.h>

static bool confirm_key(Cli *cli, const char *address, const GError *unknown)
{
  g_autofree char *question = g_strdup_printf(cli_words(cli, "The SSH host key of %s (%s) has the fingerprint\n  %s\nIs that right?",
                                                        "%s 的 SSH 主机密钥（%s）指纹为\n  %s\n是否正确？"),
                                              address, ws_error_param(unknown, "kind"), ws_error_param(unknown, "host_key"));
  return session_ask(question);
}

/* Asks the manager for the key, and the person whether it is the machine's. True also where the manager knows the key already. */
static bool find_key(Cli *cli, const CliCommand *command, json_t *body, GError **error)
{
  json_t *bare = json_copy(body);
  g_autoptr(GError) refused = NULL;
  json_object_del(bare, "password");
  json_object_del(bare, "private_key");
  char *text = json_dumps(bare, 0);
  cli_call(cli, "POST", command->path, text, NULL, &refused);
  free(text);
  json_decref(bare);
  if (ws_error_code(refused) == WS_ERROR_REQUIRED)
    return true;
  const char *address = json_string_value(json_object_get(body, "address"));
  if (ws_error_code(refused) == WS_ERROR_HOST_KEY_UNKNOWN && confirm_key(cli, address, refused)) {
    json_object_set_new(body, "host_key", json_string(ws_error_param(refused, "host_key")));
    return true;
  }
  g_propagate_error(error, g_steal_pointer(&refused));
  return false;
}

static bool has(const json_t *body, const char *name)
{
  return json_is_string(json_object_get(body, name));
}

static void ask_password(Cli *cli, json_t *body)
{
  const char *user = json_string_value(json_object_get(body, "user"));
  g_autofree char *question = g_strdup_printf(cli_words(cli, "Password of %s on %s: ", "%s 在 %s 上的密码："), user ? user : "root",
                                              json_string_value(json_object_get(body, "address")));
  char *password = session_prompt(question, false);
  json_object_set_new(body, "password", json_string(password));
  ws_secret_free(password);
}

bool add_host(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error)
{
  json_t *body = body_build(cli, command, error);
  if (!body)
    return false;
  if (!has(body, "address") && cli->ids->len == 1)
    json_object_set_new(body, "address", json_string(cli->ids->pdata[0]));
  bool ok = has(body, "address") || ws_fail(error, WS_ERROR_REQUIRED, "field", "--address", NULL);
  ok = ok && (has(body, "host_key") || find_key(cli, command, body, error));
  if (ok && !has(body, "password") && !has(body, "private_key"))
    ask_password(cli, body);
  ok = ok && run_with_body(cli, noun, command, "", body, error);
  json_decref(body);
  return ok;
}

// SPDX-License-Identifier: Apache-2.0
/* The login: kept in one directory with mode 0700 - session.json (0600) and the site's CA. See cli.h.
 *
 * Trust: --ca FILE names the CA; --fingerprint HEX says which CA is right; else the fingerprint is shown and asked about. */
#include "base/files.h"
#include "base/hash.h"
#include "base/pki.h"
#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* WINCTL_CONFIG names the file of the login; the CA lies beside it. */
static char *directory(void)
{
  const char *own = g_getenv("WINCTL_CONFIG");
  return own ? g_path_get_dirname(own) : g_build_filename(g_get_user_config_dir(), "winctl", NULL);
}

static char *session_path(void)
{
  const char *own = g_getenv("WINCTL_CONFIG");
  g_autofree char *dir = directory();
  return own ? g_strdup(own) : g_build_filename(dir, "session.json", NULL);
}

static char *ca_path(void)
{
  g_autofree char *session = session_path();
  return g_strconcat(session, ".ca.crt", NULL);
}

static bool take_override(Cli *cli, GError **error)
{
  const char *token_file = cli_option(cli, "token");
  if (cli_option(cli, "manager")) {
    g_free(cli->manager);
    cli->manager = g_strdup(cli_option(cli, "manager"));
  }
  if (cli_option(cli, "ca")) {
    g_free(cli->ca_file);
    cli->ca_file = g_strdup(cli_option(cli, "ca"));
  }
  if (!token_file)
    return true;
  g_free(cli->token);
  cli->token = ws_file_read(token_file, 1024, NULL, error);
  return cli->token && g_strstrip(cli->token);
}

bool session_load(Cli *cli, GError **error)
{
  g_autofree char *path = session_path();
  g_autofree char *text = ws_file_read(path, 65536, NULL, NULL);
  json_t *json = text ? json_loads(text, 0, NULL) : NULL;
  if (json) {
    cli->manager = g_strdup(json_string_value(json_object_get(json, "manager")));
    cli->token = g_strdup(json_string_value(json_object_get(json, "token")));
    cli->ca_file = ca_path();
    json_decref(json);
  }
  if (!take_override(cli, error))
    return false;
  return (cli->manager && cli->token && cli->ca_file) || ws_fail(error, WS_ERROR_UNAUTHENTICATED, NULL);
}

/* ---- whom to trust ---- */

bool session_ask(const char *question)
{
  char line[16];
  g_printerr("%s [y/N] ", question);
  return isatty(STDIN_FILENO) && fgets(line, sizeof line, stdin) && (*line == 'y' || *line == 'Y');
}

static bool check_fingerprint(Cli *cli, const char *actual, GError **error)
{
  const char *expected = cli_option(cli, "fingerprint");
  if (expected)
    return g_ascii_strcasecmp(expected, actual) == 0 ||
           ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the site's CA has another fingerprint", NULL);
  g_autofree char *question = g_strdup_printf(
      cli_words(cli, "The site's CA has the SHA-256 fingerprint\n  %s\nIs that right?", "站点 CA 的 SHA-256 指纹为\n  %s\n是否正确？"), actual);
  return session_ask(question) ||
         ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the CA was not confirmed; give --ca FILE or --fingerprint HEX", NULL);
}

static bool get_ca(Cli *cli, const char *url, const char *path, GError **error)
{
  g_autofree char *own = NULL;
  g_auto(RestAnswer) answer = {0};
  RestPeer stranger = {.url = url};
  const char *pem;
  if (cli_option(cli, "ca")) {
    pem = own = ws_file_read(cli_option(cli, "ca"), 65536, NULL, error);
    return pem && ws_file_write(path, pem, strlen(pem), 0600, error);
  }
  if (!rest_call(&stranger, "GET", "/api/v1/ca", NULL, NULL, &answer, error))
    return false;
  g_autoptr(WsCert) cert = ws_cert_parse(answer.body->str, error);
  return cert && check_fingerprint(cli, cert->fingerprint, error) &&
         ws_file_write(path, answer.body->str, answer.body->len, 0600, error);
}

/* ---- the password ---- */

char *session_prompt(const char *question, bool echo)
{
  char line[512];
  struct termios old, quiet;
  bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
  if (terminal && !echo) { /* before the question: what is typed in answer to it must be neither shown nor thrown away */
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  if (terminal)
    g_printerr("%s", question);
  char *got = fgets(line, sizeof line, stdin);
  if (terminal && !echo) {
    tcsetattr(STDIN_FILENO, TCSADRAIN, &old);
    g_printerr("\n");
  }
  char *text = g_strdup(got ? got : "");
  text[strcspn(text, "\r\n")] = '\0';
  explicit_bzero(line, sizeof line);
  return text;
}

/* --password-file FILE, or --password @FILE as everywhere else, or what is typed or piped in. */
static char *get_password(Cli *cli, GError **error)
{
  const char *given = cli_option(cli, "password"),
             *file = given && *given == '@' ? given + 1 : cli_option(cli, "password-file");
  char *text = file    ? ws_file_read(file, 512, NULL, error)
               : given ? g_strdup(given)
                       : session_prompt(cli_words(cli, "Password: ", "密码："), false);
  if (text)
    text[strcspn(text, "\r\n")] = '\0';
  return text;
}

static bool keep(const Cli *cli, GError **error)
{
  g_autofree char *path = session_path();
  json_t *json = json_pack("{s:s, s:s}", "manager", cli->manager, "token", cli->token);
  char *text = json_dumps(json, JSON_INDENT(2));
  bool ok = ws_file_write(path, text, strlen(text), 0600, error);
  json_decref(json);
  ws_secret_free(text);
  return ok;
}

static bool check_options(Cli *cli, GError **error)
{
  static const char *const names[] = {"user", "password", "password-file", "fingerprint", NULL};
  GHashTableIter iter;
  void *key;
  g_hash_table_iter_init(&iter, cli->options);
  while (g_hash_table_iter_next(&iter, &key, NULL)) {
    bool known = g_strv_contains(names, key);
    for (const GlobalOption *o = global_options; !known && o->name; o++)
      known = strcmp(o->name, key) == 0;
    if (!known)
      return unknown_own_option("login", names, key, error);
  }
  if (cli_option(cli, "password") && !*cli_option(cli, "password"))
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "--password @FILE", NULL);
  return cli->ids->len == 0 || ws_fail(error, WS_ERROR_BAD_VALUE, "field", cli->ids->pdata[0], "expected",
                                       "nothing more behind the address", NULL);
}

bool session_login(Cli *cli, const char *url, GError **error)
{
  if (!check_options(cli, error))
    return false;
  g_autofree char *dir = directory();
  g_autofree char *ca = ca_path();
  if (!url)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "URL", "cause", "winctl login https://manager:8443 [--user NAME]", NULL);
  if (g_mkdir_with_parents(dir, 0700) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", dir, "cause", g_strerror(errno), NULL);
  g_autofree char *address = g_str_has_prefix(url, "https://") ? g_strdup(url) : g_strconcat("https://", url, NULL);
  while (g_str_has_suffix(address, "/"))
    address[strlen(address) - 1] = '\0';
  if (!get_ca(cli, address, ca, error))
    return false;
  g_autofree char *user = cli_option(cli, "user") ? g_strdup(cli_option(cli, "user")) : session_prompt(cli_words(cli, "User: ", "用户名："), true);
  char *password = get_password(cli, error);
  if (!password)
    return false;
  json_t *json = json_pack("{s:s, s:s}", "user_name", user, "password", password), *answer = NULL;
  char *body = json ? json_dumps(json, 0) : NULL;
  ws_secret_free(password);
  json_decref(json);
  cli->manager = g_strdup(address);
  cli->ca_file = g_strdup(ca);
  bool ok = body && cli_call(cli, "POST", "/api/v1/sessions", body, &answer, error);
  ws_secret_free(body);
  if (!ok)
    return false;
  cli->token = g_strdup(json_string_value(json_object_get(answer, "token")));
  if (cli->format == CLI_TABLE)
    g_print(cli_words(cli, "Logged in to %s as %s.\n", "已登录 %s，用户 %s。\n"), address, user);
  json_decref(answer);
  return keep(cli, error);
}

bool session_logout(Cli *cli, GError **error)
{
  g_autofree char *path = session_path();
  json_t *me = NULL;
  if (cli_call(cli, "GET", "/api/v1/whoami", NULL, &me, NULL)) {
    const char *session = json_string_value(json_object_get(me, "session"));
    g_autofree char *at = session ? g_strconcat("/api/v1/sessions/", session, NULL) : NULL;
    if (at)
      cli_call(cli, "DELETE", at, NULL, NULL, NULL);
    json_decref(me);
  }
  return unlink(path) == 0 || errno == ENOENT || ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* winctl: the command line of WinSphere. `winctl NOUN COMMAND [ID|NAME ...] [--option value ...]`. */
#include "cli/cli.h"
#include "base/log.h"
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const GlobalOption global_options[] = {
    {"output", "Form of answers: table, json, yaml (also -o).", "输出格式：table、json、yaml（也可用 -o）", true},
    {"columns", "Columns of tables, comma-separated paths such as name,power.state.", "表格列，用逗号分隔", true},
    {"wait", "Wait for the task to end, with its progress.", "等待任务结束并显示进度", false},
    {"watch", "Go on with every change of the list.", "持续显示列表变化", false},
    {"dry-run", "Check everything, change nothing, say what would happen.", "只检查，不做更改", false},
    {"yes", "Do not ask before dangerous commands (also -y).", "危险操作不再询问（也可用 -y）", false},
    {"if-match", "Only if the object has this ETag.", "仅当对象版本一致时执行", true},
    {"idempotency-key", "Repeat the same request safely.", "幂等键", true},
    {"manager", "The manager, https://name:port, instead of the login's.", "管理平台地址", true},
    {"ca", "File with the site's CA certificate.", "站点 CA 证书文件", true},
    {"token", "File with an API token, instead of the login's.", "API 令牌文件", true},
    {"lang", "en or zh; default: as the environment says.", "语言：en 或 zh", true},
    {"password-stdin", "With login: read the password from standard input.", "从标准输入读取密码", false},
    {"quiet", "Print ids only, or the values of --columns without headings (also -q).", "只输出 ID，或不带表头的 --columns 各列（也可用 -q）", false},
    {"help", "Help on what stands before it (also -h).", "帮助（也可用 -h）", false},
    {NULL, NULL, NULL, false},
};

static const char *const short_options[][2] = {
    {"-o", "output"}, {"-y", "yes"}, {"-q", "quiet"}, {"-h", "help"}, {"-w", "wait"}, {NULL, NULL}};

/* ---- finding things ---- */

const CliNoun *find_noun(const char *name)
{
  for (guint i = 0; i < cli_n_nouns; i++)
    if (strcmp(cli_nouns[i].name, name) == 0 || (cli_nouns[i].type && (strcmp(cli_nouns[i].type->plural, name) == 0 || strcmp(cli_nouns[i].type->prefix, name) == 0)))
      return &cli_nouns[i];
  return NULL;
}

const CliCommand *find_command(const CliNoun *noun, const char *name)
{
  for (guint i = 0; i < noun->n_commands; i++)
    if (strcmp(noun->commands[i].name, name) == 0)
      return &noun->commands[i];
  return NULL;
}

static const GlobalOption *find_global(const char *name)
{
  for (const GlobalOption *o = global_options; o->name; o++)
    if (strcmp(o->name, name) == 0)
      return o;
  return NULL;
}

static bool is_bool_option(const CliCommand *command, const char *name)
{
  for (guint i = 0; command && i < command->n_options; i++)
    if (strcmp(command->options[i].name, name) == 0)
      return command->options[i].field->kind == WS_KIND_BOOL;
  return false;
}

/* ---- words ---- */

static void add_option(Cli *cli, const char *name, const char *value)
{
  GPtrArray *values = g_hash_table_lookup(cli->options, name);
  if (!values) {
    values = g_ptr_array_new_with_free_func(g_free);
    g_hash_table_insert(cli->options, g_strdup(name), values);
  }
  g_ptr_array_add(values, g_strdup(value));
}

const char *cli_option(const Cli *cli, const char *name)
{
  GPtrArray *values = g_hash_table_lookup(cli->options, name);
  return values ? values->pdata[0] : NULL;
}

/* "-name" is none: it is a value, such as of --sort. */
static bool is_option(const char *word)
{
  for (guint i = 0; short_options[i][0]; i++)
    if (strcmp(word, short_options[i][0]) == 0)
      return true;
  return g_str_has_prefix(word, "--");
}

/* "--name value", "--name=value", "--switch", "-o value". Returns words used; 0: not an option. */
static int take_option(Cli *cli, const CliCommand *command, char **words)
{
  const char *name = NULL;
  for (guint i = 0; short_options[i][0]; i++)
    if (strcmp(words[0], short_options[i][0]) == 0)
      name = short_options[i][1];
  if (!is_option(words[0]))
    return 0;
  g_autofree char *key = g_strdup(name ? name : words[0] + 2);
  char *equals = strchr(key, '=');
  const char *value = "";
  int used = 1;
  if (equals) {
    *equals = '\0';
    value = equals + 1;
  } else {
    const GlobalOption *global = find_global(key);
    bool bare = global ? !global->takes_value
                       : is_bool_option(command, key) && (!words[1] || (strcmp(words[1], "true") != 0 && strcmp(words[1], "false") != 0));
    if (!bare && words[1] && !is_option(words[1])) {
      value = words[1];
      used = 2;
    }
  }
  add_option(cli, key, value);
  return used;
}

static bool apply_globals(Cli *cli, GError **error)
{
  const char *output = cli_option(cli, "output"), *lang = cli_option(cli, "lang");
  cli->format = !output || strcmp(output, "table") == 0 ? CLI_TABLE : strcmp(output, "yaml") == 0 ? CLI_YAML : CLI_JSON;
  if (cli->format == CLI_JSON && strcmp(output, "json") != 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "--output", "expected", "table, json or yaml", NULL);
  if (lang && strcmp(lang, "en") != 0 && strcmp(lang, "zh") != 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "--lang", "expected", "en or zh", NULL);
  if (lang)
    cli->lang = ws_lang_parse(lang);
  cli->wait = cli_option(cli, "wait") != NULL;
  cli->watch = cli_option(cli, "watch") != NULL;
  cli->dry_run = cli_option(cli, "dry-run") != NULL;
  cli->yes = cli_option(cli, "yes") != NULL;
  cli->quiet = cli_option(cli, "quiet") != NULL;
  cli->columns = g_strdup(cli_option(cli, "columns"));
  cli->if_match = g_strdup(cli_option(cli, "if-match"));
  cli->idempotency_key = g_strdup(cli_option(cli, "idempotency-key"));
  return true;
}

static WsLang language_of_environment(void)
{
  const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *value = getenv(names[i]);
    if (value && *value)
      return g_str_has_prefix(value, "zh") ? WS_LANG_ZH : WS_LANG_EN;
  }
  return WS_LANG_EN;
}

/* ---- commands of winctl's own ---- */

static bool need_words(const Cli *cli, guint n, const char *usage, GError **error)
{
  return cli->ids->len >= n || ws_fail(error, WS_ERROR_REQUIRED, "field", usage, NULL);
}

/* true: it was one of them; *ok its outcome. */
static bool run_own(Cli *cli, const char *noun, const char *command, bool *ok, GError **error)
{
  if (strcmp(noun, "login") == 0) {
    *ok = session_login(cli, command, error);
  } else if (strcmp(noun, "logout") == 0) {
    *ok = session_load(cli, error) && session_logout(cli, error);
  } else if (strcmp(noun, "completion") == 0) {
    help_completion();
    *ok = true;
  } else if (strcmp(noun, "man") == 0) {
    *ok = help_man(command ? command : ".", error);
  } else if (strcmp(noun, "version") == 0) {
    g_print("winctl %s\n", WS_VERSION);
    *ok = true;
  } else if (strcmp(noun, "image") == 0 && g_strcmp0(command, "upload") == 0) {
    *ok = need_words(cli, 1, "FILE", error) && session_load(cli, error) && transfer_image(cli, cli->ids->pdata[0], error);
  } else if (strcmp(noun, "volume") == 0 && g_strcmp0(command, "upload") == 0) {
    *ok = need_words(cli, 2, "VOLUME FILE", error) && session_load(cli, error) &&
          transfer_upload(cli, cli->ids->pdata[0], cli->ids->pdata[1], error);
  } else if (strcmp(noun, "volume") == 0 && g_strcmp0(command, "download") == 0) {
    *ok = need_words(cli, 2, "VOLUME FILE", error) && session_load(cli, error) &&
          transfer_download(cli, cli->ids->pdata[0], cli->ids->pdata[1], error);
  } else if (strcmp(noun, "vm") == 0 && g_strcmp0(command, "screenshot") == 0 && cli->format == CLI_TABLE && !cli->dry_run) {
    *ok = need_words(cli, 2, "VM FILE", error) && session_load(cli, error) &&
          transfer_screenshot(cli, cli->ids->pdata[0], cli->ids->pdata[1], error);
  } else {
    return false;
  }
  return true;
}

static bool run(Cli *cli, char **words, GError **error)
{
  const CliNoun *noun = words[0] ? find_noun(words[0]) : NULL;
  const CliCommand *command = noun && words[1] ? find_command(noun, words[1]) : NULL;
  GPtrArray *plain = g_ptr_array_new();
  for (int i = 0; words[i];) {
    int used = take_option(cli, command, words + i);
    if (!used) {
      g_ptr_array_add(plain, words[i]);
      used = 1;
    }
    i += used;
  }
  g_ptr_array_add(plain, NULL);
  char **w = (char **)plain->pdata;
  noun = w[0] ? find_noun(w[0]) : NULL;
  command = noun && w[1] ? find_command(noun, w[1]) : NULL;
  for (guint i = 2; w[0] && w[1] && w[i]; i++)
    g_ptr_array_add(cli->ids, g_strdup(w[i]));
  bool ok = apply_globals(cli, error);
  bool helped = ok && w[0] && !command && cli_option(cli, "help") && help_own(cli, w[0], w[1]);
  if (!ok || helped || !w[0] || (cli_option(cli, "help") && !noun)) {
    if (ok && !helped)
      help_all(cli);
  } else if (cli_option(cli, "help") && noun) {
    if (command)
      help_command(cli, noun, command);
    else
      help_noun(cli, noun);
  } else if (!run_own(cli, w[0], w[1], &ok, error)) {
    if (!noun)
      ok = unknown_noun(w[0], error);
    else if (!w[1])
      help_noun(cli, noun);
    else if (!command)
      ok = unknown_command(noun, w[1], error);
    else
      ok = session_load(cli, error) && run_command(cli, noun, command, error);
  }
  g_ptr_array_unref(plain);
  return ok;
}

/* All text here is UTF-8, whatever the locale says: GLib's own printing would replace what ASCII cannot hold. */
static void put_text(int fd, const char *text)
{
  for (gsize n = strlen(text); n > 0;) {
    gssize put = write(fd, text, n);
    if (put <= 0)
      return;
    text += put;
    n -= (gsize)put;
  }
}

static void print_out(const char *text)
{
  put_text(STDOUT_FILENO, text);
}

static void print_error(const char *text)
{
  put_text(STDERR_FILENO, text);
}

int main(int argc, char **argv)
{
  Cli cli = {.lang = language_of_environment()};
  g_autoptr(GError) error = NULL;
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGPIPE, &ignore, NULL);
  ws_log_init("winctl", WS_LOG_ERROR, NULL);
  g_set_print_handler(print_out);
  g_set_printerr_handler(print_error);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  cli.ids = g_ptr_array_new_with_free_func(g_free);
  cli.options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  bool ok = run(&cli, argv + 1, &error);
  if (!ok)
    cli_print_error(&cli, error);
  g_ptr_array_unref(cli.ids);
  g_hash_table_unref(cli.options);
  g_free(cli.columns);
  g_free(cli.if_match);
  g_free(cli.idempotency_key);
  g_free(cli.manager);
  g_free(cli.ca_file);
  g_free(cli.token);
  curl_global_cleanup();
  return ok ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
/* Help, bash completion and man pages, all from the tables. See cli.h. */
#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *usage, *en, *zh;
} own_commands[] = {
    {"login URL [--user NAME] [--password-file FILE | --password @FILE] [--ca FILE | --fingerprint HEX]",
     "Log in; the login is kept for later commands.", "登录并保存会话"},
    {"logout", "Log out.", "退出登录"},
    {"image upload FILE --pool POOL [--name NAME ...]", "Make an image of a local file.", "上传镜像"},
    {"volume upload VOLUME FILE", "Upload into a volume that awaits it; goes on after a break.",
     "上传存储卷"},
    {"volume download VOLUME FILE", "Download a volume; goes on after a break.", "下载存储卷"},
    {"vm screenshot VM FILE", "Save a picture of the VM's screen as PNG.", "将虚拟机屏幕保存为 PNG 图片"},
    {"vm console VM", "The VM's serial line in this terminal.", "串口控制台"},
    {"completion", "Print the completion for bash: source <(winctl completion)", "输出 bash 自动补全脚本"},
    {"man DIR", "Write man pages into a folder.", "生成手册页"},
    {"version", "Print the version.", "输出版本"},
};

static void print_globals(const Cli *cli)
{
  g_print("\n%s\n", cli_words(cli, "Options of every command:", "通用选项："));
  for (const GlobalOption *o = global_options; o->name; o++)
    g_print("  --%-18s %s\n", o->name, cli_words(cli, o->help, o->zh));
}

void help_all(const Cli *cli)
{
  g_print("winctl NOUN COMMAND [ID|NAME ...] [--option value ...]\n\n");
  for (guint i = 0; i < cli_n_nouns; i++)
    g_print("  %-17s %s\n", cli_nouns[i].name, cli_words(cli, cli_nouns[i].summary, cli_nouns[i].zh));
  g_print("\n");
  for (guint i = 0; i < G_N_ELEMENTS(own_commands); i++)
    g_print("  winctl %s\n      %s\n", own_commands[i].usage, cli_words(cli, own_commands[i].en, own_commands[i].zh));
  print_globals(cli);
}

bool help_own(const Cli *cli, const char *noun, const char *command)
{
  g_autofree char *two = g_strdup_printf("%s %s", noun, command ? command : "");
  for (guint i = 0; i < G_N_ELEMENTS(own_commands); i++) {
    const char *usage = own_commands[i].usage;
    gsize n = strlen(two), one = strcspn(usage, " ");
    bool whole = strncmp(usage, two, n) == 0 && (!usage[n] || usage[n] == ' ') && command;
    if (!whole && (strlen(noun) != one || strncmp(usage, noun, one) != 0 || find_noun(noun)))
      continue;
    g_print("winctl %s\n  %s\n", usage, cli_words(cli, own_commands[i].en, own_commands[i].zh));
    print_globals(cli);
    return true;
  }
  return false;
}

void help_noun(const Cli *cli, const CliNoun *noun)
{
  g_print("winctl %s COMMAND: %s\n\n", noun->name, cli_words(cli, noun->summary, noun->zh));
  for (guint i = 0; i < noun->n_commands; i++)
    g_print("  %-16s %s\n", noun->commands[i].name, cli_words(cli, noun->commands[i].summary, noun->commands[i].zh));
}

static char *words_of(const CliOption *option)
{
  const WsField *field = option->field;
  bool many = field->kind == WS_KIND_ARRAY;
  int kind = many ? field->item_kind : field->kind;
  if (kind == WS_KIND_BOOL)
    return g_strdup("true|false");
  if (field->names)
    return g_strjoinv("|", (char **)field->names);
  const char *one = kind == WS_KIND_INT ? (g_strcmp0(option->unit, "bytes") == 0 ? "SIZE" : "NUMBER")
                    : kind == WS_KIND_DOUBLE ? "NUMBER"
                    : kind == WS_KIND_REF    ? "ID|NAME"
                    : kind == WS_KIND_OBJECT ? "NAME=VALUE,..."
                    : kind == WS_KIND_MAP    ? "KEY=VALUE,..."
                                             : "VALUE";
  return many && kind != WS_KIND_OBJECT ? g_strdup_printf("%s,...", one) : g_strdup(one);
}

/* What stands in its name=value pairs; a size is written as people do. */
static void print_form(const Cli *cli, const CliOption *o)
{
  const WsField *field = o->field;
  bool part = field->kind == WS_KIND_OBJECT || (field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_OBJECT);
  g_autofree char *members = part && field->sub ? members_of(field->sub) : NULL;
  if (members)
    g_print("      %s %s%s\n", cli_words(cli, "Names:", "可用名称："), members,
            field->kind == WS_KIND_ARRAY ? cli_words(cli, "; once for each", "；每项重复一次该选项") : "");
}

void help_command(const Cli *cli, const CliNoun *noun, const CliCommand *command)
{
  bool id = strstr(command->path, "{id}");
  g_print("winctl %s %s%s\n  %s\n\n", noun->name, command->name, id ? " ID|NAME ..." : "",
          cli_words(cli, command->summary, command->zh));
  if (command->n_options)
    g_print("  %s\n", cli_words(cli, "SIZE is such as 512m, 8g or \"1.5 TiB\"; @FILE in place of a VALUE is what stands in the file.",
                              "SIZE 例如 512m、8g 或 \"1.5 TiB\"；VALUE 处写 @FILE 则取文件内容。"));
  if (command->kind == WS_ROUTE_LIST)
    g_print("  --filter 'power.state=running and name~web'  --sort name,-memory_bytes  --limit N  --cursor C  --fields a,b\n");
  for (guint i = 0; i < command->n_options; i++) {
    const CliOption *o = &command->options[i];
    g_autofree char *words = words_of(o);
    const char *label = cli->lang == WS_LANG_ZH ? o->zh : NULL;
    g_print("  --%s %s%s\n      %s%s%s\n", o->name, words, o->required ? cli_words(cli, "  (required)", "（必填）") : "",
            label ? label : "", label && o->help ? "  " : "", o->help ? o->help : "");
    print_form(cli, o);
    if (cli_is_secret(o))
      g_print("  --%s-file FILE\n      %s\n", o->name, cli_words(cli, "The same from a file.", "同上，从文件读取。"));
  }
  print_globals(cli);
}

/* ---- completion ---- */

void help_completion(void)
{
  g_print("_winctl() {\n  local cur=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]} cmd=${COMP_WORDS[2]}\n"
          "  if [ $COMP_CWORD = 1 ]; then COMPREPLY=($(compgen -W \"login logout completion man version");
  for (guint i = 0; i < cli_n_nouns; i++)
    g_print(" %s", cli_nouns[i].name);
  g_print("\" -- \"$cur\")); return; fi\n  local words=\n  case $noun${cmd:+ $cmd} in\n");
  for (guint i = 0; i < cli_n_nouns; i++)
    for (guint j = 0; j < cli_nouns[i].n_commands; j++) {
      const CliCommand *command = &cli_nouns[i].commands[j];
      g_print("  '%s %s') words='", cli_nouns[i].name, command->name);
      for (guint k = 0; k < command->n_options; k++) {
        g_print("--%s ", command->options[k].name);
        if (cli_is_secret(&command->options[k]))
          g_print("--%s-file ", command->options[k].name);
      }
      g_print("';;\n");
    }
  g_print("  esac\n  if [ $COMP_CWORD = 2 ]; then case $noun in\n");
  for (guint i = 0; i < cli_n_nouns; i++) {
    g_print("  %s) words='", cli_nouns[i].name);
    for (guint j = 0; j < cli_nouns[i].n_commands; j++)
      g_print("%s ", cli_nouns[i].commands[j].name);
    g_print("';;\n");
  }
  g_print("  esac; else words+=' ");
  for (const GlobalOption *o = global_options; o->name; o++)
    g_print("--%s ", o->name);
  g_print("'\n    case $cur in -*) ;; *) words=$({ winctl $noun list -q; winctl $noun list -q --columns name | grep -v ' '; } 2>/dev/null);; esac\n  fi\n"
          "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _winctl winctl\n");
}

/* ---- man pages ---- */

/* Text for troff: no line may begin with a dot or quote, backslashes and hyphens are escaped. */
static void man_text(GString *out, const char *text)
{
  if (*text == '.' || *text == '\'')
    g_string_append(out, "\\&");
  for (; *text; text++) {
    if (*text == '\\' || *text == '-')
      g_string_append_c(out, '\\');
    g_string_append_c(out, *text);
  }
}

static void man_item(GString *out, const char *term, const char *text)
{
  g_string_append(out, ".TP\n.B ");
  man_text(out, term);
  g_string_append_c(out, '\n');
  man_text(out, text && *text ? text : "-");
  g_string_append_c(out, '\n');
}

static bool write_page(const char *directory, const char *name, const GString *page, GError **error)
{
  g_autofree char *file = g_strconcat(name, ".1", NULL);
  g_autofree char *path = g_build_filename(directory, file, NULL);
  g_autoptr(GError) cause = NULL;
  return g_file_set_contents(path, page->str, (gssize)page->len, &cause) ||
         ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause->message, NULL);
}

static GString *page_new(const char *name, const char *summary)
{
  GString *page = g_string_new(NULL);
  g_string_printf(page, ".TH %s 1 \"\" \"WinSphere %s\"\n.SH NAME\n%s \\- ", name, WS_VERSION, name);
  man_text(page, summary);
  g_string_append(page, "\n");
  return page;
}

static bool man_noun(const char *directory, const CliNoun *noun, GError **error)
{
  g_autofree char *name = g_strconcat("winctl-", noun->name, NULL);
  g_autoptr(GString) page = page_new(name, noun->summary);
  for (guint i = 0; i < noun->n_commands; i++) {
    const CliCommand *command = &noun->commands[i];
    g_string_append_printf(page, ".SH %s\n", command->name);
    man_text(page, command->summary);
    g_string_append(page, "\n");
    for (guint j = 0; j < command->n_options; j++) {
      g_autofree char *term = g_strconcat("--", command->options[j].name, NULL);
      man_item(page, term, command->options[j].help);
    }
  }
  return write_page(directory, name, page, error);
}

bool help_man(const char *directory, GError **error)
{
  if (g_mkdir_with_parents(directory, 0755) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", directory, "cause", g_strerror(errno), NULL);
  g_autoptr(GString) page = page_new("winctl", "the command line of WinSphere");
  g_string_append(page, ".SH SYNOPSIS\nwinctl NOUN COMMAND [ID|NAME ...] [\\-\\-option value ...]\n.SH NOUNS\n");
  for (guint i = 0; i < cli_n_nouns; i++)
    man_item(page, cli_nouns[i].name, cli_nouns[i].summary);
  g_string_append(page, ".SH OTHER COMMANDS\n");
  for (guint i = 0; i < G_N_ELEMENTS(own_commands); i++)
    man_item(page, own_commands[i].usage, own_commands[i].en);
  g_string_append(page, ".SH OPTIONS\n");
  for (const GlobalOption *o = global_options; o->name; o++) {
    g_autofree char *term = g_strconcat("--", o->name, NULL);
    man_item(page, term, o->help);
  }
  for (guint i = 0; i < cli_n_nouns; i++)
    if (!man_noun(directory, &cli_nouns[i], error))
      return false;
  return write_page(directory, "winctl", page, error);
}

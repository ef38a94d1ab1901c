// SPDX-License-Identifier: Apache-2.0
/* Inside of winctl: one thread, blocking calls. commands.h tells what can be asked; these files ask it.
 *
 *   main.c     words of the command line -> noun, command, ids, options        session.c  login, logout, the file that keeps it
 *   body.c     options -> JSON body and query                                   output.c   answers -> tables, JSON, YAML
 *   run.c      one command from words to answer                                 wait.c     following a task to its end
 *   watch.c    --watch                                                          console.c  a VM's serial line in this terminal
 *   results.c  one result for each object of a batch                            forecast.c what a move is expected to take
 *   suggest.c  words that nobody knows, and what was meant
 *   transfer.c bytes of volumes up and down                                     help.c     help, completion, man pages */
#pragma once
#include "base/error.h"
#include "cli/commands.h"
#include "http/rest.h"
#include <jansson.h>

typedef enum { CLI_TABLE, CLI_JSON, CLI_YAML } CliFormat;

typedef struct {
  /* session */
  char *manager, *ca_file, *token;
  /* global options */
  CliFormat format;
  WsLang lang;
  bool wait, watch, dry_run, yes, quiet;
  char *columns;       /* --columns a,b: instead of the noun's own */
  char *if_match, *idempotency_key;
  /* words */
  GPtrArray *ids;      /* char *: objects, or file names of transfers */
  GHashTable *options; /* name -> GPtrArray of values ("" for a bare switch) */
} Cli;

RestPeer cli_peer(const Cli *cli);
/* Calls and parses; *json (may be NULL) is the answer's tree or NULL for none. An error of the manager becomes an error of ours, with its
 * message kept (cli_print_error shows it in the manager's words). */
bool cli_call(Cli *cli, const char *method, const char *path, const char *body, json_t **json, GError **error);
/* The same for an answer in text. Always false. */
bool cli_refused(const char *body, long status, GError **error);
void cli_print_error(const Cli *cli, const GError *error);

/* session.c */
bool session_load(Cli *cli, GError **error); /* WS_ERROR_UNAUTHENTICATED: none */
bool session_login(Cli *cli, const char *url, GError **error);
bool session_logout(Cli *cli, GError **error);
/* A line typed by a person, or piped in; the question is shown on a terminal only. Caller frees; a secret one with ws_secret_free(). */
char *session_prompt(const char *question, bool echo);
/* Yes or no, at a terminal; nobody there: no. */
bool session_ask(const char *question);

/* body.c */
/* Its value may also come by --NAME-file FILE. */
static inline bool cli_is_secret(const CliOption *option)
{
  return option->field->kind == WS_KIND_STRING && option->field->flags & WS_FIELD_SECRET;
}
/* NULL without error: nothing to send. */
json_t *body_build(Cli *cli, const CliCommand *command, GError **error);
char *query_build(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error);
/* An id as it is, or the id of the only object of that name. Caller frees. */
char *resolve_id(Cli *cli, const WsType *type, const char *text, GError **error);

/* run.c */
bool run_command(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error);
/* The same with a body that is there already; `id`: "" for none. */
bool run_with_body(Cli *cli, const CliNoun *noun, const CliCommand *command, const char *id, const json_t *body, GError **error);
const char *cli_option(const Cli *cli, const char *name); /* first value; NULL: not given */

/* Its options are known, and no name is given to a command that takes none. */
bool options_check(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error);

/* suggest.c. The three always return false, with what was perhaps meant. */
bool unknown_noun(const char *word, GError **error);
bool unknown_command(const CliNoun *noun, const char *word, GError **error);
bool unknown_option(const CliNoun *noun, const CliCommand *command, const char *key, GError **error);
/* The same of a command of winctl's own, whose options, beside those of every command, are `names`
 * (NULL-ended). */
bool unknown_own_option(const char *own, const char *const *names, const char *key, GError **error);
/* Up to three of the known (NULL-ended) that are near the word: "start, restart"; NULL: none is. Caller frees. */
char *suggest(const char *word, const char *const *known);
/* What a part of a list may hold: "volume, new_volume.size_bytes, bus". Caller frees. */
char *members_of(const WsType *type);

/* add.c: winctl host add */
bool add_host(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error);

/* output.c */
void output_value(const Cli *cli, const CliNoun *noun, const CliCommand *command, const json_t *json); /* an object */
/* An answer that is one list of plain parts reads best as a table; false: it is none. */
bool output_parts(const Cli *cli, const WsType *type, const json_t *json);
/* An answer with items: objects of the noun, or what `result` (a view's; may be NULL) says they are. */
void output_list(const Cli *cli, const CliNoun *noun, const WsType *result, const json_t *list);
void output_raw(const Cli *cli, const json_t *json);                        /* json or yaml */
/* One changed object of a watched list, in the list's columns. */
void output_change(const Cli *cli, const CliNoun *noun, const char *mark, const json_t *object);
/* Rows of n cells (char **) in columns of equal width; the first is the heading. */
void output_table(const GPtrArray *rows, guint n);
/* The text with ? for each character that moves a terminal's cursor or turns its direction; caller frees. */
char *output_plain(const char *text);
/* What was measured over time: a line for each step in which something was. */
void output_history(const Cli *cli, const json_t *history);
/* --columns names fields that these objects have. */
bool output_columns_check(const Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error);
/* "vm_start" as "vm start", or what it does in Chinese; what is no command of winctl is given in plain words. Caller frees. */
char *output_kind(const Cli *cli, const char *kind);
/* The run log of a VM as it is, on stdout. */
void output_log_text(const Cli *cli, const json_t *log);
/* A task's notes for people, on stderr. */
void output_log(const Cli *cli, const json_t *task);

/* wait.c: shows progress on stderr where that is a terminal. false: with the task's error when it failed. *result: its last form, also of
 * a failed batch, whose children tell more. */
bool wait_for_task(Cli *cli, const char *task_id, json_t **result, GError **error);
/* The error of a task that failed. Always false. */
bool wait_fail(const json_t *task, GError **error);

/* results.c: one result for each child of a batch that has ended; false when one was not done. */
bool results_of_children(Cli *cli, const json_t *parent, GError **error);
/* The same of a batch that answered at once, or of its dry run. */
bool results_at_once(Cli *cli, const json_t *answer, GError **error);

/* forecast.c: what a move is expected to take, of its dry run: lines on stdout; or one piece of a sentence,
 * caller frees */
void forecast_show(const Cli *cli, const json_t *forecast);
char *forecast_in_short(const Cli *cli, const json_t *forecast);

/* watch.c */
bool watch_list(Cli *cli, const CliNoun *noun, const char *query, GError **error);
/* Of these objects alone, which have been shown as they were at the revision; ends when none of them is left.
 */
bool watch_objects(Cli *cli, const CliNoun *noun, GPtrArray *ids, json_int_t revision, GError **error);

/* console.c */
bool console_attach(Cli *cli, const char *vm_id, GError **error);

/* transfer.c */
bool transfer_upload(Cli *cli, const char *volume_id, const char *file, GError **error);
bool transfer_download(Cli *cli, const char *volume_id, const char *file, GError **error);
bool transfer_image(Cli *cli, const char *file, GError **error); /* create, upload, finish */
bool transfer_screenshot(Cli *cli, const char *vm, const char *file, GError **error);

/* help.c */
void help_all(const Cli *cli);
/* Of a command of winctl's own ("login", "image upload"); false: it is none. */
bool help_own(const Cli *cli, const char *noun, const char *command);
void help_noun(const Cli *cli, const CliNoun *noun);
void help_command(const Cli *cli, const CliNoun *noun, const CliCommand *command);
void help_completion(void);
bool help_man(const char *directory, GError **error);
const CliNoun *find_noun(const char *name);
const CliCommand *find_command(const CliNoun *noun, const char *name);

typedef struct { const char *name, *help, *zh; bool takes_value; } GlobalOption;
extern const GlobalOption global_options[]; /* name NULL ends */

G_GNUC_FORMAT(2) G_GNUC_FORMAT(3)
static inline const char *cli_words(const Cli *cli, const char *en, const char *zh)
{
  return cli->lang == WS_LANG_ZH && zh ? zh : en;
}

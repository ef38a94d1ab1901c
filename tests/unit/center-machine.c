// SPDX-License-Identifier: Apache-2.0
/* A machine that is added over SSH, in the network's place: what its programs would do. See center-rig.h. Its system is Debian without systemd
 * and without the agent; when the agent has joined and runs it is the last of the rig's hosts. */
#include "base/error.h"
#include "base/hash.h"
#include "base/pki.h"
#include "center-rig.h"
#include "ssh/remote.h"
#include <string.h>

bool rig_machine_is_clean(const RigWorld *world)
{
  return !world->machine.installed && !world->machine.host && !world->machine.runs;
}

static RigHost *machine_of(CenterRig *rig)
{
  return &rig->hosts[RIG_HOSTS - 1];
}

/* What the manager needs for it, in the folder of its database: a CA and a package. */
static void prepare_folder(CenterRig *rig)
{
  g_autofree char *cert = g_build_filename(rig->center.config.data_dir, "ca.crt", NULL);
  g_autofree char *key = g_build_filename(rig->center.config.data_dir, "ca.key", NULL);
  g_autofree char *package = g_build_filename(rig->center.config.packages_dir, "winsphere-host_1.0_amd64.deb", NULL);
  g_autoptr(GError) error = NULL;
  if (g_file_test(cert, G_FILE_TEST_EXISTS))
    return;
  ws_pki_create_ca(&rig->clock, &(WsCa){cert, key}, "test", &error);
  g_assert_no_error(error);
  g_assert_true(g_file_set_contents(package, "package", -1, NULL));
}

/* ---- what the agent does ---- */

static bool join(CenterRig *rig, const RemoteRun *run)
{
  g_autofree char *text = g_strndup(run->input, run->input_bytes);
  g_autofree char *hash = ws_sha256_hex(text, (gsize)(strchr(text, '.') - text));
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  const WsJoinToken *token = inv_find_by(head, &ws_type_join_token, "token_hash", 0, hash);
  g_autoptr(GError) error = NULL;
  char id[WS_ID_TEXT_MAX];
  if (!token || token->used_by)
    return false;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsHost *host = inv_create(txn, &ws_type_host);
  WsId made = host->id;
  host->name = g_strdup(token->host_name);
  host->state = WS_HOST_STATE_JOINING;
  host->architecture = WS_ARCHITECTURE_X86_64;
  host->certificate = ws_host_certificate_new();
  host->certificate->serial = g_strdup("99");
  ((WsJoinToken *)inv_edit(txn, token))->used_by = g_strdup(ws_id_format(ws_type_host.prefix, made, id));
  if (!inv_commit(txn, NULL, &error))
    return false; /* the manager's disk is full, as it says to the agent */
  rig->world->machine.host = machine_of(rig)->id = made;
  return true;
}

static void set_running(CenterRig *rig, bool runs)
{
  rig->world->machine.runs = runs;
  if (runs && rig->world->machine.host)
    rig_connect_soon(machine_of(rig));
  else
    host_sim_cut(machine_of(rig)->sim);
}

static bool says(const RemoteRun *run, const char *word)
{
  return g_strv_contains(run->argv, word);
}

/* *changes: it does something there. */
static int behave(CenterRig *rig, const RemoteRun *run, bool only_look, bool *changes, char **out)
{
  const char *program = run->argv[0];
  RigWorld *world = rig->world;
  static const char *const answers[][2] = {{"id", "0\n"}, {"uname", "x86_64\n"}, {"dpkg", "amd64\n"}, {"mktemp", "/var/tmp/x\n"}, {"dd", ""}};
  *changes = false;
  for (guint i = 0; i < G_N_ELEMENTS(answers); i++)
    if (strcmp(program, answers[i][0]) == 0) {
      *out = g_strdup(answers[i][1]);
      return 0;
    }
  if (strcmp(program, "cat") == 0 && says(run, "/etc/machine-id"))
    *out = g_strdup("0123456789abcdef0123456789abcdef\n");
  if (strcmp(program, "winserverd") == 0 && says(run, "--version")) {
    *out = g_strdup("winserverd 1.0\n");
    return world->machine.installed ? 0 : 127;
  }
  if (strcmp(program, "cat") == 0 || strcmp(program, "test") == 0)
    return *out ? 0 : 1;
  *changes = true;
  if (only_look)
    return 0;
  if (strcmp(program, "winserverd") == 0)
    return join(rig, run) ? 0 : 1;
  if (strcmp(program, "start-stop-daemon") == 0)
    set_running(rig, says(run, "--start"));
  else if (strcmp(program, "rm") == 0 && says(run, "-f"))
    world->machine.host = 0;
  else if (strcmp(program, "env") == 0)
    world->machine.installed = says(run, "--install") || says(run, "install");
  return 0;
}

/* ---- SSH ---- */

static bool lost(const RemoteTarget *target, GError **error)
{
  return ws_fail(error, WS_ERROR_SSH_UNREACHABLE, "address", target->address, "port", "22", NULL);
}

static void start_cancel(void *arg)
{
  ws_co_start(((CenterRig *)arg)->center.loop, rig_cancel_task, arg);
}

/* A fault at this act, if it is the one. True: it fails, with *error or a status. */
static bool fault(CenterRig *rig, HostMoment moment, const RemoteTarget *target, int *status, GError **error)
{
  RigWorld *world = rig->world;
  if (world->fault <= RIG_KILL || world->fault >= RIG_FULL || world->n_acts != world->at || (moment == HOST_AFTER) != (world->fault == RIG_CUT_AFTER))
    return false;
  world->happened = 1;
  if (world->fault == RIG_CANCEL) {
    ws_loop_after(rig->center.loop, 0, start_cancel, rig);
    return false;
  }
  if (world->fault == RIG_FAIL) {
    *status = 1;
    return true;
  }
  if (world->fault == RIG_AWAY)
    world->machine.away_us = rig->now_us + RIG_AWAY_US;
  lost(target, error);
  return true;
}

static bool open_machine(const RemoteTarget *target, char **own_address, void *arg, GError **error)
{
  CenterRig *rig = arg;
  prepare_folder(rig);
  *own_address = g_strdup("192.0.2.1");
  return rig->now_us >= rig->world->machine.away_us || lost(target, error);
}

static bool run_on_machine(const RemoteTarget *target, const RemoteRun *run, char **out, int *status, void *arg, GError **error)
{
  CenterRig *rig = arg;
  bool changes;
  *status = behave(rig, run, true, &changes, out);
  if (!changes)
    return true;
  g_clear_pointer(out, g_free);
  rig_point(rig->world, run->argv[0]);
  rig->world->n_acts++;
  if (fault(rig, HOST_BEFORE, target, status, error))
    return rig->world->fault == RIG_FAIL;
  *status = behave(rig, run, false, &changes, out);
  rig_point(rig->world, run->argv[0]);
  return !fault(rig, HOST_AFTER, target, status, error);
}

void rig_machine_listen(CenterRig *rig)
{
  static RemoteFake machine;
  machine = (RemoteFake){open_machine, run_on_machine, rig};
  remote_set_fake(&machine);
}

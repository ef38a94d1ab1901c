// SPDX-License-Identifier: Apache-2.0
/* The target's end of a move: what the source asks this host's libvirt for is read before libvirt hears it
 * (guard/guard.h), and a definition is compared with what the manager said would come (judge.h). What is
 * refused ends the session, is logged and told to the manager: a host that asks for more than its move needs
 * is broken, or somebody else's. */
#include "base/log.h"
#include "host/hypervisor/move-private.h"
#include <string.h>

#define OPENED "qemu:///system" /* by the source (move_run.c) */

static void refused(const GError *error, void *arg)
{
  VirtMove *move = arg;
  const char *reason = ws_error_param(error, "reason");
  char peer[WS_ID_TEXT_MAX];
  ws_id_format("host", move->peer, peer);
  if (ws_error_code(error) !=
      WS_ERROR_PEER_REFUSED) { /* it could not be judged: no fault of the other host's */
    ws_log_error(WS_LOG_WARNING, "peer-not-judged", error, "peer", peer, "uuid", move->uuid, "session",
                 move->session, NULL);
    return;
  }
  reason = reason ? reason : error->message;
  ws_log_error(WS_LOG_ERROR, "peer-refused", error, "peer", peer, "uuid", move->uuid, "session",
               move->session, NULL);
  g_mutex_lock(&move->hv->lock);
  bool first = !move->refused;
  if (first)
    move->refused = g_strndup(reason, 255);
  g_mutex_unlock(&move->hv->lock);
  if (!first)
    return;
  WsRpcVmEvent *event = ws_rpc_vm_event_new();
  event->kind = WS_RPC_VM_EVENT_KIND_PEER_REFUSED;
  event->uuid = g_strdup(move->uuid);
  event->vm = move->vm;
  event->peer = move->peer;
  event->reason = g_strndup(reason, 255);
  virt_emit(move->hv, event);
}

/* A name that somebody else has here: libvirt would refuse it, too, but then knows it as the one to be ended.
 */
static bool is_free(VirtMove *move, const char *name, GError **error)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  g_autoptr(VirtConn) conn = virt_conn_acquire(move->hv, error);
  if (!conn)
    return false;
  VIRT_AUTO_DOMAIN domain = virDomainLookupByName(conn->c, name);
  if (!domain)
    return virt_error_is(VIR_ERR_NO_DOMAIN) || virt_fail(error, move->vm, move->uuid, "find");
  return strcmp(virt_uuid(domain, uuid), move->uuid) == 0 ||
         ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", "the name of a virtual machine that is here", NULL);
}

static bool take_definition(const char *xml, void *arg, char **name, GError **error)
{
  VirtMove *move = arg;
  return virt_judge_definition(xml, &move->judge, name, error) && is_free(move, *name, error);
}

static bool take_cookie(const char *xml, const char *name, void *arg, GError **error)
{
  return virt_judge_cookie(xml, name, &((VirtMove *)arg)->judge, error);
}

static void file_clear(void *arg)
{
  VirtJudgeFile *file = arg;
  g_free((char *)file->key);
  g_free((char *)file->path);
}

/* Takes the path; NULL: there is none. */
static void add_file(VirtMove *move, const char *key, char *path)
{
  VirtJudgeFile file = {g_strdup(key), path};
  if (path)
    g_array_append_val(move->files, file);
  else
    file_clear(&file);
}

static void add_boot_file(VirtMove *move, const char *key, WsId pool, const char *file)
{
  const Hypervisor *hv = move->hv;
  add_file(move, key, file ? hv->host.pool_file(hv->host.arg, pool, file, NULL) : NULL);
}

bool virt_move_expect(VirtMove *move, const WsVmSpec *spec, const WsRpcVmMigratePrepareResult *files,
                      GError **error)
{
  move->spec = virt_prepare_spec(move->hv, spec, error);
  if (!move->spec)
    return false;
  move->files = g_array_new(TRUE, TRUE, sizeof(VirtJudgeFile));
  g_array_set_clear_func(move->files, file_clear);
  for (guint i = 0; i < files->disks.len; i++)
    add_file(move, files->disks.items[i]->key, g_strdup(files->disks.items[i]->path));
  add_file(move, VIRT_JUDGE_SEED, g_strdup(files->seed_path));
  add_file(move, VIRT_JUDGE_LOG, g_strdup(files->serial_log));
  const WsVmSpecDirectBoot *boot = move->spec->direct_boot;
  if (boot) {
    add_boot_file(move, VIRT_JUDGE_KERNEL, boot->pool, boot->kernel);
    add_boot_file(move, VIRT_JUDGE_INITRD, boot->pool, boot->initrd);
  }
  move->memory_uri = g_strdup_printf("unix://%s/%s", move->folder, MOVE_MEMORY);
  move->disks_uri = g_strdup_printf("unix://%s/%s", move->folder, MOVE_DISKS);
  move->judge =
      (VirtJudge){move->vm, move->uuid, move->spec, (const VirtJudgeFile *)(void *)move->files->data};
  move->terms = (GuardTerms){OPENED, move->memory_uri, move->disks_uri, take_definition, take_cookie, move};
  return true;
}

bool virt_move_may_be(VirtMove *move, const char *xml, GError **error)
{
  g_autofree char *name = NULL;
  g_autoptr(GError) why = NULL;
  if (take_definition(xml, move, &name, &why))
    return true;
  if (ws_error_code(why) == WS_ERROR_PEER_REFUSED)
    refused(why, move);
  g_propagate_error(error, g_steal_pointer(&why));
  return false;
}

/* ---- the channel to libvirt ---- */

static void *begin(void *arg)
{
  return guard_new(&((VirtMove *)arg)->terms);
}

static bool take(void *guard, const void *bytes, gsize n, GByteArray *pass, GError **error)
{
  return guard_take(guard, bytes, n, pass, error);
}

static void end(void *guard)
{
  guard_free(guard);
}

const TunnelReader virt_move_reader = {begin, take, refused, end};

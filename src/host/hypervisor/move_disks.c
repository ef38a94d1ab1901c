// SPDX-License-Identifier: Apache-2.0
/* Disks of a VM move to other files on its host, all of them or none. See move-private.h.
 *
 * Of a running VM each is mirrored, with every write of the guest going to both from the moment a mirror is ready. When all are, the
 * definition is changed first, then the guest: so whatever dies when, what the definition names is whole. Of one that is off only the
 * definition changes; its files were copied before. */
#include "base/log.h"
#include "host/hypervisor/lease.h"
#include "host/hypervisor/move-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define POLL_US   (G_USEC_PER_SEC / 4)
#define STALL_US  (300 * G_GINT64_CONSTANT(1000000)) /* nothing moved for so long: a disk hangs */
#define NO_ROOM   (1 << 20)
#define PIVOT_TRIES 20

typedef struct {
  Hypervisor *hv;
  WsId vm;
  const char *uuid;
  WsVmMoveHere *const *disks;
  guint n;
  gint64 rate_bytes_per_s; /* WS_INT_UNSET: none */
  const HypervisorOp *op;
  VirtConn *conn;
  virDomainPtr domain;
  char *paths[64], *devs[64];
} Shift;

static void shift_clear(Shift *s)
{
  for (guint i = 0; i < s->n; i++) {
    g_free(s->paths[i]);
    g_free(s->devs[i]);
  }
  g_clear_pointer(&s->domain, virDomainFree);
  virt_conn_release(s->conn);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shift, shift_clear)

static bool open_shift(Shift *s, GError **error)
{
  VirtHost host = virt_host(s->hv);
  s->conn = virt_conn_acquire(s->hv, error);
  s->domain = s->conn ? virt_find(s->conn, s->vm, s->uuid, error) : NULL;
  char *xml = s->domain ? virt_xml(s->domain, false) : NULL;
  bool ok = xml || (s->domain && virt_fail(error, s->vm, s->uuid, "read the definition of"));
  for (guint i = 0; ok && i < s->n; i++) {
    s->devs[i] = virt_move_dev(xml, s->disks[i]->key);
    ok = s->devs[i] || ws_fail(error, WS_ERROR_NOT_FOUND, "object", s->disks[i]->key, NULL);
    s->paths[i] = ok ? host.pool_file(host.arg, s->disks[i]->pool, s->disks[i]->file, error) : NULL;
    ok = ok && s->paths[i];
  }
  free(xml);
  return ok;
}

/* Whether all disks of the definition (or of the running guest) use the new files. */
static bool uses_new(Shift *s, bool live)
{
  char *xml = virt_xml(s->domain, live);
  bool all = xml != NULL;
  for (guint i = 0; all && i < s->n; i++) {
    g_autofree char *file = virt_move_file(xml, s->disks[i]->key);
    all = g_strcmp0(file, s->paths[i]) == 0;
  }
  free(xml);
  return all;
}

static bool is_active(Shift *s)
{
  return virDomainIsActive(s->domain) == 1;
}

/* From the moment in which the definition names the new files the VM may be started from them: its lease is there before. */
static bool take_lease_along(Shift *s, GError **error)
{
  WsId pools[64];
  for (guint i = 0; i < s->n; i++)
    pools[i] = s->disks[i]->pool;
  return virt_lease_widen(s->hv, s->vm, s->uuid, pools, s->n, error);
}

static bool redefine(Shift *s, GError **error)
{
  if (!take_lease_along(s, error))
    return false;
  char *xml = virDomainGetXMLDesc(s->domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  g_autofree char *changed = xml ? virt_move_xml_disks(xml, s->disks, s->paths, s->n, error) : NULL;
  bool read = xml != NULL;
  free(xml);
  if (!read)
    return virt_fail(error, s->vm, s->uuid, "read the definition of");
  VIRT_AUTO_DOMAIN defined = changed ? virDomainDefineXML(s->conn->c, changed) : NULL;
  return defined || (changed && virt_fail(error, s->vm, s->uuid, "define"));
}

/* ---- mirrors ---- */

static bool begin_mirror(Shift *s, guint i, GError **error)
{
  virTypedParameterPtr list = NULL;
  int n = 0, room = 0;
  g_autofree char *path = g_markup_escape_text(s->paths[i], -1);
  g_autofree char *xml = g_strdup_printf("<disk type='file'><driver name='qemu' type='%s'/><source file='%s'/></disk>",
                                         ws_vm_move_here_format_names[s->disks[i]->format - 1], path);
  unsigned int flags =
      VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES;
  bool ok = s->rate_bytes_per_s == WS_INT_UNSET ||
            virTypedParamsAddULLong(&list, &n, &room, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, (unsigned long long)s->rate_bytes_per_s) == 0;
  ok = ok && virDomainBlockCopy(s->domain, s->devs[i], xml, list, n, flags) == 0;
  virTypedParamsFree(list, n);
  return ok || virt_fail(error, s->vm, s->uuid, "copy a disk of");
}

static void abort_mirrors(Shift *s)
{
  char *xml = is_active(s) ? virt_xml(s->domain, true) : NULL;
  for (guint i = 0; xml && i < s->n; i++) {
    bool ready;
    g_autofree char *to = virt_move_mirror(xml, s->disks[i]->key, &ready);
    if (g_strcmp0(to, s->paths[i]) == 0 && virDomainBlockJobAbort(s->domain, s->devs[i], 0) < 0)
      ws_log(WS_LOG_WARNING, "disk-copy-not-stopped", "uuid", s->uuid, "disk", s->disks[i]->key, "cause", virGetLastErrorMessage(), NULL);
  }
  free(xml);
}

/* Those that are not under way already: of a call whose answer was lost. */
static bool begin_mirrors(Shift *s, GError **error)
{
  char *xml = virt_xml(s->domain, true);
  bool ok = xml || virt_fail(error, s->vm, s->uuid, "read the definition of");
  for (guint i = 0; ok && i < s->n; i++) {
    bool ready;
    g_autofree char *to = virt_move_mirror(xml, s->disks[i]->key, &ready), *file = virt_move_file(xml, s->disks[i]->key);
    if (g_strcmp0(file, s->paths[i]) == 0 || g_strcmp0(to, s->paths[i]) == 0)
      continue;
    ok = to ? ws_fail(error, WS_ERROR_IN_USE, "object", s->disks[i]->key, "user", "another copy", NULL) : begin_mirror(s, i, error);
  }
  free(xml);
  return ok;
}

/* A mirror that is not there any more broke off. libvirt does not say why. */
static bool fail_broken(Shift *s, guint i, GError **error)
{
  struct statvfs fs;
  g_autofree char *folder = g_path_get_dirname(s->paths[i]);
  char pool[WS_ID_TEXT_MAX];
  if (!is_active(s))
    return virt_wrong_state(error, s->vm, s->uuid, "have its disks copied", WS_POWER_STATE_OFF);
  if (statvfs(folder, &fs) == 0 && (guint64)fs.f_bavail * fs.f_frsize < NO_ROOM)
    return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", ws_id_format("pool", s->disks[i]->pool, pool), "need", "the rest of the disk", "free",
                   "nothing", NULL);
  return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", s->disks[i]->key, "operation", "copy", "cause", "the copy broke off", NULL);
}

/* One look at all: *left: how many are not ready. */
static bool look(Shift *s, guint *left, gint64 *done, gint64 *total, GError **error)
{
  char *xml = virt_xml(s->domain, true);
  bool ok = true;
  *left = 0;
  *done = *total = 0;
  for (guint i = 0; ok && i < s->n; i++) {
    bool ready = false;
    virDomainBlockJobInfo info = {0};
    g_autofree char *to = xml ? virt_move_mirror(xml, s->disks[i]->key, &ready) : NULL;
    g_autofree char *file = xml ? virt_move_file(xml, s->disks[i]->key) : NULL;
    if (g_strcmp0(file, s->paths[i]) == 0)
      continue;
    if (g_strcmp0(to, s->paths[i]) != 0) {
      ok = fail_broken(s, i, error);
      break;
    }
    if (virDomainGetBlockJobInfo(s->domain, s->devs[i], &info, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES) == 1) {
      *done += (gint64)info.cur;
      *total += (gint64)info.end;
    }
    *left += !ready;
  }
  free(xml);
  return ok;
}

static bool is_cancelled(const Shift *s, GError **error)
{
  return s->op && s->op->cancel && g_atomic_int_get(s->op->cancel) && !ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static bool wait_ready(Shift *s, GError **error)
{
  gint64 last = -1, changed_us = g_get_monotonic_time();
  for (;;) {
    guint left;
    gint64 done, total;
    if (is_cancelled(s, error) || !look(s, &left, &done, &total, error))
      return false;
    if (s->op && s->op->progress && total > 0)
      s->op->progress(done, total, s->op->arg);
    if (left == 0)
      return !is_cancelled(s, error);
    if (done != last)
      changed_us = g_get_monotonic_time();
    last = done;
    if (g_get_monotonic_time() - changed_us > STALL_US)
      return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the next byte of the copy", "timeout", "300 s", NULL);
    g_usleep(POLL_US);
  }
}

/* QEMU lets go of blocks that hold nothing but zeroes. Where space was promised it is taken again, which harms no write of the guest; what does not
 * fit is told while there is a way back. */
static bool reserve_space(Shift *s, GError **error)
{
  for (guint i = 0; i < s->n; i++) {
    struct stat st;
    if (s->disks[i]->provisioning <= WS_VM_MOVE_HERE_PROVISIONING_THIN)
      continue;
    int fd = open(s->paths[i], O_WRONLY | O_CLOEXEC | O_NOFOLLOW), number = 0;
    if (fd < 0 || fstat(fd, &st) < 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, st.st_size) < 0)
      number = errno;
    if (fd >= 0)
      close(fd);
    char pool[WS_ID_TEXT_MAX];
    if (number == ENOSPC || number == EDQUOT)
      return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", ws_id_format("pool", s->disks[i]->pool, pool), "need", "the rest of the disk",
                     "free", "nothing", NULL);
    if (number && number != EOPNOTSUPP)
      return ws_fail(error, WS_ERROR_IO_ERROR, "path", s->paths[i], "cause", g_strerror(number), NULL);
  }
  return true;
}

/* The definition names the new files by now: there is no way back, and a guest that ends meanwhile has lost nothing. */
static bool pivot(Shift *s, GError **error)
{
  for (guint i = 0; i < s->n; i++)
    for (guint try = 0;; try++) {
      char *xml = is_active(s) ? virt_xml(s->domain, true) : NULL;
      g_autofree char *file = xml ? virt_move_file(xml, s->disks[i]->key) : NULL;
      bool gone = !xml;
      free(xml);
      if (gone || g_strcmp0(file, s->paths[i]) == 0 ||
          virDomainBlockJobAbort(s->domain, s->devs[i], VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) == 0)
        break;
      if (try >= PIVOT_TRIES)
        return virt_fail(error, s->vm, s->uuid, "let the copy take over in");
      g_usleep(POLL_US);
    }
  return true;
}

static bool copy_live(Shift *s, GError **error)
{
  if (virDomainSnapshotNum(s->domain, 0) > 0)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "moving disks of a VM with snapshots", NULL);
  if (!begin_mirrors(s, error) || !wait_ready(s, error) || !reserve_space(s, error) || !redefine(s, error)) {
    abort_mirrors(s);
    return false;
  }
  return pivot(s, error);
}

static bool shift(Shift *s, bool offline, GError **error)
{
  bool active = is_active(s);
  if (uses_new(s, false)) /* begun by a call that was cut short */
    return !active || pivot(s, error);
  if (active == offline)
    return virt_wrong_state(error, s->vm, s->uuid, "have its disks moved", virt_state(s->domain));
  if (active)
    return copy_live(s, error);
  if (virDomainSnapshotNum(s->domain, 0) > 0 || virDomainHasManagedSaveImage(s->domain, 0) == 1)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "moving disks of a VM with snapshots", NULL);
  return redefine(s, error);
}

bool hypervisor_vm_move_disks(Hypervisor *hv, const WsRpcVmMoveDisks *params, const HypervisorOp *op, GError **error)
{
  g_auto(Shift) s = {.hv = hv, .vm = params->vm, .uuid = params->uuid, .disks = params->disks.items, .n = params->disks.len,
                     .rate_bytes_per_s = params->bandwidth_bytes_per_s, .op = op};
  if (!open_shift(&s, error))
    return false;
  bool moved = shift(&s, params->offline, error);
  virt_lease_narrow(hv, s.domain, s.uuid); /* what neither definition nor guest names any more, on either side */
  return moved;
}

bool hypervisor_vm_move_disks_abort(Hypervisor *hv, const WsRpcVmMoveDisksAbort *params, WsRpcVmMoveDisksAbortResult **result,
                                    GError **error)
{
  g_auto(Shift) s = {.hv = hv, .vm = params->vm, .uuid = params->uuid, .disks = params->disks.items, .n = params->disks.len};
  g_autoptr(GError) none = NULL;
  bool moved = false;
  if (open_shift(&s, &none)) {
    moved = uses_new(&s, false);
    if (moved && is_active(&s) && !pivot(&s, error))
      return false;
    if (!moved)
      abort_mirrors(&s);
    virt_lease_narrow(hv, s.domain, s.uuid);
  } else if (ws_error_code(none) != WS_ERROR_NOT_FOUND) { /* no such domain, disk, or new file: none of them is used */
    g_propagate_error(error, g_steal_pointer(&none));
    return false;
  }
  *result = ws_rpc_vm_move_disks_abort_result_new();
  (*result)->moved = moved;
  return true;
}

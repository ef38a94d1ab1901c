// SPDX-License-Identifier: Apache-2.0
/* See nfs.h. */
#include "host/storage/nfs.h"
#include "base/exec.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAX (4 << 20) /* of mounts */

const char *nfs_mountinfo_file = "/proc/self/mountinfo";
const char *nfs_filesystems_file = "/proc/filesystems";
const char *nfs_helper_file = "/sbin/mount.nfs";
const char *nfs_systemd_folder = "/run/systemd/system";

static const char *const versions[] = {"3", "4.0", "4.1", "4.2"}; /* in the contract's order */

/* ---- its fields ---- */

static bool all_of(const char *text, const char *more)
{
  for (; *text; text++)
    if (!g_ascii_isalnum(*text) && !strchr(more, *text))
      return false;
  return true;
}

/* No word that begins with a dash or a dot, so none is an option or leads up. */
static bool is_export(const char *text)
{
  for (const char *c = text; *c; c++)
    if (*c == '/' && (c[1] == '/' || c[1] == '.' || c[1] == '-' || (c[1] == 0 && c != text)))
      return false;
  return *text == '/' && all_of(text, "/._-");
}

static bool in_range(const char *field, gint64 value, gint64 min, gint64 max, GError **error)
{
  char low[24], high[24];
  if (value == WS_INT_UNSET || (value >= min && value <= max))
    return true;
  g_snprintf(low, sizeof low, "%" G_GINT64_FORMAT, min);
  g_snprintf(high, sizeof high, "%" G_GINT64_FORMAT, max);
  return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", field, "min", low, "max", high, NULL);
}

bool nfs_check(const WsPoolNfs *nfs, GError **error)
{
  if (!nfs || !nfs->server || !nfs->export)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", !nfs ? "nfs" : nfs->server ? "nfs.export" : "nfs.server", NULL);
  if (!*nfs->server || strlen(nfs->server) > 253 || strchr(".-", *nfs->server) || !all_of(nfs->server, ":.-"))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nfs.server", "expected", "a host name or an address", NULL);
  if (strlen(nfs->export) > 1024 || !is_export(nfs->export))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nfs.export", "expected", "a plain path that begins with /", NULL);
  return in_range("nfs.timeout_s", nfs->timeout_s, 1, 600, error) && in_range("nfs.retrans", nfs->retrans, 1, 20, error) &&
         in_range("nfs.nconnect", nfs->nconnect, 1, 16, error) && in_range("nfs.io_bytes", nfs->io_bytes, 4096, 1048576, error);
}

char *nfs_source(const WsPoolNfs *nfs)
{
  bool v6 = strchr(nfs->server, ':') != NULL;
  return g_strdup_printf("%s%s%s:%s", v6 ? "[" : "", nfs->server, v6 ? "]" : "", nfs->export);
}

char *nfs_options(const WsPoolNfs *nfs)
{
  guint version = nfs->version ? (guint)nfs->version - 1 : G_N_ELEMENTS(versions) - 1;
  gint64 timeout_s = nfs->timeout_s == WS_INT_UNSET ? 10 : nfs->timeout_s, retrans = nfs->retrans == WS_INT_UNSET ? 3 : nfs->retrans;
  GString *text = g_string_new(NULL);
  g_string_printf(text, "vers=%s,proto=%s,%s,timeo=%" G_GINT64_FORMAT ",retrans=%" G_GINT64_FORMAT, versions[MIN(version, G_N_ELEMENTS(versions) - 1)],
                  nfs->transport == WS_POOL_NFS_TRANSPORT_RDMA ? "rdma" : "tcp", nfs->hard ? "hard" : "soft", timeout_s * 10, retrans);
  if (nfs->nconnect != WS_INT_UNSET)
    g_string_append_printf(text, ",nconnect=%" G_GINT64_FORMAT, nfs->nconnect);
  if (nfs->io_bytes != WS_INT_UNSET)
    g_string_append_printf(text, ",rsize=%" G_GINT64_FORMAT ",wsize=%" G_GINT64_FORMAT, nfs->io_bytes, nfs->io_bytes);
  g_string_append(text, ",nosuid,nodev,noexec");
  return g_string_free(text, FALSE);
}

/* ---- what is mounted ---- */

/* One line: "36 35 98:0 / /mnt rw,noatime shared:1 - nfs4 server:/export rw,...". Spaces in names are \040: our paths and sources have none. */
static bool line_is_at(const char *line, const char *path, char **type, char **source)
{
  g_auto(GStrv) halves = g_strsplit(line, " - ", 2);
  g_auto(GStrv) words = halves[0] && halves[1] ? g_strsplit(halves[0], " ", 6) : NULL;
  g_auto(GStrv) rest = words ? g_strsplit(halves[1], " ", 3) : NULL;
  if (!words || g_strv_length(words) < 5 || strcmp(words[4], path) != 0 || g_strv_length(rest) < 2)
    return false;
  *type = g_strdup(rest[0]);
  *source = g_strdup(rest[1]);
  return true;
}

/* Of the kernel's client, or of one in user space that a helper of mount(8) starts. */
static bool is_nfs(const char *type)
{
  return strcmp(type, "nfs") == 0 || strcmp(type, "nfs4") == 0 || strcmp(type, "fuse.nfs") == 0;
}

/* The kernel shows an export without the slash at its end. */
static bool same_source(const char *shown, const char *asked)
{
  gsize n = strlen(asked);
  return strcmp(shown, asked) == 0 || (g_str_has_suffix(asked, "/") && strncmp(shown, asked, n - 1) == 0 && shown[n - 1] == 0);
}

NfsState nfs_state(const WsPoolNfs *nfs, const char *path)
{
  g_autofree char *text = NULL, *source = nfs_source(nfs);
  gsize n = 0;
  NfsState state = NFS_ABSENT;
  if (!g_file_get_contents(nfs_mountinfo_file, &text, &n, NULL) || n > LIST_MAX)
    return NFS_ABSENT;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) { /* the last one at a place is the one that is seen */
    g_autofree char *type = NULL, *shown = NULL;
    if (line_is_at(*line, path, &type, &shown))
      state = is_nfs(type) && same_source(shown, source) ? NFS_MOUNTED : NFS_OTHER;
  }
  return state;
}

/* ---- mount, unmount ---- */

static bool kernel_has_nfs(void)
{
  g_autofree char *text = NULL;
  return g_file_get_contents(nfs_filesystems_file, &text, NULL, NULL) && (strstr(text, "\tnfs\n") || strstr(text, "\tnfs4\n"));
}

static bool runs_systemd(void)
{
  struct stat st;
  return lstat(nfs_systemd_folder, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool in_use(const char *path, GError **error)
{
  return ws_fail(error, WS_ERROR_IN_USE, "object", path, "user", "another file system that is mounted there", NULL);
}

/* What mount said, with what is likeliest when there was nothing to say it with. */
static bool say_why(const char *source, GError *failed, GError **error)
{
  g_autoptr(GError) why = failed;
  if (!kernel_has_nfs()) /* mount would have loaded the module */
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "NFS: the kernel of this host has no NFS client", "cause", ws_error_cause(why), NULL);
  if (ws_error_code(why) == WS_ERROR_PROGRAM_FAILED)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", source, "cause", ws_error_cause(why), NULL);
  g_propagate_error(error, g_steal_pointer(&why));
  return false;
}

/* more: options for mount.nfs itself. */
static bool mount_with(const WsPoolNfs *nfs, const char *more, const char *path, GError **error)
{
  g_autoptr(GError) failed = NULL;
  if (!nfs_check(nfs, error))
    return false;
  g_autofree char *source = nfs_source(nfs), *of_pool = nfs_options(nfs),
                  *options = g_strconcat(of_pool, more, NULL);
  NfsState state = nfs_state(nfs, path);
  if (state != NFS_ABSENT)
    return state == NFS_MOUNTED || in_use(path, error);
  if (access(nfs_helper_file, X_OK) != 0)
    return ws_fail(error, WS_ERROR_PROGRAM_MISSING, "program", "mount.nfs (nfs-common)", NULL);
  const char *const plain[] = {"mount", "-t", "nfs", "-o", options, source, path, NULL};
  const char *const by_systemd[] = {"systemd-mount", "--collect", "--no-ask-password", "-t", "nfs", "-o", options, source, path, NULL};
  WsExec exec = {.argv = runs_systemd() ? by_systemd : plain, .timeout_ms = NFS_MOUNT_TIMEOUT_MS};
  if (!ws_exec(&exec, NULL, NULL, NULL, &failed))
    return say_why(source, g_steal_pointer(&failed), error);
  return nfs_state(nfs, path) == NFS_MOUNTED ||
         ws_fail(error, WS_ERROR_IO_ERROR, "path", source, "cause", "mount said that it was done, but it is not mounted", NULL);
}

bool nfs_mount(const WsPoolNfs *nfs, const char *path, GError **error)
{
  return mount_with(nfs, "", path, error);
}

bool nfs_mount_once(const WsPoolNfs *nfs, const char *path, GError **error)
{
  return mount_with(nfs, ",retry=0", path, error);
}

bool nfs_give_up(const WsPoolNfs *nfs, const char *path, GError **error)
{
  const char *const argv[] = {"umount", "-f", "-l", path, NULL};
  WsExec exec = {.argv = argv, .timeout_ms = NFS_GIVE_UP_TIMEOUT_MS};
  return ws_exec(&exec, NULL, NULL, NULL, error) || nfs_state(nfs, path) == NFS_ABSENT;
}

bool nfs_unmount(const WsPoolNfs *nfs, const char *path, GError **error)
{
  g_autoptr(GError) failed = NULL;
  NfsState state = nfs_state(nfs, path);
  if (state != NFS_MOUNTED)
    return true; /* what else is there is not ours */
  const char *const plain[] = {"umount", path, NULL}, *const by_systemd[] = {"systemd-umount", path, NULL};
  WsExec exec = {.argv = runs_systemd() ? by_systemd : plain, .timeout_ms = NFS_MOUNT_TIMEOUT_MS};
  if (ws_exec(&exec, NULL, NULL, NULL, &failed) || nfs_state(nfs, path) == NFS_ABSENT)
    return true;
  if (ws_error_code(failed) == WS_ERROR_DEADLINE_EXCEEDED)
    return nfs_give_up(nfs, path, error);
  return ws_fail(error, WS_ERROR_IN_USE, "object", path, "user", "open files", "cause", ws_error_cause(failed), NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* See machine.h. Programs that every Debian has; each may be run again after it was cut short. */
#include "center/hosts/machine.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/pki.h"
#include "ssh/remote.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PACKAGE     "winsphere-host"
#define SERVICE     "winserverd.service"
#define PID_FILE    "/run/winserverd.pid"
#define LOG_FILE    "/var/log/winserverd.log"
#define UPLOAD_MS   600000
#define INSTALL_MS  900000 /* apt-get fetches what the package needs */
#define JOIN_MS     60000
#define SERVICE_MS  60000

void machine_login_clear(MachineLogin *login)
{
  g_free(login->address);
  g_free(login->user);
  ws_secret_free(login->password);
  ws_secret_free(login->private_key);
  g_free(login->host_key);
  *login = (MachineLogin){0};
}

void machine_look_clear(MachineLook *look)
{
  g_free(look->own_address);
  g_free(look->architecture);
  g_free(look->package_architecture);
  g_free(look->agent_version);
  g_free(look->machine_hash);
  g_free(look->ca_fingerprint);
  g_free(look->host);
  g_free(look->manager);
  *look = (MachineLook){0};
}

/* ---- as root ---- */

typedef struct {
  Remote *remote;
  bool by_sudo;
} Root;

static void root_close(Root *root)
{
  remote_close(root->remote);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Root, root_close)

static bool run(Root *root, const char *const *argv, guint timeout_ms, char **out, GError **error)
{
  RemoteRun what = {.argv = argv, .by_sudo = root->by_sudo, .timeout_ms = timeout_ms};
  return remote_run(root->remote, &what, out, NULL, error);
}
#define RUN(root, timeout_ms, out, error, ...) run(root, (const char *const[]){__VA_ARGS__, NULL}, timeout_ms, out, error)

/* What a program says that may well fail; *out NULL then. False: the connection is lost. */
static bool ask(Root *root, const char *const *argv, char **out, GError **error)
{
  RemoteRun what = {.argv = argv, .by_sudo = root->by_sudo, .any_status = true};
  int status;
  g_autofree char *text = NULL;
  if (!remote_run(root->remote, &what, &text, &status, error))
    return false;
  *out = status == 0 ? g_strdup(g_strstrip(text)) : NULL;
  return true;
}
#define ASK(root, out, error, ...) ask(root, (const char *const[]){__VA_ARGS__, NULL}, out, error)

static bool become_root(const MachineLogin *login, Root *root, GError **error)
{
  RemoteTarget target = {login->address, login->port, login->user, login->password, login->private_key, login->host_key, login->cancel};
  g_autofree char *id = NULL, *nothing = NULL;
  root->remote = remote_open(&target, error);
  if (!root->remote || !ASK(root, &id, error, "id", "-u"))
    return false;
  if (g_strcmp0(id, "0") == 0)
    return true;
  root->by_sudo = true;
  if (!ASK(root, &nothing, error, "true"))
    return false;
  return nothing || ws_fail(error, WS_ERROR_NOT_ROOT, "address", login->address, "user", login->user, NULL);
}

/* ---- looking ---- */

static bool look_at_identity(Root *root, MachineLook *look, GError **error)
{
  g_autofree char *ca = NULL, *cert = NULL;
  if (!ASK(root, &cert, error, "cat", MACHINE_STATE_DIR "/host.crt"))
    return false;
  g_autoptr(WsCert) own = cert ? ws_cert_parse(cert, NULL) : NULL;
  if (!own)
    return true;
  look->host = g_strdup(own->cn);
  if (!ASK(root, &ca, error, "cat", MACHINE_STATE_DIR "/ca.crt") || !ASK(root, &look->manager, error, "cat", MACHINE_STATE_DIR "/manager"))
    return false;
  g_autoptr(WsCert) site = ca ? ws_cert_parse(ca, NULL) : NULL;
  look->ca_fingerprint = site ? g_strdup(site->fingerprint) : NULL;
  return true;
}

bool machine_look(const MachineLogin *login, MachineLook *look, GError **error)
{
  g_auto(Root) root = {0};
  g_autofree char *version = NULL, *machine_id = NULL;
  if (!become_root(login, &root, error) || !RUN(&root, 0, &look->architecture, error, "uname", "-m") ||
      !ASK(&root, &look->package_architecture, error, "dpkg", "--print-architecture") ||
      !ASK(&root, &version, error, "winserverd", "--version") || !ASK(&root, &machine_id, error, "cat", "/etc/machine-id") ||
      !look_at_identity(&root, look, error))
    return false;
  g_strstrip(look->architecture);
  look->own_address = g_strdup(remote_own_address(root.remote));
  look->agent_version = version && g_str_has_prefix(version, "winserverd ") ? g_strdup(version + strlen("winserverd ")) : NULL;
  look->machine_hash = machine_id ? ws_machine_hash(machine_id) : NULL;
  return true;
}

/* ---- installing ---- */

char *machine_find_package(const char *directory, const char *architecture, char **version)
{
  GDir *dir = g_dir_open(directory, 0, NULL);
  g_autofree char *end = g_strdup_printf("_%s.deb", architecture), *best = NULL;
  for (const char *name; dir && (name = g_dir_read_name(dir));)
    if (g_str_has_prefix(name, PACKAGE "_") && g_str_has_suffix(name, end) && (!best || strverscmp(name, best) > 0)) {
      g_free(best);
      best = g_strdup(name);
    }
  if (dir)
    g_dir_close(dir);
  if (best && version)
    *version = g_strndup(best + strlen(PACKAGE "_"), strlen(best) - strlen(PACKAGE "_") - strlen(end));
  return best ? g_build_filename(directory, best, NULL) : NULL;
}

static bool send_file(Root *root, const char *from, const char *to, void (*progress)(gint64 sent_bytes, void *arg), void *arg, GError **error)
{
  g_autofree char *of = g_strconcat("of=", to, NULL);
  int fd = open(from, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", from, "cause", g_strerror(errno), NULL);
  RemoteRun dd = {.argv = (const char *const[]){"dd", of, "bs=64k", "status=none", NULL}, .by_sudo = root->by_sudo, .input_fd = fd,
                  .timeout_ms = UPLOAD_MS, .progress = progress, .progress_arg = arg};
  bool ok = remote_run(root->remote, &dd, NULL, NULL, error);
  close(fd);
  return ok;
}

bool machine_install(const MachineLogin *login, const char *package, void (*progress)(gint64 sent_bytes, void *arg), void *arg,
                     GError **error)
{
  g_auto(Root) root = {0};
  g_autofree char *dir = NULL, *name = g_path_get_basename(package);
  if (!become_root(login, &root, error) || !RUN(&root, 0, &dir, error, "mktemp", "-d", "/var/tmp/winsphere-host.XXXXXX"))
    return false;
  g_autofree char *path = g_build_filename(g_strstrip(dir), name, NULL);
  /* dpkg alone where all that the package needs is there, so that no network is needed; else apt-get brings it. */
  bool ok = send_file(&root, package, path, progress, arg, error) &&
            (RUN(&root, INSTALL_MS, NULL, NULL, "env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", path) ||
             RUN(&root, INSTALL_MS, NULL, error, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet",
                 "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120", "install", path));
  RUN(&root, 0, NULL, NULL, "rm", "-rf", "--", dir);
  return ok;
}

/* ---- joining and running ---- */

bool machine_join(const MachineLogin *login, const char *manager_url, const char *token, GError **error)
{
  g_auto(Root) root = {0};
  if (!become_root(login, &root, error))
    return false;
  RemoteRun join = {.argv = (const char *const[]){"winserverd", "--join", "-", "--manager", manager_url, NULL}, .by_sudo = root.by_sudo,
                    .input = token, .input_bytes = strlen(token), .timeout_ms = JOIN_MS};
  return remote_run(root.remote, &join, NULL, NULL, error);
}

static bool has_systemd(Root *root, bool *has, GError **error)
{
  g_autofree char *there = NULL;
  if (!ASK(root, &there, error, "test", "-d", "/run/systemd/system"))
    return false;
  *has = there != NULL;
  return true;
}

bool machine_start(const MachineLogin *login, GError **error)
{
  g_auto(Root) root = {0};
  bool systemd;
  if (!become_root(login, &root, error) || !has_systemd(&root, &systemd, error))
    return false;
  if (systemd)
    return RUN(&root, SERVICE_MS, NULL, error, "systemctl", "enable", "--quiet", SERVICE) &&
           RUN(&root, SERVICE_MS, NULL, error, "systemctl", "restart", SERVICE);
  return RUN(&root, SERVICE_MS, NULL, error, "start-stop-daemon", "--start", "--oknodo", "--background", "--make-pidfile", "--pidfile", PID_FILE,
             "--startas", "/usr/bin/env", "--", "winserverd", "--log", LOG_FILE);
}

static bool stop(Root *root, GError **error)
{
  bool systemd;
  if (!has_systemd(root, &systemd, error))
    return false;
  if (systemd)
    return RUN(root, SERVICE_MS, NULL, error, "systemctl", "disable", "--quiet", "--now", SERVICE);
  return RUN(root, SERVICE_MS, NULL, error, "start-stop-daemon", "--stop", "--oknodo", "--retry", "10", "--remove-pidfile", "--pidfile", PID_FILE);
}

bool machine_clean(const MachineLogin *login, const char *host, bool purge, GError **error)
{
  g_auto(Root) root = {0};
  g_auto(MachineLook) look = {0};
  g_autofree char *installed = NULL;
  if (!become_root(login, &root, error) || !look_at_identity(&root, &look, error) ||
      !ASK(&root, &installed, error, "winserverd", "--version"))
    return false;
  if (look.host && g_strcmp0(look.host, host) != 0)
    return true; /* somebody else has added it meanwhile */
  return (!installed || stop(&root, error)) &&
         RUN(&root, 0, NULL, error, "rm", "-f", "--", MACHINE_STATE_DIR "/host.crt", MACHINE_STATE_DIR "/host.key", MACHINE_STATE_DIR "/ca.crt",
             MACHINE_STATE_DIR "/manager") &&
         (!purge || RUN(&root, INSTALL_MS, NULL, error, "env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--purge", PACKAGE));
}

// SPDX-License-Identifier: Apache-2.0
/* Who this host is: key and certificate, the CA it trusts, the manager it dials. See agent-private.h. */
#include "base/files.h"
#include "base/pki.h"
#include "host/agent-private.h"
#include <string.h>

static char *path_of(const AgentConfig *config, const char *name)
{
  return g_build_filename(config->state_dir, name, NULL);
}

bool agent_identity_load(Agent *agent, GError **error)
{
  g_autofree char *manager = path_of(&agent->config, "manager");
  char *cert = path_of(&agent->config, "host.crt");
  if (!g_file_test(cert, G_FILE_TEST_EXISTS)) {
    g_free(cert);
    return ws_fail(error, WS_ERROR_UNAUTHENTICATED, "cause", "this host has not joined a site: winserverd --join - --manager URL",
                   NULL);
  }
  agent->tls.cert_file = cert;
  agent->tls.key_file = path_of(&agent->config, "host.key");
  agent->tls.ca_file = path_of(&agent->config, "ca.crt");
  if (!agent->config.manager_url)
    agent->config.manager_url = ws_file_read(manager, 1024, NULL, error);
  if (!agent->config.manager_url)
    return false;
  g_strstrip(agent->config.manager_url);
  return g_str_has_prefix(agent->config.manager_url, "https://") ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", "manager", "expected", "https://name:port", NULL);
}

void agent_identity_clear(Agent *agent)
{
  g_free((char *)agent->tls.cert_file);
  g_free((char *)agent->tls.key_file);
  g_free((char *)agent->tls.ca_file);
}

void agent_identity_times(const Agent *agent, gint64 *due_us, gint64 *ends_us)
{
  g_autoptr(WsCert) cert = ws_cert_read(agent->tls.cert_file, NULL);
  *due_us = !cert || ws_clock_wall_us(agent->clock) < cert->not_before_us ? 0 : ws_cert_due_us(cert);
  *ends_us = cert ? cert->not_after_us : 0;
}

char *agent_identity_csr(Agent *agent, GError **error)
{
  char *csr;
  return ws_pki_make_request(agent->tls.key_file, "host", &csr, error) ? csr : NULL;
}

bool agent_identity_take(Agent *agent, const char *cert_pem, GError **error)
{
  g_autoptr(WsCert) cert = ws_cert_parse(cert_pem, error);
  return cert && ws_pki_check_pair(cert_pem, agent->tls.key_file, error) &&
         ws_file_write(agent->tls.cert_file, cert_pem, strlen(cert_pem), 0600, error);
}

// SPDX-License-Identifier: Apache-2.0
/* The domains of the manager, in the order in which a host that connects is read: what it is, its storage, its networks, its VMs. */
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/operate/backup.h"
#include "model/model.h"

void domains_start(Center *center)
{
  hosts_start(center);
  cluster_start(center);
  storage_start(center);
  network_start(center);
  compute_start(center);
  operate_start(center);
  drs_start(center);
}

/* Links did not survive the restart: a host counts as lost until it has dialled in. */
static bool mark_unconnected(const void *object, void *arg)
{
  InvTxn *txn = arg;
  const WsHost *host = object;
  if (host->connection && host->connection->state == WS_HOST_CONNECTION_STATE_UP) {
    WsHost *edit = inv_edit(txn, host);
    edit->connection->state = WS_HOST_CONNECTION_STATE_DOWN;
    g_free(edit->connection->reason);
    edit->connection->reason = g_strdup("the manager was restarted");
    edit->state = WS_HOST_STATE_LOST;
  }
  return true;
}

void domains_resume(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_each(head, &ws_type_host, mark_unconnected, txn);
  inv_commit(txn, NULL, NULL);
  cluster_resume(center);
  limbo_end(center);
  backup_resume(center);
}

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
typedef struct {
  InvTxn *txn;
  gint64 now_us;
} Restart;

static bool mark_unconnected(const void *object, void *arg)
{
  const Restart *restart = arg;
  const WsHost *host = object;
  if (host->connection && host->connection->state == WS_HOST_CONNECTION_STATE_UP) {
    WsHost *edit = inv_edit(restart->txn, host);
    edit->connection->state = WS_HOST_CONNECTION_STATE_DOWN;
    edit->connection->since = edit->state_since = restart->now_us;
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
  Restart restart = {txn, ws_clock_wall_us(center->clock)};
  inv_each(head, &ws_type_host, mark_unconnected, &restart);
  inv_commit(txn, NULL, NULL);
  cluster_resume(center);
  limbo_end(center);
  backup_resume(center);
}

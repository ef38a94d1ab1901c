// SPDX-License-Identifier: Apache-2.0
import { registerColumns } from '../../kit/table/columns'
import { registerPage } from '../registry'

export function register() {
  registerPage({ plural: 'switches', parent: (o) => o.host })
  registerPage({ plural: 'port-groups', parent: (o) => o.switch })
  registerColumns('port-groups', { columns: ['name', 'state', 'switch', 'vlan.mode', 'vlan.tag', 'subnet.cidr', 'subnet.dhcp', 'created'] })
  registerColumns('switches', { columns: ['name', 'state', 'host', 'bridge', 'uplinks', 'mtu', 'datapath', 'created'] })
}

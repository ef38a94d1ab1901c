// SPDX-License-Identifier: Apache-2.0
// A host's network from the wire to the VM: physical NICs, switches, port groups, VMs.
import { Layers, type Link } from '../../kit/chart/Layers'
import { megabits } from '../../kit/format'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const MOST = 150

export default function Network({ object: host }: TabProps) {
  const switches = useRows('switches', { filter: `host=${host.id}`, sort: 'name' }, 100)
  const groups = useRows('port-groups', { sort: 'name' }, 5000)
  const vms = useRows('vms', { filter: `host=${host.id} and management!=in_bin`, sort: 'name', fields: 'name,power,nics,activity,health,management' }, MOST)
  const own = groups.rows.filter((g) => switches.rows.some((s) => s.id === g.switch))
  const nics: any[] = (host.facts?.nics ?? []).filter((n: any) => n.kind === 'physical' || switches.rows.some((s) => s.uplinks?.includes(n.name)))
  const links: Link[] = [
    ...switches.rows.flatMap((s) => (s.uplinks ?? []).map((name: string) => ({ from: name, to: s.id, bad: s.uplink_states?.some((u: any) => u.nic === name && u.link !== 'up') }))),
    ...own.map((g) => ({ from: g.switch, to: g.id })),
    ...vms.rows.flatMap((vm) => (vm.nics ?? []).filter((n: any) => n.port_group).map((n: any) => ({ from: n.port_group, to: vm.id, bad: n.connected === false }))),
  ]
  if (!switches.loading && !switches.rows.length && !nics.length) return <p className="faint pad">{t('no_switches_here')}</p>
  return (
    <div className="pad scroll">
      <Layers
        label={t('network')} links={links}
        columns={[
          { title: t('physical_nics'), nodes: nics.map((n) => ({ id: n.name, text: n.name, icon: 'port-groups', note: n.link === 'up' ? megabits(n.speed_mbps) : t('link_down'), bad: n.link !== 'up' })) },
          { title: t('switches'), nodes: switches.rows.map((s) => ({ id: s.id, text: s.name, object: s, to: `/switches/${s.id}`, note: s.uplinks?.length ? `MTU ${s.mtu}` : t('internal') })) },
          { title: t('port_groups'), nodes: own.map((g) => ({ id: g.id, text: g.name, object: g, to: `/port-groups/${g.id}`, note: g.vlan?.tag ? `VLAN ${g.vlan.tag}` : g.subnet?.cidr })) },
          { title: t('vms'), nodes: vms.rows.map((vm) => ({ id: vm.id, text: vm.name, object: vm, to: `/vms/${vm.id}` })), more: Math.max(0, vms.total - vms.rows.length) },
        ]}
      />
    </div>
  )
}

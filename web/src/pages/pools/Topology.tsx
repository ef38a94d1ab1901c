// SPDX-License-Identifier: Apache-2.0
// Who uses a pool: the hosts that reach it, and the VMs whose disks lie there.
import { Layers, type Link } from '../../kit/chart/Layers'
import { word } from '../../api/contract'
import { bytes } from '../../kit/format'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const MOST = 300

export default function Topology({ object: pool }: TabProps) {
  const states: any[] = pool.host_states ?? []
  const hosts = useRows('hosts', { fields: 'name,state,mode,activity,health', sort: 'name' }, 5000)
  const volumes = useRows('volumes', { filter: `pool=${pool.id}`, sort: 'name' }, MOST)
  const reached = hosts.rows.filter((h) => pool.hosts?.includes(h.id))
  const sizes = new Map<string, number>()
  for (const v of volumes.rows) if (v.used_by) sizes.set(v.used_by, (sizes.get(v.used_by) ?? 0) + (v.size_bytes ?? 0))
  const stateOf = (host: string) => states.find((s) => s.host === host)?.state
  const links: Link[] = [
    ...reached.map((h) => ({ from: h.id, to: pool.id, bad: !['active', undefined].includes(stateOf(h.id)) })),
    ...[...sizes.keys()].map((vm) => ({ from: pool.id, to: vm })),
  ]
  return (
    <div className="pad scroll">
      <Layers
        label={t('topology')} links={links}
        columns={[
          { title: t('hosts'), nodes: reached.map((h) => ({ id: h.id, text: h.name, object: h, to: `/hosts/${h.id}`, note: stateOf(h.id) && stateOf(h.id) !== 'active' ? word(stateOf(h.id)) : undefined, bad: !['active', undefined].includes(stateOf(h.id)) })) },
          { title: t('pool'), nodes: [{ id: pool.id, text: pool.name, object: pool, note: bytes(pool.capacity_bytes) }] },
          { title: t('used_by'), nodes: [...sizes].map(([vm, size]) => ({ id: vm, note: bytes(size) })), more: volumes.whole ? 0 : Math.max(0, volumes.total - volumes.rows.length) },
        ]}
      />
    </div>
  )
}

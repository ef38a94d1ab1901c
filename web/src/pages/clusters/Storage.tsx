// SPDX-License-Identifier: Apache-2.0
// Which hosts of a cluster reach which pools: where a VM can run with its disks.
import { Layers, type Link } from '../../kit/chart/Layers'
import { word } from '../../api/contract'
import { bytesOf } from '../../kit/format'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const MOST = 200

export default function Storage({ object: cluster }: TabProps) {
  const hosts = useRows('hosts', { filter: `cluster=${cluster.id}`, sort: 'name', fields: 'name,state,mode,activity,health' }, MOST)
  const pools = useRows('pools', { sort: 'name' }, 5000)
  const ids = new Set(hosts.rows.map((h) => h.id))
  const used = pools.rows.filter((p) => p.hosts?.some((h: string) => ids.has(h)))
  const links: Link[] = used.flatMap((p) => (p.hosts as string[]).filter((h) => ids.has(h)).map((h) => {
    const state = p.host_states?.find((s: any) => s.host === h)?.state
    return { from: h, to: p.id, bad: !['active', undefined].includes(state), title: `${p.name}: ${state ? word(state) : ''}` }
  }))
  if (!hosts.loading && !hosts.rows.length) return <p className="faint pad">{t('none')}</p>
  return (
    <div className="pad scroll">
      <Layers
        label={t('storage')} links={links}
        columns={[
          { title: t('hosts'), nodes: hosts.rows.map((h) => ({ id: h.id, text: h.name, object: h, to: `/hosts/${h.id}` })), more: Math.max(0, hosts.total - hosts.rows.length) },
          { title: t('pools'), nodes: used.map((p) => ({ id: p.id, text: p.name, object: p, to: `/pools/${p.id}`, note: bytesOf(p.capacity_bytes === undefined ? undefined : p.capacity_bytes - p.available_bytes, p.capacity_bytes) })) },
        ]}
      />
    </div>
  )
}

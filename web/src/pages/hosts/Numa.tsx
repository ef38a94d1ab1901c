// SPDX-License-Identifier: Apache-2.0
// NUMA nodes of a host: their threads, memory, distances, and the vCPUs that are pinned to each thread.
import { Card } from '../../kit/Details'
import { bytes, bytesOf, percent, visible } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

/** "2-3,6" as numbers. */
export function numbers(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [a, b] = part.split('-').map(Number) as [number, number?]
    return Array.from({ length: (b ?? a) - a + 1 }, (_, i) => a + i)
  })
}

export default function Numa({ object: host }: TabProps) {
  const { rows, loading } = useRows('vms', { filter: `host=${host.id} and management!=in_bin` }, 2000)
  const nodes: any[] = host.facts?.numa_nodes ?? []
  const pins = new Map<number, { vm: string; name: string; vcpu: number }[]>()
  for (const vm of rows) for (const pin of vm.cpu?.pinning ?? []) for (const cpu of numbers(pin.cpus)) pins.set(cpu, [...(pins.get(cpu) ?? []), { vm: vm.id, name: vm.name, vcpu: pin.vcpu }])
  const pinned = [...new Set([...pins.values()].flat().map((p) => p.vm))]
  return (
    <div className="cards">
      {nodes.map((node) => {
        const load = host.load?.numa_nodes?.find((n: any) => n.id === node.id)
        const used = load?.memory_free_bytes === undefined ? undefined : node.memory_bytes - load.memory_free_bytes
        return (
          <Card key={node.id} title={t('numa_node', { n: node.id })}>
            <p className="soft">{bytesOf(used, node.memory_bytes)} · CPU {percent(load?.cpu_percent)}</p>
            <div className="threads" role="list" aria-label={t('threads')}>
              {(node.cpus ?? []).map((cpu: number) => {
                const here = pins.get(cpu) ?? []
                return <span role="listitem" key={cpu} className={`thread${here.length > 1 ? ' crowded' : here.length ? ' pinned' : ''}`} title={here.length ? here.map((p) => `${visible(p.name)} vCPU ${p.vcpu}`).join(', ') : t('thread_free', { n: cpu })}>{cpu}</span>
              })}
            </div>
            {node.hugepages?.map((p: any) => <p key={p.size_bytes} className="faint">{t('huge_pages', { size: bytes(p.size_bytes), free: p.free, total: p.total })}</p>)}
          </Card>
        )
      })}
      {nodes.length > 1 && (
        <Card title={t('distances')}>
          <table className="plain distances">
            <thead><tr><th />{nodes.map((n) => <th key={n.id} className="number">{n.id}</th>)}</tr></thead>
            <tbody>{nodes.map((n) => <tr key={n.id}><th>{n.id}</th>{(n.distances ?? []).map((d: number, i: number) => <td key={i} className="number">{d}</td>)}</tr>)}</tbody>
          </table>
        </Card>
      )}
      <Card title={t('pinned_vms')}>{pinned.length ? <ul className="short">{pinned.map((id) => <li key={id}><Ref id={id} icon /></li>)}</ul> : <p className="faint" aria-busy={loading}>{loading ? t('loading') : t('nothing_pinned')}</p>}</Card>
    </div>
  )
}

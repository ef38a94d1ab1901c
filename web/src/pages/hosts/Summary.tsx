// SPDX-License-Identifier: Apache-2.0
import { CapacityCards, useCapacity } from '../../kit/Capacity'
import { Spark } from '../../kit/chart/Spark'
import { Card, Fact, Facts, FactsOf } from '../../kit/Details'
import { bits, bytes, count, duration, percent } from '../../kit/format'
import { LastEvents, OpenAlarms, TopVms } from '../../kit/lists'
import { useSamples } from '../../live/samples'
import { word } from '../../api/contract'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const sum = (rows: any[] | undefined, key: string) => rows?.reduce((n, row) => n + (row[key] ?? 0), 0)

export default function Summary({ object: host }: TabProps) {
  const capacity = useCapacity(`/hosts/${host.id}/capacity`)
  const samples = useSamples(host.id, host)
  const { load, facts } = host
  const memory = facts?.memory_bytes
  return (
    <div className="cards flow">
      <Card title={t('load_now')}>
        <div className="sparks">
          <div><span>CPU</span><b>{percent(load?.cpu_percent)}</b><Spark values={samples.map((s) => s.value.cpu_percent ?? 0)} max={100} /></div>
          <div><span>{t('memory')}</span><b>{memory && load?.memory_used_bytes !== undefined ? percent((100 * load.memory_used_bytes) / memory) : '-'}</b><Spark values={samples.map((s) => s.value.memory_used_bytes ?? 0)} max={memory} colour={1} /></div>
          <div><span>{t('network')}</span><b>{bits(load && (sum(load.nics, 'rx_bytes_per_s') ?? 0) + (sum(load.nics, 'tx_bytes_per_s') ?? 0))}</b><Spark values={samples.map((s) => (sum(s.value.nics, 'rx_bytes_per_s') ?? 0) + (sum(s.value.nics, 'tx_bytes_per_s') ?? 0))} colour={2} /></div>
        </div>
        <Facts>
          <Fact label={t('io_wait')}>{percent(load?.iowait_percent)}</Fact>
          <Fact label={t('load_average')}>{load?.load_average ?? '-'}</Fact>
          <Fact label={t('up_for')}>{duration(load?.uptime_s === undefined ? undefined : load.uptime_s * 1000)}</Fact>
          <Fact label={t('clock_offset')}>{host.clock_offset_ms === undefined ? '-' : <span className={Math.abs(host.clock_offset_ms) > 1000 ? 'warnword' : ''}>{duration(Math.abs(host.clock_offset_ms))}</span>}</Fact>
        </Facts>
      </Card>
      <CapacityCards capacity={capacity} />
      <Card title={t('machine')}>
        <Facts>
          <Fact label={t('model')}>{[facts?.system?.vendor, facts?.system?.model].filter(Boolean).join(' ') || '-'}</Fact>
          <Fact label="CPU">{facts?.cpu?.model ?? '-'}</Fact>
          <Fact label={t('sockets_cores_threads')}>{[facts?.cpu?.sockets, facts?.cpu?.cores, facts?.cpu?.threads].map((n) => count(n)).join(' / ')}</Fact>
          <Fact label={t('memory')}>{bytes(memory)}</Fact>
          <Fact label={t('virtualisation')}>{facts?.virtualisation?.kind ? word(facts.virtualisation.kind) : '-'}{facts?.virtualisation?.kind === 'tcg' && <span className="waits">{facts.virtualisation.reason}</span>}</Fact>
          <Fact label={t('nics')}>{count(facts?.nics?.filter((n: any) => n.kind === 'physical').length)}</Fact>
        </Facts>
        <FactsOf type="Host" object={host} paths={['fault_domain', 'address', 'facts.versions.os', 'facts.versions.kernel', 'facts.versions.qemu', 'facts.versions.libvirt', 'facts.versions.ovs', 'agent_version']} />
      </Card>
      <TopVms filter={`host=${host.id}`} />
      <Card title={t('open_alarms')}><OpenAlarms filter={`object=${host.id}`} /></Card>
      <Card title={t('last_events')} className="double"><LastEvents filter={`object=${host.id}`} /></Card>
    </div>
  )
}

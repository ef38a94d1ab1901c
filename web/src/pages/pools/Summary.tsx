// SPDX-License-Identifier: Apache-2.0
import { Usage } from '../../kit/chart/Usage'
import { Card, FactsOf, PartTable } from '../../kit/Details'
import { bytes, bytesOf } from '../../kit/format'
import { LastEvents, Top } from '../../kit/lists'
import { t } from '../../texts'
import { Room } from './Room'
import type { TabProps } from '../registry'

export default function Summary({ object: pool }: TabProps) {
  const capacity = pool.capacity_bytes
  const used = capacity === undefined ? undefined : capacity - (pool.available_bytes ?? 0)
  return (
    <div className="cards flow">
      <Card title={t('capacity')}>
        <Usage label={t('used')} used={used} total={capacity} text={bytesOf(used, capacity)} />
        <Usage label={t('provisioned')} used={pool.provisioned_bytes} total={capacity && capacity * (pool.overcommit_ratio ?? 1)} warn={90} bad={100} text={bytesOf(pool.provisioned_bytes, capacity && capacity * (pool.overcommit_ratio ?? 1))} />
        <FactsOf type="Pool" object={pool} paths={['available_bytes', 'allocated_bytes', 'overcommit_ratio']} />
        {pool.state_reason && <p className="notice" dir="auto">{pool.state_reason}</p>}
      </Card>
      <Room pool={pool} />
      <Card title={t('settings')}><FactsOf type="Pool" object={pool} paths={['kind', 'path', 'filesystem', 'reflink', 'uuid', 'state_since', 'created']} /></Card>
      <Card title={t('largest_volumes')}><Top plural="volumes" filter={`pool=${pool.id}`} sort="size_bytes" value={(o) => o.size_bytes} text={(o) => bytes(o.size_bytes)} /></Card>
      <Card title={t('hosts')} className="double"><PartTable type="PoolHostState" rows={pool.host_states ?? []} paths={['host', 'state', 'since', 'reason']} /></Card>
      <Card title={t('last_events')} className="double"><LastEvents filter={`object=${pool.id}`} /></Card>
    </div>
  )
}

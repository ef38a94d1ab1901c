// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { CapacityCards, useCapacity } from '../../kit/Capacity'
import { Card, EditButton, Fact, Facts, FactsOf } from '../../kit/Details'
import { count, percent } from '../../kit/format'
import { LastEvents, OpenAlarms, Top, TopVms } from '../../kit/lists'
import { openOverlay } from '../../kit/overlay'
import { Icon } from '../../kit/state/glyphs'
import { may } from '../../live/session'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import { SettingsOf } from '../drs/Settings'
import { JoinHost } from '../hosts/JoinHost'
import type { TabProps } from '../registry'

export default function Summary({ object: cluster, plural }: TabProps) {
  const capacity = useCapacity(`/${plural}/${cluster.id}/capacity`)
  const inside = plural === 'clusters' ? `cluster=${cluster.id}` : `host_pool=${cluster.id}`
  return (
    <div className="cards flow">
      <Card title={t('inventory')} actions={may('host.write') && <Button size="small" icon={<Icon name="plus" size={12} />} onClick={() => openOverlay(<JoinHost cluster={plural === 'clusters' ? cluster.id : undefined} />)}>{t('add_host')}</Button>}>
        <Facts>
          <Fact label={t('hosts_in_use')}>{capacity ? `${count(capacity.hosts_connected)} / ${count(capacity.hosts)}` : '-'}</Fact>
          <Fact label={t('vms_running')}>{capacity ? `${count(capacity.vms_running)} / ${count(capacity.vms)}` : '-'}</Fact>
        </Facts>
        <FactsOf type={plural === 'clusters' ? 'Cluster' : 'HostPool'} object={cluster} paths={plural === 'clusters' ? ['host_pool', 'architecture', 'description', 'created'] : ['description', 'created']} />
      </Card>
      <CapacityCards capacity={capacity} />
      <Card title={t('busiest_hosts')}><Top plural="hosts" sort="load.cpu_percent" filter={`${inside} and state=connected`} value={(o) => o.load?.cpu_percent} text={(o) => percent(o.load?.cpu_percent)} max={100} /></Card>
      {may('vm.read') && may('host.read') && <TopVms filter={plural === 'clusters' ? `host.cluster=${cluster.id}` : `host.host_pool=${cluster.id}`} />}
      {may('alarm.read') && <Alarms id={cluster.id} inside={inside} />}
      {plural === 'clusters' && <Card title={t('migration')} actions={<EditButton plural={plural} object={cluster} only={['migration']} title={t('migration')} />}><FactsOf type="Cluster" object={cluster} paths={['migration.strategy', 'migration.parallel', 'migration.bandwidth_mbps', 'migration.network']} /></Card>}
      {plural === 'clusters' && <Card title={t('placement_strategy')} actions={<EditButton plural={plural} object={cluster} only={['placement']} title={t('placement_strategy')} />}><SettingsOf type="ClusterPlacement" value={cluster.placement} /></Card>}
      <Card title={t('last_events')} className="double"><LastEvents filter={`object=${cluster.id}`} /></Card>
    </div>
  )
}

const MOST = 5000

/** Its own, and those of its hosts. */
function Alarms({ id, inside }: { id: string; inside: string }) {
  const { rows } = useRows(may('host.read') ? 'hosts' : undefined, { filter: inside, fields: 'name' }, MOST)
  return <Card title={t('open_alarms')}><OpenAlarms of={new Set([id, ...rows.map((row) => row.id)])} /></Card>
}

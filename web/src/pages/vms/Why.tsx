// SPDX-License-Identifier: Apache-2.0
// Why is it slow: what the figures of the last minutes say, what helps, who else is at it, and the figures themselves: the guest's beside its host's, on one cursor.
import { Button } from 'antd'
import { opOf, word } from '../../api/contract'
import { LineChart } from '../../kit/chart/LineChart'
import { Charts, useRange } from '../../kit/chart/Ranges'
import { Card, EditButton } from '../../kit/Details'
import { bits, percent, rate } from '../../kit/format'
import { LastEvents, TopVms } from '../../kit/lists'
import { Ref } from '../../kit/Name'
import { Glyph } from '../../kit/state/glyphs'
import { refusal } from '../../kit/verbs/check'
import { ask } from '../../kit/verbs/run'
import { hostValues, useSeries, vmValues, type Point } from '../../live/history'
import { may } from '../../live/session'
import { useObject } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'
import { meanSince, whySlow, type Finding } from './why'

const LOOKED_MS = 15 * 60000

const both = (a: Point[], b: Point[]): Point[] => a.map(([ms, value], i) => [ms, value === null || b[i]?.[1] == null ? null : value + b[i]![1]!])
const share = (part: number | undefined, whole: number | undefined) => (part === undefined || !whole ? undefined : (100 * part) / whole)

export default function Why({ object: vm }: TabProps) {
  const [chosen, setRange] = useRange()
  const lately = useSeries('vms', vm, 'hour', vmValues)
  const { object: host } = useObject(may('host.read') ? vm.host : undefined)
  const hostLately = useSeries('hosts', host ?? {}, 'hour', hostValues)
  const { of, ...shown } = useSeries('vms', vm, chosen, vmValues)
  const beside = useSeries('hosts', host ?? {}, chosen, hostValues)
  const since = Date.now() - LOOKED_MS
  const mean = (series: typeof lately, name: string) => meanSince(series.of(name), since)
  const wait = mean(lately, 'cpu_wait_percent') ?? vm.usage?.cpu_wait_percent // of which no history is kept: since the page is open
  const runs = vm.power?.state === 'running'
  const found = whySlow({
    activity: vm.activity?.verb, cpu: mean(lately, 'cpu_percent'), wait, memory: share(mean(lately, 'memory_used_bytes'), vm.memory_bytes),
    hostCpu: mean(hostLately, 'cpu_percent'), hostIo: mean(hostLately, 'iowait_percent'), hostMemoryFree: share(mean(hostLately, 'memory_available_bytes'), host?.facts?.memory_bytes),
  })
  const at = found.find((one) => one.neighbours)
  const pair = (a: string, b: string, from = of) => both(from(a), from(b))
  return (
    <>
      <div className="cards">
        <Card title={t('why_slow')} className="double">
          <div className="stack" data-test="why" aria-busy={lately.loading}>
            {!runs ? <p>{t('why_not_running')}</p> : lately.loading ? <p className="faint">{t('loading')}</p> : found.length ? found.map((one) => <Cause key={one.cause} finding={one} vm={vm} />) : (
              <p><Glyph name="tick" colour="ok" /> {t('why_nothing', { cpu: percent(mean(lately, 'cpu_percent')), host: percent(mean(hostLately, 'cpu_percent')) })}{wait !== undefined && ` ${t('why_waits', { wait: percent(wait) })}`}</p>
            )}
          </div>
        </Card>
        {at && vm.host && <TopVms filter={`host=${vm.host}`} key={at.neighbours} by={at.neighbours} />}
        <Card title={t('last_events')}><LastEvents filter={`object=${vm.id}`} n={5} /></Card>
      </div>
      <Charts range={chosen} setRange={setRange} {...shown}>
        <LineChart title="CPU" format={percent} max={100} lines={[{ name: t('this_vm'), values: of('cpu_percent') }, { name: t('its_host'), values: beside.of('cpu_percent') }]} />
        <LineChart title={t('memory')} format={percent} max={100} lines={[{ name: t('this_vm'), values: of('memory_used_bytes').map(([ms, v]): Point => [ms, v === null ? null : share(v, vm.memory_bytes) ?? null]) }, { name: t('its_host'), values: beside.of('memory_used_bytes').map(([ms, v]): Point => [ms, v === null ? null : share(v, host?.facts?.memory_bytes) ?? null]) }]} />
        <LineChart title={t('disks')} format={rate} binary lines={[{ name: t('this_vm'), values: pair('disk_read_bytes_per_s', 'disk_write_bytes_per_s') }, { name: t('its_host'), values: pair('disk_read_bytes_per_s', 'disk_write_bytes_per_s', beside.of) }]} />
        <LineChart title={t('network')} format={bits} lines={[{ name: t('this_vm'), values: pair('net_rx_bytes_per_s', 'net_tx_bytes_per_s') }, { name: t('its_host'), values: pair('net_rx_bytes_per_s', 'net_tx_bytes_per_s', beside.of) }]} />
      </Charts>
    </>
  )
}

function Cause({ finding, vm }: { finding: Finding; vm: TabProps['object'] }) {
  const { cause, cure } = finding
  const op = cure && 'verb' in cure ? opOf('vms', cure.verb) : undefined
  const why = op && refusal(op, vm)
  const text = t(`why_${cause}`, { share: percent(finding.share), activity: vm.activity ? word(vm.activity.verb) : '' })
  return (
    <div className="finding" data-cause={cause}>
      <Glyph name="triangle" colour="warn" /> <span>{text}</span> {cause !== 'cpu' && cause !== 'memory' && cause !== 'activity' && vm.host && <Ref id={vm.host} max={30} />}
      <span className="grow" />
      {op && <Button size="small" disabled={!!why} title={why} onClick={() => ask('vms', op, [vm])} data-verb={op.name}>{op.l}</Button>}
      {cure && 'fields' in cure && <EditButton plural="vms" object={vm} only={cure.fields} title={t('settings')} />}
    </div>
  )
}

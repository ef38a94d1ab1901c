// SPDX-License-Identifier: Apache-2.0
import { LineChart } from '../../kit/chart/LineChart'
import { bits, bytes, percent, rate, time } from '../../kit/format'
import { useSamples } from '../../live/samples'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const total = (rows: any[] | undefined, key: string) => (rows ? rows.reduce((n, row) => n + (row[key] ?? 0), 0) : null)

export default function Monitor({ object: host }: TabProps) {
  const samples = useSamples(host.id, host)
  const line = (name: string, of: (load: any) => number | null | undefined) => ({ name, values: samples.map((s) => [s.ms, of(s.value) ?? null] as [number, number | null]) })
  return (
    <div className="charts">
      <p className="faint">{samples.length ? t('samples_since', { time: time(samples[0]!.ms) }) : t('no_figures')}</p>
      <div className="chartgrid">
        <LineChart title="CPU" format={percent} max={100} lines={[line(t('used'), (l) => l.cpu_percent), line(t('io_wait'), (l) => l.iowait_percent)]} />
        <LineChart title={t('memory')} format={bytes} binary max={host.facts?.memory_bytes} lines={[line(t('used'), (l) => l.memory_used_bytes)]} />
        <LineChart title={t('network')} format={bits} lines={[line(t('received'), (l) => total(l.nics, 'rx_bytes_per_s')), line(t('sent'), (l) => total(l.nics, 'tx_bytes_per_s'))]} />
        <LineChart title={t('disks')} format={rate} binary lines={[line(t('read'), (l) => total(l.disks, 'read_bytes_per_s')), line(t('written'), (l) => total(l.disks, 'write_bytes_per_s'))]} />
      </div>
    </div>
  )
}

// SPDX-License-Identifier: Apache-2.0
import { LineChart } from '../../kit/chart/LineChart'
import { Charts, useRange } from '../../kit/chart/Ranges'
import { bits, bytes, percent, rate } from '../../kit/format'
import { hostValues, useSeries } from '../../live/history'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Monitor({ object: host }: TabProps) {
  const [range, setRange] = useRange()
  const { of, ...shown } = useSeries('hosts', host, range, hostValues)
  const line = (name: string, key: string) => ({ name, values: of(key) })
  return (
    <Charts range={range} setRange={setRange} {...shown}>
      <LineChart title="CPU" format={percent} max={100} lines={[line(t('used'), 'cpu_percent'), line(t('io_wait'), 'iowait_percent')]} />
      <LineChart title={t('memory')} format={bytes} binary max={host.facts?.memory_bytes} lines={[line(t('used'), 'memory_used_bytes')]} />
      <LineChart title={t('network')} format={bits} lines={[line(t('received'), 'net_rx_bytes_per_s'), line(t('sent'), 'net_tx_bytes_per_s')]} />
      <LineChart title={t('disks')} format={rate} binary lines={[line(t('read'), 'disk_read_bytes_per_s'), line(t('written'), 'disk_write_bytes_per_s')]} />
    </Charts>
  )
}

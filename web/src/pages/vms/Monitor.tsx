// SPDX-License-Identifier: Apache-2.0
import { LineChart } from '../../kit/chart/LineChart'
import { Charts, useRange } from '../../kit/chart/Ranges'
import { bits, bytes, count, percent, rate } from '../../kit/format'
import { hostValues, useSeries, vmValues } from '../../live/history'
import { may } from '../../live/session'
import { useObject } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

/** The VM's load beside its host's, on one cursor. */
export default function Monitor({ object: vm }: TabProps) {
  const [range, setRange] = useRange()
  const { of, ...shown } = useSeries('vms', vm, range, vmValues)
  const { object: host } = useObject(vm.host)
  const beside = useSeries('hosts', may('host.read') && host ? host : {}, range, hostValues)
  const line = (name: string, key: string) => ({ name, values: of(key) })
  return (
    <Charts range={range} setRange={setRange} {...shown}>
      <LineChart title="CPU" format={percent} max={100} lines={[line(t('this_vm'), 'cpu_percent'), { name: t('its_host'), values: beside.of('cpu_percent') }]} />
      <LineChart title={t('memory')} format={bytes} binary max={vm.memory_bytes} lines={[line(t('used'), 'memory_used_bytes'), line(t('on_host'), 'memory_host_bytes')]} />
      <LineChart title={t('disks')} format={rate} binary lines={[line(t('read'), 'disk_read_bytes_per_s'), line(t('written'), 'disk_write_bytes_per_s')]} />
      <LineChart title="IOPS" format={count} lines={[line(t('read'), 'disk_read_iops'), line(t('written'), 'disk_write_iops')]} />
      <LineChart title={t('network')} format={bits} lines={[line(t('received'), 'net_rx_bytes_per_s'), line(t('sent'), 'net_tx_bytes_per_s')]} />
    </Charts>
  )
}

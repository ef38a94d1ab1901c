// SPDX-License-Identifier: Apache-2.0
import { LineChart } from '../../kit/chart/LineChart'
import { bits, bytes, count, percent, rate, time } from '../../kit/format'
import { useSamples } from '../../live/samples'
import { useObject } from '../../live/store'
import { t } from '../../texts'
import type { TabProps } from '../registry'

/** The VM's load beside its host's, on one cursor. */
export default function Monitor({ object: vm }: TabProps) {
  const samples = useSamples(vm.id, vm)
  const { object: host } = useObject(vm.host)
  const beside = useSamples(vm.host ?? 'none', host ?? {})
  const line = (name: string, of: (usage: any) => number | undefined) => ({ name, values: samples.map((s) => [s.ms, of(s.value) ?? null] as [number, number | null]) })
  return (
    <div className="charts">
      <p className="faint">{samples.length ? t('samples_since', { time: time(samples[0]!.ms) }) : t('no_figures')}</p>
      <div className="chartgrid">
        <LineChart title="CPU" format={percent} max={100} lines={[line(t('this_vm'), (u) => u.cpu_percent), { name: t('its_host'), values: beside.map((s) => [s.ms, s.value.cpu_percent ?? null]) }]} />
        <LineChart title={t('memory')} format={bytes} binary max={vm.memory_bytes} lines={[line(t('used'), (u) => u.memory_used_bytes), line(t('on_host'), (u) => u.memory_host_bytes)]} />
        <LineChart title={t('disks')} format={rate} binary lines={[line(t('read'), (u) => u.disk_read_bytes_per_s), line(t('written'), (u) => u.disk_write_bytes_per_s)]} />
        <LineChart title="IOPS" format={count} lines={[line(t('read'), (u) => u.disk_read_iops), line(t('written'), (u) => u.disk_write_iops)]} />
        <LineChart title={t('network')} format={bits} lines={[line(t('received'), (u) => u.net_rx_bytes_per_s), line(t('sent'), (u) => u.net_tx_bytes_per_s)]} />
      </div>
    </div>
  )
}

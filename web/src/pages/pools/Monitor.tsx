// SPDX-License-Identifier: Apache-2.0
// How the pool filled up.
import { LineChart } from '../../kit/chart/LineChart'
import { Charts, useRange } from '../../kit/chart/Ranges'
import { bytes } from '../../kit/format'
import { useSeries } from '../../live/history'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Monitor({ object: pool }: TabProps) {
  const [chosen, setRange] = useRange()
  const range = chosen === 'live' ? 'hour' : chosen
  const { of, ...shown } = useSeries('pools', pool, range, () => ({}))
  const free = of('available_bytes')
  const used = of('capacity_bytes').map(([ms, all], i): [number, number | null] => [ms, all === null || free[i]?.[1] == null ? null : all - free[i]![1]!])
  return (
    <Charts range={range} setRange={setRange} live={false} {...shown}>
      <LineChart title={t('capacity')} format={bytes} binary max={pool.capacity_bytes} lines={[{ name: t('used'), values: used }]} />
    </Charts>
  )
}

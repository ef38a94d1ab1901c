// SPDX-License-Identifier: Apache-2.0
// How far back the charts of a page show, kept as chosen; and why there is nothing, where there is nothing.
import type { ReactNode } from 'react'
import { Segmented } from 'antd'
import type { ApiError } from '../../api/client'
import { RANGES, type Range } from '../../live/history'
import { t } from '../../texts'
import { ErrorBox, tell } from '../error/ErrorBox'
import { time } from '../format'
import { usePref } from '../prefs'

export const useRange = () => usePref<Range>('range', 'hour')

interface Props { range: Range; setRange: (range: Range) => void; error?: ApiError; loading?: boolean; since?: number; live?: boolean; children: ReactNode }

export function Charts({ range, setRange, error, loading, since, live = true, children }: Props) {
  const ranges = (Object.keys(RANGES) as Range[]).filter((r) => live || r !== 'live')
  return (
    <div className="charts" data-loading={loading || undefined}>
      <div className="rangebar">
        <Segmented size="small" value={range} onChange={(v) => setRange(v as Range)} options={ranges.map((r) => ({ value: r, label: t(`range_${r}`) }))} aria-label={t('range')} data-test="range" />
        {range === 'live' && <span className="faint">{since ? t('samples_since', { time: time(since) }) : t('no_figures')}</span>}
        {loading && <span className="faint" aria-busy>{t('loading')}</span>}
      </div>
      {error && <ErrorBox error={tell(error)} />}
      <div className="chartgrid">{children}</div>
    </div>
  )
}

// SPDX-License-Identifier: Apache-2.0
// What is wanted of a host, as a bar with its threshold; two of them one under the other are before and after.
import { percent } from '../../kit/format'
import { t } from '../../texts'

const at = (value: number) => `${Math.max(0, Math.min(100, value))}%`

interface WantedProps { label: string; value: number | undefined; forecast?: number; limit: number | undefined }

/** Now, with the forecast as a mark and the threshold as a line. Above 100 the bar is full; the number says how much. */
export function Wanted({ label, value, forecast, limit }: WantedProps) {
  if (value === undefined) return <span className="faint">-</span>
  const high = limit !== undefined && value > limit
  return (
    <span className="wanted">
      <span className={`track thick${high ? ' bad' : ''}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(Math.min(100, value))} aria-valuetext={percent(value)}>
        <i className="fill" style={{ width: at(value) }} />
        {forecast !== undefined && <i className="forecast" style={{ insetInlineStart: at(forecast) }} title={t('forecast_is', { value: percent(forecast) })} />}
        {limit !== undefined && <i className="limit" style={{ insetInlineStart: at(limit) }} />}
      </span>
      <span className="nums">{percent(value)}</span>
    </span>
  )
}

/** Before above, after below. No `after`: it is gone by then. */
export function BeforeAfter({ label, before, after, limit }: { label: string; before: number | undefined; after: number | undefined; limit: number | undefined }) {
  const high = limit !== undefined && after !== undefined && after > limit
  return (
    <span className="wanted" role="img" aria-label={`${label}: ${percent(before)} → ${percent(after)}`}>
      <span className={`track twin${high ? ' bad' : ''}`}>
        <i className="was" style={{ width: at(before ?? 0) }} />
        {after !== undefined && <i className="fill" style={{ width: at(after) }} />}
        {limit !== undefined && <i className="limit" style={{ insetInlineStart: at(limit) }} />}
      </span>
      <span className="nums" aria-hidden><span className="faint">{percent(before)}</span> → {percent(after)}</span>
    </span>
  )
}

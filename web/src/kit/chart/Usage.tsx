// SPDX-License-Identifier: Apache-2.0
// A bar of what is used of what there is, with what is promised as a mark; its colour changes at the limits that are told.
import type { ReactNode } from 'react'

export function Usage({ used, total, promised, warn = 80, bad = 90, label, text }: { used: number | undefined; total: number | undefined; promised?: number; warn?: number; bad?: number; label: ReactNode; text: ReactNode }) {
  const percent = used !== undefined && total ? Math.min(100, (100 * used) / total) : 0
  const mark = promised !== undefined && total ? Math.min(100, (100 * promised) / total) : undefined
  const level = percent >= bad ? 'bad' : percent >= warn ? 'warn' : 'normal'
  return (
    <div className={`usage ${level}`}>
      <div className="usagetext"><span>{label}</span><span className="nums">{text}</span></div>
      <div className="track" role="meter" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(percent)} aria-label={typeof label === 'string' ? label : undefined}>
        <i className="fill" style={{ width: `${percent}%` }} />
        {mark !== undefined && <i className="mark" style={{ insetInlineStart: `calc(${mark}% - 1px)` }} />}
      </div>
    </div>
  )
}

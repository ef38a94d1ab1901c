// SPDX-License-Identifier: Apache-2.0
// What a move is expected to take, and what that rests on: said before it begins.
import type { MigrationForecast } from '../../api/generated/types'
import { bytes, duration, rate as speed } from '../../kit/format'
import type { ForetoldProps } from '../../kit/verbs/forms'
import { t } from '../../texts'

/** Two figures of one thing: what is expected, and at most; undefined: neither is known. */
function range(ms: number | undefined, most: number | undefined): string | undefined {
  const [usual, longest] = [ms, most].map((value) => (value == null ? undefined : duration(value)))
  if (usual && longest) return usual === longest ? t('time_about', { time: usual }) : t('time_about_at_most', { time: usual, most: longest })
  return usual ? t('time_at_least', { time: usual }) : longest && t('time_at_most', { time: longest })
}

const ms = (s: number | undefined) => (s == null ? undefined : s * 1000)

const COURSES: Partial<Record<string, () => string>> = {
  slowed: () => t('forecast_slowed'), post_copy: () => t('forecast_post_copy'), stands_still: () => t('forecast_stands_still'), never_ends: () => t('forecast_never_ends'),
}
const RATES = { limit: (rate: string) => t('rate_limit', { rate }), nic: (rate: string) => t('rate_nic', { rate }), log: (rate: string) => t('rate_log', { rate }) }
const WRITES = { measured: (rate: string) => t('writes_measured', { rate }), log: (rate: string) => t('writes_log', { rate }) }

function copied(f: MigrationForecast): string {
  const usual = f.memory_bytes ?? 0
  const most = f.memory_max_bytes ?? 0
  const memory = most > usual ? t('memory_at_most', { size: bytes(usual), most: bytes(most) }) : most ? t('memory_of', { size: bytes(usual) }) : ''
  return [memory, f.disk_bytes ? t('disks_of', { size: bytes(f.disk_bytes) }) : ''].filter(Boolean).join(t('and_also')) || t('nothing_to_copy')
}

function One({ forecast: f }: { forecast: MigrationForecast }) {
  const takes = range(ms(f.duration_s), ms(f.duration_max_s))
  const pause = range(f.downtime_ms, f.downtime_max_ms)
  const course = f.course && COURSES[f.course]?.()
  const rate = f.rate_basis ? RATES[f.rate_basis](speed(f.rate_bytes_per_s)) : t('rate_unknown')
  const writes = f.dirty_basis ? WRITES[f.dirty_basis](speed(f.dirty_bytes_per_s)) : !f.course && f.memory_max_bytes ? t('writes_unknown') : ''
  return (
    <>
      <b>{f.course === 'never_ends' ? t('move_never_ends') : takes ? t('move_takes', { time: takes }) : t('duration_unknown')}{pause && ` ${t('guest_stands', { time: pause })}`}</b>
      {course && <span className={f.course === 'never_ends' ? 'notice' : undefined}>{course}</span>}
      <span className="faint">{[copied(f), rate, writes].filter(Boolean).join(' · ')}</span>
    </>
  )
}

const most = (values: (number | undefined)[]) => values.reduce<number | undefined>((a, b) => (b == null ? a : Math.max(a ?? 0, b)), undefined)

function Many({ forecasts, of }: { forecasts: MigrationForecast[]; of: number }) {
  const size = forecasts.reduce((sum, f) => sum + (f.memory_max_bytes ?? 0) + (f.disk_bytes ?? 0), 0)
  const longest = most(forecasts.map((f) => ms(f.duration_max_s ?? f.duration_s)))
  const pause = most(forecasts.map((f) => f.downtime_max_ms))
  const endless = forecasts.filter((f) => f.course === 'never_ends').length
  return (
    <>
      <b>{t('moves_copy', { n: forecasts.length, of, size: bytes(size) })}{longest != null && ` ${t('longest_takes', { time: duration(longest) })}`}{pause != null && ` ${t('guest_stands', { time: t('time_at_most', { time: duration(pause) }) })}`}</b>
      {endless > 0 && <span className="notice">{t('some_never_end', { n: endless })}</span>}
    </>
  )
}

export default function Forecast({ forecasts, of }: ForetoldProps) {
  const one = of === 1 ? forecasts[0] : undefined
  return <div className="forecast" role="status" data-test="forecast" data-course={one?.course ?? ''}>{one ? <One forecast={one} /> : <Many forecasts={forecasts} of={of} />}</div>
}

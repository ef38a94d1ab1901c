// SPDX-License-Identifier: Apache-2.0
// When a pool will be full if it goes on filling as it did: the straight line nearest to what was measured.

const DAY_MS = 86400000
const POINTS = 6

export type Forecast = { kind: 'full'; ms: number } | { kind: 'not_filling' } | { kind: 'too_little' }

/** `used`: bytes by time, gaps are null. Less than a day, or a handful of points, tells nothing; a date further than ten years is no date. */
export function forecast(used: [number, number | null][], capacity: number | undefined, nowMs: number): Forecast {
  const known = used.filter((point): point is [number, number] => point[1] !== null)
  const first = known[0], last = known.at(-1)
  if (!capacity || !first || !last || known.length < POINTS || last[0] - first[0] < DAY_MS) return { kind: 'too_little' }
  const days = known.map(([ms]) => (ms - first[0]) / DAY_MS)
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const x = mean(days), y = mean(known.map(([, bytes]) => bytes))
  const spread = days.reduce((sum, day) => sum + (day - x) ** 2, 0)
  const perDay = known.reduce((sum, [, bytes], i) => sum + (days[i]! - x) * (bytes - y), 0) / spread
  const left = (capacity - last[1]) / perDay
  if (perDay <= 0 || left > 3650) return { kind: 'not_filling' }
  return { kind: 'full', ms: Math.max(nowMs, last[0] + left * DAY_MS) }
}

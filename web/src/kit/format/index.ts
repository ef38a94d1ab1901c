// SPDX-License-Identifier: Apache-2.0
// Numbers, sizes and times as people read them: the same everywhere, in both languages. Unknown is "-", never 0.
import { language } from '../../texts'

export const UNKNOWN = '-'

/** Three digits that mean something; one decimal below 10. */
function digits(value: number): string {
  const size = Math.abs(value)
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : size >= 10 ? String(Number(value.toFixed(1))) : String(Number(value.toFixed(2)))
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

function scale(value: number, base: number, units: string[]): [number, number] {
  let step = 0
  while (Math.abs(value) >= base && step < units.length - 1) {
    value /= base
    step++
  }
  return [value, step]
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return UNKNOWN
  const [n, step] = scale(value, 1024, BINARY)
  return `${digits(n)} ${BINARY[step]}`
}

/** "3.2 / 8 GiB": both in the unit of the larger. */
export function bytesOf(part: number | null | undefined, whole: number | null | undefined): string {
  if (whole == null) return bytes(part)
  if (!whole) return UNKNOWN
  const [n, step] = scale(whole, 1024, BINARY)
  return `${part == null ? UNKNOWN : digits(part / 1024 ** step)} / ${digits(n)} ${BINARY[step]}`
}

export const rate = (value: number | null | undefined) => (value == null ? UNKNOWN : `${bytes(value)}/s`)

/** Network rates are told in bits. */
export function bits(bytesPerSecond: number | null | undefined): string {
  if (bytesPerSecond == null) return UNKNOWN
  const units = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']
  const [n, step] = scale(bytesPerSecond * 8, 1000, units)
  return `${digits(n)} ${units[step]}`
}

export function megabits(value: number | null | undefined): string {
  return value == null ? UNKNOWN : value >= 1000 ? `${digits(value / 1000)} Gbit/s` : `${digits(value)} Mbit/s`
}

export function percent(value: number | null | undefined): string {
  return value == null ? UNKNOWN : `${Math.abs(value) < 10 && value % 1 ? value.toFixed(1) : value.toFixed(0)} %`
}

const NUMBERS = new Intl.NumberFormat('en-US') // groups of three in both languages; making one takes as long as a whole row of a list
export const count = (value: number | null | undefined) => (value == null ? UNKNOWN : NUMBERS.format(value))

export function megahertz(value: number | null | undefined): string {
  return value == null ? UNKNOWN : value >= 1000 ? `${digits(value / 1000)} GHz` : `${digits(value)} MHz`
}

const two = (n: number) => String(n).padStart(2, '0')

/** "2026-11-23 14:32:05" in the user's zone. */
export function time(text: string | number | null | undefined): string {
  if (text == null || text === '') return UNKNOWN
  const d = new Date(text)
  if (Number.isNaN(d.getTime())) return UNKNOWN
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

export const clock = (ms: number) => time(ms).slice(11)

/** A moment on the axis of a chart: as much of it as tells it apart over all that the lines span. */
export function axisTime(ms: number, lines: { values: [number, number | null][] }[]): string {
  const span = Math.max(0, ...lines.map(({ values }) => (values.at(-1)?.[0] ?? 0) - (values[0]?.[0] ?? 0)))
  const text = time(ms)
  return span <= 900000 ? text.slice(11) : span <= 2 * 86400000 ? text.slice(11, 16) : span <= 100 * 86400000 ? text.slice(5, 16) : text.slice(0, 10)
}
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone

/** How long: "3 min", "2 h 5 min", "12 d". */
export function duration(ms: number | null | undefined): string {
  if (ms == null || Number.isNaN(ms)) return UNKNOWN
  const zh = language === 'zh'
  const unit = (n: number, en: string, han: string) => (zh ? `${n} ${han}` : `${n} ${en}`)
  if (ms < 1000) return unit(Math.round(ms), 'ms', '毫秒')
  const s = ms / 1000
  if (s < 60) return unit(s < 10 ? Number(s.toFixed(1)) : Math.round(s), 's', '秒')
  const minutes = Math.floor(s / 60)
  if (minutes < 60) return unit(minutes, 'min', '分钟')
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 ? `${unit(hours, 'h', '小时')} ${unit(minutes % 60, 'min', '分钟')}` : unit(hours, 'h', '小时')
  return unit(Math.floor(hours / 24), 'd', '天')
}

/** Relative under a day, else the date. */
export function ago(text: string | null | undefined): string {
  if (!text) return UNKNOWN
  const ms = Date.now() - new Date(text).getTime()
  if (ms >= 86400000 || ms < -60000) return time(text)
  if (ms < 5000) return language === 'zh' ? '刚刚' : 'just now'
  const before = duration(ms)
  return language === 'zh' ? `${before}前` : `${before} ago`
}

/** What is left until then: "12 d left". */
export function left(text: string, now = Date.now()): string {
  const ms = new Date(text).getTime() - now
  if (ms <= 0) return language === 'zh' ? '即将删除' : 'about to go'
  return language === 'zh' ? `剩 ${duration(ms)}` : `${duration(ms)} left`
}

/** "In bin, 12 d left". */
export const binned = (word: string, expires: string, now?: number) => (language === 'zh' ? `${word}（${left(expires, now)}）` : `${word}, ${left(expires, now)}`)

/** A value with the unit that the API gives its field. */
export function withUnit(value: number, unit: string | undefined): string {
  switch (unit) {
    case 'bytes': return bytes(value)
    case 'bytes/s': case 'B/s': return rate(value)
    case 'percent': return percent(value)
    case 'ms': return duration(value)
    case 's': return value ? duration(value * 1000) : language === 'zh' ? '0 秒' : '0 s'
    case 'MHz': return megahertz(value)
    case 'Mbit/s': return megabits(value)
    case undefined: return count(value)
    default: return `${count(value)} ${unit}`
  }
}

/** "8g", "8 GiB", "8192M", "8.5 GiB" as bytes; null: not a size. A bare number is in `unit` (a power of 1024). */
export function parseBytes(text: string, unit = 3): number | null {
  const m = /^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\s*$/i.exec(text)
  if (!m) return null
  const letters = 'kmgtp'
  const power = m[2] ? letters.indexOf(m[2].toLowerCase()) + 1 : /b\s*$/i.test(text) ? 0 : unit
  return Math.round(Number(m[1]) * 1024 ** power)
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g
/** Control characters and marks that turn the direction of text, as a visible symbol. */
export const visible = (text: string) => text.replace(CONTROL, '\u2423')

/** A long name keeps its end: tails differ. */
export function middle(text: string, max = 48): string {
  const shown = visible(text)
  const points = Array.from(shown)
  return points.length <= max ? shown : `${points.slice(0, max - 13).join('')}…${points.slice(-12).join('')}`
}

export const compareNames = (a: string, b: string) => new Intl.Collator(language, { numeric: true }).compare(a, b)

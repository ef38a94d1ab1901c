// SPDX-License-Identifier: Apache-2.0
// What the manager has noted of an object's load, fetched for a range of time and again when a step is over; in front of it, what comes in live.
import { useEffect, useState } from 'react'
import { get, type ApiError } from '../api/client'
import { useSamples } from './samples'

export const RANGES = { live: 0, hour: 3600, day: 86400, week: 7 * 86400, month: 31 * 86400, year: 366 * 86400 } as const
export type Range = keyof typeof RANGES
export type Point = [number, number | null]

interface Noted { key: string; toMs: number; series: Map<string, Point[]> }

function read(key: string, answer: any): Noted {
  const from = Date.parse(answer.from), step = answer.step_s * 1000
  const series = new Map<string, Point[]>()
  for (const one of answer.series) series.set(one.name, one.values.map((v: number | null, i: number): Point => [from + (i + 1) * step, v]))
  return { key, toMs: Math.max(from, ...[...series.values()].map((points) => points.at(-1)?.[0] ?? 0)), series }
}

/** Lines by the names that the contract gives its measured values. `live` takes them out of a sample. */
export function useSeries(plural: string, object: any, range: Range, live: (sample: any) => Record<string, number | null | undefined>) {
  const samples = useSamples(object.id ?? 'none', object)
  const [noted, setNoted] = useState<Noted>()
  const [error, setError] = useState<ApiError>()
  const key = `${plural}/${object.id}/${range}`
  useEffect(() => {
    if (range === 'live' || !object.id) return
    const stop = new AbortController()
    const load = () => {
      if (document.hidden) return
      get(`/${plural}/${object.id}/history?last_s=${RANGES[range]}`, stop.signal)
        .then((answer) => (setNoted(read(key, answer)), setError(undefined)))
        .catch((e) => stop.signal.aborted || setError(e))
    }
    load()
    const timer = setInterval(load, range === 'hour' ? 20000 : 300000)
    return () => (stop.abort(), clearInterval(timer))
  }, [key])

  const past = range !== 'live' && noted?.key === key ? noted : undefined
  const of = (name: string): Point[] => {
    const points = past?.series.get(name) ?? []
    if (range !== 'live' && range !== 'hour') return points
    const since = past?.toMs ?? 0
    return points.concat(samples.filter((s) => s.ms > since).map((s): Point => [s.ms, live(s.value)[name] ?? null]))
  }
  return { of, error, loading: range !== 'live' && !past && !error, since: samples[0]?.ms }
}

const total = (rows: any[] | undefined, key: string) => (rows ? rows.reduce((n, row) => n + (row[key] ?? 0), 0) : null)

export const hostValues = (load: any) => ({
  ...load, net_rx_bytes_per_s: total(load.nics, 'rx_bytes_per_s'), net_tx_bytes_per_s: total(load.nics, 'tx_bytes_per_s'),
  disk_read_bytes_per_s: total(load.disks, 'read_bytes_per_s'), disk_write_bytes_per_s: total(load.disks, 'write_bytes_per_s'),
  disk_read_iops: total(load.disks, 'reads_per_s'), disk_write_iops: total(load.disks, 'writes_per_s'),
})
export const vmValues = (usage: any) => usage

// SPDX-License-Identifier: Apache-2.0
// Uploads in resumable pieces. They live here, not in a page: they go on while the user looks elsewhere, and after a broken line from where the
// server has come to.
import { ApiError, post, putBytes } from '../api/client'
import { noteMade } from './follow'

const PIECE = 8 << 20
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000]

export interface Upload { volume: string; name: string; percent: number; sent: number; size: number; rate: number; error?: unknown; done?: boolean }

let all: Upload[] = []
const aborts = new Map<string, AbortController>()
const listeners = new Set<() => void>()

function change(volume: string, part: Partial<Upload>) {
  all = all.map((u) => (u.volume === volume ? { ...u, ...part } : u))
  for (const f of listeners) f()
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Sends what the server has not got; tries again where the line breaks. */
async function run(volume: string, file: File, abort: AbortController) {
  let offset = 0
  let tries = 0
  const began = Date.now()
  offset = await putBytes(volume, 0, new Blob([]), abort.signal).catch(() => 0)
  const from = offset
  while (offset < file.size) {
    try {
      offset = await putBytes(volume, offset, file.slice(offset, offset + PIECE), abort.signal)
      tries = 0
      change(volume, { sent: offset, percent: Math.floor((100 * offset) / file.size), rate: ((offset - from) * 1000) / Math.max(1, Date.now() - began), error: undefined })
    } catch (error) {
      if (abort.signal.aborted) throw error
      if (error instanceof ApiError && error.code === 'upload_offset') {
        offset = Number(error.params.received ?? 0)
        continue
      }
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 401 && error.status !== 429) throw error
      change(volume, { error })
      await sleep(WAITS_MS[Math.min(tries++, WAITS_MS.length - 1)]!)
    }
  }
  noteMade(await post(`/volumes/${volume}/finish_upload`))
}

export const uploads = {
  subscribe: (f: () => void) => {
    listeners.add(f)
    return () => listeners.delete(f)
  },
  all: () => all,
  start(volume: string, name: string, file: File): Promise<void> {
    const abort = new AbortController()
    aborts.set(volume, abort)
    all = [...all, { volume, name, percent: 0, sent: 0, size: file.size, rate: 0 }]
    for (const f of listeners) f()
    return run(volume, file, abort).finally(() => {
      aborts.delete(volume)
      all = all.filter((u) => u.volume !== volume)
      for (const f of listeners) f()
    })
  },
  cancel(volume: string) {
    aborts.get(volume)?.abort()
  },
}

addEventListener('beforeunload', (event) => {
  if (all.length) event.preventDefault()
})

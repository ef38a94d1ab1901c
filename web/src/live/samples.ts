// SPDX-License-Identifier: Apache-2.0
// Load as it came in while this window looked: the last minutes of what is open. Earlier values the manager does not keep; the charts say so.
import { useEffect, useReducer } from 'react'
import { link } from './link'

export interface Sample { ms: number; value: any }

const KEEP = 720
const series = new Map<string, Sample[]>()
const watched = new Map<string, number>()
const listeners = new Set<() => void>()

function note(id: string, object: any) {
  const value = object.usage ?? object.load
  const at = Date.parse(value?.time ?? value?.sampled ?? '')
  if (!value || Number.isNaN(at)) return
  let list = series.get(id)
  if (!list) series.set(id, (list = []))
  if (list.at(-1)?.ms === at) return
  list.push({ ms: at, value })
  if (list.length > KEEP) list.shift()
}

link.onChanges((changes) => {
  let any = false
  for (const change of changes) {
    if (change.op !== 'gone' && watched.has(change.id)) {
      note(change.id, change.object)
      any = true
    }
  }
  if (any) for (const f of listeners) f()
})

/** Samples of this object from now on (and what was kept from before). */
export function useSamples(id: string, object: any): Sample[] {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    watched.set(id, (watched.get(id) ?? 0) + 1)
    note(id, object)
    listeners.add(again)
    again()
    return () => {
      listeners.delete(again)
      watched.set(id, watched.get(id)! - 1)
    }
  }, [id])
  return series.get(id) ?? []
}

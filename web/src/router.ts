// SPDX-License-Identifier: Apache-2.0
// Addresses: the page, its tab, filter and sort all stand in the URL.
import { useSyncExternalStore } from 'react'

const listeners = new Set<() => void>()
let guard: (() => boolean) | null = null

function changed() {
  for (const tell of listeners) tell()
}
addEventListener('popstate', changed)

const subscribe = (tell: () => void) => {
  listeners.add(tell)
  return () => listeners.delete(tell)
}

/** Asked before the page is left; false: stay. */
export function setGuard(may: (() => boolean) | null) {
  guard = may
}

export function go(to: string, options: { replace?: boolean } = {}) {
  if (!options.replace && guard && !guard()) return
  if (options.replace) history.replaceState(null, '', to)
  else {
    guard = null
    history.pushState(null, '', to)
  }
  changed()
}

export const usePath = () => useSyncExternalStore(subscribe, () => location.pathname)
export const useSearch = () => useSyncExternalStore(subscribe, () => location.search)

/** A word of the URL's query; "" when absent. */
export function useParam(name: string): [string, (value: string) => void] {
  const search = useSearch()
  const value = new URLSearchParams(search).get(name) ?? ''
  return [value, (next: string) => setParams({ [name]: next })]
}

export function setParams(values: Record<string, string>) {
  const params = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(values)) value ? params.set(name, value) : params.delete(name)
  const text = params.toString()
  go(location.pathname + (text ? '?' + text : ''), { replace: true })
}

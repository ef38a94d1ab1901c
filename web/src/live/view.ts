// SPDX-License-Identifier: Apache-2.0
// What the manager works out when it is asked: capacity, what DRS sees. Asked again when objects that it is made of have changed.
import { useCallback, useEffect, useRef, useState } from 'react'
import { ApiError, get } from '../api/client'
import { link } from './link'

const AGAIN_MS = 5000
const TYPING_MS = 300

export interface View<T> {
  /** The last answer; stays while the next one is awaited. */
  value?: T
  error?: ApiError
  /** Another answer is awaited, or will be asked for. */
  asking: boolean
  /** Asks now. */
  again: () => void
}

/** `path` may have a query: it changes as somebody types, and is asked for when they pause. `types` are what its answer is made of. */
export function useView<T>(path: string | undefined, types: readonly string[]): View<T> {
  const [state, setState] = useState<{ of?: string; path?: string; value?: T; error?: ApiError; asking: boolean }>({ asking: true })
  const base = path?.split('?')[0]
  const kinds = useRef(types)
  const ask = useRef<() => void>(() => undefined)
  useEffect(() => {
    if (!path) return
    let here = true
    let stale = false
    let number = 0
    const now = () => {
      const mine = ++number
      stale = false
      setState((s) => (s.of === base ? { ...s, asking: true } : { of: base, asking: true }))
      get<T>(path).then(
        (value) => here && mine === number && setState({ of: base, path, value, asking: false }),
        (error) => here && mine === number && setState((s) => ({ ...s, path, error: error instanceof ApiError ? error : undefined, asking: false })),
      )
    }
    ask.current = now
    const first = setTimeout(now, path.includes('?') ? TYPING_MS : 0)
    const off = link.onChanges((changes) => {
      stale = stale || changes.some((c) => kinds.current.includes(c.type))
    })
    const timer = setInterval(() => stale && !document.hidden && now(), AGAIN_MS)
    return () => {
      here = false
      off()
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [path, base])
  const again = useCallback(() => ask.current(), [])
  return path && state.of === base ? { value: state.value, error: state.error, asking: state.asking || state.path !== path, again } : { asking: !!path, again }
}

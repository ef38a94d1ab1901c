// SPDX-License-Identifier: Apache-2.0
// What a user likes, kept in the browser: columns and their widths, folds, theme.
import { useState } from 'react'

export function readPref<T>(key: string, initial: T): T {
  try {
    const text = localStorage.getItem('ws-' + key)
    return text === null ? initial : (JSON.parse(text) as T)
  } catch {
    return initial
  }
}

export const keepPref = (key: string, value: unknown) => localStorage.setItem('ws-' + key, JSON.stringify(value))

export function usePref<T>(key: string, initial: T): [T, (value: T) => void] {
  const [state, setState] = useState<{ key: string; value: T }>(() => ({ key, value: readPref(key, initial) }))
  const value = state.key === key ? state.value : readPref(key, initial)
  return [value, (next) => {
    keepPref(key, next)
    setState({ key, value: next })
  }]
}

// SPDX-License-Identifier: Apache-2.0
// What somebody typed is kept until it is sent: over a reload, a lost session, a task that failed. Never secrets.
import { useCallback, useState } from 'react'

const SECRET = /password|secret|token/
const withoutSecrets = (key: string, value: unknown) => (SECRET.test(key) ? undefined : value)

function read<T>(key: string): T | undefined {
  try {
    const text = sessionStorage.getItem('ws-draft:' + key)
    return text ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

export function useDraft<T extends object>(key: string, initial: T): { value: T; set: (v: T) => void; drop: () => void; restored: boolean } {
  const [state, setState] = useState(() => {
    const kept = read<T>(key)
    return { value: kept ? { ...initial, ...kept } : initial, restored: !!kept }
  })
  const set = useCallback((value: T) => {
    sessionStorage.setItem('ws-draft:' + key, JSON.stringify(value, withoutSecrets))
    setState((s) => ({ ...s, value }))
  }, [key])
  const drop = useCallback(() => {
    sessionStorage.removeItem('ws-draft:' + key)
    setState((s) => ({ ...s, restored: false }))
  }, [key])
  return { ...state, set, drop }
}

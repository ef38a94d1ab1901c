// SPDX-License-Identifier: Apache-2.0
// Who is logged in and what they may do.
import { useSyncExternalStore } from 'react'
import { call, configureClient, get, isLoggedOut, newEra, post } from '../api/client'
import { link } from './link'
import { forgetAll } from './store'

export interface Me { name: string; user: string; session?: string; permissions: string[]; bound?: string[]; revision: number }
export type Session = { state: 'asking' } | { state: 'out'; expired?: boolean } | { state: 'in'; me: Me } | { state: 'unreachable' }

let session: Session = { state: 'asking' }
const listeners = new Set<() => void>()

function set(next: Session) {
  session = next
  for (const f of listeners) f()
}

const subscribe = (f: () => void) => {
  listeners.add(f)
  return () => listeners.delete(f)
}

export const useSession = () => useSyncExternalStore(subscribe, () => session)
export const sessionNow = () => session

let logouts = 0

/** Asks the manager who we are; starts the link, at what the manager knew before anything was read. */
export async function enter(): Promise<void> {
  const before = logouts
  try {
    const me = await get<Me>('/whoami')
    if (before !== logouts) return
    link.start(me.revision)
    set({ state: 'in', me })
  } catch (error) {
    if (before !== logouts) return
    if (isLoggedOut(error)) set({ state: 'out' })
    else set({ state: 'unreachable' })
  }
}

export async function login(user: string, password: string): Promise<void> {
  await post('/sessions?cookie=true', { user_name: user, password })
  await loggedIn()
}

/** There is a new session. */
export function loggedIn(): Promise<void> {
  newEra()
  return enter()
}

export async function logout(): Promise<void> {
  const gone = session.state === 'in' ? session.me.session : undefined
  logouts++
  link.stop()
  forgetAll()
  set({ state: 'out' })
  if (gone) await call('DELETE', `/sessions/${gone}`).catch(() => undefined)
}

/** The session has ended while somebody was at work: what they typed stays on the page below. */
function expired() {
  if (session.state === 'in') set({ state: 'out', expired: true })
}

configureClient({ onLoggedOut: expired })
link.onDenied(() => void get('/whoami').then((me) => set({ state: 'in', me }), () => undefined))

const matches = (right: string, needed: string) => {
  const [a, b] = right.split('.')
  const [x, y] = needed.split('.')
  return (a === '*' || a === x) && (b === undefined || b === '*' || b === y)
}

/** Has the user this right? */
export function may(needed: string): boolean {
  if (session.state !== 'in') return false
  if (['any', 'public', 'self'].includes(needed)) return true
  const { permissions, bound } = session.me
  return permissions.some((right) => matches(right, needed)) && (!bound || bound.some((right) => matches(right, needed)))
}

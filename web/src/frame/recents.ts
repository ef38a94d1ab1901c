// SPDX-License-Identifier: Apache-2.0
// The objects whose pages this user has opened lately, newest first: what the palette offers before anything is typed. Kept in the browser, for each user their own.
import { keepPref, readPref } from '../kit/prefs'
import { nameNow } from '../live/store'
import { sessionNow } from '../live/session'

export interface Recent { id: string; name: string }

const KEPT = 12

const key = () => {
  const session = sessionNow()
  return session.state === 'in' ? `recent-${session.me.user}` : undefined
}

export function recents(): Recent[] {
  const mine = key()
  return mine ? readPref<Recent[]>(mine, []).map(({ id, name }) => ({ id, name: nameNow(id) === id ? name : nameNow(id) })) : []
}

export function noteRecent(id: string, name: string) {
  const mine = key()
  if (mine) keepPref(mine, [{ id, name }, ...recents().filter((one) => one.id !== id)].slice(0, KEPT))
}

export function dropRecent(id: string) {
  const mine = key()
  if (mine) keepPref(mine, recents().filter((one) => one.id !== id))
}

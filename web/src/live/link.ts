// SPDX-License-Identifier: Apache-2.0
// The one socket on which changes come, by revision. Broken, or silent for longer than the manager's beat allows: it says since when, tries again for ever, and goes
// on where it was. A socket whose other end is gone says nothing by itself: only what is not heard tells it.
import { useSyncExternalStore } from 'react'
import { socketUrl } from '../api/client'

/** A patch has the fields that changed since the version `base`; null: it is absent now. */
export interface Change { type: string; id: string; op: 'put' | 'patch' | 'gone'; base?: number; object?: any }

/** The object after the change, which may be known already; undefined when it is not known what it was before. */
export function after(before: any, change: Change): any {
  if (change.op === 'put' && before?.revision > change.object.revision) return before
  if (change.op !== 'patch') return change.object
  if (!before || before.revision < change.base!) return undefined
  if (before.revision >= change.object.revision) return before
  const object = { ...before, ...change.object }
  for (const field in change.object) if (change.object[field] === null) delete object[field]
  return object
}

/** Two changes of one object as one. */
export function join(first: Change | undefined, then: Change): Change {
  if (then.op !== 'patch' || !first || first.op === 'gone') return then
  return first.op === 'put' ? { ...first, object: after(first.object, then) } : { ...first, object: { ...first.object, ...then.object } }
}
/** `told`: what is shown is old by now, which is said, and no verb is offered on it. Before that it is but a moment. */
export type LinkState = { state: 'up' } | { state: 'down'; since: number; lastMs: number; told: boolean }

/** Changes are gathered and painted at most four times a second. */
const PAINT_MS = 250
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000]

export interface LinkTimes {
  /** The manager says something at least every ten seconds (`beat` of its watch): longer than two of them is silence. */
  silentMs: number
  /** From the beginning of a try to the manager's first word. */
  openMs: number
  /** Shorter interruptions are nobody's business. */
  tellMs: number
}
const TIMES: LinkTimes = { silentMs: 25000, openMs: 10000, tellMs: 3000 }

export class Link {
  private socket: WebSocket | null = null
  private revision = 0
  private tries = 0
  private timer = 0
  private watchdog = 0
  private tellTimer = 0
  /** When the manager said something last; when this wait for its next word began. */
  private heardMs = 0
  private awaitedMs = 0
  /** The manager has said something on this socket. */
  private opened = false
  private wanted = false
  private pending: Change[] = []
  private paintTimer = 0
  private paintedMs = 0
  private listeners = new Set<(changes: Change[]) => void>()
  private stateListeners = new Set<() => void>()
  private relisteners = new Set<() => void>()
  private deniedListener: () => void = () => {}
  state: LinkState = { state: 'up' }

  constructor(private readonly times: LinkTimes = TIMES) {}

  /** Begins to watch: changes after this revision come to those who listen. */
  start(revision = 0) {
    if (this.wanted) return
    this.wanted = true
    this.revision = revision
    this.open()
  }

  stop() {
    this.wanted = false
    this.revision = 0
    clearTimeout(this.timer)
    this.drop()
    this.setState({ state: 'up' })
  }

  onChanges(listener: (changes: Change[]) => void) {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** The log does not reach back to where we were: read everything again. */
  onRelist(listener: () => void) {
    this.relisteners.add(listener)
    return () => this.relisteners.delete(listener)
  }

  onDenied(listener: () => void) {
    this.deniedListener = listener
  }

  subscribe = (tell: () => void) => {
    this.stateListeners.add(tell)
    return () => this.stateListeners.delete(tell)
  }

  /** Now, not after the wait: the network is back, or somebody looks. A socket that should have said something by now is not waited for: timers rest while a
   *  machine sleeps. `anew`: the network is another one, and a socket of the old one may never say so; one that is just being made is not of the old one. */
  retry(anew = false) {
    if (!this.wanted) return
    if (this.socket && !(anew && this.opened) && Date.now() - this.awaitedMs < (this.opened ? this.times.silentMs : this.times.openMs)) return
    clearTimeout(this.timer)
    if (this.socket && this.opened && !anew) this.silent()
    this.open()
  }

  private setState(state: LinkState) {
    clearTimeout(this.tellTimer)
    this.state = state
    if (state.state === 'down' && !state.told) this.tellTimer = window.setTimeout(() => this.setState({ ...state, told: true }), this.times.tellMs)
    for (const tell of this.stateListeners) tell()
  }

  private open() {
    this.drop()
    const socket = new WebSocket(socketUrl(`/watch?delta=true&beat=true${this.revision ? `&since=${this.revision}` : ''}`))
    this.socket = socket
    this.opened = false
    this.listenFor()
    socket.onmessage = (event) => {
      if (this.socket !== socket) return
      this.opened = true
      this.heardMs = Date.now()
      this.listenFor()
      this.take(JSON.parse(event.data))
    }
    socket.onclose = (event) => {
      if (this.socket !== socket) return
      this.drop()
      if (event.code === 4401) this.deniedListener()
      this.lost()
    }
  }

  /** Until the next word, or not. */
  private listenFor() {
    this.awaitedMs = Date.now()
    clearTimeout(this.watchdog)
    this.watchdog = window.setTimeout(() => {
      const heard = this.opened
      this.drop()
      if (heard) this.silent()
      this.lost()
    }, this.opened ? this.times.silentMs : this.times.openMs)
  }

  /** What it says from now on is of no interest; closing what does not answer takes as long as it likes. */
  private drop() {
    clearTimeout(this.watchdog)
    const socket = this.socket
    this.socket = null
    socket?.close()
  }

  /** Nothing came for so long that what is shown is old already. */
  private silent() {
    if (this.state.state === 'up') this.setState({ state: 'down', since: Date.now(), lastMs: this.heardMs, told: true })
  }

  private lost() {
    if (!this.wanted) return
    if (this.state.state === 'up') this.setState({ state: 'down', since: Date.now(), lastMs: this.heardMs || Date.now(), told: false })
    const wait = WAITS_MS[Math.min(this.tries++, WAITS_MS.length - 1)]!
    this.timer = window.setTimeout(() => this.open(), wait * (0.8 + 0.4 * Math.random()))
  }

  private take(message: any) {
    if (message.relist) {
      this.revision = 0
      for (const tell of this.relisteners) tell()
      return
    }
    this.tries = 0
    const again = this.state.state === 'down'
    if (again) this.setState({ state: 'up' })
    if (this.revision === 0 && again) for (const tell of this.relisteners) tell()
    this.revision = Math.max(this.revision, message.revision)
    if (!message.changes.length) return
    for (const change of message.changes) this.pending.push(change)
    if (!this.paintTimer) this.paintTimer = window.setTimeout(() => this.paint(), Math.max(30, this.paintedMs + PAINT_MS - Date.now()))
  }

  private paint() {
    this.paintTimer = 0
    this.paintedMs = Date.now()
    const last = new Map<string, Change>()
    for (const change of this.pending) last.set(change.id, join(last.get(change.id), change))
    this.pending = []
    const changes = [...last.values()]
    for (const listener of this.listeners) listener(changes)
  }
}

export const link = new Link()
addEventListener('online', () => link.retry(true))
addEventListener('focus', () => link.retry())
addEventListener('visibilitychange', () => document.hidden || link.retry())

export const useLink = () => useSyncExternalStore(link.subscribe, () => link.state)
/** When the last live data came, where what is shown is old by now. */
export const staleSince = (): number | undefined => (link.state.state === 'down' && link.state.told ? link.state.lastMs : undefined)

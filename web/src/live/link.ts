// SPDX-License-Identifier: Apache-2.0
// The one socket on which changes come, by revision. Broken: it says since when, tries again for ever, and goes on where it was.
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
export type LinkState = { state: 'up' } | { state: 'down'; since: number; lastMs: number }

/** Changes are gathered and painted at most four times a second. */
const PAINT_MS = 250
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000]

class Link {
  private socket: WebSocket | null = null
  private revision = 0
  private tries = 0
  private timer = 0
  private wanted = false
  private pending: Change[] = []
  private paintTimer = 0
  private paintedMs = 0
  private listeners = new Set<(changes: Change[]) => void>()
  private stateListeners = new Set<() => void>()
  private relisteners = new Set<() => void>()
  private deniedListener: () => void = () => {}
  state: LinkState = { state: 'up' }

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
    this.socket?.close()
    this.socket = null
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

  /** Now, not after the wait: the network is back, or somebody looks. */
  retry() {
    if (!this.wanted || this.socket) return
    clearTimeout(this.timer)
    this.open()
  }

  private setState(state: LinkState) {
    this.state = state
    for (const tell of this.stateListeners) tell()
  }

  private open() {
    const socket = new WebSocket(socketUrl(`/watch?delta=true${this.revision ? `&since=${this.revision}` : ''}`))
    this.socket = socket
    socket.onmessage = (event) => this.take(JSON.parse(event.data))
    socket.onclose = (event) => {
      if (this.socket !== socket) return
      this.socket = null
      if (event.code === 4401) this.deniedListener()
      this.lost()
    }
  }

  private lost() {
    if (!this.wanted) return
    if (this.state.state === 'up') this.setState({ state: 'down', since: Date.now(), lastMs: this.paintedMs || Date.now() })
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
addEventListener('online', () => link.retry())
addEventListener('focus', () => link.retry())

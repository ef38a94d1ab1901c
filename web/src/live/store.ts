// SPDX-License-Identifier: Apache-2.0
// One cache of objects that all views read. Changes from the link are written into it; nobody keeps a copy.
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'
import { ApiError, get, list, type Obj, type Query } from '../api/client'
import { fieldsOf, pluralOf, resource } from '../api/contract'
import { link, type Change } from './link'

export interface Entry { object?: Obj; error?: ApiError; gone?: boolean }

const EMPTY: Entry = {}
const entries = new Map<string, Entry>()
const waiting = new Map<string, Set<() => void>>()
const asked = new Set<string>()

function tell(key: string) {
  for (const f of waiting.get(key) ?? []) f()
}

function listen(key: string, f: () => void) {
  let set = waiting.get(key)
  if (!set) waiting.set(key, (set = new Set()))
  set.add(f)
  return () => {
    set.delete(f)
    if (set.size === 0 && waiting.get(key) === set) waiting.delete(key)
  }
}

function setEntry(id: string, entry: Entry) {
  entries.set(id, entry)
  tell(id)
}

async function fetchObject(id: string) {
  const plural = pluralOf(id)
  if (!plural) return setEntry(id, { error: new ApiError(404, 'not_found', id) })
  try {
    const object = await get<Obj>(`/${plural}/${id}`)
    const known = entries.get(id)?.object
    if (!known || known.revision <= object.revision) setEntry(id, { object })
  } catch (error) {
    if (error instanceof ApiError) setEntry(id, error.status === 404 ? { ...entries.get(id), error, gone: true } : { ...entries.get(id), error })
  }
}

/** An answer to a request of ours that is an object. */
export function learn(object: Obj | null | undefined) {
  if (!object?.id || !object.revision || !waiting.has(object.id)) return
  const known = entries.get(object.id)?.object
  if (!known || known.revision < object.revision) setEntry(object.id, { object })
}

/** The object with this id, as it is now. */
export function useObject(id: string | undefined): Entry {
  const entry = useSyncExternalStore(
    useCallback((f: () => void) => (id ? listen(id, f) : () => {}), [id]),
    () => (id ? entries.get(id) ?? EMPTY : EMPTY),
  )
  useEffect(() => {
    if (id && !entries.has(id) && !asked.has(id)) {
      asked.add(id)
      void fetchObject(id).finally(() => asked.delete(id))
    }
  }, [id, entry])
  return entry
}

export const refetch = (id: string) => void fetchObject(id)
export const peek = (id: string): Obj | undefined => entries.get(id)?.object

// ---- names of what is referred to ----

const names = new Map<string, string>()
const loaded = new Set<string>()
/** Of these there are few enough to know all names at once. */
const WHOLE = new Set(['hosts', 'clusters', 'host-pools', 'pools', 'switches', 'port-groups', 'images', 'users', 'roles', 'sites'])

async function loadNames(plural: string) {
  try {
    const page = await list(plural, { fields: 'name', limit: 20000 })
    for (const row of page.items) {
      names.set(row.id, row.name)
      tell('name:' + row.id)
    }
  } catch { loaded.delete(plural) /* may not be read, or later */ }
}

async function loadName(id: string, plural: string) {
  if (!fieldsOf(resource(plural)?.type ?? '').name) return // such as a task: it is called by its id
  try {
    const object = await get<Obj>(`/${plural}/${id}?fields=name`)
    names.set(id, object.name ?? id)
  } catch { names.set(id, id) }
  tell('name:' + id)
}

/** The name of an object; undefined while it is not known. */
export function useName(id: string | undefined): string | undefined {
  useEffect(() => {
    const plural = id && pluralOf(id)
    if (!id || !plural || names.has(id)) return
    const key = WHOLE.has(plural) ? plural : id
    if (loaded.has(key)) return
    loaded.add(key)
    void (WHOLE.has(plural) ? loadNames(plural) : loadName(id, plural))
  }, [id])
  return useSyncExternalStore(useCallback((f: () => void) => (id ? listen('name:' + id, f) : () => {}), [id]), () => (id ? names.get(id) : undefined))
}

export const nameNow = (id: string) => names.get(id) ?? id
export const noteName = (id: string, name: string) => {
  if (names.get(id) === name) return
  names.set(id, name)
  tell('name:' + id)
}

/** Names that records carry of what may be gone by now: known without asking. */
function hint(id: unknown, name: unknown) {
  if (typeof id === 'string' && typeof name === 'string' && name && !names.has(id)) noteName(id, name)
}

function hints(row: Obj) {
  hint(row.object, row.object_name)
  hint(row.target, row.target_name)
  hint(row.vm, row.vm_name)
  if (row.request?.name) hint(row.result, row.request.name)
}

// ---- lists ----

const FIRST = 200
const MORE = 5000
const SETTLE_MS = 1000

export interface ListState {
  rows: Obj[]
  total: number
  loading: boolean
  whole: boolean
  error?: ApiError
  /** Rows would move or come when it were read again; waits for the user to let go. */
  stale: boolean
}

export class ListQuery {
  state: ListState = { rows: [], total: 0, loading: true, whole: false, stale: false }
  private byId = new Map<string, number>()
  private cursor?: string
  private busy: Promise<void> | null = null
  private timer = 0
  private again = false
  private listeners = new Set<() => void>()
  private stop: (() => void)[] = []
  private abort = new AbortController()
  /** Somebody points at rows or has picked some: they stay where they are. */
  held = false
  private readonly type: string
  private readonly history: boolean
  private readonly polls: number

  constructor(readonly plural: string, readonly query: Query, private readonly first = FIRST) {
    this.type = resource(plural)?.type ?? ''
    this.history = !!resource(plural)?.history
    this.stop.push(link.onChanges((changes) => this.take(changes)), link.onRelist(() => this.refresh()))
    this.polls = this.history ? window.setInterval(() => document.hidden || this.refresh(), 10000) : 0
    this.refresh()
  }

  close() {
    this.abort.abort()
    clearTimeout(this.timer)
    clearInterval(this.polls)
    for (const f of this.stop) f()
  }

  subscribe = (f: () => void) => {
    this.listeners.add(f)
    return () => this.listeners.delete(f)
  }

  private set(change: Partial<ListState>) {
    this.state = { ...this.state, ...change }
    for (const f of this.listeners) f()
  }

  private index(rows: Obj[]) {
    this.byId.clear()
    for (let i = 0; i < rows.length; i++) {
      this.byId.set(rows[i]!.id, i)
      if (rows[i]!.name) noteName(rows[i]!.id, rows[i]!.name)
      hints(rows[i]!)
    }
  }

  /** Reads what is shown anew. */
  refresh = () => {
    if (this.busy) {
      this.again = true
      return
    }
    this.busy = this.read(Math.max(this.first, this.state.rows.length), undefined).finally(() => {
      this.busy = null
      if (this.again) {
        this.again = false
        this.schedule()
      }
    })
  }

  private async read(limit: number, cursor: string | undefined) {
    try {
      const page = await list(this.plural, { ...this.query, limit, cursor }, this.abort.signal)
      const rows = cursor ? [...this.state.rows, ...page.items] : page.items
      this.cursor = page.next_cursor
      this.index(rows)
      this.set({ rows, total: page.total ?? rows.length + (page.next_cursor ? 1 : 0), loading: false, whole: !page.next_cursor, error: undefined, stale: false })
    } catch (error) {
      if (error instanceof ApiError) this.set({ error, loading: false })
    }
  }

  /** Makes sure that the first `n` rows are there. */
  ensure(n: number) {
    if (this.busy || this.state.whole || !this.cursor || n <= this.state.rows.length) return
    this.busy = this.read(Math.max(MORE, n - this.state.rows.length), this.cursor).finally(() => (this.busy = null))
  }

  private schedule() {
    if (this.timer) return
    this.timer = window.setTimeout(() => {
      this.timer = 0
      if (this.held) this.set({ stale: true })
      else this.refresh()
    }, SETTLE_MS)
  }

  release() {
    this.held = false
    if (this.state.stale) this.schedule()
  }

  private take(changes: Change[]) {
    let rows: Obj[] | null = null
    let moves = false
    let gone: Set<string> | null = null
    for (const change of changes) {
      if (change.type !== this.type) continue
      const at = this.byId.get(change.id)
      if (change.op === 'gone') {
        if (at !== undefined) (gone ??= new Set()).add(change.id)
        else moves = true
      } else if (at === undefined) moves = true
      else {
        rows ??= this.state.rows.slice()
        if (this.matters(rows[at]!, change.object)) moves = true
        rows[at] = change.object
        hints(change.object)
        if (change.object.name) noteName(change.id, change.object.name)
      }
    }
    if (gone) {
      const lost = gone
      rows = (rows ?? this.state.rows).filter((row) => !lost.has(row.id))
      this.index(rows)
    }
    if (rows) this.set({ rows, total: this.state.total - (gone?.size ?? 0) })
    if (moves) this.schedule()
  }

  /** Could the change make the row move or leave the list? */
  private matters(before: Obj, after: Obj): boolean {
    const paths = [...(this.query.sort ?? '').split(',').map((s) => s.replace(/^-/, '')), ...(this.query.filter ?? '').split(' and ').map((term) => term.split(/[=!<>~]/)[0]!.trim())]
    return paths.some((path) => path && JSON.stringify(at(before, path)) !== JSON.stringify(at(after, path)))
  }
}

function at(object: any, path: string): unknown {
  for (const step of path.split('.')) object = object?.[step]
  return object
}

/** A list that stays up to date; a new one when plural or query change. */
export function useList(plural: string | undefined, query: Query = {}, first = FIRST): ListQuery | null {
  const key = plural ? plural + JSON.stringify(query) + first : ''
  const [made, setMade] = useState<{ key: string; list: ListQuery } | null>(null)
  useEffect(() => {
    if (!plural) return
    const fresh = new ListQuery(plural, query, first)
    setMade({ key, list: fresh })
    return () => fresh.close()
    // The key says all of the query.
  }, [key])
  return made?.key === key ? made.list : null
}

const NONE: ListState = { rows: [], total: 0, loading: true, whole: false, stale: false }
const nothing = () => () => {}

export function useListState(query: ListQuery | null): ListState {
  return useSyncExternalStore(query ? query.subscribe : nothing, () => (query ? query.state : NONE))
}

export function useRows(plural: string | undefined, query: Query = {}, first = FIRST): ListState {
  return useListState(useList(plural, query, first))
}

// ---- the link writes into the cache ----

link.onChanges((changes) => {
  for (const change of changes) {
    if (change.op === 'gone') {
      if (entries.has(change.id)) setEntry(change.id, { ...entries.get(change.id), gone: true })
      continue
    }
    if (names.has(change.id) && change.object.name) noteName(change.id, change.object.name)
    if (entries.has(change.id) || waiting.has(change.id)) setEntry(change.id, { object: change.object })
  }
  // Objects that nobody looks at any more are forgotten, so that an open tab does not grow for ever.
  if (entries.size > 2000) for (const id of entries.keys()) if (!waiting.has(id)) entries.delete(id)
})

link.onRelist(() => {
  for (const id of entries.keys()) waiting.has(id) ? void fetchObject(id) : entries.delete(id)
})

export function forgetAll() {
  entries.clear()
  names.clear()
  loaded.clear()
}
